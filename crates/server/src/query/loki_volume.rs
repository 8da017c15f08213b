//! `/loki/api/v1/index/volume` and `/index/volume_range`: bytes by label set or label, for a range or for each of its steps.
//!
//! One question to the store, whatever the number of steps. Rows and bytes of lines are exact, bytes of structured metadata
//! estimated where a part of a group of rows lies outside of a step.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use timberyard_logql::syntax;
use timberyard_model::counting::{CountedCell, Cuts};
use timberyard_model::matcher::{LabelMatcher, ValueTest};
use timberyard_model::pattern::Pattern;
use timberyard_model::scan::{LogSource, ScanError, SeriesRequest};
use timberyard_model::{Labels, TimeRange, Timestamp};
use timberyard_wire::loki_query_json::{MatrixAnswer, VectorAnswer};
use timberyard_wire::loki_query_stats::QueryStats;

use super::loki_index::{inclusive, request};
use super::loki_reply::json as json_body;
use super::run;
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::state::SharedState;

/// Nanoseconds in the millisecond by which a bucket ends before the next one, as in Loki.
const BUCKET_GAP_NANOS: i64 = 1_000_000;

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
    let counted = count(&state, &identity, range, Cuts::NONE, grouping).await?;
    let limit = volumes_max(&identity, question.limit);
    let mut answer = VectorAnswer::new(&[]);
    for (_, group, bytes) in counted.largest(limit) {
        answer.sample(group.iter().map(|(n, v)| (n.as_str(), v.as_str())), question.end, bytes as f64);
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
    let steps = Steps { nanos: question.step_nanos, end: question.end };
    let range = TimeRange::new(question.start, steps.end_of_range());
    let counted = count(&state, &identity, range, steps.cuts(), grouping).await?;
    let mut series: BTreeMap<&Group, Vec<(Timestamp, f64)>> = BTreeMap::new();
    for (step, group, bytes) in counted.largest(volumes_max(&identity, question.limit)) {
        series.entry(group).or_default().push((steps.shown(step), bytes as f64));
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

/// Label names and values that bytes are added up under.
type Group = Vec<(String, String)>;

/// By what volumes are added up.
struct Grouping {
    matchers: Vec<LabelMatcher>,
    /// The labels that count; all of them when empty.
    names: BTreeSet<String>,
    /// Each label for itself, whatever its value, instead of label sets.
    by_label: bool,
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
        Ok(Self { matchers, names, by_label })
    }

    /// The groups under which a stream counts.
    fn groups_of(&self, labels: &Labels) -> Vec<Group> {
        let counts = |name: &str| self.names.is_empty() || self.names.contains(name);
        let labels = labels.iter().filter(|(name, _)| counts(name));
        if self.by_label {
            labels.map(|(name, _)| vec![(name.to_owned(), String::new())]).collect()
        } else {
            vec![labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()]
        }
    }
}

/// Bytes by step and group, within a limit of memory.
struct GroupedBytes {
    grouping: Grouping,
    cuts: Cuts,
    /// The numbers of the groups under which each stream counts.
    streams: HashMap<Labels, Vec<usize>>,
    numbers: BTreeMap<Group, usize>,
    sums: BTreeMap<(i64, usize), u64>,
    memory_bytes: usize,
    memory_bytes_max: usize,
}

impl GroupedBytes {
    /// What a stream, and what a sum takes besides its labels, roughly, in bytes.
    const ENTRY_BYTES: usize = 64;

    fn add(&mut self, labels: &Labels, cell: &CountedCell) -> Result<(), ScanError> {
        if !self.streams.contains_key(labels) {
            let mut own = Vec::new();
            for group in self.grouping.groups_of(labels) {
                let next = self.numbers.len();
                own.push(*self.numbers.entry(group).or_insert(next));
            }
            // Once as it is, once in its groups.
            self.memory_bytes += 2 * (labels.bytes() + Self::ENTRY_BYTES);
            self.streams.insert(labels.clone(), own);
        }
        let step = self.cuts.stretch(cell.time);
        for group in self.streams.get(labels).into_iter().flatten() {
            let sum = self.sums.entry((step, *group)).or_insert_with(|| {
                self.memory_bytes += Self::ENTRY_BYTES;
                0
            });
            // What Loki's chunks would hold, before they are compressed.
            *sum += cell.line_bytes + cell.metadata_bytes;
        }
        if self.memory_bytes > self.memory_bytes_max {
            return Err(ScanError::Memory { limit: self.memory_bytes_max });
        }
        Ok(())
    }

    /// The largest groups of each step, at most `limit` of them, with their step; of equal ones the first.
    fn largest(&self, limit: usize) -> Vec<(i64, &Group, u64)> {
        let mut groups: Vec<&Group> = self.numbers.keys().collect();
        groups.sort_by_key(|group| self.numbers.get(*group));
        let named =
            |((step, group), bytes): (&(i64, usize), &u64)| Some((*step, *groups.get(*group)?, *bytes));
        let mut all: Vec<(i64, &Group, u64)> = self.sums.iter().filter_map(named).collect();
        all.sort_by_key(|(step, group, bytes)| (*step, Reverse(*bytes), *group));
        let mut of_step = (i64::MIN, 0);
        all.retain(|(step, ..)| {
            of_step = if of_step.0 == *step { (*step, of_step.1 + 1) } else { (*step, 1) };
            of_step.1 <= limit
        });
        all
    }
}

/// Counts bytes of a range in one go.
async fn count(
    state: &SharedState,
    identity: &Identity,
    range: TimeRange,
    cuts: Cuts,
    grouping: Grouping,
) -> Result<GroupedBytes, ErrorResponse> {
    let request = request(identity, range, grouping.matchers.clone());
    let mut bytes = GroupedBytes {
        grouping,
        cuts,
        streams: HashMap::new(),
        numbers: BTreeMap::new(),
        sums: BTreeMap::new(),
        memory_bytes: 0,
        memory_bytes_max: request.memory_bytes_max,
    };
    let ask = move |source: &dyn LogSource, request: &SeriesRequest| {
        source.count(request, cuts, &mut |labels, cell| bytes.add(labels, cell))?;
        Ok(bytes)
    };
    run::about_series(state, identity, request, ask).await
}

/// How many groups are answered for each step.
fn volumes_max(identity: &Identity, asked: u32) -> usize {
    (asked as usize).min(identity.limits.query.series_max)
}

/// Parts of a range up to `end`, cut at multiples of the step.
struct Steps {
    nanos: i64,
    end: Timestamp,
}

impl Steps {
    /// From a multiple, included, to the next.
    fn cuts(&self) -> Cuts {
        Cuts::every(self.nanos, [-1, -1])
    }

    /// The end is inside, unless a step would begin with it.
    fn end_of_range(&self) -> Timestamp {
        let begins_a_step = self.end.as_nanos().rem_euclid(self.nanos.max(1)) == 0;
        self.end.saturating_add_nanos(i64::from(!begins_a_step))
    }

    /// The time that stands for a step: its last millisecond, or the end.
    fn shown(&self, step: i64) -> Timestamp {
        let next = Timestamp::from_nanos(step.saturating_add(1).saturating_mul(self.nanos));
        if next < self.end { next.saturating_add_nanos(-BUCKET_GAP_NANOS) } else { self.end }
    }
}

fn cost(took: Duration) -> QueryStats {
    QueryStats { execution_seconds: took.as_secs_f64(), ..QueryStats::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_cut_at_their_multiples() {
        let at = |millis: i64| Timestamp::from_millis(millis).expect("in range");
        for (end, inside, times) in [
            (2500, 1, [(500, 999), (999, 999), (1000, 1999), (1999, 1999), (2000, 2500), (2500, 2500)]),
            (2000, 0, [(-1, -1), (0, 999), (500, 999), (1000, 2000), (1001, 2000), (1999, 2000)]),
        ] {
            let steps = Steps { nanos: 1_000_000_000, end: at(end) };
            assert_eq!(steps.end_of_range(), at(end).saturating_add_nanos(inside));
            for (time, shown) in times {
                assert_eq!(steps.shown(steps.cuts().stretch(at(time))), at(shown), "{time}");
            }
        }
    }
}
