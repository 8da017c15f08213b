//! Rows and queries as text, and answers as text to compare.

use timberyard_logql::{Engine, QueryError, QueryRequest, QueryResult, QueryValue};
use timberyard_model::Timestamp;
use timberyard_model::limits::QueryLimits;
use timberyard_testkit::memory_source::{Entry, MemorySource};
pub(crate) use timberyard_testkit::random_logql::{labels, range_request, request, second};

/// Rows of the form `10 app=a env=x | the line | trace=t1`, metadata being optional.
pub(crate) fn source(rows: &[&str]) -> MemorySource {
    let source = MemorySource::default().with_block_rows(3);
    for row in rows {
        let mut parts = row.split(" | ");
        let (seconds, stream) = parts.next().expect("a head").split_once(' ').expect("time and stream");
        let line = parts.next().expect("a line");
        let metadata: Vec<(&str, &[u8])> = parts
            .next()
            .unwrap_or("")
            .split_whitespace()
            .map(|pair| pair.split_once('=').expect("name=value"))
            .map(|(name, value)| (name, value.as_bytes()))
            .collect();
        source.push(&labels(stream), second(seconds.parse().expect("a number")), line.as_bytes(), &metadata);
    }
    source
}

pub(crate) fn run(source: &MemorySource, request: &QueryRequest) -> Result<QueryResult, QueryError> {
    Engine::new(QueryLimits::default()).run(source, request)
}

/// An answer as text, one line a series or log line.
pub(crate) fn shown(value: &QueryValue) -> Vec<String> {
    let seconds = |time: Timestamp| time.as_nanos() as f64 / 1e9;
    match value {
        QueryValue::Streams(streams) => streams
            .by_all_labels()
            .iter()
            .flat_map(|(labels, entries)| {
                entries.iter().map(move |entry| {
                    let line = String::from_utf8_lossy(&entry.line);
                    format!("{labels} {} {line}", seconds(entry.timestamp))
                })
            })
            .collect(),
        QueryValue::Matrix(series) => series
            .iter()
            .map(|series| {
                let points = series.points.iter().map(|p| format!(" {}:{}", seconds(p.timestamp), p.value));
                format!("{}{}", series.labels, points.collect::<String>())
            })
            .collect(),
        QueryValue::Vector(samples) => {
            samples.iter().map(|sample| format!("{} {}", sample.labels, sample.point.value)).collect()
        }
        QueryValue::Scalar { value, .. } => vec![value.to_string()],
    }
}

/// Checks the answer at steps from `start` to `end`.
#[track_caller]
pub(crate) fn check_range(source: &MemorySource, query: &str, steps: (i64, i64, i64), expected: &[&str]) {
    let answer = run(source, &range_request(query, steps.0, steps.1, steps.2)).expect(query);
    assert_eq!(shown(&answer.value), expected, "{query}");
}

/// Checks the answer at one second.
#[track_caller]
pub(crate) fn check_instant(source: &MemorySource, query: &str, at: i64, expected: &[&str]) {
    let answer = run(source, &range_request(query, at, at, 0)).expect(query);
    assert_eq!(shown(&answer.value), expected, "{query}");
}

/// Checks that there is no answer but this error.
#[track_caller]
pub(crate) fn check_error(source: &MemorySource, query: &str, expected: &str) {
    let error = run(source, &range_request(query, 100, 100, 0)).expect_err(query).to_string();
    assert!(error.contains(expected), "{query}: {error}");
}

/// An entry as a failed comparison shows it.
pub(crate) fn shown_entry(entry: &Entry) -> String {
    let line = entry.line.escape_ascii();
    format!("{} {} {:?} {line}\n", entry.timestamp.as_nanos() / 1_000_000, entry.labels, entry.metadata)
}
