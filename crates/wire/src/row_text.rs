//! Lines and points as rows of text: NDJSON (<https://github.com/ndjson/ndjson-spec>) or CSV (RFC 4180).
//!
//! For whoever wants more rows than one JSON answer holds: rows are written as they come, each complete.

use timberyard_model::Timestamp;

use crate::json_text::{write_key, write_string};
use crate::loki_query_json::{encode_line, write_labels};
use crate::prometheus_text::write_value;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// One JSON object a row.
    Ndjson,
    /// Three columns, the first row has their names.
    Csv,
}

/// What the third column of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// A log line.
    Line,
    /// The value of a series.
    Value,
}

/// Rows that were written and not yet taken away.
#[derive(Debug)]
pub struct RowsWriter {
    format: RowFormat,
    out: Vec<u8>,
}

impl RowFormat {
    /// The format that an `Accept` header names; `None` when it names neither.
    pub fn from_accept(header: &str) -> Option<Self> {
        let media_types = header.split(',').filter_map(|entry| entry.split(';').next());
        media_types.map(str::trim).find_map(|media_type| match media_type {
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some(Self::Ndjson),
            "text/csv" => Some(Self::Csv),
            _ => None,
        })
    }

    /// The media type of an answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }
}

impl RowsWriter {
    /// Begins with the row of names, where the format has one.
    pub fn new(format: RowFormat, kind: RowKind) -> Self {
        let mut writer = Self::going_on(format);
        if format == RowFormat::Csv {
            let third: &[u8] = if kind == RowKind::Line { b"line" } else { b"value" };
            writer.out.extend_from_slice(b"timestamp,labels,");
            writer.out.extend_from_slice(third);
            writer.out.extend_from_slice(b"\r\n");
        }
        writer
    }

    /// Goes on with further rows.
    pub fn going_on(format: RowFormat) -> Self {
        Self { format, out: Vec::new() }
    }

    /// Adds a line. One that is not UTF-8 has U+FFFD in its place, and in NDJSON its bytes beside it (`lineBase64`).
    pub fn line<'l>(
        &mut self,
        timestamp: Timestamp,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        line: &[u8],
    ) {
        let format = self.begin(timestamp, labels);
        let out = &mut self.out;
        match format {
            RowFormat::Ndjson => {
                write_key(out, "line");
                write_string(out, line);
                if std::str::from_utf8(line).is_err() {
                    out.push(b',');
                    write_key(out, "lineBase64");
                    write_string(out, encode_line(line).as_bytes());
                }
                out.extend_from_slice(b"}\n");
            }
            RowFormat::Csv => {
                write_field(out, &String::from_utf8_lossy(line));
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Adds the value of a series at one time.
    pub fn point<'l>(
        &mut self,
        timestamp: Timestamp,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        value: f64,
    ) {
        let format = self.begin(timestamp, labels);
        let out = &mut self.out;
        match format {
            RowFormat::Ndjson => {
                write_key(out, "value");
                out.push(b'"');
                write_value(out, value);
                out.extend_from_slice(b"\"}\n");
            }
            RowFormat::Csv => {
                write_value(out, value);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Adds a remark about the answer, `{"error":…}` or `{"warning":…}`. CSV has no place for one; whether it was written.
    pub fn remark(&mut self, kind: &str, message: &str) -> bool {
        if self.format == RowFormat::Csv {
            return false;
        }
        self.out.push(b'{');
        write_key(&mut self.out, kind);
        write_string(&mut self.out, message.as_bytes());
        self.out.extend_from_slice(b"}\n");
        true
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    fn begin<'l>(
        &mut self,
        timestamp: Timestamp,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
    ) -> RowFormat {
        let out = &mut self.out;
        match self.format {
            RowFormat::Ndjson => {
                out.push(b'{');
                write_key(out, "timestamp");
                write_string(out, timestamp.to_string().as_bytes());
                out.push(b',');
                write_key(out, "labels");
                write_labels(out, labels);
                out.push(b',');
            }
            RowFormat::Csv => {
                out.extend_from_slice(timestamp.to_string().as_bytes());
                out.push(b',');
                let mut json = Vec::new();
                write_labels(&mut json, labels);
                write_field(out, &String::from_utf8_lossy(&json));
                out.push(b',');
            }
        }
        self.format
    }
}

/// A field of CSV, between quotes where it needs them.
fn write_field(out: &mut Vec<u8>, text: &str) {
    if !text.contains([',', '"', '\n', '\r']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Timestamp = Timestamp::from_nanos(1_500_000_001);

    fn written(format: RowFormat) -> String {
        let mut writer = RowsWriter::new(format, RowKind::Line);
        writer.line(TIME, [("app", "a\"b")], b"plain");
        writer.line(TIME, [], b"with \"quotes\", a comma\nand \xff");
        writer.remark("warning", "careful");
        String::from_utf8(writer.finish()).expect("UTF-8")
    }

    #[test]
    fn ndjson_has_one_object_a_line() {
        assert_eq!(
            written(RowFormat::Ndjson),
            concat!(
                r#"{"timestamp":"1970-01-01T00:00:01.500000001Z","labels":{"app":"a\"b"},"line":"plain"}"#,
                "\n",
                r#"{"timestamp":"1970-01-01T00:00:01.500000001Z","labels":{},"line":"with \"quotes\", a comma\nand "#,
                "\u{fffd}\",\"lineBase64\":\"d2l0aCAicXVvdGVzIiwgYSBjb21tYQphbmQg/w==\"}\n",
                "{\"warning\":\"careful\"}\n",
            )
        );
    }

    #[test]
    fn csv_is_quoted_where_it_must_be() {
        assert_eq!(
            written(RowFormat::Csv),
            "timestamp,labels,line\r\n\
             1970-01-01T00:00:01.500000001Z,\"{\"\"app\"\":\"\"a\\\"\"b\"\"}\",plain\r\n\
             1970-01-01T00:00:01.500000001Z,{},\"with \"\"quotes\"\", a comma\nand \u{fffd}\"\r\n"
        );
    }

    #[test]
    fn values_are_written_as_prometheus_writes_them() {
        for (format, expected) in [
            (
                RowFormat::Ndjson,
                "{\"timestamp\":\"1970-01-01T00:00:00Z\",\"labels\":{},\"value\":\"+Inf\"}\n",
            ),
            (RowFormat::Csv, "timestamp,labels,value\r\n1970-01-01T00:00:00Z,{},+Inf\r\n"),
        ] {
            let mut writer = RowsWriter::new(format, RowKind::Value);
            writer.point(Timestamp::from_nanos(0), [], f64::INFINITY);
            assert_eq!(String::from_utf8(writer.finish()).expect("UTF-8"), expected);
        }
    }

    #[test]
    fn the_format_is_what_the_client_accepts() {
        for (header, expected) in [
            ("application/x-ndjson", Some(RowFormat::Ndjson)),
            ("text/csv; charset=utf-8, */*", Some(RowFormat::Csv)),
            ("application/json, text/plain, */*", None),
            ("", None),
        ] {
            assert_eq!(RowFormat::from_accept(header), expected, "{header}");
        }
    }
}
