//! Reads numbers and runs of bytes from a binary format, one after the other.
//!
//! Lengths are checked against what is there before they are believed; errors name the byte.

use crate::error::DecodeError;

type Result<T> = std::result::Result<T, DecodeError>;

/// A cursor over bytes that came from outside.
#[derive(Clone, Debug)]
pub struct ByteReader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where `bytes` start in the whole body.
    base: usize,
}

impl<'a> ByteReader<'a> {
    /// A reader of `bytes`, which start `base` bytes into the body that errors are told about.
    pub fn new(bytes: &'a [u8], base: usize) -> Self {
        Self { bytes, at: 0, base }
    }

    /// The place in the body.
    pub fn offset(&self) -> usize {
        self.base.saturating_add(self.at)
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        rest
    }

    /// An error at this place.
    pub fn error(&self, reason: impl Into<String>) -> DecodeError {
        DecodeError::malformed_bytes(self.offset(), reason)
    }

    /// One byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8> {
        let byte = self.bytes.get(self.at).copied();
        let byte = byte.ok_or_else(|| self.error("a byte is missing"))?;
        self.at += 1;
        Ok(byte)
    }

    /// A number in base 128, low digits first, at most ten bytes.
    #[inline]
    pub fn varint(&mut self) -> Result<u64> {
        match self.bytes.get(self.at) {
            Some(byte @ 0..=0x7f) => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let Some(byte) = self.bytes.get(self.at) else {
                self.at = start;
                return Err(self.error("a number is cut off"));
            };
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(value);
            }
        }
        self.at = start;
        Err(self.error("a number is longer than 10 bytes"))
    }

    /// A varint that must fit 32 bits.
    #[inline]
    pub fn varint_u32(&mut self) -> Result<u32> {
        let value = self.varint()?;
        u32::try_from(value).map_err(|_| self.error(format!("number {value} is larger than 32 bits")))
    }

    /// A signed number that was zigzag-encoded.
    #[inline]
    pub fn signed_varint(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The next `length` bytes.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match rest.get(..length) {
            Some(bytes) => {
                self.at += length;
                Ok(bytes)
            }
            None => Err(self.error(format!("{length} bytes are announced, {} are left", rest.len()))),
        }
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| self.error("bytes are cut off"))
    }

    /// Bytes with their length before them.
    pub fn counted(&mut self) -> Result<&'a [u8]> {
        let length = self.varint()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Text with its length in bytes before it.
    pub fn text(&mut self) -> Result<&'a str> {
        let start = self.offset();
        std::str::from_utf8(self.counted()?)
            .map_err(|_| DecodeError::malformed_bytes(start, "text is not UTF-8"))
    }

    /// A count of things that take at least `bytes_min` bytes each, so that more than fit cannot be claimed.
    pub fn count(&mut self, bytes_min: usize) -> Result<usize> {
        let count = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if count > self.left() / bytes_min.max(1) {
            return Err(
                self.error(format!("{count} things do not fit the {} bytes that are left", self.left()))
            );
        }
        Ok(count)
    }
}

/// Appends a number in base 128, low digits first.
#[inline]
pub fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number, zigzag-encoded, so that small ones are short whatever their sign.
#[inline]
pub fn write_signed_varint(out: &mut Vec<u8>, value: i64) {
    write_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends bytes with their length before them.
pub fn write_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_read_back() {
        let mut out = Vec::new();
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            out.clear();
            write_varint(&mut out, value);
            assert_eq!(ByteReader::new(&out, 0).varint(), Ok(value));
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            out.clear();
            write_signed_varint(&mut out, value);
            assert_eq!(ByteReader::new(&out, 0).signed_varint(), Ok(value));
        }
    }

    #[test]
    fn what_is_announced_must_be_there() {
        let message = |result: Result<()>| result.expect_err("refused").to_string();
        assert_eq!(message(ByteReader::new(b"", 7).byte().map(drop)), "a byte is missing at byte 7");
        assert_eq!(message(ByteReader::new(b"\xff", 0).varint().map(drop)), "a number is cut off at byte 0");
        let long = [0xff; 11];
        assert_eq!(
            message(ByteReader::new(&long, 0).varint().map(drop)),
            "a number is longer than 10 bytes at byte 0"
        );
        assert_eq!(
            message(ByteReader::new(b"\x05ab", 0).counted().map(drop)),
            "5 bytes are announced, 2 are left at byte 1"
        );
        assert_eq!(
            message(ByteReader::new(b"\x03ab", 0).count(1).map(drop)),
            "3 things do not fit the 2 bytes that are left at byte 1"
        );
        assert_eq!(message(ByteReader::new(b"\x01\xff", 0).text().map(drop)), "text is not UTF-8 at byte 0");
        assert!(ByteReader::new(b"\x80\x80\x80\x80\x10", 0).varint_u32().is_err());
    }
}
