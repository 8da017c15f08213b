//! Walks a protobuf message field by field, without generated types and without copying.
//!
//! <https://protobuf.dev/programming-guides/encoding/>. Lengths are checked against what is there, so
//! a hostile message is an error and never an allocation. Groups, which proto3 does not have, are refused.

use crate::byte_reader::{ByteReader, write_counted, write_varint};
use crate::error::DecodeError;

type Result<T> = std::result::Result<T, DecodeError>;

/// The value of one field, as the wire type tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: a string, bytes, or a message.
    Bytes(Message<'a>),
    /// Wire type 5.
    Fixed32(u32),
}

/// The bytes of one message (or string), with their place in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Where they start in the body.
    pub offset: usize,
}

/// Reads the fields of one message in the order in which they stand.
#[derive(Clone, Debug)]
pub struct Fields<'a>(ByteReader<'a>);

impl<'a> Message<'a> {
    /// A whole body as one message.
    pub fn new(body: &'a [u8]) -> Self {
        Self { bytes: body, offset: 0 }
    }

    /// Its fields.
    pub fn fields(self) -> Fields<'a> {
        Fields(ByteReader::new(self.bytes, self.offset))
    }
}

impl<'a> Fields<'a> {
    /// The number and value of the next field; `None` at the end of the message.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<(u64, Value<'a>)>> {
        let reader = &mut self.0;
        if reader.left() == 0 {
            return Ok(None);
        }
        let start = reader.offset();
        let tag = reader.varint()?;
        let number = tag >> 3;
        if number == 0 {
            return Err(DecodeError::malformed_bytes(start, "protobuf field number is 0"));
        }
        let value = match tag & 7 {
            0 => Value::Varint(reader.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(reader.array()?)),
            2 => {
                let bytes = reader.counted()?;
                Value::Bytes(Message { bytes, offset: reader.offset() - bytes.len() })
            }
            5 => Value::Fixed32(u32::from_le_bytes(reader.array()?)),
            wire_type => {
                let reason = format!("protobuf wire type {wire_type} is not supported");
                return Err(DecodeError::malformed_bytes(start, reason));
            }
        };
        Ok(Some((number, value)))
    }

    /// An error at the place that was reached.
    pub fn error(&self, reason: impl Into<String>) -> DecodeError {
        self.0.error(reason)
    }
}

/// Appends a field of bytes: a string or an encoded message.
pub fn write_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    write_varint(out, number << 3 | 2);
    write_counted(out, bytes);
}

/// Appends a number.
pub fn write_number(out: &mut Vec<u8>, number: u64, value: u64) {
    write_varint(out, number << 3);
    write_varint(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_wire_type_are_read() {
        let mut body = Vec::new();
        write_number(&mut body, 1, 300);
        write_bytes(&mut body, 2, b"text");
        body.extend_from_slice(&[3 << 3 | 1, 1, 0, 0, 0, 0, 0, 0, 0, 4 << 3 | 5, 2, 0, 0, 0]);
        write_number(&mut body, 5, u64::MAX);
        let mut fields = Message::new(&body).fields();
        assert_eq!(fields.next_field().expect("valid"), Some((1, Value::Varint(300))));
        let text = Message { bytes: b"text", offset: 5 };
        assert_eq!(fields.next_field().expect("valid"), Some((2, Value::Bytes(text))));
        assert_eq!(fields.next_field().expect("valid"), Some((3, Value::Fixed64(1))));
        assert_eq!(fields.next_field().expect("valid"), Some((4, Value::Fixed32(2))));
        assert_eq!(fields.next_field().expect("valid"), Some((5, Value::Varint(u64::MAX))));
        assert_eq!(fields.next_field().expect("valid"), None);
    }

    #[test]
    fn hostile_messages_are_errors_that_name_the_byte() {
        let cases: [(&[u8], &str); 6] = [
            (b"\x08", "a number is cut off at byte 1"),
            (b"\x12\x05ab", "5 bytes are announced, 2 are left at byte 2"),
            (
                b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                "18446744073709551615 bytes are announced, 0 are left at byte 11",
            ),
            (b"\x0b", "protobuf wire type 3 is not supported at byte 0"),
            (b"\x00\x01", "protobuf field number is 0 at byte 0"),
            (
                b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                "a number is longer than 10 bytes at byte 1",
            ),
        ];
        for (body, expected) in cases {
            let error = Message::new(body).fields().next_field().expect_err(expected);
            assert_eq!(error.to_string(), expected);
        }
    }
}
