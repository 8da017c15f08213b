//! Results of queries as Loki's JSON.
//!
//! Lines may be any bytes; what is not UTF-8 in them is shown as U+FFFD and counted.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use timberyard_logql::result::{Entry, Point, Sample, Series};
use timberyard_logql::{QueryResult, QueryStatistics, QueryValue, Streams};
use timberyard_model::{Labels, Timestamp};
use timberyard_wire::json_text::{write_integer, write_key, write_string};

use crate::state::ServerState;

/// How a client wants the labels of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabelForm {
    /// All in one set.
    Joined,
    /// Stream labels, structured metadata and parsed labels apart (`categorize-labels`).
    Categorized,
}

impl LabelForm {
    /// From `X-Loki-Response-Encoding-Flags`.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all("x-loki-response-encoding-flags").iter();
        let mut flags = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
        match flags.any(|flag| flag.trim() == "categorize-labels") {
            true => Self::Categorized,
            false => Self::Joined,
        }
    }
}

/// The answer to a query that took so long.
pub(super) fn query_response(
    state: &ServerState,
    result: &QueryResult,
    form: LabelForm,
    took: Duration,
) -> Response {
    let mut out = Vec::with_capacity(4096);
    out.extend_from_slice(br#"{"status":"success","data":{"resultType":""#);
    out.extend_from_slice(type_name(&result.value).as_bytes());
    out.push(b'"');
    if form == LabelForm::Categorized {
        out.extend_from_slice(br#","encodingFlags":["categorize-labels"]"#);
    }
    out.extend_from_slice(br#","result":"#);
    let replaced = write_value(&mut out, &result.value, form);
    out.extend_from_slice(br#","stats":"#);
    out.extend_from_slice(statistics(&result.statistics, took).to_string().as_bytes());
    out.push(b'}');
    if !result.warnings.is_empty() {
        out.extend_from_slice(br#","warnings":"#);
        out.extend_from_slice(Value::from(result.warnings.clone()).to_string().as_bytes());
    }
    out.push(b'}');
    state.metrics.count_replaced_utf8(replaced);
    ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], out).into_response()
}

/// One message of a tail: lines, and how many were missed before them at `now`.
pub(super) fn tail_message(streams: &Streams, form: LabelForm, missed: u64, now: Timestamp) -> (String, u64) {
    let mut out = br#"{"streams":"#.to_vec();
    let replaced = write_streams(&mut out, streams, form);
    if form == LabelForm::Categorized {
        out.extend_from_slice(br#","encodingFlags":["categorize-labels"]"#);
    }
    if missed > 0 {
        // Loki lists each dropped line; which ones they were is not known here, only how many.
        out.extend_from_slice(br#","dropped_entries":[{"timestamp":""#);
        write_integer(&mut out, now.as_nanos());
        out.extend_from_slice(br#"","labels":{"__dropped_lines__":""#);
        out.extend_from_slice(missed.to_string().as_bytes());
        out.extend_from_slice(br#""}}]"#);
    }
    out.push(b'}');
    // Everything above writes UTF-8; nothing is replaced here.
    (String::from_utf8_lossy(&out).into_owned(), replaced)
}

/// A label set as an object.
pub(super) fn write_labels(out: &mut Vec<u8>, labels: &Labels) {
    write_list(out, b"{}", labels.iter(), |out, (name, value)| {
        write_key(out, name);
        write_string(out, value.as_bytes());
    });
}

/// Writes items with commas between two brackets.
pub(super) fn write_list<T>(
    out: &mut Vec<u8>,
    brackets: &[u8; 2],
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(brackets[0]);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(brackets[1]);
}

fn type_name(value: &QueryValue) -> &'static str {
    match value {
        QueryValue::Streams(_) => "streams",
        QueryValue::Matrix(_) => "matrix",
        QueryValue::Vector(_) => "vector",
        QueryValue::Scalar { .. } => "scalar",
    }
}

/// Returns in how many lines bytes were replaced.
fn write_value(out: &mut Vec<u8>, value: &QueryValue, form: LabelForm) -> u64 {
    match value {
        QueryValue::Streams(streams) => return write_streams(out, streams, form),
        QueryValue::Matrix(series) => write_list(out, b"[]", series, write_series),
        QueryValue::Vector(samples) => write_list(out, b"[]", samples, write_sample),
        QueryValue::Scalar { timestamp, value } => {
            write_point(out, &Point { timestamp: *timestamp, value: *value });
        }
    }
    0
}

fn write_series(out: &mut Vec<u8>, series: &Series) {
    out.extend_from_slice(br#"{"metric":"#);
    write_labels(out, &series.labels);
    out.extend_from_slice(br#","values":"#);
    write_list(out, b"[]", &series.points, write_point);
    out.push(b'}');
}

fn write_sample(out: &mut Vec<u8>, sample: &Sample) {
    out.extend_from_slice(br#"{"metric":"#);
    write_labels(out, &sample.labels);
    out.extend_from_slice(br#","value":"#);
    write_point(out, &sample.point);
    out.push(b'}');
}

/// `[seconds, "value"]`, seconds with as many digits as the milliseconds need.
fn write_point(out: &mut Vec<u8>, point: &Point) {
    let millis = point.timestamp.as_millis();
    out.push(b'[');
    write_integer(out, millis.div_euclid(1000));
    let rest = millis.rem_euclid(1000);
    if rest > 0 {
        out.extend_from_slice(format!(".{rest:03}").trim_end_matches('0').as_bytes());
    }
    out.extend_from_slice(b",\"");
    out.extend_from_slice(sample_text(point.value).as_bytes());
    out.extend_from_slice(b"\"]");
}

/// A number as Prometheus writes it: the fewest digits that give it back, never an exponent.
fn sample_text(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    value.to_string()
}

fn write_streams(out: &mut Vec<u8>, streams: &Streams, form: LabelForm) -> u64 {
    let mut replaced = 0;
    match form {
        LabelForm::Joined => write_list(out, b"[]", streams.by_all_labels(), |out, (labels, entries)| {
            write_stream(out, &labels, entries, |out, entry| replaced += write_entry(out, entry, form));
        }),
        LabelForm::Categorized => write_list(out, b"[]", &streams.streams, |out, stream| {
            write_stream(out, &stream.stream, &stream.entries, |out, entry| {
                replaced += write_entry(out, entry, form);
            });
        }),
    }
    replaced
}

fn write_stream<T>(
    out: &mut Vec<u8>,
    labels: &Labels,
    entries: impl IntoIterator<Item = T>,
    write: impl FnMut(&mut Vec<u8>, T),
) {
    out.extend_from_slice(br#"{"stream":"#);
    write_labels(out, labels);
    out.extend_from_slice(br#","values":"#);
    write_list(out, b"[]", entries, write);
    out.push(b'}');
}

/// Returns 1 when bytes of the line were replaced.
fn write_entry(out: &mut Vec<u8>, entry: &Entry, form: LabelForm) -> u64 {
    out.extend_from_slice(b"[\"");
    write_integer(out, entry.timestamp.as_nanos());
    out.extend_from_slice(b"\",");
    write_string(out, &entry.line);
    if form == LabelForm::Categorized {
        out.push(b',');
        let categories = [("structuredMetadata", &entry.metadata), ("parsed", &entry.parsed)];
        let categories = categories.into_iter().filter(|(_, labels)| !labels.is_empty());
        write_list(out, b"{}", categories, |out, (name, labels)| {
            write_key(out, name);
            write_labels(out, labels);
        });
    }
    out.push(b']');
    u64::from(std::str::from_utf8(&entry.line).is_err())
}

/// What a query cost, under Loki's names. A segment stands for a chunk.
pub(super) fn statistics(statistics: &QueryStatistics, took: Duration) -> Value {
    let scan = &statistics.scan;
    let seconds = took.as_secs_f64();
    let per_second = |amount: u64| (amount as f64 / seconds.max(1e-9)) as u64;
    let store = json!({
        "totalChunksRef": scan.segments_total,
        "totalChunksDownloaded": scan.segments_read,
        "chunksDownloadTime": 0,
        "queryReferencedStructuredMetadata": false,
        "chunk": {
            "headChunkBytes": 0,
            "headChunkLines": 0,
            "decompressedBytes": scan.decompressed_bytes,
            "decompressedLines": scan.rows_scanned,
            "compressedBytes": scan.compressed_bytes,
            "totalDuplicates": 0,
            "postFilterLines": scan.rows_matched,
        },
    });
    let cache = json!({
        "entriesFound": 0, "entriesRequested": 0, "entriesStored": 0,
        "bytesReceived": 0, "bytesSent": 0, "requests": 0, "downloadTime": 0,
    });
    json!({
        "summary": {
            "bytesProcessedPerSecond": per_second(statistics.bytes_processed),
            "linesProcessedPerSecond": per_second(statistics.rows_processed),
            "totalBytesProcessed": statistics.bytes_processed,
            "totalLinesProcessed": statistics.rows_processed,
            "execTime": seconds,
            "queueTime": 0.0,
            "subqueries": 0,
            "totalEntriesReturned": statistics.entries_returned,
            "splits": 0,
            "shards": 0,
            "totalPostFilterLines": scan.rows_matched,
            "totalStructuredMetadataBytesProcessed": 0,
        },
        "querier": { "store": store },
        "ingester": {
            "totalReached": 0,
            "totalChunksMatched": 0,
            "totalBatches": 0,
            "totalLinesSent": 0,
            "store": { "totalChunksRef": 0, "totalChunksDownloaded": 0, "chunksDownloadTime": 0, "chunk": {} },
        },
        "cache": { "chunk": cache, "index": cache, "result": cache },
        "index": {
            "totalChunks": scan.segments_total,
            "postFilterChunks": scan.segments_read,
            "shardsDuration": 0,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_written_as_prometheus_writes_them() {
        for (millis, value, expected) in [
            (1_793_494_800_000, 0.1, r#"[1793494800,"0.1"]"#),
            (1_793_494_799_990, 1e22, r#"[1793494799.99,"10000000000000000000000"]"#),
            (1, f64::INFINITY, r#"[0.001,"+Inf"]"#),
            (0, f64::NEG_INFINITY, r#"[0,"-Inf"]"#),
            (0, f64::NAN, r#"[0,"NaN"]"#),
        ] {
            let mut out = Vec::new();
            let timestamp = Timestamp::from_millis(millis).expect("in range");
            write_point(&mut out, &Point { timestamp, value });
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
