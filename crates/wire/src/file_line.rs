//! A row as a line of a file of logs: Logtopus' entry, with everything that makes the row again.
//!
//! ```text
//! {"level":…,"message":…,…,"client_ip":…,"timestamp_ns":"…","labels":{…},"metadata":{…},"line_base64":"…"}
//! ```
//!
//! The members up to `client_ip` are those of Logtopus' entries. `line_base64` is there only where the line is not UTF-8,
//! and counts instead of `message`. Values of metadata that are not UTF-8 show U+FFFD.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use timberyard_model::rows::{RowsBuilder, RowsFull};
use timberyard_model::{Labels, Timestamp};

use crate::error::DecodeError;
use crate::json::JsonReader;
use crate::json_text::{write_key, write_string};
use crate::log_entry::LogEntry;
use crate::logtopus;

/// How deep a line may be nested: labels in the entry, and JSON in its `object`.
const DEPTH_MAX: usize = 512;

/// A line of a file, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// When it happened.
    pub timestamp: Timestamp,
    /// Its stream.
    pub labels: Labels,
    /// Its bytes.
    pub line: Vec<u8>,
    /// Structured metadata in the order sent.
    pub metadata: Vec<(String, Vec<u8>)>,
}

impl FileRow {
    /// Adds the row to others.
    ///
    /// # Errors
    /// There are as many as there can be.
    pub fn push_to(&self, rows: &mut RowsBuilder) -> Result<(), RowsFull> {
        let stream = rows.stream(&self.labels);
        let pairs = self.metadata.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        rows.push(stream, self.timestamp, &self.line, pairs)
    }
}

/// Appends a row's line, with its end.
pub fn write(out: &mut Vec<u8>, entry: &LogEntry<'_>) {
    out.push(b'{');
    logtopus::write_members(out, entry);
    out.push(b',');
    write_key(out, "timestamp_ns");
    write_string(out, entry.timestamp().as_nanos().to_string().as_bytes());
    out.push(b',');
    write_key(out, "labels");
    let labels = entry.labels().iter().map(|(name, value)| (name, value.as_bytes()));
    write_object(out, labels);
    out.push(b',');
    write_key(out, "metadata");
    write_object(out, entry.metadata());
    if std::str::from_utf8(entry.line()).is_err() {
        out.push(b',');
        write_key(out, "line_base64");
        write_string(out, STANDARD.encode(entry.line()).as_bytes());
    }
    out.extend_from_slice(b"}\n");
}

fn write_object<'a>(out: &mut Vec<u8>, members: impl Iterator<Item = (&'a str, &'a [u8])>) {
    out.push(b'{');
    for (number, (name, value)) in members.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        write_key(out, name);
        write_string(out, value);
    }
    out.push(b'}');
}

/// The row of a line, with or without its end.
///
/// # Errors
/// It is no such line; what is wrong, and where.
pub fn read(line: &[u8]) -> Result<FileRow, DecodeError> {
    let mut json = JsonReader::new(line, DEPTH_MAX);
    let mut timestamp = None;
    let mut labels = None;
    let mut row = FileRow {
        timestamp: Timestamp::MIN,
        labels: Labels::default(),
        line: Vec::new(),
        metadata: Vec::new(),
    };
    json.begin_object()?;
    while let Some(key) = json.next_key()? {
        match &*key {
            b"message" => row.line = json.string()?.into_owned(),
            b"line_base64" => {
                let text = json.string()?;
                row.line = STANDARD.decode(&*text).map_err(|error| json.error(error.to_string()))?;
            }
            b"timestamp_ns" => {
                let text = json.text()?;
                let nanos = text.parse().map_err(|_| json.error(format!("`{text}` is no time")))?;
                timestamp = Some(Timestamp::from_nanos(nanos));
            }
            b"labels" => {
                let pairs = read_object(&mut json)?;
                let pairs = pairs.iter().map(|(name, value)| (name, String::from_utf8_lossy(value)));
                labels = Some(Labels::from_pairs(pairs));
            }
            b"metadata" => row.metadata = read_object(&mut json)?,
            _ => json.skip()?,
        }
    }
    json.finish()?;
    row.timestamp = timestamp.ok_or_else(|| DecodeError::malformed("timestamp_ns is missing"))?;
    row.labels = labels.ok_or_else(|| DecodeError::malformed("labels are missing"))?;
    Ok(row)
}

fn read_object(json: &mut JsonReader<'_>) -> Result<Vec<(String, Vec<u8>)>, DecodeError> {
    let mut members = Vec::new();
    json.begin_object()?;
    while let Some(key) = json.next_key()? {
        let name = String::from_utf8_lossy(&key).into_owned();
        members.push((name, json.string().map(Cow::into_owned)?));
    }
    Ok(members)
}

/// What a fuzzer calls: reading must not panic, and what was read is written and read back the same.
pub fn fuzz(line: &[u8]) {
    let Ok(row) = read(line) else { return };
    let mut builder = RowsBuilder::default();
    if row.push_to(&mut builder).is_err() {
        return;
    }
    let rows = builder.finish();
    let mut out = Vec::new();
    write(&mut out, &LogEntry::new(rows.get(0)));
    let again = read(&out).map(|again| (again.timestamp, again.labels, again.line));
    assert_eq!(again.ok(), Some((row.timestamp, row.labels, row.line)), "a line gives its row again");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record_tests::refusal;

    fn written(row: &FileRow) -> String {
        let mut builder = RowsBuilder::default();
        row.push_to(&mut builder).expect("room");
        let mut out = Vec::new();
        write(&mut out, &LogEntry::new(builder.finish().get(0)));
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_row_is_logtopus_entry_and_comes_back_as_it_was() {
        let row = FileRow {
            timestamp: Timestamp::from_nanos(1_763_700_000_123_456_789),
            labels: Labels::from_pairs([
                ("service_name", "db"),
                ("level", "WARNING"),
                ("logger_name", "pool"),
            ]),
            line: b"slow \"query\"\n\t1".to_vec(),
            metadata: vec![
                ("session_id".to_owned(), b"s-1".to_vec()),
                ("object".to_owned(), b"{\"ms\":12}".to_vec()),
            ],
        };
        let text = written(&row);
        assert!(text.ends_with("}\n") && text.matches('\n').count() == 1, "{text}");
        let entry: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(entry["level"], "WARNING");
        assert_eq!(entry["session_id"], "s-1");
        assert_eq!(entry["object"]["ms"], 12);
        assert_eq!(read(text.as_bytes()).expect("a row"), row);
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_kept() {
        let row = FileRow {
            timestamp: Timestamp::from_nanos(7),
            labels: Labels::from_pairs([("a", "b")]),
            line: vec![0xff, 0, b'x'],
            metadata: Vec::new(),
        };
        let text = written(&row);
        assert!(text.contains("line_base64"), "{text}");
        assert_eq!(read(text.as_bytes()).expect("a row"), row);
    }

    #[test]
    fn refuses_what_is_no_row() {
        for (line, expected) in [
            ("{}", "timestamp_ns is missing"),
            (r#"{"timestamp_ns":"1"}"#, "labels are missing"),
            (r#"{"timestamp_ns":"now","labels":{}}"#, "`now` is no time"),
            (r#"{"timestamp_ns":"1","labels":{"a":1}}"#, "expected a string"),
            (r#"{"timestamp_ns":"1","labels":{},"line_base64":"?"}"#, "Invalid"),
        ] {
            let refused = refusal(read(line.as_bytes()));
            assert!(refused.contains(expected), "{line}: {refused}");
        }
    }
}
