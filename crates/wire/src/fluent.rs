//! Fluent's forward protocol, as Fluentd, Fluent Bit and the fluent-loggers speak it: one message of one to many events.
//!
//! The line is the record's `log`, `message`, `msg` or `MESSAGE`, else the record as JSON. The tag becomes a label and is the
//! service where no field names one; everything else becomes structured metadata, what lies in maps under joined names.
//! Senders hear of nothing but that a message is stored: a line over the limit is cut, an event whose time is out of bounds
//! is kept under the time it was received, and what is still refused is counted.
//!
//! Protocol: <https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1>.

use std::borrow::Cow;

use timberyard_model::Timestamp;
use timberyard_model::time::NANOS_PER_SECOND;

use crate::compression::{Compression, inflate};
use crate::context::{DecodeContext, Decoded, Rejections};
use crate::error::DecodeError;
use crate::gelf::cut;
use crate::json_text::{write_key, write_string};
use crate::mapped_record::MappedRecord;
use crate::metadata_name;
use crate::msgpack::{MsgpackReader, Value, write_text};
use crate::record_batch::RecordBatch;
use crate::service_name::DISCOVERY_LABELS;

/// Fields that hold the line, in the order in which they are looked for.
const LINE_FIELDS: [&str; 4] = ["log", "message", "msg", "MESSAGE"];

/// The type of Fluent's own times among the extensions of MessagePack.
const EVENT_TIME: i8 = 0;

/// What a message held.
#[derive(Debug)]
pub struct FluentMessage {
    /// Its events.
    pub events: Decoded,
    /// What the sender wants to be told when they are stored.
    pub chunk: Option<Vec<u8>>,
}

/// Decodes one message: a tag with one event, a list of them, or a text of them that may be compressed. `nil` is a heartbeat
/// and holds nothing.
///
/// # Errors
/// It is no such message.
pub fn decode(message: &[u8], context: &DecodeContext<'_>) -> Result<FluentMessage, DecodeError> {
    let depth_max = context.limits.request.json_depth_max;
    let mut events = Events {
        batch: RecordBatch::new(context.tenant, context),
        rejected: Rejections::default(),
        number: 0,
        context,
    };
    let mut chunk = None;
    match MsgpackReader::new(message).value(depth_max)? {
        Value::Nil => {}
        Value::Array(parts) => {
            let Some((Value::Text(tag), parts)) = parts.split_first() else {
                return Err(DecodeError::malformed("message does not begin with its tag"));
            };
            let tag = String::from_utf8_lossy(tag);
            let option = match parts {
                [Value::Array(entries), option @ ..] => {
                    entries.iter().for_each(|entry| events.entry(&tag, entry));
                    option
                }
                [Value::Binary(packed) | Value::Text(packed), option @ ..] => {
                    events.packed(&tag, packed, is_compressed(option.first()))?;
                    option
                }
                [time, record @ Value::Map(_), option @ ..] => {
                    events.event(&tag, time, record);
                    option
                }
                _ => return Err(DecodeError::malformed("message has neither an event nor a list of them")),
            };
            if let Some(Value::Text(wanted) | Value::Binary(wanted)) = find(option.first(), "chunk") {
                chunk = Some(wanted.to_vec());
            }
        }
        _ => return Err(DecodeError::malformed("message is no list")),
    }
    let events = Decoded { batch: events.batch.finish(), rejected: events.rejected };
    Ok(FluentMessage { events, chunk })
}

/// What tells a sender that the events of a message are stored.
pub fn acknowledgement(chunk: &[u8]) -> Vec<u8> {
    let mut out = vec![0x81];
    write_text(&mut out, b"ack");
    write_text(&mut out, chunk);
    out
}

fn find<'v, 'a>(map: Option<&'v Value<'a>>, wanted: &str) -> Option<&'v Value<'a>> {
    let Some(Value::Map(pairs)) = map else { return None };
    let is_wanted = |name: &Value<'_>| matches!(name, Value::Text(name) if *name == wanted.as_bytes());
    pairs.iter().find(|(name, _)| is_wanted(name)).map(|(_, value)| value)
}

fn is_compressed(option: Option<&Value<'_>>) -> bool {
    matches!(find(option, "compressed"), Some(Value::Text(b"gzip")))
}

/// The events of a message so far.
struct Events<'c> {
    batch: RecordBatch,
    rejected: Rejections,
    number: u64,
    context: &'c DecodeContext<'c>,
}

impl Events<'_> {
    fn packed(&mut self, tag: &str, packed: &[u8], is_compressed: bool) -> Result<(), DecodeError> {
        let compression = if is_compressed { Compression::Gzip } else { Compression::Identity };
        let request = &self.context.limits.request;
        let packed = inflate(packed, compression, request.inflated_bytes_max)?;
        let mut reader = MsgpackReader::new(&packed);
        while !reader.is_at_end() {
            let entry = reader.value(request.json_depth_max)?;
            self.entry(tag, &entry);
        }
        Ok(())
    }

    /// `[time, record]`; Fluent Bit writes `[[time, metadata], record]` too.
    fn entry(&mut self, tag: &str, entry: &Value<'_>) {
        match entry {
            Value::Array(parts) => match parts.as_slice() {
                [Value::Array(head), record] => self.event(tag, head.first().unwrap_or(&Value::Nil), record),
                [time, record, ..] => self.event(tag, time, record),
                _ => self.refuse("event has no time and record".to_owned()),
            },
            _ => self.refuse("event is no list of time and record".to_owned()),
        }
    }

    fn event(&mut self, tag: &str, time: &Value<'_>, record: &Value<'_>) {
        match push(tag, time, record, self.context, &mut self.batch) {
            Ok(()) => self.number += 1,
            Err(reason) => self.refuse(reason),
        }
    }

    fn refuse(&mut self, reason: String) {
        self.rejected.add(self.number, || reason);
        self.number += 1;
    }
}

fn push(
    tag: &str,
    time: &Value<'_>,
    record: &Value<'_>,
    context: &DecodeContext<'_>,
    batch: &mut RecordBatch,
) -> Result<(), String> {
    let Value::Map(pairs) = record else { return Err("record of an event is no map".to_owned()) };
    let mut fields = Vec::new();
    read_fields("", pairs, &mut fields);
    let is_line = |name: &&str| fields.iter().position(|(field, _)| field == name);
    let line = LINE_FIELDS.iter().find_map(is_line);
    let line = line.map(|place| fields.remove(place).1).unwrap_or_else(|| {
        let mut text = Vec::new();
        write_json(record, &mut text);
        Cow::Owned(text)
    });
    let named = |wanted: &&str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let service = DISCOVERY_LABELS.iter().find_map(named).map(|value| String::from_utf8_lossy(value));
    let mut metadata = Vec::with_capacity(fields.len());
    for (name, value) in &fields {
        metadata.push((metadata_name::sanitized(name).map_err(|error| error.to_string())?, &**value));
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let record = MappedRecord {
        labels: vec![(Cow::Borrowed("tag"), Cow::Borrowed(tag))],
        metadata,
        timestamp: time_of(time).unwrap_or(context.received_at),
        line: cut(line, context),
        service: Some(service.as_deref().unwrap_or(tag)),
    };
    record.push_at_any_time(context, batch)
}

fn time_of(time: &Value<'_>) -> Option<Timestamp> {
    match time {
        Value::Integer(seconds) => {
            let nanos = seconds.checked_mul(NANOS_PER_SECOND.into())?;
            i64::try_from(nanos).ok().map(Timestamp::from_nanos)
        }
        Value::Float(seconds) if seconds.is_finite() && seconds.abs() < 9e9 => {
            Some(Timestamp::from_nanos((seconds * 1e9) as i64))
        }
        Value::Extension(EVENT_TIME, bytes) => {
            let (seconds, nanos) = bytes.split_first_chunk::<4>()?;
            let nanos: [u8; 4] = nanos.try_into().ok()?;
            let seconds = i64::from(u32::from_be_bytes(*seconds)) * NANOS_PER_SECOND;
            Some(Timestamp::from_nanos(seconds + i64::from(u32::from_be_bytes(nanos))))
        }
        _ => None,
    }
}

/// The fields of a map; what lies in maps has their name and a dot before its own. Nothing is no field.
fn read_fields<'a>(
    prefix: &str,
    pairs: &[(Value<'a>, Value<'a>)],
    fields: &mut Vec<(String, Cow<'a, [u8]>)>,
) {
    for (name, value) in pairs {
        let name = match name {
            Value::Text(name) | Value::Binary(name) => String::from_utf8_lossy(name),
            other => Cow::Owned(String::from_utf8_lossy(&text_of(other)).into_owned()),
        };
        let name = format!("{prefix}{name}");
        match value {
            Value::Nil => {}
            Value::Map(pairs) => read_fields(&format!("{name}."), pairs, fields),
            value => fields.push((name, text_of(value))),
        }
    }
}

/// A value as the text of a field: texts as they are, everything else as JSON.
fn text_of<'a>(value: &Value<'a>) -> Cow<'a, [u8]> {
    match value {
        Value::Text(text) | Value::Binary(text) => Cow::Borrowed(text),
        value => {
            let mut text = Vec::new();
            write_json(value, &mut text);
            Cow::Owned(text)
        }
    }
}

fn write_json(value: &Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Nil => out.extend_from_slice(b"null"),
        Value::Boolean(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Float(value) if value.is_finite() => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Float(value) => write_string(out, value.to_string().as_bytes()),
        Value::Text(text) | Value::Binary(text) => write_string(out, text),
        Value::Extension(_, bytes) => write_string(out, bytes.escape_ascii().to_string().as_bytes()),
        Value::Array(items) => {
            out.push(b'[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                write_json(item, out);
            }
            out.push(b']');
        }
        Value::Map(pairs) => {
            out.push(b'{');
            for (number, (name, value)) in pairs.iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                write_key(out, &String::from_utf8_lossy(&text_of(name)));
                write_json(value, out);
            }
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::test_context::{RECEIVED_AT, TestContext, rows_of};

    const RECORD: &[u8] = b"\x84\xa3log\xa6paid\r\n\xa3app\xa4shop\xa1n\x07\xa1k\x82\xa1p\xc0\xa1q\x91\x01";
    /// 2026-11-01T12:00:00.000000005Z.
    const TIME: &[u8] = b"\xd7\x00\x6a\xe7\x29\x40\x00\x00\x00\x05";

    fn event() -> Vec<u8> {
        [b"\x92", TIME, RECORD].concat()
    }

    fn rows(message: &[u8]) -> (Vec<String>, Option<Vec<u8>>) {
        let test = TestContext::new();
        let message = decode(message, &test.context()).expect("a message");
        assert!(message.events.rejected.is_empty());
        (rows_of(&message.events.batch), message.chunk)
    }

    #[test]
    fn the_four_forms_hold_the_same_events() {
        let seconds = u32::from_be_bytes([0x6a, 0xe7, 0x29, 0x40]);
        let expected = format!(
            r#"{seconds}000000005 {{service_name="shop", tag="web.a"}} paid app=shop n=7 k_q=[1] detected_level=unknown"#
        );
        let tag = b"\xa5web.a";
        let chunk = b"\x81\xa5chunk\xa2c1";
        let one = [b"\x93", &tag[..], TIME, RECORD].concat();
        assert_eq!(rows(&one), (vec![expected.clone()], None));
        let list = [b"\x93", &tag[..], b"\x92", &event(), &event(), chunk].concat();
        assert_eq!(rows(&list), (vec![expected.clone(); 2], Some(b"c1".to_vec())));
        let packed = [event(), event()].concat();
        let length = [0xc5, (packed.len() >> 8) as u8, packed.len() as u8];
        let packed_form = [b"\x92", &tag[..], &length, &packed].concat();
        assert_eq!(rows(&packed_form).0, vec![expected.clone(); 2]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&packed).expect("written");
        let gzip = gzip.finish().expect("whole");
        let length = [0xc5, (gzip.len() >> 8) as u8, gzip.len() as u8];
        let option = b"\x82\xa5chunk\xa2c2\xaacompressed\xa4gzip";
        let compressed = [b"\x93", &tag[..], &length, &gzip, option].concat();
        assert_eq!(rows(&compressed), (vec![expected; 2], Some(b"c2".to_vec())));
    }

    #[test]
    fn records_without_a_line_are_shown_as_json_and_times_may_be_missing() {
        let now = RECEIVED_AT.as_nanos();
        let unknown = "detected_level=unknown";
        let stream = r#"{service_name="t", tag="t"}"#;
        assert_eq!(
            rows(b"\x93\xa1t\x07\x82\xa1a\x01\xa1b\xa1\"").0,
            [format!(r#"7000000000 {stream} {{\"a\":1,\"b\":\"\\\"\"}} a=1 b=\" {unknown}"#)]
        );
        assert_eq!(rows(b"\x93\xa1t\xc0\x81\xa7message\xa2ok").0, [format!("{now} {stream} ok {unknown}")]);
        assert_eq!(rows(b"\xc0").0, Vec::<String>::new(), "a heartbeat");
    }

    #[test]
    fn what_is_no_message_is_refused_and_events_that_are_none_are_counted() {
        let test = TestContext::new();
        for message in [
            &b"\x01"[..],
            b"\x90",
            b"\x91\xa1t",
            b"\x92\x01\x90",
            b"\x92\xa1t\xc4\x01\xc1",
            b"\x93\xa1t\x01\x02",
        ] {
            assert!(decode(message, &test.context()).is_err(), "{message:?}");
        }
        let message = decode(b"\x92\xa1t\x93\x01\x91\x01\x92\x01\x02", &test.context()).expect("a message");
        assert_eq!((message.events.batch.rows.len(), message.events.rejected.count), (0, 3));
    }

    #[test]
    fn an_acknowledgement_names_the_chunk() {
        assert_eq!(acknowledgement(b"c1"), b"\x81\xa3ack\xa2c1");
    }
}
