//! Values of MessagePack, as a tree that borrows from the bytes, and where a value in a stream ends.
//!
//! Lengths that the bytes claim are checked before they are believed; how deep values may nest is the caller's limit.
//!
//! Format: <https://github.com/msgpack/msgpack/blob/master/spec.md>.

use crate::error::DecodeError;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Nil,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i128),
    /// Another number.
    Float(f64),
    /// Text, which may be no UTF-8: old writers have only this for bytes.
    Text(&'a [u8]),
    /// Bytes.
    Binary(&'a [u8]),
    /// A list.
    Array(Vec<Value<'a>>),
    /// Names and values; names may be any value.
    Map(Vec<(Value<'a>, Value<'a>)>),
    /// Of an application's own type.
    Extension(i8, &'a [u8]),
}

/// What a value begins with.
enum Head {
    Nil,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(usize),
    Binary(usize),
    Array(usize),
    Map(usize),
    Extension(i8, usize),
}

/// Reads values one after the other.
#[derive(Clone, Debug)]
pub struct MsgpackReader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> MsgpackReader<'a> {
    /// A reader at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Whether nothing follows.
    pub fn is_at_end(&self) -> bool {
        self.offset >= self.bytes.len()
    }

    /// Bytes that were read.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The next value, with values in it up to `depth_max` deep.
    ///
    /// # Errors
    /// The bytes end within it, it is of no known type, or it is too deep.
    pub fn value(&mut self, depth_max: usize) -> Result<Value<'a>, DecodeError> {
        let at = self.offset;
        let inner = || {
            let deeper = depth_max.checked_sub(1);
            deeper.ok_or_else(|| DecodeError::malformed_bytes(at, "value nests deeper than the limit"))
        };
        Ok(match self.head()? {
            Head::Nil => Value::Nil,
            Head::Boolean(value) => Value::Boolean(value),
            Head::Integer(value) => Value::Integer(value),
            Head::Float(value) => Value::Float(value),
            Head::Text(length) => Value::Text(self.take(length)?),
            Head::Binary(length) => Value::Binary(self.take(length)?),
            Head::Extension(kind, length) => Value::Extension(kind, self.take(length)?),
            Head::Array(length) => {
                let (depth, mut items) = (inner()?, Vec::new());
                for _ in 0..length {
                    items.push(self.value(depth)?);
                }
                Value::Array(items)
            }
            Head::Map(length) => {
                let (depth, mut pairs) = (inner()?, Vec::new());
                for _ in 0..length {
                    pairs.push((self.value(depth)?, self.value(depth)?));
                }
                Value::Map(pairs)
            }
        })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.offset.checked_add(length);
        match end.and_then(|end| self.bytes.get(self.offset..end)) {
            Some(taken) => {
                self.offset += length;
                Ok(taken)
            }
            None => Err(DecodeError::malformed_bytes(self.offset, "bytes end within a value")),
        }
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut number = [0; N];
        number.copy_from_slice(self.take(N)?);
        Ok(number)
    }

    fn length(&mut self, bytes: usize) -> Result<usize, DecodeError> {
        Ok(match bytes {
            1 => usize::from(u8::from_be_bytes(self.number()?)),
            2 => usize::from(u16::from_be_bytes(self.number()?)),
            _ => u32::from_be_bytes(self.number()?) as usize,
        })
    }

    fn head(&mut self) -> Result<Head, DecodeError> {
        let at = self.offset;
        let [first] = self.number()?;
        Ok(match first {
            0x00..=0x7f => Head::Integer(i128::from(first)),
            0x80..=0x8f => Head::Map(usize::from(first & 0x0f)),
            0x90..=0x9f => Head::Array(usize::from(first & 0x0f)),
            0xa0..=0xbf => Head::Text(usize::from(first & 0x1f)),
            0xc0 => Head::Nil,
            0xc2 => Head::Boolean(false),
            0xc3 => Head::Boolean(true),
            0xc4..=0xc6 => Head::Binary(self.length(1 << (first - 0xc4))?),
            0xc7..=0xc9 => {
                let length = self.length(1 << (first - 0xc7))?;
                Head::Extension(i8::from_be_bytes(self.number()?), length)
            }
            0xca => Head::Float(f64::from(f32::from_be_bytes(self.number()?))),
            0xcb => Head::Float(f64::from_be_bytes(self.number()?)),
            0xcc => Head::Integer(u8::from_be_bytes(self.number()?).into()),
            0xcd => Head::Integer(u16::from_be_bytes(self.number()?).into()),
            0xce => Head::Integer(u32::from_be_bytes(self.number()?).into()),
            0xcf => Head::Integer(u64::from_be_bytes(self.number()?).into()),
            0xd0 => Head::Integer(i8::from_be_bytes(self.number()?).into()),
            0xd1 => Head::Integer(i16::from_be_bytes(self.number()?).into()),
            0xd2 => Head::Integer(i32::from_be_bytes(self.number()?).into()),
            0xd3 => Head::Integer(i64::from_be_bytes(self.number()?).into()),
            0xd4..=0xd8 => Head::Extension(i8::from_be_bytes(self.number()?), 1 << (first - 0xd4)),
            0xd9..=0xdb => Head::Text(self.length(1 << (first - 0xd9))?),
            0xdc | 0xdd => Head::Array(self.length(2 << (first - 0xdc))?),
            0xde | 0xdf => Head::Map(self.length(2 << (first - 0xde))?),
            0xe0..=0xff => Head::Integer(i8::from_be_bytes([first]).into()),
            0xc1 => return Err(DecodeError::malformed_bytes(at, "0xc1 begins no value")),
        })
    }
}

/// Finds where a value in a stream ends, however it comes: what was looked at once is not looked at again.
#[derive(Debug)]
pub struct ValueEnd {
    /// Bytes looked at.
    offset: usize,
    /// Values that must still come.
    missing: u64,
}

impl Default for ValueEnd {
    fn default() -> Self {
        Self { offset: 0, missing: 1 }
    }
}

impl ValueEnd {
    /// Where the value ends that these bytes begin with; nothing while more must come. The bytes are those of the call
    /// before, and what came since.
    ///
    /// # Errors
    /// A value of no known type.
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        while self.missing > 0 {
            let Some(rest) = bytes.get(self.offset..).filter(|rest| !rest.is_empty()) else {
                return Ok(None);
            };
            let mut reader = MsgpackReader::new(rest);
            let head = match reader.head() {
                Ok(head) => head,
                Err(error) if rest.first() == Some(&0xc1) => return Err(error),
                Err(_) => return Ok(None),
            };
            let (body, inner) = match head {
                Head::Text(length) | Head::Binary(length) | Head::Extension(_, length) => (length, 0),
                Head::Array(length) => (0, length as u64),
                Head::Map(length) => (0, 2 * length as u64),
                Head::Nil | Head::Boolean(_) | Head::Integer(_) | Head::Float(_) => (0, 0),
            };
            let Some(end) = reader.offset().checked_add(body).filter(|end| *end <= rest.len()) else {
                return Ok(None);
            };
            self.offset += end;
            self.missing += inner;
            self.missing -= 1;
        }
        Ok(Some(self.offset))
    }
}

/// Appends a text.
pub fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        length @ 0..=31 => out.push(0xa0 | length as u8),
        length @ 32..=255 => out.extend([0xd9, length as u8]),
        length => {
            out.push(0xdb);
            out.extend((length as u32).to_be_bytes());
        }
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Value<'_>, DecodeError> {
        MsgpackReader::new(bytes).value(4)
    }

    #[test]
    fn every_type_is_read() {
        let text = |text: &'static str| Value::Text(text.as_bytes());
        for (bytes, expected) in [
            (&b"\x07"[..], Value::Integer(7)),
            (b"\xff", Value::Integer(-1)),
            (b"\xcc\xff", Value::Integer(255)),
            (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", Value::Integer(u64::MAX.into())),
            (b"\xd3\x80\0\0\0\0\0\0\0", Value::Integer(i64::MIN.into())),
            (b"\xca\x3f\x80\0\0", Value::Float(1.0)),
            (b"\xcb\x3f\xf8\0\0\0\0\0\0", Value::Float(1.5)),
            (b"\xc0", Value::Nil),
            (b"\xc3", Value::Boolean(true)),
            (b"\xa2hi", text("hi")),
            (b"\xd9\x02hi", text("hi")),
            (b"\xda\0\x02hi", text("hi")),
            (b"\xdb\0\0\0\x02hi", text("hi")),
            (b"\xc4\x01x", Value::Binary(b"x")),
            (b"\x92\x01\xa1a", Value::Array(vec![Value::Integer(1), text("a")])),
            (b"\xdc\0\x01\x01", Value::Array(vec![Value::Integer(1)])),
            (b"\x81\xa1k\x01", Value::Map(vec![(text("k"), Value::Integer(1))])),
            (b"\xdf\0\0\0\x01\xa1k\x01", Value::Map(vec![(text("k"), Value::Integer(1))])),
            (b"\xd7\0\0\0\0\x01\0\0\0\x02", Value::Extension(0, b"\0\0\0\x01\0\0\0\x02")),
            (b"\xc7\x01\x05x", Value::Extension(5, b"x")),
        ] {
            assert_eq!(read(bytes).expect("good"), expected, "{bytes:?}");
            for end in 0..bytes.len() {
                assert!(read(&bytes[..end]).is_err(), "{bytes:?} cut at {end}");
                assert_eq!(ValueEnd::default().find(&bytes[..end]).expect("more to come"), None);
            }
            assert_eq!(
                ValueEnd::default().find(&[bytes, b"more"].concat()).expect("good"),
                Some(bytes.len())
            );
        }
    }

    #[test]
    fn what_cannot_be_is_refused_and_claims_are_not_believed() {
        assert!(read(b"\xc1").is_err() && ValueEnd::default().find(b"\xc1").is_err());
        assert!(read(b"\x91\x91\x91\x91\x91\x01").expect_err("too deep").to_string().contains("deeper"));
        for claim in [
            &b"\xdd\xff\xff\xff\xff"[..],
            b"\xdf\xff\xff\xff\xff",
            b"\xdb\xff\xff\xff\xff",
            b"\xc6\xff\xff\xff\xff",
        ] {
            assert!(read(claim).is_err());
            assert_eq!(ValueEnd::default().find(claim).expect("more to come"), None);
        }
    }

    #[test]
    fn the_end_is_found_however_the_value_comes() {
        let bytes = b"\x92\xa3tag\x82\xa1a\x93\x01\x02\xd9\x03abc\xa1b\xc0";
        let mut end = ValueEnd::default();
        for length in 0..bytes.len() {
            assert_eq!(end.find(&bytes[..length]).expect("good"), None, "{length}");
        }
        assert_eq!(end.find(bytes).expect("good"), Some(bytes.len()));
    }
}
