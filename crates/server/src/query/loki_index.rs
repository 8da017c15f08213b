//! `/loki/api/v1/index/stats`, `/index/volume`, `/index/volume_range` and `/detected_labels`: what the
//! store knows about streams without reading their lines.
//!
//! Grafana asks these before it runs a query. Groups of rows that straddle the ends of a range may be estimated.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use timberyard_logql::syntax;
use timberyard_model::cancellation::CancelReason;
use timberyard_model::label_values::{LabelQuestion, LabelValues};
use timberyard_model::matcher::{LabelMatcher, ValueTest};
use timberyard_model::pattern::Pattern;
use timberyard_model::scan::{ScanError, SeriesRequest, StreamVolume};
use timberyard_model::{Cancellation, TimeRange, Timestamp};
use timberyard_wire::loki_query_json::{MatrixAnswer, VectorAnswer};
use timberyard_wire::loki_query_stats::QueryStats;

use super::loki_reply::json as json_body;
use super::{loki_labels, run};
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::state::SharedState;

/// Nanoseconds in the millisecond by which a bucket ends before the next one, as in Loki.
const BUCKET_GAP_NANOS: i64 = 1_000_000;

/// Streams, rows and bytes of a selector.
pub async fn stats(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Json<Value>, ErrorResponse> {
    let question = form.parameters().range_query(state.now(), identity.limits.query.points_max)?;
    let matchers = syntax::parse_selector(&question.query, &identity.limits.query)?;
    let range = inclusive(question.start, question.end);
    let volumes = run::volumes(&state, &identity, request(&identity, range, matchers)).await?;
    let rows: u64 = volumes.iter().map(|volume| volume.rows).sum();
    let bytes: u64 = volumes.iter().map(bytes_of).sum();
    let streams = volumes.iter().filter(|volume| volume.rows > 0).count();
    // Chunks are Loki's; a stream stands for one.
    Ok(Json(json!({ "streams": streams, "chunks": streams, "entries": rows, "bytes": bytes })))
}

/// Bytes by label set, the largest first, over the whole range.
pub async fn volume(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let started = Instant::now();
    let question = form.parameters().volume_query(state.now(), usize::MAX)?;
    let grouping = Grouping::read(&identity, &form, &question.query)?;
    let range = inclusive(question.start, question.end);
    let volumes =
        run::volumes(&state, &identity, request(&identity, range, grouping.matchers.clone())).await?;
    let mut answer = VectorAnswer::new(&[]);
    for (labels, bytes) in grouping.largest(&volumes, question.limit as usize) {
        answer.sample(labels.iter().map(|(n, v)| (n.as_str(), v.as_str())), question.end, bytes as f64);
    }
    Ok(json_body(answer.finish(&cost(started.elapsed()))))
}

/// The same for each step of a range.
pub async fn volume_range(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let started = Instant::now();
    let limits = &identity.limits.query;
    let question = form.parameters().volume_query(state.now(), limits.points_max)?;
    let grouping = Grouping::read(&identity, &form, &question.query)?;
    let mut series: BTreeMap<Group, Vec<(Timestamp, f64)>> = BTreeMap::new();
    for (range, last) in buckets(question.start, question.end, question.step_nanos) {
        let asked = request(&identity, range, grouping.matchers.clone());
        let volumes = run::volumes(&state, &identity, asked).await?;
        for (group, bytes) in grouping.largest(&volumes, question.limit as usize) {
            series.entry(group).or_default().push((last, bytes as f64));
        }
        if started.elapsed() > Duration::from_secs(limits.timeout_seconds) {
            return Err(ScanError::Cancelled(CancelReason::TimedOut).into());
        }
    }
    let cost = cost(started.elapsed());
    // As from Loki: single samples make a vector.
    if series.values().all(|points| points.len() == 1) {
        let mut answer = VectorAnswer::new(&[]);
        for (group, points) in &series {
            for (time, bytes) in points {
                answer.sample(group.iter().map(|(n, v)| (n.as_str(), v.as_str())), *time, *bytes);
            }
        }
        return Ok(json_body(answer.finish(&cost)));
    }
    let mut answer = MatrixAnswer::new(&[]);
    for (group, points) in &series {
        answer.series(group.iter().map(|(n, v)| (n.as_str(), v.as_str())), points.iter().copied());
    }
    Ok(json_body(answer.finish(&cost)))
}

/// Labels that tell streams apart, with how many values each has; those whose values are all ids are left out.
pub async fn detected_labels(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Json<Value>, ErrorResponse> {
    let request = loki_labels::request(&identity, &form.parameters().label_query(state.now())?)?;
    let labels = run::labels(&state, &identity, request, LabelQuestion::All).await?;
    let telling = |label: &&LabelValues| {
        ["cluster", "namespace", "instance", "pod"].contains(&&*label.name)
            || !label.values.iter().all(|value| is_id(value))
    };
    let labels = labels.iter().filter(telling);
    let labels: Vec<Value> =
        labels.map(|label| json!({ "label": label.name, "cardinality": label.values.len() })).collect();
    Ok(Json(json!({ "detectedLabels": labels })))
}

/// Label names and values that bytes are added up under.
type Group = Vec<(String, String)>;

/// By what volumes are added up.
struct Grouping {
    matchers: Vec<LabelMatcher>,
    /// The labels that count; all of them when empty.
    names: BTreeSet<String>,
    /// Each label for itself, whatever its value, instead of label sets.
    by_label: bool,
    groups_max: usize,
}

impl Grouping {
    /// The labels of the selector count, or `targetLabels`, which streams must then have.
    fn read(identity: &Identity, form: &Form, query: &str) -> Result<Self, ErrorResponse> {
        let limits = &identity.limits.query;
        let mut matchers = syntax::parse_selector(query, limits)?;
        let by_label = match form.get("aggregateBy").unwrap_or("") {
            "" | "series" => false,
            "labels" => true,
            _ => return Err(ErrorResponse::bad_request("invalid_parameter", "invalid aggregation option")),
        };
        let parameters = form.parameters();
        let targets = parameters.get("targetLabels").split(',').filter(|name| !name.is_empty());
        let targets: BTreeSet<String> = targets.map(str::to_owned).collect();
        let selected: BTreeSet<String> = matchers.iter().map(|matcher| matcher.name.to_string()).collect();
        for target in targets.difference(&selected) {
            let present = Pattern::whole(".+").map_err(|error| ErrorResponse::internal(&error))?;
            matchers.push(LabelMatcher { name: target.as_str().into(), test: ValueTest::Matches(present) });
        }
        let names = match (targets.is_empty(), by_label) {
            (false, _) => targets,
            (true, false) => selected,
            (true, true) => BTreeSet::new(),
        };
        Ok(Self { matchers, names, by_label, groups_max: limits.series_max })
    }

    /// The largest groups, at most `limit` of them.
    fn largest(&self, volumes: &[StreamVolume], limit: usize) -> Vec<(Group, u64)> {
        let mut groups: BTreeMap<Group, u64> = BTreeMap::new();
        for volume in volumes.iter().filter(|volume| volume.rows > 0) {
            let counts = |name: &str| self.names.is_empty() || self.names.contains(name);
            let labels = volume.labels.iter().filter(|(name, _)| counts(name));
            if self.by_label {
                for (name, _) in labels {
                    *groups.entry(vec![(name.to_owned(), String::new())]).or_default() += bytes_of(volume);
                }
            } else {
                let group = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                *groups.entry(group).or_default() += bytes_of(volume);
            }
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, bytes)| Reverse(*bytes));
        groups.truncate(limit.min(self.groups_max));
        groups
    }
}

/// Parts of a range, cut at multiples of the step, each with the time that stands for it.
fn buckets(
    start: Timestamp,
    end: Timestamp,
    step_nanos: i64,
) -> impl Iterator<Item = (TimeRange, Timestamp)> {
    let first = start.as_nanos() - start.as_nanos().rem_euclid(step_nanos);
    let mut next = Timestamp::from_nanos(first);
    std::iter::from_fn(move || {
        let from = next.max(start);
        if next >= end {
            return None;
        }
        next = next.saturating_add_nanos(step_nanos);
        let last = if next < end { next.saturating_add_nanos(-BUCKET_GAP_NANOS) } else { end };
        Some((TimeRange::new(from, next.min(end.saturating_add_nanos(1))), last))
    })
}

fn request(identity: &Identity, range: TimeRange, matchers: Vec<LabelMatcher>) -> SeriesRequest {
    SeriesRequest {
        tenant: identity.tenant.clone(),
        range,
        selectors: vec![matchers],
        memory_bytes_max: identity.limits.query.memory_bytes_max,
        cancellation: Cancellation::default(),
    }
}

/// Both ends are inside.
fn inclusive(start: Timestamp, end: Timestamp) -> TimeRange {
    TimeRange::new(start, end.saturating_add_nanos(1))
}

fn cost(took: Duration) -> QueryStats {
    QueryStats { execution_seconds: took.as_secs_f64(), ..QueryStats::default() }
}

/// What Loki's chunks would hold of a stream, before they are compressed.
fn bytes_of(volume: &StreamVolume) -> u64 {
    volume.bytes + volume.metadata_bytes
}

/// A number or a UUID.
fn is_id(value: &str) -> bool {
    value.parse::<f64>().is_ok() || uuid::Uuid::parse_str(value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cut_at_multiples_of_the_step() {
        let at = |millis: i64| Timestamp::from_millis(millis).expect("in range");
        let buckets: Vec<_> = buckets(at(500), at(2500), 1_000_000_000).collect();
        let expected = [(500, 1000, 999), (1000, 2000, 1999), (2000, 2500, 2500)];
        assert_eq!(buckets.len(), 3);
        for ((range, last), (from, to, shown)) in buckets.into_iter().zip(expected) {
            assert_eq!((range.start, last), (at(from), at(shown)));
            assert_eq!(range.end.as_millis(), to);
        }
    }
}
