//! A line as a row of Timberyard's table in ClickHouse, as somebody writes it who knows the table and nothing else of ours.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::generator::Line;

/// A stream as the table has it.
pub(crate) struct Stream {
    pub(crate) service: String,
    number: u64,
    labels: BTreeMap<String, String>,
}

impl Stream {
    pub(crate) fn new(number: usize, labels: &[(String, String)]) -> Self {
        let named = |names: &[&str]| {
            labels.iter().find(|(name, _)| names.contains(&name.as_str())).map(|(_, value)| value.clone())
        };
        let service = named(&["app", "job"]).unwrap_or_default();
        let mut labels: BTreeMap<String, String> = labels.iter().cloned().collect();
        labels.insert("service_name".to_owned(), service.clone());
        Self { service, number: number as u64, labels }
    }
}

/// A row for `FORMAT JSONEachRow`; columns that it does not name are empty.
#[derive(Serialize)]
struct JsonRow<'r> {
    tenant: &'static str,
    service: &'r str,
    time: String,
    sequence: u64,
    entry: u64,
    stream: u64,
    labels: &'r BTreeMap<String, String>,
    line: &'r str,
}

/// Appends a row as JSON, without a line feed.
pub(crate) fn put_json(out: &mut Vec<u8>, number: u64, stream: &Stream, line: &Line) -> Result<(), String> {
    let (seconds, nanos) = (line.timestamp_ns / 1_000_000_000, line.timestamp_ns % 1_000_000_000);
    let row = JsonRow {
        tenant: "default",
        service: &stream.service,
        time: format!("{seconds}.{nanos:09}"),
        sequence: number,
        entry: number,
        stream: stream.number,
        labels: &stream.labels,
        line: &line.text,
    };
    serde_json::to_writer(out, &row).map_err(|e| e.to_string())
}

/// The columns that [`put_binary`] writes.
pub(crate) const BINARY_COLUMNS: &str = "tenant, service, time, sequence, entry, stream, labels, line";

/// Appends a row as `RowBinary`.
pub(crate) fn put_binary(out: &mut Vec<u8>, number: u64, stream: &Stream, line: &Line) {
    put_text(out, "default");
    put_text(out, &stream.service);
    out.extend_from_slice(&line.timestamp_ns.to_le_bytes());
    for value in [number, number, stream.number] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    put_length(out, stream.labels.len());
    for (name, value) in &stream.labels {
        put_text(out, name);
        put_text(out, value);
    }
    put_text(out, &line.text);
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}
