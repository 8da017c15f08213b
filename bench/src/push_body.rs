//! Bodies as senders write them: Loki's push in protobuf and JSON, OTLP in protobuf and JSON, and the JSON of the
//! five systems whose senders Timberyard takes as they are.

use serde_json::{Map, Value, json};

use crate::generator::{Line, StreamLabels};

/// `logproto.PushRequest`, not compressed.
pub(crate) fn loki_protobuf(labels: &[String], lines: &[Line]) -> Vec<u8> {
    let mut body = Vec::new();
    for (labels, lines) in by_stream(labels, lines) {
        let mut stream = Vec::new();
        field(&mut stream, 1, labels.as_bytes());
        for line in lines {
            let mut time = Vec::new();
            number(&mut time, 1, (line.timestamp_ns / 1_000_000_000).cast_unsigned());
            number(&mut time, 2, (line.timestamp_ns % 1_000_000_000).cast_unsigned());
            let mut entry = Vec::new();
            field(&mut entry, 1, &time);
            field(&mut entry, 2, line.text.as_bytes());
            field(&mut stream, 2, &entry);
        }
        field(&mut body, 1, &stream);
    }
    body
}

/// A snappy block, as Loki's protobuf push has it.
pub(crate) fn snappy(body: &[u8]) -> Result<Vec<u8>, String> {
    snap::raw::Encoder::new().compress_vec(body).map_err(|e| e.to_string())
}

/// Loki's push in JSON.
pub(crate) fn loki_json(streams: &[StreamLabels], lines: &[Line]) -> Vec<u8> {
    let streams: Vec<Value> = by_stream(streams, lines)
        .map(|(labels, lines)| {
            let values: Vec<Value> =
                lines.iter().map(|line| json!([line.timestamp_ns.to_string(), line.text])).collect();
            json!({ "stream": label_map(labels), "values": values })
        })
        .collect();
    json!({ "streams": streams }).to_string().into_bytes()
}

/// OTLP's `ExportLogsServiceRequest` in protobuf.
pub(crate) fn otlp_protobuf(streams: &[StreamLabels], lines: &[Line]) -> Vec<u8> {
    let mut body = Vec::new();
    for (labels, lines) in by_stream(streams, lines) {
        let mut resource = Vec::new();
        for (name, value) in labels {
            field(&mut resource, 1, &otlp_attribute(name, value));
        }
        let mut scope = Vec::new();
        for line in lines {
            let mut record = Vec::new();
            fixed64(&mut record, 1, line.timestamp_ns.cast_unsigned());
            number(&mut record, 2, 9);
            field(&mut record, 3, b"INFO");
            let mut text = Vec::new();
            field(&mut text, 1, line.text.as_bytes());
            field(&mut record, 5, &text);
            fixed64(&mut record, 11, line.timestamp_ns.cast_unsigned());
            field(&mut scope, 2, &record);
        }
        let mut resource_logs = Vec::new();
        field(&mut resource_logs, 1, &resource);
        field(&mut resource_logs, 2, &scope);
        field(&mut body, 1, &resource_logs);
    }
    body
}

/// OTLP's `ExportLogsServiceRequest` in JSON.
pub(crate) fn otlp_json(streams: &[StreamLabels], lines: &[Line]) -> Vec<u8> {
    let resource_logs: Vec<Value> = by_stream(streams, lines)
        .map(|(labels, lines)| {
            let attributes: Vec<Value> = labels
                .iter()
                .map(|(name, value)| json!({ "key": name, "value": { "stringValue": value } }))
                .collect();
            let records: Vec<Value> = lines
                .iter()
                .map(|line| {
                    let time = line.timestamp_ns.to_string();
                    json!({
                        "timeUnixNano": time, "observedTimeUnixNano": time, "severityNumber": 9,
                        "severityText": "INFO", "body": { "stringValue": line.text },
                    })
                })
                .collect();
            json!({ "resource": { "attributes": attributes }, "scopeLogs": [{ "logRecords": records }] })
        })
        .collect();
    json!({ "resourceLogs": resource_logs }).to_string().into_bytes()
}

/// One JSON object a line, with the names that a system gives to text, time, level and service.
pub(crate) fn objects(
    streams: &[StreamLabels],
    lines: &[Line],
    object: impl Fn(&str, &Line, String) -> Value,
) -> Vec<Value> {
    lines
        .iter()
        .map(|line| {
            let service = streams[line.stream]
                .iter()
                .find(|(name, _)| matches!(*name, "app" | "job"))
                .map_or("service", |(_, value)| value.as_str());
            object(service, line, rfc3339(line.timestamp_ns))
        })
        .collect()
}

/// RFC 3339 with milliseconds; the generator's lines are all of one day.
fn rfc3339(timestamp_ns: i64) -> String {
    let ms = (timestamp_ns - crate::generator::START_NS) / 1_000_000;
    let s = ms / 1000;
    format!("2026-11-01T{:02}:{:02}:{:02}.{:03}Z", s / 3600, s / 60 % 60, s % 60, ms % 1000)
}

fn by_stream<'a, L>(labels: &'a [L], lines: &'a [Line]) -> impl Iterator<Item = (&'a L, Vec<&'a Line>)> {
    let mut sorted: Vec<Vec<&Line>> = vec![Vec::new(); labels.len()];
    for line in lines {
        sorted[line.stream].push(line);
    }
    labels.iter().zip(sorted).filter(|(_, lines)| !lines.is_empty())
}

fn label_map(labels: &StreamLabels) -> Map<String, Value> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect()
}

fn otlp_attribute(name: &str, value: &str) -> Vec<u8> {
    let mut any = Vec::new();
    field(&mut any, 1, value.as_bytes());
    let mut attribute = Vec::new();
    field(&mut attribute, 1, name.as_bytes());
    field(&mut attribute, 2, &any);
    attribute
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(out: &mut Vec<u8>, tag: u64, value: u64) {
    varint(out, tag << 3);
    varint(out, value);
}

fn fixed64(out: &mut Vec<u8>, tag: u64, value: u64) {
    varint(out, tag << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn field(out: &mut Vec<u8>, tag: u64, bytes: &[u8]) {
    varint(out, tag << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
