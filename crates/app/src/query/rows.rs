//! Reads all lines of a query as rows of NDJSON, one at a time, however many there are.

use std::io::{BufRead, BufReader, Read};

use serde_json::{Map, Value};
use timberyard_model::Timestamp;
use timberyard_wire::loki_query_json::decode_line;

use super::answer::Point;
use crate::show::{ShownLine, selector};

/// The longest row that is read, in bytes.
const ROW_BYTES_MAX: u64 = 64 << 20;

/// One row.
#[derive(Debug, PartialEq)]
pub(super) enum Row {
    /// A log line.
    Line(ShownLine),
    /// A value of a series.
    Point(Point),
    /// Something the server remarks.
    Warning(String),
    /// Why the answer ends before its end.
    Error(String),
}

/// The rows of a body.
pub(super) struct Rows<R> {
    body: BufReader<R>,
    text: Vec<u8>,
}

impl<R: Read> Rows<R> {
    /// Reads rows from a body.
    pub(super) fn new(body: R) -> Self {
        Self { body: BufReader::with_capacity(1 << 16, body), text: Vec::new() }
    }

    /// The next row, or what is wrong with it; `None` at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<Row>, String> {
        self.text.clear();
        let read = (&mut self.body).take(ROW_BYTES_MAX).read_until(b'\n', &mut self.text);
        if read.map_err(|error| format!("the answer broke off: {error}"))? == 0 {
            return Ok(None);
        }
        if !self.text.ends_with(b"\n") {
            return Err("the answer broke off within a row".to_owned());
        }
        let row =
            serde_json::from_slice(&self.text).map_err(|error| format!("a row is not JSON: {error}"))?;
        self::row(row).map(Some).ok_or_else(|| {
            "a row is neither {\"timestamp\":…,\"labels\":{…},\"line\":…} nor a remark".to_owned()
        })
    }
}

fn row(mut row: Map<String, Value>) -> Option<Row> {
    if let Some(message) = row.get("error").and_then(Value::as_str) {
        return Some(Row::Error(message.to_owned()));
    }
    if let Some(message) = row.get("warning").and_then(Value::as_str) {
        return Some(Row::Warning(message.to_owned()));
    }
    let time = row.get("timestamp")?.as_str()?.to_owned();
    let Value::Object(labels) = row.remove("labels")? else { return None };
    if let Some(value) = row.get("value") {
        let value = value.as_str()?.to_owned();
        return Some(Row::Point(Point {
            time,
            series: selector(&labels),
            labels: Value::Object(labels),
            value,
        }));
    }
    let Value::String(text) = row.remove("line")? else { return None };
    let bytes = match row.get("lineBase64") {
        Some(bytes) => Some(decode_line(bytes.as_str()?)?),
        None => None,
    };
    let timestamp = Timestamp::parse_rfc3339(&time).ok()?;
    Some(Row::Line(ShownLine { timestamp, labels, text, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_one_by_one() {
        let body = concat!(
            r#"{"timestamp":"1970-01-01T00:00:00.000000007Z","labels":{"a":"b"},"line":"x","lineBase64":"/w=="}"#,
            "\n",
            r#"{"timestamp":"1970-01-01T00:00:01Z","labels":{"a":"b"},"value":"NaN"}"#,
            "\n",
            "{\"warning\":\"careful\"}\n{\"error\":\"no more\"}\n{\"broken",
        );
        let mut rows = Rows::new(body.as_bytes());
        let Ok(Some(Row::Line(line))) = rows.next_row() else { panic!("not a line") };
        assert_eq!((line.timestamp.as_nanos(), line.bytes.as_deref()), (7, Some(&b"\xff"[..])));
        let Ok(Some(Row::Point(point))) = rows.next_row() else { panic!("not a point") };
        assert_eq!((point.series.as_str(), point.value.as_str()), ("{a=\"b\"}", "NaN"));
        assert_eq!(rows.next_row(), Ok(Some(Row::Warning("careful".to_owned()))));
        assert_eq!(rows.next_row(), Ok(Some(Row::Error("no more".to_owned()))));
        assert!(rows.next_row().expect_err("half a row").contains("broke off"));
        assert_eq!(rows.next_row(), Ok(None));
        for bad in ["[]\n", "{}\n", "{\"timestamp\":\"noon\",\"labels\":{},\"line\":\"\"}\n"] {
            assert!(Rows::new(bad.as_bytes()).next_row().is_err(), "{bad}");
        }
    }
}
