//! The frames that gRPC puts messages in: one byte that says whether the message is compressed, its length in four bytes, most
//! significant first, and the message.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md> (Length-Prefixed-Message). Lengths are checked against a
//! limit before anything is kept for them.

use crate::byte_reader::ByteReader;
use crate::error::DecodeError;

/// What stands before a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Whether the message is compressed, as the head of the call says.
    pub is_compressed: bool,
    /// Bytes of the message.
    pub message_bytes: usize,
}

impl Prefix {
    /// How long it is.
    pub const BYTES: usize = 5;

    /// Reads the prefix at the beginning of `bytes`; `None` while some of it is missing.
    ///
    /// # Errors
    /// A first byte that is neither 0 nor 1, and a message over `message_bytes_max`.
    pub fn read(bytes: &[u8], message_bytes_max: usize) -> Result<Option<Self>, DecodeError> {
        if bytes.len() < Self::BYTES {
            return Ok(None);
        }
        let mut reader = ByteReader::new(bytes, 0);
        let is_compressed = match reader.byte()? {
            0 => false,
            1 => true,
            other => {
                let reason = format!("a gRPC message begins with {other}, which must be 0 or 1");
                return Err(DecodeError::malformed(reason));
            }
        };
        let message_bytes = usize::try_from(u32::from_be_bytes(reader.array()?)).unwrap_or(usize::MAX);
        if message_bytes > message_bytes_max {
            return Err(DecodeError::TooLarge { what: "gRPC message", limit: message_bytes_max });
        }
        Ok(Some(Self { is_compressed, message_bytes }))
    }
}

/// A message in its frame, not compressed; `None` when it is over 4 GiB.
pub fn encode(message: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(message.len()).ok()?;
    Some([&[0], &length.to_be_bytes()[..], message].concat())
}

/// What must hold of any bytes: frames that are taken apart are the bytes again.
pub(crate) fn fuzz(data: &[u8], message_bytes_max: usize) {
    let mut rest = data;
    while let Ok(Some(prefix)) = Prefix::read(rest, message_bytes_max) {
        assert!(prefix.message_bytes <= message_bytes_max);
        let end = Prefix::BYTES + prefix.message_bytes;
        let (Some(frame), Some(message)) = (rest.get(..end), rest.get(Prefix::BYTES..end)) else { return };
        let again = encode(message).expect("within the limit");
        assert_eq!((again.get(1..), u8::from(prefix.is_compressed)), (frame.get(1..), frame[0]));
        rest = &rest[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_read_when_all_of_it_is_there() {
        let frame = encode(b"message").expect("short");
        assert_eq!(frame, b"\0\0\0\0\x07message");
        for length in 0..Prefix::BYTES {
            assert_eq!(Prefix::read(&frame[..length], 7), Ok(None));
        }
        let prefix = Prefix { is_compressed: false, message_bytes: 7 };
        assert_eq!(Prefix::read(&frame, 7), Ok(Some(prefix)));
        let compressed = Prefix { is_compressed: true, message_bytes: 258 };
        assert_eq!(Prefix::read(b"\x01\0\0\x01\x02", 258), Ok(Some(compressed)));
    }

    #[test]
    fn a_prefix_that_is_none_or_announces_too_much_is_refused() {
        let error = Prefix::read(b"\x02\0\0\0\0", 7).expect_err("no flag");
        assert_eq!(error.to_string(), "a gRPC message begins with 2, which must be 0 or 1");
        let error = Prefix::read(b"\0\xff\xff\xff\xff", 7).expect_err("too large");
        assert_eq!(error.to_string(), "gRPC message is larger than the limit of 7 bytes");
    }
}
