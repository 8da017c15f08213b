//! `GET /query`, `/labels` and `/labels/{name}/values`: LogPulse's way out.

use std::time::Instant;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Map, Value, json};
use timberyard_logql::result::{QueryStatistics, Series};
use timberyard_logql::syntax::ast::Expression;
use timberyard_logql::syntax::parse;
use timberyard_logql::{QueryExtras, QueryRequest, QueryValue, Streams};
use timberyard_model::label_values::LabelQuestion;
use timberyard_model::scan::{Direction, SeriesRequest};
use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_model::{Cancellation, Labels, Timestamp};
use timberyard_wire::logpulse::{Log, LogIds};

use super::json_answer::json_text;
use super::plain_parameters::{inclusive_range, number, present, time};
use super::run;
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::state::SharedState;

const LIMIT_DEFAULT: usize = 100;
/// Nanoseconds before now at which a query starts when nothing is said.
const SINCE_DEFAULT_NANOS: i64 = 3600 * NANOS_PER_SECOND;
/// Points of a series when no step is given.
const POINTS_DEFAULT: i64 = 100;

/// Runs a LogQL query: `logs`, the newest first, or an `aggregation`; with `stats` in both cases.
pub async fn query(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let started = Instant::now();
    let text = present(&form, "query").ok_or_else(|| {
        ErrorResponse::bad_request("invalid_query", "query is required: a LogQL expression")
    })?;
    let limits = &identity.limits.query;
    let expression = parse(text, limits)
        .map_err(|error| ErrorResponse::bad_request("invalid_query", error.to_string()))?;
    let now = state.now();
    let start = time(&form, "start")?.unwrap_or(now.saturating_add_nanos(-SINCE_DEFAULT_NANOS));
    let end = time(&form, "end")?.unwrap_or(now);
    if end < start {
        return Err(ErrorResponse::bad_request("invalid_end", "end must not be before start"));
    }
    let request = QueryRequest {
        tenant: identity.tenant.clone(),
        expression,
        start,
        end,
        step_ns: 0,
        interval_ns: 0,
        limit: number(&form, "limit", LIMIT_DEFAULT, 1..=limits.entries_max)?,
        direction: Direction::Backward,
        extras: QueryExtras::default(),
        now,
        cancellation: Cancellation::default(),
    };
    if matches!(request.expression, Expression::Logs(_)) {
        // LogPulse's end is part of the range.
        let end = end.saturating_add_nanos(1);
        let request = QueryRequest { end, step_ns: NANOS_PER_SECOND, ..request };
        let answer = run::answer(&state, &identity, request, move |state, result| {
            let QueryValue::Streams(streams) = &result.value else { return Err(unexpected()) };
            let lines = streams.streams.iter().flat_map(|stream| &stream.entries);
            let replaced = lines.filter(|entry| std::str::from_utf8(&entry.line).is_err()).count();
            state.metrics.count_replaced_utf8(replaced as u64);
            Ok(logs_answer(streams, &result.statistics, started))
        });
        return answer.await?.map(json_text);
    }
    let step_ns = step(&form, start, end)?;
    let series = run::query(&state, &identity, QueryRequest { step_ns, ..request.clone() }).await?;
    let now_alone = run::query(&state, &identity, request.clone()).await?;
    let aggregation = aggregation(&request.expression, &series.value, now_alone.value);
    let answer = json!({
        "logs": [],
        "stats": statistics(&series.statistics, series.statistics.scan.rows_matched, started),
        "aggregation": aggregation,
    });
    Ok(json_text(answer.to_string().into_bytes()))
}

/// Nanoseconds between the points of a series.
fn step(form: &Form, start: Timestamp, end: Timestamp) -> Result<i64, ErrorResponse> {
    let span = end.as_nanos().saturating_sub(start.as_nanos());
    let Some(text) = present(form, "step") else {
        return Ok((span / POINTS_DEFAULT / NANOS_PER_SECOND).max(1).saturating_mul(NANOS_PER_SECOND));
    };
    let step = timberyard_logql::quantity::duration::parse_prometheus(text).ok().filter(|step| *step > 0);
    step.ok_or_else(|| {
        ErrorResponse::bad_request("invalid_step", "step must be a duration such as 30s or 5m")
    })
}

fn logs_answer(streams: &Streams, cost: &QueryStatistics, started: Instant) -> Vec<u8> {
    let mut entries: Vec<(&Labels, &timberyard_logql::result::Entry)> = streams
        .streams
        .iter()
        .flat_map(|stream| stream.entries.iter().map(|entry| (&stream.stream, entry)))
        .collect();
    entries.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.timestamp));
    let mut ids = LogIds::default();
    let mut out = br#"{"logs":["#.to_vec();
    for (index, (stream, entry)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let log = Log {
            id: ids.id(stream, entry.timestamp, &entry.line),
            timestamp: entry.timestamp,
            message: &entry.line,
            labels: entry.labels(stream),
        };
        log.write(&mut out);
    }
    let matched = cost.scan.rows_matched.max(cost.entries_returned);
    let stats = statistics(cost, matched, started);
    out.extend_from_slice(format!(r#"],"stats":{stats}}}"#).as_bytes());
    out
}

fn statistics(cost: &QueryStatistics, matched: u64, started: Instant) -> Value {
    let milliseconds = started.elapsed().as_micros() as f64 / 1000.0;
    json!({
        "queriedChunks": cost.scan.segments_read,
        "scannedLines": cost.scan.rows_scanned,
        "matchedLines": matched,
        "executionTime": milliseconds,
    })
}

/// `groups`: each series and its value at the end. `value`: their sum. `series`: their sum at each step.
fn aggregation(expression: &Expression, over_time: &QueryValue, at_end: QueryValue) -> Value {
    let series = match over_time {
        QueryValue::Matrix(series) => summed(series),
        _ => Vec::new(),
    };
    let groups: Vec<(Labels, f64)> = match at_end {
        QueryValue::Vector(samples) => {
            samples.into_iter().map(|sample| (sample.labels, sample.point.value)).collect()
        }
        QueryValue::Scalar { value, .. } => vec![(Labels::default(), value)],
        _ => Vec::new(),
    };
    let value: f64 = groups.iter().map(|(_, value)| value).sum();
    let groups: Vec<Value> = groups
        .iter()
        .map(|(labels, value)| {
            let labels: Map<String, Value> =
                labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            json!({ "labels": labels, "value": value })
        })
        .collect();
    let series: Vec<Value> = series
        .iter()
        .map(|(timestamp, value)| json!({ "timestamp": timestamp.to_string(), "value": value }))
        .collect();
    json!({ "type": kind_of(expression), "value": value, "series": series, "groups": groups })
}

/// The series added up, step by step.
fn summed(series: &[Series]) -> Vec<(Timestamp, f64)> {
    let mut sums = std::collections::BTreeMap::new();
    for point in series.iter().flat_map(|series| &series.points) {
        *sums.entry(point.timestamp).or_insert(0.0) += point.value;
    }
    sums.into_iter().collect()
}

/// The name of the outermost function or operator: the first word of the query as it is printed.
fn kind_of(expression: &Expression) -> String {
    let printed = expression.to_string();
    let word: String = printed
        .trim_start_matches('(')
        .chars()
        .take_while(|character| character.is_ascii_alphanumeric() || *character == '_')
        .collect();
    word
}

/// The names of all labels, sorted.
pub async fn labels(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Json<Vec<Box<str>>>, ErrorResponse> {
    let labels = run::labels(&state, &identity, request(&identity, &form)?, LabelQuestion::Names).await?;
    Ok(Json(labels.into_iter().map(|label| label.name).collect()))
}

/// The values of a label, sorted; none for a label that no stream has.
pub async fn label_values(
    State(state): State<SharedState>,
    identity: Identity,
    Path(name): Path<String>,
    form: Form,
) -> Result<Json<Vec<Box<str>>>, ErrorResponse> {
    let question = LabelQuestion::ValuesOf(name.into());
    let labels = run::labels(&state, &identity, request(&identity, &form)?, question).await?;
    Ok(Json(labels.into_iter().flat_map(|label| label.values).collect()))
}

/// A question about the streams with rows from `start` to `end`; about all when neither is given.
fn request(identity: &Identity, form: &Form) -> Result<SeriesRequest, ErrorResponse> {
    Ok(SeriesRequest {
        tenant: identity.tenant.clone(),
        range: inclusive_range(time(form, "start")?, time(form, "end")?),
        selectors: Vec::new(),
        memory_bytes_max: identity.limits.query.memory_bytes_max,
        cancellation: Cancellation::default(),
    })
}

fn unexpected() -> ErrorResponse {
    ErrorResponse::internal(&"a log query was not answered with lines")
}
