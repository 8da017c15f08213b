//! Reads JSON (RFC 8259) from a byte slice, value by value, as the caller asks for them.
//!
//! Why not a library: log lines are bytes. Bytes of a string that are not UTF-8 are kept as they
//! are, where serde refuses them; and the text of a nested value can be had as it was sent.
//! Strings without escapes are borrowed. Nesting is limited, skipping a value uses no recursion,
//! and every error names its place. An escaped surrogate without its other half becomes U+FFFD.
//! Refused are control characters in strings, anything after the value, and whatever else the RFC
//! does not allow. A key that occurs twice is given twice: what that means is the caller's choice.
//!
//! ```
//! # use timberyard_wire::json::JsonReader;
//! let mut reader = JsonReader::new(br#"{"ids": [1, 2], "name": "x"}"#, 64);
//! let mut ids = Vec::new();
//! reader.begin_object()?;
//! while let Some(key) = reader.next_key()? {
//!     match &*key {
//!         b"ids" => {
//!             reader.begin_array()?;
//!             while reader.next_element()? {
//!                 ids.push(reader.number()?);
//!             }
//!         }
//!         _ => reader.skip()?,
//!     }
//! }
//! reader.finish()?;
//! assert_eq!(ids, ["1", "2"]);
//! # Ok::<(), timberyard_wire::DecodeError>(())
//! ```

mod number;
mod skip;
mod string;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::error::DecodeError;

/// The deepest nesting that any setting can allow.
pub const DEPTH_MAX: usize = 1024;

/// What the next value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonKind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// `null`
    Null,
}

impl JsonKind {
    /// Its name with an article, for messages.
    pub const fn described(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
        }
    }
}

type Result<T> = std::result::Result<T, DecodeError>;

/// A cursor over one JSON text.
///
/// The caller walks: a value is read by the method for its kind, an object by
/// [`begin_object`](Self::begin_object) and then [`next_key`](Self::next_key) until `None`, with one
/// value read after each key; an array likewise with [`next_element`](Self::next_element).
#[derive(Clone, Debug)]
pub struct JsonReader<'a> {
    text: &'a [u8],
    position: usize,
    depth: usize,
    depth_max: usize,
    /// Whether the container that was entered last has given no member yet.
    fresh: bool,
}

impl<'a> JsonReader<'a> {
    /// A reader at the start of `text` that allows `depth_max` nested arrays and objects (at most [`DEPTH_MAX`]).
    pub fn new(text: &'a [u8], depth_max: usize) -> Self {
        Self { text, position: 0, depth: 0, depth_max: depth_max.min(DEPTH_MAX), fresh: false }
    }

    /// Bytes read so far.
    pub fn offset(&self) -> usize {
        self.position
    }

    /// An error at the place that was reached.
    pub fn error(&self, reason: impl Into<String>) -> DecodeError {
        self.error_at(self.position, reason)
    }

    /// An error at a place that [`offset`](Self::offset) gave.
    pub fn error_at(&self, offset: usize, reason: impl Into<String>) -> DecodeError {
        DecodeError::malformed_text(self.text, offset, reason)
    }

    /// The kind of the next value, which stays unread.
    pub fn peek(&mut self) -> Result<JsonKind> {
        self.skip_whitespace();
        match self.byte() {
            Some(b'{') => Ok(JsonKind::Object),
            Some(b'[') => Ok(JsonKind::Array),
            Some(b'"') => Ok(JsonKind::String),
            Some(b'-' | b'0'..=b'9') => Ok(JsonKind::Number),
            Some(b't' | b'f') => Ok(JsonKind::Boolean),
            Some(b'n') => Ok(JsonKind::Null),
            _ => Err(self.unexpected("a value")),
        }
    }

    /// Enters an object.
    pub fn begin_object(&mut self) -> Result<()> {
        self.expect_kind(JsonKind::Object)?;
        self.enter()
    }

    /// The next key of the object that was entered last, with the cursor before its value; `None` when
    /// the object ends, which leaves it.
    #[inline]
    pub fn next_key(&mut self) -> Result<Option<Cow<'a, [u8]>>> {
        if !self.begin_key()? {
            return Ok(None);
        }
        let key = self.string_body()?;
        self.end_key()?;
        Ok(Some(key))
    }

    /// Enters an array.
    pub fn begin_array(&mut self) -> Result<()> {
        self.expect_kind(JsonKind::Array)?;
        self.enter()
    }

    /// Whether the array that was entered last has one more element, with the cursor before it; `false`
    /// when the array ends, which leaves it.
    #[inline]
    pub fn next_element(&mut self) -> Result<bool> {
        if !self.next_member(b']', "`,` or `]`")? {
            return Ok(false);
        }
        if self.byte() == Some(b']') {
            return Err(self.unexpected("a value"));
        }
        Ok(true)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self) -> Result<bool> {
        self.expect_kind(JsonKind::Boolean)?;
        if self.byte() == Some(b't') {
            self.scan_word(b"true")?;
            Ok(true)
        } else {
            self.scan_word(b"false")?;
            Ok(false)
        }
    }

    /// `null`
    pub fn null(&mut self) -> Result<()> {
        self.expect_kind(JsonKind::Null)?;
        self.scan_word(b"null")
    }

    /// Whether nothing but whitespace follows.
    pub fn is_at_end(&mut self) -> bool {
        self.skip_whitespace();
        self.position == self.text.len()
    }

    /// Checks that nothing follows.
    pub fn finish(&mut self) -> Result<()> {
        if self.is_at_end() { Ok(()) } else { Err(self.unexpected("the end")) }
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.get(self.position..).unwrap_or_default()
    }

    #[inline]
    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.position += 1;
        }
    }

    fn expect_kind(&mut self, wanted: JsonKind) -> Result<()> {
        let found = self.peek()?;
        if found == wanted {
            Ok(())
        } else {
            Err(self.error(format!("expected {}, found {}", wanted.described(), found.described())))
        }
    }

    fn unexpected(&self, wanted: &str) -> DecodeError {
        match self.byte() {
            None => self.error(format!("expected {wanted}, found the end of the JSON text")),
            Some(byte @ 0x20..=0x7e) => {
                self.error(format!("expected {wanted}, found `{}`", char::from(byte)))
            }
            Some(byte) => self.error(format!("expected {wanted}, found byte 0x{byte:02x}")),
        }
    }

    /// Steps over the bracket that opens a container.
    fn enter(&mut self) -> Result<()> {
        if self.depth == self.depth_max {
            return Err(self.error(format!("JSON nests deeper than the limit of {}", self.depth_max)));
        }
        self.depth += 1;
        self.position += 1;
        self.fresh = true;
        Ok(())
    }

    /// Steps over what separates members; `false` when `end` was read instead.
    #[inline]
    fn next_member(&mut self, end: u8, wanted: &str) -> Result<bool> {
        self.skip_whitespace();
        match self.byte() {
            Some(byte) if byte == end => {
                self.position += 1;
                self.depth = self.depth.saturating_sub(1);
                self.fresh = false;
                return Ok(false);
            }
            _ if self.fresh => self.fresh = false,
            Some(b',') => {
                self.position += 1;
                self.skip_whitespace();
            }
            _ => return Err(self.unexpected(wanted)),
        }
        Ok(true)
    }

    /// Steps to the opening quote of the next key; `false` when the object ends, which leaves it.
    #[inline]
    fn begin_key(&mut self) -> Result<bool> {
        if !self.next_member(b'}', "`,` or `}`")? {
            return Ok(false);
        }
        if self.byte() != Some(b'"') {
            return Err(self.unexpected("a key in quotes"));
        }
        Ok(true)
    }

    /// Steps over the colon behind a key.
    #[inline]
    fn end_key(&mut self) -> Result<()> {
        self.skip_whitespace();
        if self.byte() != Some(b':') {
            return Err(self.unexpected("`:`"));
        }
        self.position += 1;
        Ok(())
    }

    fn scan_word(&mut self, word: &[u8]) -> Result<()> {
        if self.rest().starts_with(word) {
            self.position += word.len();
            Ok(())
        } else {
            Err(self.error("expected `true`, `false` or `null`"))
        }
    }
}
