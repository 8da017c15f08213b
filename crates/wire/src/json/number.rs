//! Numbers of JSON, as they stand in the text: what they are worth is the caller's choice.

use super::{JsonKind, JsonReader, Result};

impl<'a> JsonReader<'a> {
    /// A number, as it stands in the text.
    pub fn number(&mut self) -> Result<&'a str> {
        self.expect_kind(JsonKind::Number)?;
        let start = self.position;
        self.scan_number()?;
        let bytes = self.text.get(start..self.position).unwrap_or_default();
        // The scanner lets only ASCII through.
        std::str::from_utf8(bytes).map_err(|_| self.error_at(start, "number is not ASCII"))
    }

    fn scan_digits(&mut self) -> Result<()> {
        if !self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.unexpected("a digit"));
        }
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
        Ok(())
    }

    /// Checks a number without making it.
    pub(super) fn scan_number(&mut self) -> Result<()> {
        if self.byte() == Some(b'-') {
            self.position += 1;
        }
        let zero = self.byte() == Some(b'0');
        let start = self.position;
        self.scan_digits()?;
        if zero && self.position > start + 1 {
            return Err(self.error_at(start, "number has a leading zero"));
        }
        if self.byte() == Some(b'.') {
            self.position += 1;
            self.scan_digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.position += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.position += 1;
            }
            self.scan_digits()?;
        }
        Ok(())
    }
}
