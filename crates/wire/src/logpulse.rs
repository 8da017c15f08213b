//! LogPulse's streams:
//! `{"streams":[{"labels":{"app":"api"},"entries":[{"ts":"2024-01-15T10:30:00Z","line":"…"}]}]}`.
//!
//! All of a body is taken or nothing. Streams, labels and entries must not be empty; label names follow
//! Loki's rule and have 1 to 128 bytes; values are not empty, not over the limit (2048 bytes), and of one
//! line.

use std::borrow::Cow;
use std::collections::HashMap;

use timberyard_model::labels::is_label_name;
use timberyard_model::{Labels, LogBatch, RowRef, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use crate::context::DecodeContext;
use crate::error::DecodeError;
use crate::json::JsonKind;
use crate::json_text::{write_key, write_string};
use crate::level_detection::{DETECTED_LEVEL, UNKNOWN};
use crate::log_entry::entry_id;
use crate::record_batch::{Record, RecordBatch};
use crate::record_fields::FieldReader;
use crate::service_name::{SERVICE_NAME, discover};

/// The longest label name, in bytes.
pub const LABEL_NAME_BYTES_MAX: usize = 128;
/// The most labels of a stream.
pub const LABELS_MAX: usize = 64;

type SentLabel<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Reads a push.
pub fn decode(body: &[u8], context: &DecodeContext<'_>) -> Result<LogBatch, DecodeError> {
    let mut fields = FieldReader::new(body, context.limits.request.json_depth_max);
    let mut batch = RecordBatch::new(context.tenant, context);
    let mut streams = 0;
    fields.json.begin_object()?;
    while let Some(key) = fields.next_key()? {
        if &*key != b"streams" {
            fields.json.skip()?;
            continue;
        }
        if !fields.begin_list("streams")? {
            continue;
        }
        while fields.json.next_element()? {
            fields.enter("streams", streams);
            streams += 1;
            if fields.begin_record()? {
                read_stream(&mut fields, &mut batch, context)?;
            }
            fields.leave();
        }
    }
    if streams == 0 {
        fields.refuse("streams", "must be an array that is not empty");
    }
    fields.finish()?;
    Ok(batch.finish())
}

fn read_stream<'a>(
    fields: &mut FieldReader<'a>,
    batch: &mut RecordBatch,
    context: &DecodeContext<'_>,
) -> Result<(), DecodeError> {
    let mut labels = Vec::new();
    let mut entries = None;
    while let Some(key) = fields.next_key()? {
        match &*key {
            b"labels" => labels = read_labels(fields, context)?,
            // Entries may stand before the labels that they belong to: they are read afterwards.
            b"entries" => {
                entries = Some(fields.json.clone());
                fields.json.skip().map_err(|error| fields.within("entries", error))?;
            }
            _ => fields.json.skip().map_err(|error| fields.within("", error))?,
        }
    }
    if labels.is_empty() && !fields.has_faults() {
        fields.refuse("labels", "must be an object that is not empty");
    }
    let after = fields.json.clone();
    let mut count = 0;
    if let Some(entries) = entries {
        fields.json = entries;
        if fields.begin_list("entries")? {
            let labels = with_service_name(&labels);
            let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
            while fields.json.next_element()? {
                fields.enter("entries", count);
                count += 1;
                if fields.begin_record()? {
                    read_entry(fields, &labels, batch)?;
                }
                fields.leave();
            }
        }
        fields.json = after;
    }
    if count == 0 {
        fields.refuse("entries", "must be an array that is not empty");
    }
    Ok(())
}

/// The labels, with `service_name` found by Loki's list when it is not among them.
fn with_service_name<'a>(labels: &[SentLabel<'a>]) -> Vec<SentLabel<'a>> {
    let mut labels = labels.to_vec();
    if !labels.iter().any(|(name, _)| name == SERVICE_NAME) {
        let set =
            timberyard_model::Labels::from_pairs(labels.iter().map(|(name, value)| (&**name, &**value)));
        labels.push((Cow::Borrowed(SERVICE_NAME), Cow::Owned(discover(&set).to_owned())));
    }
    labels
}

fn read_labels<'a>(
    fields: &mut FieldReader<'a>,
    context: &DecodeContext<'_>,
) -> Result<Vec<SentLabel<'a>>, DecodeError> {
    let mut labels: Vec<SentLabel<'a>> = Vec::new();
    if fields.json.peek()? != JsonKind::Object {
        // Says what was found instead.
        fields.object("labels")?;
        return Ok(labels);
    }
    fields.json.begin_object()?;
    while let Some(name) = fields.next_key()? {
        let name = match name {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        };
        let shown: String = name.chars().take(LABEL_NAME_BYTES_MAX).collect();
        let field = format!("labels.{shown}");
        if !is_label_name(&name) || name.len() > LABEL_NAME_BYTES_MAX {
            fields.refuse(
                &field,
                format!("label name must be 1 to {LABEL_NAME_BYTES_MAX} bytes of [A-Za-z_][A-Za-z0-9_]*"),
            );
        }
        let found = fields.json.peek()?;
        let Some(value) = fields.text(&field)? else {
            if found == JsonKind::Null {
                fields.refuse(&field, "must be a string, found null");
            }
            continue;
        };
        let value_bytes_max = context.limits.record.label_value_bytes_max;
        fields.check_label_value(&field, &value, value_bytes_max);
        if value.is_empty() {
            fields.refuse(&field, "label value must not be empty");
        } else if value.contains(['\n', '\r']) {
            fields.refuse(&field, "label value must be one line");
        }
        labels.push((name, value));
        if labels.len() > LABELS_MAX {
            fields.refuse("labels", format!("has more than {LABELS_MAX} labels, the limit"));
            labels.clear();
        }
    }
    Ok(labels)
}

fn read_entry(
    fields: &mut FieldReader<'_>,
    labels: &[(&str, &str)],
    batch: &mut RecordBatch,
) -> Result<(), DecodeError> {
    let (mut timestamp, mut line): (Option<Timestamp>, Option<Cow<'_, [u8]>>) = (None, None);
    while let Some(key) = fields.next_key()? {
        match &*key {
            b"ts" => {
                timestamp = fields.time("ts")?;
            }
            b"line" => line = fields.bytes("line")?,
            _ => fields.json.skip().map_err(|error| fields.within("", error))?,
        }
    }
    if timestamp.is_none() {
        fields.require("ts", "must be an RFC 3339 time");
    }
    if line.is_none() {
        fields.require("line", "must be a string");
    }
    if let (Some(timestamp), Some(line), false) = (timestamp, line, fields.has_faults()) {
        let metadata: &[(&str, &[u8])] = &[];
        let record = Record { labels, timestamp, line: &line, metadata };
        if let Err(error) = batch.push(&record) {
            fields.refuse_record(&error, "ts", "line");
        }
    }
    Ok(())
}

/// Gives logs ids: equal ones in the same answer or stream of answers get different ones.
#[derive(Debug, Default)]
pub struct LogIds {
    seen: HashMap<u64, u64>,
}

impl LogIds {
    /// The id of a log: derived from stream, timestamp, line and its ordinal among equal ones seen before.
    pub fn id(&mut self, stream: &Labels, timestamp: Timestamp, line: &[u8]) -> String {
        let id = entry_id(stream, timestamp, line, 0);
        let seen = self.seen.entry(xxh3_64(id.as_bytes())).or_default();
        *seen += 1;
        if *seen == 1 { id } else { entry_id(stream, timestamp, line, *seen - 1) }
    }
}

/// A log as LogPulse's clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log<'a> {
    /// See [`LogIds`].
    pub id: String,
    /// When it happened.
    pub timestamp: Timestamp,
    /// Its line.
    pub message: &'a [u8],
    /// Labels of its stream, structured metadata, and what a query made of it.
    pub labels: Labels,
}

impl<'a> Log<'a> {
    /// A row that was just stored.
    pub fn of_row(row: RowRef<'a>, ids: &mut LogIds) -> Self {
        let metadata: Vec<(&str, Cow<'_, str>)> =
            row.metadata().map(|(name, value)| (name, String::from_utf8_lossy(value))).collect();
        let metadata = metadata.iter().map(|(name, value)| (*name, &**value));
        Self {
            id: ids.id(row.labels(), row.timestamp(), row.line()),
            timestamp: row.timestamp(),
            message: row.line(),
            labels: Labels::from_pairs(row.labels().iter().chain(metadata)),
        }
    }

    /// Appends it as `{"id","timestamp","level","message","labels"}`. The level is the label's, else the one
    /// that was detected, which is not shown among the labels.
    pub fn write(&self, out: &mut Vec<u8>) {
        let level = self.labels.get("level").or_else(|| self.labels.get(DETECTED_LEVEL)).unwrap_or(UNKNOWN);
        out.push(b'{');
        for (name, value) in [
            ("id", self.id.as_bytes()),
            ("timestamp", self.timestamp.to_string().as_bytes()),
            ("level", level.as_bytes()),
            ("message", self.message),
        ] {
            write_key(out, name);
            write_string(out, value);
            out.push(b',');
        }
        write_key(out, "labels");
        out.push(b'{');
        for (index, (name, value)) in
            self.labels.iter().filter(|(name, _)| *name != DETECTED_LEVEL).enumerate()
        {
            if index > 0 {
                out.push(b',');
            }
            write_key(out, name);
            write_string(out, value.as_bytes());
        }
        out.extend_from_slice(b"}}");
    }
}

/// What a fuzzer calls: decoding must not panic, and every answer is UTF-8.
pub fn fuzz(body: &[u8], context: &DecodeContext<'_>) {
    if let Ok(batch) = decode(body, context) {
        assert!(!batch.rows.is_empty(), "an empty push is refused");
        let mut out = Vec::new();
        for row in batch.rows.iter() {
            Log::of_row(row, &mut LogIds::default()).write(&mut out);
        }
        assert!(std::str::from_utf8(&out).is_ok(), "an answer is always UTF-8");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record_tests::{mutate, refusal, shown, with_context};

    const FULL: &str = r#"{"streams":[{"entries":[{"ts":"2024-01-15T10:30:00Z","line":"started"},
        {"line":"ERROR x","ts":"2024-01-15T10:30:00Z"}],"labels":{"app":"api","env":"prod"}}]}"#;

    #[test]
    fn a_push_keeps_its_labels_and_order() {
        let batch = with_context(|context| decode(FULL.as_bytes(), context)).expect("valid");
        let stream = r#"2024-01-15T10:30:00Z {app="api", env="prod", service_name="api"}"#;
        assert_eq!(
            shown(&batch),
            [
                format!(r#"{stream} "started" detected_level="unknown""#),
                format!(r#"{stream} "ERROR x" detected_level="error""#),
            ]
        );
    }

    #[test]
    fn equal_entries_get_ids_of_their_own() {
        let batch = with_context(|context| decode(FULL.as_bytes(), context)).expect("valid");
        let (first, second) = (batch.rows.get(0), batch.rows.get(1));
        let mut ids = LogIds::default();
        let id = Log::of_row(first, &mut ids).id;
        assert_ne!(Log::of_row(second, &mut ids).id, id);
        assert_eq!(Log::of_row(first, &mut ids).id, format!("{id}-1"));
        assert_eq!(Log::of_row(first, &mut LogIds::default()).id, id);
        let mut out = Vec::new();
        Log { id: "i".to_owned(), ..Log::of_row(second, &mut ids) }.write(&mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"id":"i","timestamp":"2024-01-15T10:30:00Z","level":"error","message":"ERROR x","labels":{"app":"api","env":"prod","service_name":"api"}}"#
        );
    }

    #[test]
    fn refuses_what_is_wrong_and_says_where() {
        let push = |labels: &str| {
            format!(
                r#"{{"streams":[{{"labels":{labels},"entries":[{{"ts":"2024-01-15T10:30:00Z","line":"x"}}]}}]}}"#
            )
        };
        let name = "label name must be 1 to 128 bytes of [A-Za-z_][A-Za-z0-9_]*";
        let long_name = "n".repeat(129);
        let cases = [
            ("{}".to_owned(), "streams: must be an array that is not empty".to_owned()),
            (r#"{"streams":[]}"#.to_owned(), "streams: must be an array that is not empty".to_owned()),
            (r#"{"streams":[{"labels":{"a":"b"},"entries":[]}]}"#.to_owned(),
             "streams[0].entries: must be an array that is not empty".to_owned()),
            (r#"{"streams":[{"labels":{"a":"b"}}]}"#.to_owned(),
             "streams[0].entries: must be an array that is not empty".to_owned()),
            (push("{}"), "streams[0].labels: must be an object that is not empty".to_owned()),
            (push(r#"{"a-b":"c"}"#), format!("streams[0].labels.a-b: {name}")),
            (push(r#"{"1a":"c"}"#), format!("streams[0].labels.1a: {name}")),
            (push(&format!(r#"{{"{long_name}":"c"}}"#)),
             format!("streams[0].labels.{}: {name}", "n".repeat(128))),
            (push(r#"{"a":""}"#), "streams[0].labels.a: label value must not be empty".to_owned()),
            (push(r#"{"a":"b\nc"}"#), "streams[0].labels.a: label value must be one line".to_owned()),
            (push(&format!(r#"{{"a":"{}"}}"#, "v".repeat(2049))),
             "streams[0].labels.a: is 2049 bytes, limit is 2048".to_owned()),
            (r#"{"streams":[{"labels":{"a":"b"},"entries":[{"line":1}]}]}"#.to_owned(),
             "streams[0].entries[0].line: must be a string, found a number; streams[0].entries[0].ts: must be an RFC 3339 time".to_owned()),
        ];
        for (body, expected) in cases {
            assert_eq!(with_context(|context| refusal(decode(body.as_bytes(), context))), expected, "{body}");
        }
    }

    #[test]
    fn names_and_values_of_exactly_the_limit_are_taken() {
        let (name, value) = ("n".repeat(128), "v".repeat(2048));
        let body = format!(
            r#"{{"streams":[{{"labels":{{"{name}":"{value}"}},"entries":[{{"ts":"2024-01-15T10:30:00Z","line":""}}]}}]}}"#
        );
        with_context(|context| decode(body.as_bytes(), context)).expect("within the limits");
    }

    #[test]
    fn survives_broken_bodies() {
        mutate(&[FULL], fuzz);
    }
}
