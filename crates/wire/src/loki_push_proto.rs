//! A Loki push as protobuf (`logproto.PushRequest`), compressed as one Snappy block.
//!
//! ```text
//! PushRequest { 1: repeated Stream }
//! Stream      { 1: string labels, 2: repeated Entry, 3: uint64 hash }
//! Entry       { 1: Timestamp, 2: string line, 3: repeated LabelPair structuredMetadata, 4: parsed }
//! Timestamp   { 1: int64 seconds, 2: int32 nanos }
//! LabelPair   { 1: string name, 2: string value }
//! ```
//!
//! The message is walked where it lies: a line is copied once, into the batch. What is refused, and
//! how, is in [`loki_push`](crate::loki_push). Clients that set `Content-Encoding: snappy` mean the same
//! block, not a second one.

use std::borrow::Cow;

use timberyard_model::Timestamp;
use timberyard_model::batch::EqualEntries;
use timberyard_model::ingest_record::{ReceivedBody, ReceivedFormat};
use timberyard_model::time::NANOS_PER_SECOND;

use crate::compression::inflate_snappy_block;
use crate::context::{DecodeContext, Decoded};
use crate::error::DecodeError;
use crate::loki_push::{Metadata, Push};
use crate::protobuf::{Message, Value};

type Result<T> = std::result::Result<T, DecodeError>;

/// Decodes a body as it is sent, one Snappy block.
pub fn decode(body: &[u8], context: &DecodeContext<'_>) -> Result<Decoded> {
    let message = inflate_snappy_block(body, context.limits.request.inflated_bytes_max)?;
    decode_message(&message, context)
}

/// The body with what decoding it depended on: it gives the same batch again.
pub fn received(body: &[u8], context: &DecodeContext<'_>) -> ReceivedBody {
    ReceivedBody {
        format: ReceivedFormat::LokiPushProto,
        bytes: body.into(),
        limits: context.limits.clone(),
        discover_service_name: context.discover_service_name,
        detect_level: context.detect_level,
    }
}

/// Decodes a message that is not compressed.
pub fn decode_message(message: &[u8], context: &DecodeContext<'_>) -> Result<Decoded> {
    let mut push = Push::new(context, message.len(), EqualEntries::Merge);
    let mut metadata = Vec::new();
    let mut fields = Message::new(message).fields();
    let mut index = 0;
    while let Some((number, value)) = fields.next_field()? {
        if let (1, Value::Bytes(message)) = (number, value) {
            stream(message, &mut push, &mut metadata)
                .map_err(|e| e.within(format_args!("streams[{index}]")))?;
            index += 1;
        }
    }
    push.finish()
}

fn stream<'a>(message: Message<'a>, push: &mut Push<'_, 'a>, metadata: &mut Metadata<'a>) -> Result<()> {
    // Fields may come in any order, so the labels are looked for before the entries are read.
    let mut labels: &[u8] = b"";
    let mut fields = message.fields();
    while let Some((number, value)) = fields.next_field()? {
        match (number, value) {
            (1, Value::Bytes(text)) => labels = text.bytes,
            (2, Value::Bytes(_)) | (3.., _) => {}
            _ => return Err(fields.error("protobuf field has the wrong type")),
        }
    }
    let stream = push.stream_of_text(labels).map_err(|e| e.within("labels"))?;
    let mut fields = message.fields();
    let mut index = 0;
    while let Some((number, value)) = fields.next_field()? {
        if let (2, Value::Bytes(message)) = (number, value) {
            entry(message, stream, push, metadata).map_err(|e| e.within(format_args!("entries[{index}]")))?;
            index += 1;
        }
    }
    Ok(())
}

fn entry<'a>(
    message: Message<'a>,
    stream: usize,
    push: &mut Push<'_, 'a>,
    metadata: &mut Metadata<'a>,
) -> Result<()> {
    metadata.clear();
    let mut time = None;
    let mut line: &[u8] = b"";
    let mut fields = message.fields();
    while let Some((number, value)) = fields.next_field()? {
        match (number, value) {
            (1, Value::Bytes(message)) => time = timestamp(message).map_err(|e| e.within("timestamp"))?,
            (2, Value::Bytes(bytes)) => line = bytes.bytes,
            (3, Value::Bytes(message)) => {
                metadata.push(label_pair(message).map_err(|e| e.within("structuredMetadata"))?);
            }
            (4.., _) => {}
            _ => return Err(fields.error("protobuf field has the wrong type")),
        }
    }
    push.entry(stream, time, line, metadata);
    Ok(())
}

/// `None` when the time does not fit 64 bits of nanoseconds.
fn timestamp(message: Message<'_>) -> Result<Option<Timestamp>> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut fields = message.fields();
    while let Some((number, value)) = fields.next_field()? {
        match (number, value) {
            // Negative numbers are written in two's complement.
            (1, Value::Varint(value)) => seconds = value as i64,
            (2, Value::Varint(value)) => nanos = value as i64,
            (3.., _) => {}
            _ => return Err(fields.error("protobuf field has the wrong type")),
        }
    }
    if !(0..NANOS_PER_SECOND).contains(&nanos) {
        return Err(fields.error(format!("{nanos} nanoseconds are not part of a second")));
    }
    let nanos = seconds.checked_mul(NANOS_PER_SECOND).and_then(|whole| whole.checked_add(nanos));
    Ok(nanos.map(Timestamp::from_nanos))
}

fn label_pair(message: Message<'_>) -> Result<(Cow<'_, str>, Cow<'_, [u8]>)> {
    let (mut name, mut value_bytes): (&[u8], &[u8]) = (b"", b"");
    let mut fields = message.fields();
    while let Some((number, value)) = fields.next_field()? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => name = bytes.bytes,
            (2, Value::Bytes(bytes)) => value_bytes = bytes.bytes,
            (3.., _) => {}
            _ => return Err(fields.error("protobuf field has the wrong type")),
        }
    }
    Ok((String::from_utf8_lossy(name), Cow::Borrowed(value_bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::{write_bytes, write_number};
    use crate::test_context::{TestContext, rows_of};

    fn message(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    fn entry_message(seconds: i64, nanos: u64, line: &[u8], metadata: &[(&str, &[u8])]) -> Vec<u8> {
        message(|out| {
            let time = message(|out| {
                write_number(out, 1, seconds as u64);
                write_number(out, 2, nanos);
            });
            write_bytes(out, 1, &time);
            write_bytes(out, 2, line);
            for (name, value) in metadata {
                let pair = message(|out| {
                    write_bytes(out, 1, name.as_bytes());
                    write_bytes(out, 2, value);
                });
                write_bytes(out, 3, &pair);
            }
        })
    }

    fn stream_message(labels: &str, entries: &[Vec<u8>]) -> Vec<u8> {
        message(|out| {
            // The labels last: the order of fields is free.
            for entry in entries {
                write_bytes(out, 2, entry);
            }
            write_bytes(out, 1, labels.as_bytes());
            write_number(out, 3, 7);
        })
    }

    fn push_message(streams: &[Vec<u8>]) -> Vec<u8> {
        message(|out| {
            for stream in streams {
                write_bytes(out, 1, stream);
            }
            write_bytes(out, 2, b"loki");
        })
    }

    fn decode_push(streams: &[Vec<u8>]) -> Result<Decoded> {
        let body = snap::raw::Encoder::new().compress_vec(&push_message(streams)).expect("small");
        decode(&body, &TestContext::new().context())
    }

    #[test]
    fn takes_streams_entries_and_metadata() {
        let decoded = decode_push(&[
            stream_message(
                r#"{push="order", b="1", a="2"}"#,
                &[
                    entry_message(1, 5, b"level=error", &[("user.id", b"7"), ("trace", b"\xff")]),
                    entry_message(-1, 0, b"\xff", &[]),
                ],
            ),
            stream_message(r#"{a="2",b="1",push="order"}"#, &[entry_message(2, 0, b"", &[])]),
            stream_message("{}", &[entry_message(3, 0, b"x", &[])]),
            stream_message(r#"{none="x"}"#, &[]),
        ])
        .expect("valid");
        let stream = r#"{a="2", b="1", push="order", service_name="unknown_service"}"#;
        assert_eq!(
            rows_of(&decoded.batch),
            [
                format!("1000000005 {stream} level=error trace=\\xff user_id=7 detected_level=error"),
                format!("-1000000000 {stream} \\xff detected_level=unknown"),
                format!("2000000000 {stream}  detected_level=unknown"),
                r#"3000000000 {service_name="unknown_service"} x detected_level=unknown"#.to_owned(),
            ]
        );
        assert_eq!(decoded.batch.rows.streams().len(), 2);
    }

    #[test]
    fn entries_are_refused_alone_and_streams_by_their_labels() {
        let decoded = decode_push(&[
            stream_message(
                r#"{a="b"}"#,
                &[
                    entry_message(i64::MAX, 0, b"beyond", &[]),
                    message(|out| write_bytes(out, 2, b"no time")),
                    entry_message(1, 0, b"kept", &[]),
                ],
            ),
            stream_message(r#"{a="b",a="c"}"#, &[entry_message(1, 0, b"x", &[])]),
        ])
        .expect("neighbours are kept");
        assert_eq!(decoded.batch.rows.len(), 1);
        assert_eq!(decoded.rejected.count, 3);
        assert_eq!(
            decoded.rejected.described[2].reason,
            r#"stream '{a="b", a="c"}' has duplicate label name: 'a'"#
        );
    }

    #[test]
    fn a_body_that_is_no_push_is_refused_as_a_whole() {
        let context = TestContext::new();
        let context = context.context();
        let error = decode(b"\x0a\x05hello", &context).expect_err("not snappy");
        assert_eq!(error.to_string(), "snappy: corrupt input");
        assert!(decode(b"", &context).is_err());
        let error = decode_push(&[]).expect_err("no streams");
        assert_eq!(error, DecodeError::Empty(crate::loki_push::NO_STREAMS));
        let error = decode_push(&[stream_message(r#"{push="x""#, &[])]).expect_err("labels");
        assert_eq!(
            error.to_string(),
            "couldn't parse labels: 1:10: parse error: unexpected end of input inside braces, in `streams[0].labels`"
        );
        let whole = push_message(&[stream_message(r#"{a="b"}"#, &[entry_message(1, 0, b"line", &[])])]);
        for length in 1..whole.len() {
            // A cut message is an error or, between two fields, a shorter message.
            let _ = decode_message(&whole[..length], &context);
        }
        let wrong_type = push_message(&[stream_message("{}", &[message(|out| write_number(out, 2, 1))])]);
        let error = decode_message(&wrong_type, &context).expect_err("a line that is a number");
        assert_eq!(
            error.to_string(),
            "protobuf field has the wrong type at byte 6, in `streams[0].entries[0]`"
        );
    }

    #[test]
    fn a_block_that_claims_too_much_is_refused_before_it_is_made() {
        let mut test = TestContext::new();
        test.limits.request.inflated_bytes_max = 1000;
        let body = snap::raw::Encoder::new().compress_vec(&[0; 1001]).expect("small");
        let error = decode(&body, &test.context()).expect_err("too large");
        assert_eq!(error.to_string(), "inflated body is larger than the limit of 1000 bytes");
    }
}
