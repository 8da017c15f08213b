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
        if !self.next_member(b'}', "`,` or `}`")? {
            return Ok(None);
        }
        if self.byte() != Some(b'"') {
            return Err(self.unexpected("a key in quotes"));
        }
        let key = self.string_body()?;
        self.skip_whitespace();
        if self.byte() != Some(b':') {
            return Err(self.unexpected("`:`"));
        }
        self.position += 1;
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

    /// A string that must be UTF-8; bytes that are not become U+FFFD.
    pub fn text(&mut self) -> Result<Cow<'a, str>> {
        Ok(match self.string()? {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            }),
        })
    }

    /// A number, as it stands in the text.
    pub fn number(&mut self) -> Result<&'a str> {
        self.expect_kind(JsonKind::Number)?;
        let start = self.position;
        self.scan_number()?;
        let bytes = self.text.get(start..self.position).unwrap_or_default();
        // The scanner lets only ASCII through.
        std::str::from_utf8(bytes).map_err(|_| self.error_at(start, "number is not ASCII"))
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

    /// Checks that nothing follows.
    pub fn finish(&mut self) -> Result<()> {
        self.skip_whitespace();
        if self.position == self.text.len() { Ok(()) } else { Err(self.unexpected("the end")) }
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

    /// As [`next_key`](Self::next_key), without making the key.
    fn skip_key(&mut self) -> Result<bool> {
        if !self.next_member(b'}', "`,` or `}`")? {
            return Ok(false);
        }
        if self.byte() != Some(b'"') {
            return Err(self.unexpected("a key in quotes"));
        }
        self.scan_string()?;
        self.skip_whitespace();
        if self.byte() != Some(b':') {
            return Err(self.unexpected("`:`"));
        }
        self.position += 1;
        Ok(true)
    }

    /// A string whose opening quote is under the cursor.
    #[inline]
    fn string_body(&mut self) -> Result<Cow<'a, [u8]>> {
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
    fn scan_string(&mut self) -> Result<()> {
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

    fn scan_digits(&mut self) -> Result<()> {
        if !self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.unexpected("a digit"));
        }
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
        Ok(())
    }

    fn scan_number(&mut self) -> Result<()> {
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

    fn scan_word(&mut self, word: &[u8]) -> Result<()> {
        if self.rest().starts_with(word) {
            self.position += word.len();
            Ok(())
        } else {
            Err(self.error("expected `true`, `false` or `null`"))
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8]) -> Result<()> {
        let mut reader = JsonReader::new(text, 8);
        reader.skip()?;
        reader.finish()
    }

    /// The same text, read by the methods that make values.
    fn walk(reader: &mut JsonReader<'_>) -> Result<()> {
        match reader.peek()? {
            JsonKind::Object => {
                reader.begin_object()?;
                while reader.next_key()?.is_some() {
                    walk(reader)?;
                }
            }
            JsonKind::Array => {
                reader.begin_array()?;
                while reader.next_element()? {
                    walk(reader)?;
                }
            }
            JsonKind::String => drop(reader.string()?),
            JsonKind::Number => drop(reader.number()?),
            JsonKind::Boolean => drop(reader.boolean()?),
            JsonKind::Null => reader.null()?,
        }
        Ok(())
    }

    fn check_walking(text: &[u8]) -> Result<()> {
        let mut reader = JsonReader::new(text, 8);
        walk(&mut reader)?;
        reader.finish()
    }

    const ACCEPTED: &[&[u8]] = &[
        b"null",
        b" true ",
        b"\t\r\n false",
        b"0",
        b"-0",
        b"-0.0e+10",
        b"123456789012345678901234567890",
        b"1E-2",
        b"1.5",
        b"\"\"",
        b"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"",
        b"\"\\ud800\"",
        b"\"\\udc00\\ud800\"",
        b"\"\\ud800\\ud83d\\ude00\"",
        b"\"\xff\xfe raw bytes \x7f\"",
        b"[]",
        b"[ ]",
        b"{}",
        b"{ }",
        b"[[],[[]],{}]",
        b"[[[[[[[[]]]]]]]]",
        b"{\"a\":1,\"a\":2}",
        b"{\"\":null}",
        b" [ 1 , \"x\" , { \"k\" : [ true , false , null ] } ] ",
    ];

    const REFUSED: &[&[u8]] = &[
        b"",
        b" ",
        b"nul",
        b"True",
        b"nulls",
        b"01",
        b"-",
        b"-01",
        b"+1",
        b".5",
        b"1.",
        b"1.e2",
        b"1e",
        b"1e+",
        b"0x10",
        b"NaN",
        b"Infinity",
        b"1 2",
        b"\"",
        b"\"abc",
        b"\"\\",
        b"\"\\\"",
        b"\"\\x41\"",
        b"\"\\u12\"",
        b"\"\\u12g4\"",
        b"\"\\uD83D\\u\"",
        b"\"a\nb\"",
        b"\"a\\n\x00b\"",
        b"\"\t\"",
        b"'a'",
        b"[",
        b"]",
        b"[1",
        b"[1,",
        b"[1,]",
        b"[,1]",
        b"[1 2]",
        b"[1,,2]",
        b"[1}",
        b"[1]]",
        b"{",
        b"}",
        b"{\"a\"",
        b"{\"a\":",
        b"{\"a\":1",
        b"{\"a\":1,",
        b"{\"a\":1,}",
        b"{\"a\" 1}",
        b"{\"a\":}",
        b"{a:1}",
        b"{1:1}",
        b"{\"a\":1 \"b\":2}",
        b"{\"a\":1]",
        b"{,}",
        b"[/*x*/]",
        b"[1]x",
        b"\xef\xbb\xbf{}",
        b"[[[[[[[[[]]]]]]]]]",
    ];

    #[test]
    fn accepts_what_the_rfc_allows() {
        for text in ACCEPTED {
            check(text).unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(text)));
            check_walking(text).unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(text)));
        }
    }

    #[test]
    fn refuses_what_the_rfc_does_not_allow() {
        for text in REFUSED {
            assert!(check(text).is_err(), "{}", String::from_utf8_lossy(text));
            assert!(check_walking(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn strings_are_unescaped_and_other_bytes_kept() {
        let cases: [(&[u8], &[u8]); 7] = [
            (br#""plain""#, b"plain"),
            (b"\"\xff\\n\xfe\"", b"\xff\n\xfe"),
            (br#""\u00e9\uD83D\uDE00""#, "é😀".as_bytes()),
            (br#""\ud800x""#, "\u{fffd}x".as_bytes()),
            (br#""\udc00""#, "\u{fffd}".as_bytes()),
            (br#""\ud800\ud83d\ude00""#, "\u{fffd}😀".as_bytes()),
            (br#""\u0000\/""#, b"\0/"),
        ];
        for (text, expected) in cases {
            let string = JsonReader::new(text, 1).string().expect("valid");
            assert_eq!(&*string, expected, "{}", String::from_utf8_lossy(text));
        }
        assert!(matches!(JsonReader::new(b"\"a\"", 1).string(), Ok(Cow::Borrowed(b"a"))));
    }

    #[test]
    fn a_nested_value_is_given_as_it_was_sent() {
        let mut reader = JsonReader::new(br#"{"a": { "x" : [1,  2.50] } , "b": "\u0041"}"#, 8);
        reader.begin_object().expect("object");
        reader.next_key().expect("valid").expect("a");
        assert_eq!(reader.raw().expect("valid"), br#"{ "x" : [1,  2.50] }"#);
        reader.next_key().expect("valid").expect("b");
        assert_eq!(reader.raw().expect("valid"), br#""\u0041""#);
        assert!(reader.next_key().expect("valid").is_none());
        reader.finish().expect("the end");
    }

    #[test]
    fn errors_name_the_place() {
        let error = check(b"{\n \"a\": [1, }").expect_err("malformed");
        assert_eq!(error.to_string(), "expected a value, found `}` at line 2, column 11 (byte 12)");
        let error = JsonReader::new(b"[1]", 4).string().expect_err("not a string");
        assert_eq!(error.to_string(), "expected a string, found an array at line 1, column 1 (byte 0)");
        let error = check(b"[[[[[[[[[").expect_err("too deep");
        assert_eq!(error.to_string(), "JSON nests deeper than the limit of 8 at line 1, column 9 (byte 8)");
    }

    #[test]
    fn skipping_deep_nesting_needs_no_stack() {
        let text = [vec![b'['; DEPTH_MAX], vec![b']'; DEPTH_MAX]].concat();
        JsonReader::new(&text, usize::MAX).skip().expect("within the limit");
        assert!(JsonReader::new(&vec![b'['; 1 << 20], usize::MAX).skip().is_err());
    }
}
