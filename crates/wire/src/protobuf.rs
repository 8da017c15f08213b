//! Walks a protobuf message field by field, without generated types and without copying.
//!
//! <https://protobuf.dev/programming-guides/encoding/>. Lengths are checked against what is there, so
//! a hostile message is an error and never an allocation. Groups, which proto3 does not have, are refused.

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
pub struct Fields<'a> {
    message: Message<'a>,
    at: usize,
}

impl<'a> Message<'a> {
    /// A whole body as one message.
    pub fn new(body: &'a [u8]) -> Self {
        Self { bytes: body, offset: 0 }
    }

    /// Its fields.
    pub fn fields(self) -> Fields<'a> {
        Fields { message: self, at: 0 }
    }
}

impl<'a> Fields<'a> {
    /// The number and value of the next field; `None` at the end of the message.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<(u64, Value<'a>)>> {
        if self.at == self.message.bytes.len() {
            return Ok(None);
        }
        let start = self.at;
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 {
            return Err(self.error_at(start, "protobuf field number is 0"));
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                let offset = self.at;
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                Value::Bytes(Message {
                    bytes: self.take(length)?,
                    offset: self.message.offset.saturating_add(offset),
                })
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            wire_type => {
                return Err(self.error_at(start, format!("protobuf wire type {wire_type} is not supported")));
            }
        };
        Ok(Some((number, value)))
    }

    /// An error at the place that was reached.
    pub fn error(&self, reason: impl Into<String>) -> DecodeError {
        self.error_at(self.at, reason)
    }

    fn error_at(&self, at: usize, reason: impl Into<String>) -> DecodeError {
        DecodeError::malformed_bytes(self.message.offset.saturating_add(at), reason)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let Some(byte) = self.message.bytes.get(self.at) else {
                return Err(self.error_at(start, "protobuf message ends inside a number"));
            };
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error_at(start, "protobuf number is longer than 10 bytes"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let rest = self.message.bytes.get(self.at..).unwrap_or_default();
        match rest.get(..length) {
            Some(bytes) => {
                self.at += length;
                Ok(bytes)
            }
            None => Err(self.error(format!(
                "protobuf field of {length} bytes is cut off: {} bytes are left",
                rest.len()
            ))),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| self.error("protobuf field is cut off"))
    }
}

/// Appends a varint.
pub fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a field of bytes: a string or an encoded message.
pub fn write_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    write_varint(out, number << 3 | 2);
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
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
            (b"\x08", "protobuf message ends inside a number at byte 1"),
            (b"\x12\x05ab", "protobuf field of 5 bytes is cut off: 2 bytes are left at byte 2"),
            (
                b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                "protobuf field of 18446744073709551615 bytes is cut off: 0 bytes are left at byte 11",
            ),
            (b"\x0b", "protobuf wire type 3 is not supported at byte 0"),
            (b"\x00\x01", "protobuf field number is 0 at byte 0"),
            (
                b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                "protobuf number is longer than 10 bytes at byte 1",
            ),
        ];
        for (body, expected) in cases {
            let error = Message::new(body).fields().next_field().expect_err(expected);
            assert_eq!(error.to_string(), expected);
        }
    }
}
