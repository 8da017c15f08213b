//! Logtopus' entries: `[{"level":"INFO","message":"…","session_id":"…"}]`.
//!
//! All of a body is taken or nothing. What was sent comes back as it was: `object` and `extra` keep their
//! JSON text, an empty field stays apart from an absent one.

use std::borrow::Cow;

use timberyard_model::LogBatch;

use crate::context::DecodeContext;
use crate::error::DecodeError;
use crate::json_text::{write_key, write_string};
use crate::log_entry::{LogEntry, write_optional_json, write_optional_number, write_optional_string};
use crate::record_batch::{Record, RecordBatch};
use crate::record_fields::FieldReader;
use crate::service_name::{SERVICE_NAME, UNKNOWN_SERVICE};

/// The level of entries that name none.
pub const LEVEL_DEFAULT: &str = "INFO";

/// The fields of one entry.
#[derive(Default)]
struct Entry<'a> {
    level: Option<Cow<'a, str>>,
    message: Option<Cow<'a, [u8]>>,
    object: Option<&'a [u8]>,
    extra: Option<&'a [u8]>,
    logger_name: Option<Cow<'a, str>>,
    time: Option<timberyard_model::Timestamp>,
    sequence: Option<&'a str>,
    error: Option<Cow<'a, [u8]>>,
    stacktrace: Option<Cow<'a, [u8]>>,
    session_id: Option<Cow<'a, [u8]>>,
    client_id: Option<Cow<'a, [u8]>>,
    source: Option<Cow<'a, str>>,
}

/// Reads an array of entries. An empty array is refused.
pub fn decode(body: &[u8], context: &DecodeContext<'_>) -> Result<LogBatch, DecodeError> {
    let mut fields = FieldReader::new(body, context.limits.request.json_depth_max);
    let mut batch = RecordBatch::new(context.tenant, context);
    fields.json.begin_array()?;
    let mut count = 0;
    while fields.json.next_element()? {
        fields.enter("", count);
        count += 1;
        if fields.begin_record()? {
            let entry = read_entry(&mut fields)?;
            take(&entry, &mut fields, &mut batch, context);
        }
        fields.leave();
    }
    if count == 0 {
        fields.refuse("", "no entries: the array is empty");
    }
    fields.finish()?;
    Ok(batch.finish())
}

fn read_entry<'a>(fields: &mut FieldReader<'a>) -> Result<Entry<'a>, DecodeError> {
    let mut entry = Entry::default();
    while let Some(key) = fields.next_key()? {
        match &*key {
            b"level" => entry.level = fields.text("level")?,
            b"message" => entry.message = fields.bytes("message")?,
            b"object" => entry.object = fields.object("object")?,
            b"extra" => entry.extra = fields.object("extra")?,
            b"logger_name" => entry.logger_name = fields.text("logger_name")?,
            b"time" => entry.time = fields.time("time")?,
            b"sequence" => {
                let number = fields.integer::<u64>("sequence", "a whole number from 0 to 2^64-1")?;
                entry.sequence = number.map(|(text, _)| text);
            }
            b"error" => entry.error = fields.bytes("error")?,
            b"stacktrace" => entry.stacktrace = fields.bytes("stacktrace")?,
            b"session_id" => entry.session_id = fields.bytes("session_id")?,
            b"client_id" => entry.client_id = fields.bytes("client_id")?,
            b"source" => entry.source = fields.text("source")?,
            _ => fields.json.skip().map_err(|error| fields.within("", error))?,
        }
    }
    Ok(entry)
}

fn take(
    entry: &Entry<'_>,
    fields: &mut FieldReader<'_>,
    batch: &mut RecordBatch,
    context: &DecodeContext<'_>,
) {
    let filled = |text: &'_ Option<Cow<'_, str>>| text.as_deref().is_some_and(|text| !text.is_empty());
    let source = entry.source.as_deref();
    let logger_name = entry.logger_name.as_deref();
    let level = entry.level.as_deref().filter(|level| !level.is_empty()).unwrap_or(LEVEL_DEFAULT);
    let service = match (filled(&entry.source), filled(&entry.logger_name)) {
        (true, _) => source,
        (false, true) => logger_name,
        (false, false) => None,
    };
    let value_bytes_max = context.limits.record.label_value_bytes_max;
    for (field, value) in [("level", Some(level)), ("logger_name", logger_name), ("source", source)] {
        fields.check_label_value(field, value.unwrap_or_default(), value_bytes_max);
    }
    if fields.has_faults() {
        return;
    }
    let labels = [
        (SERVICE_NAME, service.unwrap_or(UNKNOWN_SERVICE)),
        ("level", level),
        ("logger_name", logger_name.unwrap_or_default()),
    ];
    // A label cannot be empty; metadata can.
    let empty_logger_name = logger_name.filter(|name| name.is_empty());
    let metadata = [
        ("logger_name", empty_logger_name.map(str::as_bytes)),
        ("session_id", entry.session_id.as_deref()),
        ("client_id", entry.client_id.as_deref()),
        ("source", source.map(str::as_bytes)),
        ("sequence", entry.sequence.map(str::as_bytes)),
        ("error", entry.error.as_deref()),
        ("stacktrace", entry.stacktrace.as_deref()),
        ("object", entry.object),
        ("extra", entry.extra),
        ("client_ip", context.client_ip.map(str::as_bytes)),
    ];
    let metadata: Vec<(&str, &[u8])> =
        metadata.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let record = Record {
        labels: &labels,
        timestamp: entry.time.unwrap_or(context.received_at),
        line: entry.message.as_deref().unwrap_or_default(),
        metadata: &metadata,
    };
    if let Err(error) = batch.push(&record) {
        fields.refuse_record(&error, "time", "message");
    }
}

/// Writes the entry's members, without the braces around them; what is absent is `null`.
pub fn write_members(out: &mut Vec<u8>, entry: &LogEntry<'_>) {
    write_key(out, "level");
    write_string(out, entry.level());
    out.push(b',');
    write_key(out, "message");
    write_string(out, entry.line());
    for name in ["object", "extra"] {
        out.push(b',');
        write_key(out, name);
        write_optional_json(out, entry.field(name));
    }
    out.push(b',');
    write_key(out, "time");
    write_string(out, entry.timestamp().to_string().as_bytes());
    out.push(b',');
    write_key(out, "sequence");
    write_optional_number(out, entry.field("sequence"));
    for name in ["logger_name", "error", "stacktrace", "session_id", "client_id", "source"] {
        out.push(b',');
        write_key(out, name);
        write_optional_string(out, entry.field(name));
    }
    out.push(b',');
    write_key(out, "client_ip");
    write_optional_string(out, entry.enrichment("client_ip"));
}

/// What a fuzzer calls: decoding must not panic, and what was taken must be within the limits.
pub fn fuzz(body: &[u8], context: &DecodeContext<'_>) {
    if let Ok(batch) = decode(body, context) {
        let mut out = Vec::new();
        for row in batch.rows.iter() {
            assert!(row.line().len() <= context.limits.record.line_bytes_max);
            write_members(&mut out, &LogEntry::new(row));
        }
        assert!(std::str::from_utf8(&out).is_ok(), "an answer is always UTF-8");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record_tests::{mutate, refusal, shown, with_context};

    const FULL: &str = r#"[{"level":"SEVERE","message":"disk full","object":{"free" : 0, "n":1.50},"extra":{},
        "logger_name":"db","time":"2026-11-20T10:00:00+01:00","sequence":18446744073709551615,"error":"ENOSPC",
        "stacktrace":"a\nb","session_id":"s","client_id":"c","source":"billing","later":[1]}]"#;

    #[test]
    fn every_field_finds_its_place_and_comes_back_as_sent() {
        let batch = with_context(|context| decode(FULL.as_bytes(), context)).expect("valid");
        assert_eq!(
            shown(&batch),
            [concat!(
                r#"2026-11-20T09:00:00Z {level="SEVERE", logger_name="db", service_name="billing"} "disk full" "#,
                r#"session_id="s" client_id="c" source="billing" sequence="18446744073709551615" error="ENOSPC" "#,
                r#"stacktrace="a\nb" object="{\"free\" : 0, \"n\":1.50}" extra="{}" client_ip="192.0.2.7" "#,
                r#"detected_level="error""#
            )]
        );
        let mut out = Vec::new();
        write_members(&mut out, &LogEntry::new(batch.rows.get(0)));
        assert_eq!(
            String::from_utf8_lossy(&out),
            concat!(
                r#""level":"SEVERE","message":"disk full","object":{"free" : 0, "n":1.50},"extra":{},"#,
                r#""time":"2026-11-20T09:00:00Z","sequence":18446744073709551615,"logger_name":"db","#,
                r#""error":"ENOSPC","stacktrace":"a\nb","session_id":"s","client_id":"c","source":"billing","#,
                r#""client_ip":"192.0.2.7""#
            )
        );
    }

    #[test]
    fn what_is_absent_gets_its_default_and_what_is_empty_stays_empty() {
        let body =
            br#"[{},{"message":"","source":"","logger_name":"","session_id":"","level":"","object":null}]"#;
        let batch = with_context(|context| decode(body, context)).expect("valid");
        let labels = r#"2026-11-20T10:00:00.5Z {level="INFO", service_name="unknown_service"} """#;
        assert_eq!(
            shown(&batch),
            [
                format!(r#"{labels} client_ip="192.0.2.7" detected_level="info""#),
                format!(
                    r#"{labels} logger_name="" session_id="" source="" client_ip="192.0.2.7" detected_level="info""#
                ),
            ]
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept_and_shown_replaced() {
        let batch = with_context(|context| decode(b"[{\"message\":\"a\xff\"}]", context)).expect("valid");
        assert_eq!(batch.rows.get(0).line(), b"a\xff");
        let mut out = Vec::new();
        write_members(&mut out, &LogEntry::new(batch.rows.get(0)));
        assert!(String::from_utf8(out).expect("UTF-8").contains("\"message\":\"a\u{fffd}\""));
    }

    #[test]
    fn refuses_what_is_wrong_and_says_where() {
        let long = format!(r#"[{{"message":"{}"}}]"#, "x".repeat(513));
        let cases = [
            ("[]", "no entries: the array is empty"),
            ("{}", "expected an array, found an object at line 1, column 1 (byte 0)"),
            ("[1]", "[0]: must be an object, found a number"),
            (
                r#"[{},{"message":7,"object":[]}]"#,
                "[1].message: must be a string, found a number; [1].object: must be an object, found an array",
            ),
            (r#"[{"time":"soon"}]"#, "[0].time: `soon` is not an RFC 3339 time such as 2026-11-20T10:00:00Z"),
            (r#"[{"sequence":-1}]"#, "[0].sequence: must be a whole number from 0 to 2^64-1, found -1"),
            (
                r#"[{"time":"2026-11-20T10:10:01Z"}]"#,
                "[0].time: timestamp 2026-11-20T10:10:01Z is more than 600 seconds in the future",
            ),
            (&long, "[0].message: line is 513 bytes, limit is 512"),
            (
                r#"[{"extra":{"a":[[[[[[[]]]]]]]}}]"#,
                "JSON nests deeper than the limit of 8 at line 1, column 21 (byte 20), in `[0].extra`",
            ),
            (
                r#"[{"message":"a"}"#,
                "expected `,` or `]`, found the end of the JSON text at line 1, column 17 (byte 16)",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(with_context(|context| refusal(decode(body.as_bytes(), context))), expected, "{body}");
        }
    }

    #[test]
    fn survives_broken_bodies() {
        mutate(&[FULL], fuzz);
    }
}
