//! Messages of Timberyard's own push over gRPC (`proto/timberyard/v1/push.proto`).
//!
//! ```text
//! PushRequest  { 1: repeated Stream, 16: uint64 sequence, 17: repeated Origin }
//! Origin       { 1: string name, 2: uint64 from, 3: uint64 to }
//! PushResponse { 1: uint64 sequence, 2: uint32 code, 3: string message, 4: uint64 rejected_entries,
//!                5: uint64 retry_after_seconds, 6: bool duplicate, 7: repeated OriginEnd stored }
//! OriginEnd    { 1: string name, 2: uint64 end }
//! ```
//!
//! The streams of a request are those of a Loki push, and are read as such by
//! [`loki_push_proto::decode_message`](crate::loki_push_proto::decode_message).

use timberyard_model::origin::{OriginEnd, OriginRange};

use crate::context::Rejections;
use crate::error::DecodeError;
use crate::protobuf::{Message, Value, write_bytes, write_number};
use crate::rpc_status::Code;

/// What a request says beside its streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The number by which the sender knows the batch; 0 when it has none.
    pub sequence: u64,
    /// What the batch was read from.
    pub origins: Vec<OriginRange>,
}

/// What a request says beside its streams.
///
/// # Errors
/// A message that is not protobuf, a field of another type, and origins that cannot stand beside each other.
pub fn head(message: &[u8]) -> Result<Head, DecodeError> {
    let mut head = Head::default();
    let mut fields = Message::new(message).fields();
    while let Some((number, value)) = fields.next_field()? {
        match (number, value) {
            (16, Value::Varint(value)) => head.sequence = value,
            (17, Value::Bytes(message)) => origin(message, &mut head.origins)
                .map_err(|error| error.within(format_args!("origins[{}]", head.origins.len())))?,
            (16 | 17, _) => return Err(fields.error("protobuf field has the wrong type")),
            _ => {}
        }
    }
    Ok(head)
}

fn origin(message: Message<'_>, origins: &mut Vec<OriginRange>) -> Result<(), DecodeError> {
    let (mut name, mut from, mut to) = (&b""[..], 0, 0);
    let mut fields = message.fields();
    while let Some((number, value)) = fields.next_field()? {
        match (number, value) {
            (1, Value::Bytes(text)) => name = text.bytes,
            (2, Value::Varint(byte)) => from = byte,
            (3, Value::Varint(byte)) => to = byte,
            (4.., _) => {}
            _ => return Err(fields.error("protobuf field has the wrong type")),
        }
    }
    let added = OriginRange::add_to(origins, &String::from_utf8_lossy(name), from, to);
    added.map_err(|error| fields.error(error.to_string()))
}

/// What became of a batch.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is durable, but for these entries.
    Stored(Rejections),
    /// It was durable before; nothing was stored.
    Duplicate,
    /// Nothing of it was stored.
    Refused {
        /// What kind of reason it is.
        code: Code,
        /// The reason.
        message: String,
        /// After how many seconds there is room, where that is known.
        retry_after_seconds: Option<u64>,
        /// How far its origins are stored, where that is the reason.
        stored: Vec<OriginEnd>,
    },
}

/// The answer to the batch that the sender knows by `sequence`.
pub fn response(sequence: u64, outcome: &Outcome) -> Vec<u8> {
    let mut response = Vec::new();
    write_number(&mut response, 1, sequence);
    match outcome {
        Outcome::Stored(rejected) if rejected.is_empty() => {}
        Outcome::Stored(rejected) => {
            write_bytes(&mut response, 3, rejected.grouped().as_bytes());
            write_number(&mut response, 4, rejected.count);
        }
        Outcome::Duplicate => write_number(&mut response, 6, 1),
        Outcome::Refused { code, message, retry_after_seconds, stored } => {
            write_number(&mut response, 2, code.number().into());
            write_bytes(&mut response, 3, message.as_bytes());
            if let Some(seconds) = retry_after_seconds {
                write_number(&mut response, 5, *seconds);
            }
            for end in stored {
                let mut bytes = Vec::new();
                write_bytes(&mut bytes, 1, end.name.as_str().as_bytes());
                write_number(&mut bytes, 2, end.end);
                write_bytes(&mut response, 7, &bytes);
            }
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use timberyard_model::origin::OriginName;

    use super::*;

    #[test]
    fn what_is_said_of_a_batch_is_read_wherever_it_stands() {
        let mut origin = Vec::new();
        write_bytes(&mut origin, 1, b"host-1/a");
        write_number(&mut origin, 3, 10);
        let mut message = Vec::new();
        write_bytes(&mut message, 17, &origin);
        write_number(&mut message, 16, 300);
        write_bytes(&mut message, 1, b"");
        let name = OriginName::new("host-1/a").expect("a name");
        let origins = vec![OriginRange { name, from: 0, to: 10 }];
        assert_eq!(head(&message), Ok(Head { sequence: 300, origins }));
        assert_eq!(head(b""), Ok(Head::default()));
        write_bytes(&mut message, 17, &origin);
        let error = head(&message).expect_err("twice").to_string();
        assert!(error.starts_with("`host-1/a` is named twice at byte"), "{error}");
        assert!(error.ends_with("in `origins[1]`"), "{error}");
        let error = head(b"\x82\x01\x01x").expect_err("a text");
        assert_eq!(error.to_string(), "protobuf field has the wrong type at byte 4");
        assert!(head(b"\x8a\x01\x00").expect_err("no name").to_string().contains("must be 1 to 200"));
    }

    #[test]
    fn answers_say_what_became_of_a_batch() {
        let mut rejected = Rejections::default();
        assert_eq!(response(7, &Outcome::Stored(rejected.clone())), b"\x08\x07");
        rejected.add(0, || "too new".to_owned());
        assert_eq!(response(7, &Outcome::Stored(rejected)), b"\x08\x07\x1a\x07too new\x20\x01");
        assert_eq!(response(7, &Outcome::Duplicate), b"\x08\x07\x30\x01");
        let stored = vec![OriginEnd { name: OriginName::new("a").expect("a name"), end: 9 }];
        let message = "full".to_owned();
        let refused =
            Outcome::Refused { code: Code::Unavailable, message, retry_after_seconds: Some(3), stored };
        assert_eq!(response(7, &refused), b"\x08\x07\x10\x0e\x1a\x04full\x28\x03\x3a\x05\x0a\x01a\x10\x09");
    }
}
