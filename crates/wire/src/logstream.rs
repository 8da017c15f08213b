//! LogStream's log: `{"service":"auth","level":"INFO","message":"…","metadata":{…}}`, one a request; and with `id` and
//! `timestamp`, one a message of its topic.

use std::borrow::Cow;

use timberyard_model::LogBatch;

use crate::context::DecodeContext;
use crate::error::DecodeError;
use crate::json_text::{write_key, write_string};
use crate::log_entry::{LogEntry, write_json_or_string};
use crate::record_batch::{Record, RecordBatch};
use crate::record_fields::FieldReader;
use crate::service_name::SERVICE_NAME;

/// The levels that are taken.
pub const LEVELS: [&str; 5] = ["INFO", "WARN", "ERROR", "DEBUG", "FATAL"];

/// Reads a log, which gets the id `id`. All bad fields are named at once.
pub fn decode(body: &[u8], context: &DecodeContext<'_>, id: &str) -> Result<LogBatch, DecodeError> {
    read(body, context, Some(id))
}

/// Reads a message of the topic, which brings its `id` and `timestamp`. Where it lacks them it has no id, and the time it was
/// received at. Any word is a level here: who wrote it does not hear of a refusal.
pub fn decode_message(body: &[u8], context: &DecodeContext<'_>) -> Result<LogBatch, DecodeError> {
    read(body, context, None)
}

/// Reads a log: that of a request when it is given its id.
fn read(body: &[u8], context: &DecodeContext<'_>, given_id: Option<&str>) -> Result<LogBatch, DecodeError> {
    let mut fields = FieldReader::new(body, context.limits.request.json_depth_max);
    let (mut service, mut level): (Option<Cow<'_, str>>, Option<Cow<'_, str>>) = (None, None);
    let (mut message, mut metadata): (Option<Cow<'_, [u8]>>, Option<&[u8]>) = (None, None);
    let (mut id, mut timestamp) = (given_id.map(Cow::Borrowed), None);
    fields.json.begin_object()?;
    while let Some(key) = fields.next_key()? {
        match &*key {
            b"service" => service = fields.text("service")?,
            b"level" => level = fields.text("level")?,
            b"message" => message = fields.bytes("message")?,
            b"metadata" => metadata = fields.object("metadata")?,
            b"id" if given_id.is_none() => id = fields.text("id")?,
            b"timestamp" if given_id.is_none() => timestamp = fields.time("timestamp")?,
            _ => fields.json.skip()?,
        }
    }
    let service = service.unwrap_or_default();
    let message = message.unwrap_or_default();
    if service.is_empty() {
        fields.require("service", "must be a string that is not empty");
    }
    if message.is_empty() {
        fields.require("message", "must be a string that is not empty");
    }
    let level = level.unwrap_or_default();
    if given_id.is_some() && !LEVELS.contains(&&*level) {
        fields.require("level", "must be INFO, WARN, ERROR, DEBUG or FATAL");
    }
    for (name, value) in [("service", &service), ("level", &level)] {
        fields.check_label_value(name, value, context.limits.record.label_value_bytes_max);
    }
    let mut batch = RecordBatch::new(context.tenant, context);
    if !fields.has_faults() {
        let labels = [(SERVICE_NAME, &*service), ("service", &*service), ("level", &*level)];
        let mut pairs: Vec<(&str, &[u8])> = Vec::with_capacity(2);
        pairs.extend(id.as_ref().map(|id| ("id", id.as_bytes())));
        pairs.extend(metadata.map(|metadata| ("metadata", metadata)));
        let timestamp = timestamp.unwrap_or(context.received_at);
        let record = Record { labels: &labels, timestamp, line: &message, metadata: &pairs };
        if let Err(error) = batch.push(&record) {
            fields.refuse_record(&error, "timestamp", "message");
        }
    }
    fields.finish()?;
    Ok(batch.finish())
}

/// Appends an entry as a message of the topic: `{"service","level","message","metadata","id","timestamp"}`.
///
/// Logs that came in here are written as they were sent, without `metadata` where they had none; of rows of other systems
/// `metadata` is an object with their labels and metadata.
pub fn write_message(out: &mut Vec<u8>, entry: &LogEntry<'_>) {
    let is_own = is_own(entry);
    out.push(b'{');
    for (name, value) in [("service", entry.service()), ("level", entry.level()), ("message", entry.line())] {
        write_key(out, name);
        write_string(out, value);
        out.push(b',');
    }
    match entry.enrichment("metadata").filter(|_| is_own) {
        Some(metadata) => {
            write_key(out, "metadata");
            write_json_or_string(out, metadata);
            out.push(b',');
        }
        None if is_own => {}
        None => {
            write_key(out, "metadata");
            write_context(out, entry);
            out.push(b',');
        }
    }
    write_id(out, entry, is_own);
    out.push(b',');
    write_time(out, entry);
    out.push(b'}');
}

fn write_id(out: &mut Vec<u8>, entry: &LogEntry<'_>, is_own: bool) {
    write_key(out, "id");
    match entry.enrichment("id").filter(|_| is_own) {
        Some(id) => write_string(out, id),
        None => write_string(out, entry.derived_id().as_bytes()),
    }
}

fn write_time(out: &mut Vec<u8>, entry: &LogEntry<'_>) {
    write_key(out, "timestamp");
    write_string(out, entry.timestamp().to_string().as_bytes());
}

/// The labels and metadata of a row of another system, as an object.
fn write_context(out: &mut Vec<u8>, entry: &LogEntry<'_>) {
    out.push(b'{');
    entry.write_context_members(out);
    out.push(b'}');
}

/// Appends an entry as `{"id","service","level","message","meta","timestamp"}`.
///
/// `meta` is the JSON text of `metadata`, `null` when none was sent; for rows of other systems the text of an
/// object with their labels and metadata.
pub fn write_entry(out: &mut Vec<u8>, entry: &LogEntry<'_>) {
    let is_own = is_own(entry);
    out.push(b'{');
    write_id(out, entry, is_own);
    for (name, value) in [("service", entry.service()), ("level", entry.level()), ("message", entry.line())] {
        out.push(b',');
        write_key(out, name);
        write_string(out, value);
    }
    out.push(b',');
    write_key(out, "meta");
    match entry.enrichment("metadata") {
        Some(metadata) if is_own => write_string(out, metadata),
        None if is_own => out.extend_from_slice(b"null"),
        _ => {
            let mut text = Vec::new();
            write_context(&mut text, entry);
            write_string(out, &text);
        }
    }
    out.push(b',');
    write_time(out, entry);
    out.push(b'}');
}

/// Whether the row came in through LogStream: it has the id that was made for it, and the service twice.
fn is_own(entry: &LogEntry<'_>) -> bool {
    let id_is_ours = entry.enrichment("id").is_some_and(|id| uuid::Uuid::try_parse_ascii(id).is_ok());
    id_is_ours && entry.labels().get("service").map(str::as_bytes) == Some(entry.service())
}

/// What a fuzzer calls: decoding must not panic, and every answer is UTF-8.
pub fn fuzz(body: &[u8], context: &DecodeContext<'_>) {
    let decoded =
        [decode(body, context, "00000000-0000-4000-8000-000000000000"), decode_message(body, context)];
    for batch in decoded.into_iter().flatten() {
        assert_eq!(batch.rows.len(), 1, "a log is one row");
        let mut out = Vec::new();
        for row in batch.rows.iter() {
            write_entry(&mut out, &LogEntry::new(row));
            write_message(&mut out, &LogEntry::new(row));
        }
        assert!(std::str::from_utf8(&out).is_ok(), "an answer is always UTF-8");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record_tests::{mutate, refusal, shown, with_context};

    const ID: &str = "6d1f1c3e-8d5c-4bb1-9f33-0e9a4d7f2a11";
    const FULL: &str = r#"{"service":"auth","level":"ERROR","message":"no","metadata":{"user" : 7}}"#;

    fn written(body: &str) -> String {
        let batch = with_context(|context| decode(body.as_bytes(), context, ID)).expect("valid");
        let mut out = Vec::new();
        write_entry(&mut out, &LogEntry::new(batch.rows.get(0)));
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_log_comes_back_as_sent() {
        let batch = with_context(|context| decode(FULL.as_bytes(), context, ID)).expect("valid");
        assert_eq!(
            shown(&batch),
            [format!(
                r#"2026-11-20T10:00:00.5Z {{level="ERROR", service="auth", service_name="auth"}} "no" id="{ID}" metadata="{{\"user\" : 7}}" detected_level="error""#
            )]
        );
        assert_eq!(
            written(FULL),
            format!(
                r#"{{"id":"{ID}","service":"auth","level":"ERROR","message":"no","meta":"{{\"user\" : 7}}","timestamp":"2026-11-20T10:00:00.5Z"}}"#
            )
        );
        assert!(written(r#"{"service":"a","level":"INFO","message":"m"}"#).contains(r#""meta":null"#));
        assert!(
            written(r#"{"service":"a","level":"INFO","message":"m","metadata":{}}"#)
                .contains(r#""meta":"{}""#)
        );
    }

    #[test]
    fn a_message_of_the_topic_gives_the_log_again() {
        for body in [FULL, r#"{"service":"a","level":"INFO","message":"m"}"#] {
            let batch = with_context(|context| decode(body.as_bytes(), context, ID)).expect("valid");
            let mut message = Vec::new();
            write_message(&mut message, &LogEntry::new(batch.rows.get(0)));
            let again = with_context(|context| decode_message(&message, context)).expect("valid");
            assert_eq!(shown(&again), shown(&batch), "{}", String::from_utf8_lossy(&message));
        }
    }

    #[test]
    fn a_message_may_lack_what_a_request_may_not() {
        let message = br#"{"service":"s","message":"m"}"#;
        let batch = with_context(|context| decode_message(message, context)).expect("valid");
        assert_eq!(
            shown(&batch),
            [r#"2026-11-20T10:00:00.5Z {service="s", service_name="s"} "m" detected_level="unknown""#]
        );
        let wrong = br#"{"service":"s","message":"m","timestamp":"soon"}"#;
        let refused = with_context(|context| refusal(decode_message(wrong, context)));
        assert!(refused.starts_with("timestamp: "), "{refused}");
    }

    #[test]
    fn every_bad_field_is_named() {
        let cases = [
            (
                "{}",
                "service: must be a string that is not empty; message: must be a string that is not empty; level: must be INFO, WARN, ERROR, DEBUG or FATAL",
            ),
            (
                r#"{"service":1,"level":"info","message":"","metadata":"x"}"#,
                "service: must be a string, found a number; metadata: must be an object, found a string; message: must be a string that is not empty; level: must be INFO, WARN, ERROR, DEBUG or FATAL",
            ),
            ("[]", "expected an object, found an array at line 1, column 1 (byte 0)"),
        ];
        for (body, expected) in cases {
            assert_eq!(
                with_context(|context| refusal(decode(body.as_bytes(), context, ID))),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn survives_broken_bodies() {
        mutate(&[FULL], fuzz);
    }
}
