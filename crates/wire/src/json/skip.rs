//! Reading over a value of any kind: it is checked, and nothing is made of it. No recursion, whatever the nesting.

use super::{DEPTH_MAX, JsonKind, JsonReader, Result};

impl<'a> JsonReader<'a> {
    /// The text of the next value of any kind, checked and as it was sent.
    pub fn raw(&mut self) -> Result<&'a [u8]> {
        self.skip_whitespace();
        let start = self.position;
        self.skip()?;
        Ok(self.text.get(start..self.position).unwrap_or_default())
    }

    /// Reads over the next value of any kind, checking it.
    pub fn skip(&mut self) -> Result<()> {
        let mut open = OpenContainers::default();
        let outer = self.depth;
        loop {
            match self.peek()? {
                JsonKind::String => self.scan_string()?,
                JsonKind::Number => self.scan_number()?,
                JsonKind::Boolean => {
                    self.boolean()?;
                }
                JsonKind::Null => self.null()?,
                kind @ (JsonKind::Object | JsonKind::Array) => {
                    self.enter()?;
                    open.push(kind);
                }
            }
            // On to the next value, leaving what ends here.
            loop {
                let Some(kind) = open.last() else {
                    debug_assert_eq!(self.depth, outer);
                    return Ok(());
                };
                let more = match kind {
                    JsonKind::Object => self.skip_key()?,
                    _ => self.next_element()?,
                };
                if more {
                    break;
                }
                open.pop();
            }
        }
    }

    /// As [`next_key`](Self::next_key), without making the key.
    fn skip_key(&mut self) -> Result<bool> {
        if !self.begin_key()? {
            return Ok(false);
        }
        self.scan_string()?;
        self.end_key()?;
        Ok(true)
    }
}

/// The kinds of the containers that [`JsonReader::skip`] is inside of, one bit each.
#[derive(Default)]
struct OpenContainers {
    depth: usize,
    is_object: [u64; DEPTH_MAX / 64],
}

impl OpenContainers {
    fn push(&mut self, kind: JsonKind) {
        // The reader refuses to go deeper than DEPTH_MAX.
        if let Some(word) = self.is_object.get_mut(self.depth / 64) {
            let bit = 1 << (self.depth % 64);
            *word = if kind == JsonKind::Object { *word | bit } else { *word & !bit };
        }
        self.depth += 1;
    }

    fn last(&self) -> Option<JsonKind> {
        let index = self.depth.checked_sub(1)?;
        let word = self.is_object.get(index / 64)?;
        Some(if word >> (index % 64) & 1 == 1 { JsonKind::Object } else { JsonKind::Array })
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }
}
