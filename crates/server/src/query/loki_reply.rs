//! Hands results of queries to the writers of Loki's JSON, and counts the lines they have to mend.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use timberyard_logql::{QueryResult, QueryStatistics, QueryValue, Streams};
use timberyard_model::Timestamp;
use timberyard_wire::loki_query_json::{
    ENCODING_FLAGS_HEADER, LabelEncoding, MatrixAnswer, StreamsAnswer, StreamsWriter, VectorAnswer,
    scalar_answer, wants_exact_lines,
};
use timberyard_wire::loki_query_stats::QueryStats;
use timberyard_wire::loki_tail::{MissedEntries, TailFrame};

use crate::state::ServerState;

/// How a client wants its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplyForm {
    encoding: LabelEncoding,
    exact_lines: bool,
}

impl ReplyForm {
    /// As the headers say.
    pub(super) fn new(headers: &HeaderMap) -> Self {
        let flags = encoding_flags(headers);
        Self { encoding: LabelEncoding::from_flags(flags), exact_lines: wants_exact_lines(flags) }
    }
}

/// How a client wants the labels of lines.
pub(super) fn label_encoding(headers: &HeaderMap) -> LabelEncoding {
    LabelEncoding::from_flags(encoding_flags(headers))
}

fn encoding_flags(headers: &HeaderMap) -> &str {
    headers.get(ENCODING_FLAGS_HEADER).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// A body of JSON under Loki's content type.
pub(super) fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], body).into_response()
}

/// The answer to a query that took so long, with where it goes on for who asked for that.
pub(super) fn query_response(
    state: &ServerState,
    result: &QueryResult,
    form: ReplyForm,
    next_cursor: Option<Option<&str>>,
    took: Duration,
) -> Response {
    let statistics = statistics(&result.statistics, took);
    let warnings = &result.warnings;
    json(match &result.value {
        QueryValue::Streams(streams) => {
            let mut answer =
                StreamsAnswer::new(form.encoding, warnings, next_cursor).with_exact_lines(form.exact_lines);
            write_streams(state, answer.streams(), streams, form.encoding);
            answer.finish(&statistics)
        }
        QueryValue::Matrix(series) => {
            let mut answer = MatrixAnswer::new(warnings);
            for one in series {
                answer
                    .series(one.labels.iter(), one.points.iter().map(|point| (point.timestamp, point.value)));
            }
            answer.finish(&statistics)
        }
        QueryValue::Vector(samples) => {
            let mut answer = VectorAnswer::new(warnings);
            for sample in samples {
                answer.sample(sample.labels.iter(), sample.point.timestamp, sample.point.value);
            }
            answer.finish(&statistics)
        }
        QueryValue::Scalar { timestamp, value } => scalar_answer(*timestamp, *value, warnings, &statistics),
    })
}

/// One message of a tail: lines, how many were missed before them at `now`, and where it can be taken up again.
pub(super) fn tail_message(
    state: &ServerState,
    streams: &Streams,
    encoding: LabelEncoding,
    missed: u64,
    now: Timestamp,
    cursor: Option<&str>,
) -> String {
    let mut frame = TailFrame::new(encoding);
    write_streams(state, frame.streams(), streams, encoding);
    let frame = frame.finish(Some(MissedEntries { count: missed, noticed_at: now }), cursor);
    // The writers make valid UTF-8; this only moves it.
    String::from_utf8(frame).unwrap_or_else(|broken| String::from_utf8_lossy(broken.as_bytes()).into_owned())
}

fn write_streams(state: &ServerState, out: &mut StreamsWriter, streams: &Streams, encoding: LabelEncoding) {
    let mut mended = 0;
    let mut write = |out: &mut StreamsWriter, entry: &timberyard_logql::result::Entry| {
        mended += u64::from(std::str::from_utf8(&entry.line).is_err());
        out.entry(entry.timestamp, &entry.line, entry.metadata.iter(), entry.parsed.iter());
    };
    match encoding {
        LabelEncoding::Merged => {
            for (labels, entries) in streams.by_all_labels() {
                out.stream(labels.iter());
                entries.into_iter().for_each(|entry| write(out, entry));
            }
        }
        LabelEncoding::Categorized => {
            for stream in &streams.streams {
                out.stream(stream.stream.iter());
                stream.entries.iter().for_each(|entry| write(out, entry));
            }
        }
    }
    state.metrics.count_replaced_utf8(mended);
}

fn statistics(statistics: &QueryStatistics, took: Duration) -> QueryStats {
    QueryStats {
        execution_seconds: took.as_secs_f64(),
        queue_seconds: 0.0,
        bytes_processed: statistics.bytes_processed,
        lines_processed: statistics.rows_processed,
        entries_returned: statistics.entries_returned,
        scan: statistics.scan,
    }
}
