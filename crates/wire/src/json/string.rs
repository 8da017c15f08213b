//! Strings of JSON: their bytes unescaped, or only checked.
//!
//! A string without escapes is borrowed from the text. Refused are control characters that are not
//! escaped, escapes that the RFC does not know, and a string without its closing quote.

use std::borrow::Cow;

use super::{JsonKind, JsonReader, Result};
use crate::error::DecodeError;

impl<'a> JsonReader<'a> {
    /// The bytes of a string, unescaped. They need not be UTF-8.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>> {
        self.skip_whitespace();
        if self.byte() != Some(b'"') {
            self.expect_kind(JsonKind::String)?;
        }
        self.string_body()
    }

    /// As [`string`](Self::string), with `scratch` for the bytes of a string with escapes: no allocation
    /// once that has grown.
    #[inline]
    pub fn string_in<'s>(&mut self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8]>
    where
        'a: 's,
    {
        self.skip_whitespace();
        if self.byte() != Some(b'"') {
            self.expect_kind(JsonKind::String)?;
        }
        let (quote, plain) = (self.position, self.plain_prefix()?);
        if self.byte() == Some(b'"') {
            self.position += 1;
            return Ok(plain);
        }
        scratch.clear();
        scratch.extend_from_slice(plain);
        self.string_with_escapes(quote, scratch)?;
        Ok(scratch)
    }

    /// A string as text; bytes that are not UTF-8 become U+FFFD.
    pub fn text(&mut self) -> Result<Cow<'a, str>> {
        Ok(match self.string()? {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            }),
        })
    }

    /// A string whose opening quote is under the cursor.
    #[inline]
    pub(super) fn string_body(&mut self) -> Result<Cow<'a, [u8]>> {
        let (quote, plain) = (self.position, self.plain_prefix()?);
        if self.byte() == Some(b'"') {
            self.position += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut bytes = Vec::with_capacity(plain.len() + 32);
        bytes.extend_from_slice(plain);
        self.string_with_escapes(quote, &mut bytes)?;
        Ok(Cow::Owned(bytes))
    }

    /// Steps from the opening quote of a string to its first escape or its closing quote.
    #[inline]
    fn plain_prefix(&mut self) -> Result<&'a [u8]> {
        let quote = self.position;
        self.position += 1;
        let rest = self.rest();
        let Some(length) = memchr::memchr2(b'"', b'\\', rest) else {
            return Err(self.unterminated(quote));
        };
        let plain = rest.get(..length).unwrap_or_default();
        self.refuse_control_characters(plain)?;
        self.position += length;
        Ok(plain)
    }

    /// The rest of a string, from its first escape on.
    fn string_with_escapes(&mut self, quote: usize, bytes: &mut Vec<u8>) -> Result<()> {
        loop {
            let rest = self.rest();
            let Some(length) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(self.unterminated(quote));
            };
            let plain = rest.get(..length).unwrap_or_default();
            self.refuse_control_characters(plain)?;
            bytes.extend_from_slice(plain);
            self.position += length + 1;
            if rest.get(length) == Some(&b'"') {
                return Ok(());
            }
            self.escape(quote, bytes)?;
        }
    }

    /// What follows a backslash.
    fn escape(&mut self, quote: usize, bytes: &mut Vec<u8>) -> Result<()> {
        let Some(letter) = self.byte() else { return Err(self.unterminated(quote)) };
        self.position += 1;
        bytes.push(match letter {
            b'"' | b'\\' | b'/' => letter,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let character = self.unicode_escape()?;
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.error_at(self.position - 2, "unknown escape in a string")),
        });
        Ok(())
    }

    /// What follows `\u`; a low surrogate escape that completes a high one is read too.
    fn unicode_escape(&mut self) -> Result<char> {
        let first = self.hex4()?;
        if (0xd800..0xdc00).contains(&first) && self.rest().starts_with(b"\\u") {
            let before = self.position;
            self.position += 2;
            let second = self.hex4()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            // Not its other half: a character of its own.
            self.position = before;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.byte().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else { return Err(self.unexpected("four hexadecimal digits")) };
            code = code * 16 + digit;
            self.position += 1;
        }
        Ok(code)
    }

    #[inline]
    fn refuse_control_characters(&self, plain: &[u8]) -> Result<()> {
        // A fold without a branch inside, so that it runs on vectors.
        if plain.iter().fold(false, |found, byte| found | (*byte < 0x20)) {
            let at = plain.iter().position(|byte| *byte < 0x20).unwrap_or(0);
            return Err(self.error_at(self.position + at, "control character in a string must be escaped"));
        }
        Ok(())
    }

    fn unterminated(&self, quote: usize) -> DecodeError {
        self.error_at(quote, "string has no closing quote")
    }

    /// Checks a string without making it.
    pub(super) fn scan_string(&mut self) -> Result<()> {
        let quote = self.position;
        self.position += 1;
        loop {
            let rest = self.rest();
            let Some(length) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(self.unterminated(quote));
            };
            self.refuse_control_characters(rest.get(..length).unwrap_or_default())?;
            self.position += length + 1;
            if rest.get(length) == Some(&b'"') {
                return Ok(());
            }
            match self.byte() {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.position += 1,
                Some(b'u') => {
                    self.position += 1;
                    self.hex4()?;
                }
                Some(_) => return Err(self.error_at(self.position - 1, "unknown escape in a string")),
                None => return Err(self.unterminated(quote)),
            }
        }
    }
}
