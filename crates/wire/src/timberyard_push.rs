//! Messages of Timberyard's own push over gRPC (`proto/timberyard/v1/push.proto`).
//!
//! ```text
//! PushRequest  { 1: repeated Stream, 16: uint64 sequence }
//! PushResponse { 1: uint64 sequence, 2: uint32 code, 3: string message, 4: uint64 rejected_entries,
//!                5: uint64 retry_after_seconds }
//! ```
//!
//! The streams of a request are those of a Loki push, and are read as such by
//! [`loki_push_proto::decode_message`](crate::loki_push_proto::decode_message).

use crate::context::Rejections;
use crate::error::DecodeError;
use crate::protobuf::{Message, Value, write_bytes, write_number};
use crate::rpc_status::Code;

/// The number by which the sender knows a batch; 0 when the message has none.
///
/// # Errors
/// A message that is not protobuf, or has something else in place of the number.
pub fn sequence(message: &[u8]) -> Result<u64, DecodeError> {
    let mut sequence = 0;
    let mut fields = Message::new(message).fields();
    while let Some((number, value)) = fields.next_field()? {
        match (number, value) {
            (16, Value::Varint(value)) => sequence = value,
            (16, _) => return Err(fields.error("protobuf field has the wrong type").within("sequence")),
            _ => {}
        }
    }
    Ok(sequence)
}

/// The answer to a batch that is durable, but for these entries.
pub fn acknowledged(sequence: u64, rejected: &Rejections) -> Vec<u8> {
    let mut response = Vec::new();
    write_number(&mut response, 1, sequence);
    if !rejected.is_empty() {
        write_bytes(&mut response, 3, rejected.grouped().as_bytes());
        write_number(&mut response, 4, rejected.count);
    }
    response
}

/// The answer to a batch of which nothing was stored.
pub fn refused(sequence: u64, code: Code, message: &str, retry_after_seconds: Option<u64>) -> Vec<u8> {
    let mut response = Vec::new();
    write_number(&mut response, 1, sequence);
    write_number(&mut response, 2, code.number().into());
    write_bytes(&mut response, 3, message.as_bytes());
    if let Some(seconds) = retry_after_seconds {
        write_number(&mut response, 5, seconds);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_known_by_its_number_wherever_it_stands() {
        let mut message = Vec::new();
        write_bytes(&mut message, 1, b"");
        write_number(&mut message, 16, 300);
        write_bytes(&mut message, 1, b"");
        assert_eq!(sequence(&message), Ok(300));
        assert_eq!(sequence(b""), Ok(0));
        let error = sequence(b"\x82\x01\x01x").expect_err("a text");
        assert_eq!(error.to_string(), "protobuf field has the wrong type at byte 4, in `sequence`");
    }

    #[test]
    fn answers_say_what_became_of_a_batch() {
        let mut rejected = Rejections::default();
        assert_eq!(acknowledged(7, &rejected), b"\x08\x07");
        rejected.add(0, || "too new".to_owned());
        assert_eq!(acknowledged(7, &rejected), b"\x08\x07\x1a\x07too new\x20\x01");
        assert_eq!(refused(7, Code::Unavailable, "full", Some(3)), b"\x08\x07\x10\x0e\x1a\x04full\x28\x03");
    }
}
