//! Log queries: the first lines of a range, from one end or the other.
//!
//! Never holds more lines than were asked for (with an interval, than lie between two blocks of the
//! scan), and stops reading as soon as no later block can hold a better one.

mod collector;

use timberyard_model::limits::QueryLimits;
use timberyard_model::scan::{Columns, Direction, LogSource, ScanRequest};
use timberyard_model::{Labels, RowRef, TimeRange};

use self::collector::{Collector, Rank};
use crate::budget::Budget;
use crate::error::{LimitError, QueryError};
use crate::plan::compile::compile;
use crate::plan::fields::tests_of_lines;
use crate::plan::pushdown::LogPlan;
use crate::query_request::QueryRequest;
use crate::result::{Entry, QueryResult, QueryStatistics, QueryValue, Streams};
use crate::stage::{Category, Pipeline, Verdict, WorkingRow};
use crate::syntax::ast::LogExpression;

/// Answers a log query.
pub(crate) fn run(
    source: &dyn LogSource,
    request: &QueryRequest,
    logs: &LogExpression,
    limits: &QueryLimits,
) -> Result<QueryResult, QueryError> {
    if request.step_ns == 0 {
        return Err(QueryError::Invalid(
            "log queries are not supported as an instant query type, please change your query to a range query type"
                .to_owned(),
        ));
    }
    let page = request.extras.page.as_ref();
    if page.is_some() && request.interval_ns > 0 {
        return Err(QueryError::Invalid("a cursor cannot be combined with an interval".to_owned()));
    }
    if request.limit > limits.entries_max && page.is_none() {
        return Err(LimitError::Entries { asked: request.limit, limit: limits.entries_max }.into());
    }
    let plan = compile(source, &request.tenant, time_range(request), logs)?;
    let mut budget = Budget::new(limits.memory_bytes_max);
    let scan_request = scan_request(request, logs, &plan, &budget);
    let mut statistics = QueryStatistics::default();
    let mut collector = Collector::new(request.direction, request.limit, request.interval_ns, page);
    if !collector.is_full() && !scan_request.range.is_empty() {
        let mut scan = source.scan(&scan_request)?;
        let mut number = 0;
        while let Some(block) = scan.next_block()? {
            if let Some(first) = block.rows.streams().first() {
                let mut working = WorkingRow::new(first);
                working.set_now(request.now);
                // Best first where rows lie in the order of time, so that few of the others are worth a look.
                let count = block.rows.len();
                let backward = request.direction == Direction::Backward;
                for index in (0..count).map(|place| if backward { count - 1 - place } else { place }) {
                    let row = block.rows.get(index);
                    let stream = if page.is_some() { row.labels().stable_hash() } else { 0 };
                    let rank = Rank::new(request.direction, row.timestamp(), stream, number, index);
                    if !collector.wants(&rank) {
                        continue;
                    }
                    request.check_wanted()?;
                    statistics.rows_processed += 1;
                    statistics.bytes_processed += row.line().len() as u64;
                    if let Some((stream, entry)) = process(&plan.pipeline, &mut working, row) {
                        collector.add(rank, stream, entry, &mut budget)?;
                    }
                }
            }
            collector.settle(block.frontier, &mut budget);
            if collector.is_full() {
                break;
            }
            number += 1;
        }
        statistics.add_scan(scan.statistics());
    }
    let collected = collector.finish();
    let streams = Streams::group(request.direction, collected.lines);
    statistics.entries_returned = streams.len() as u64;
    Ok(QueryResult {
        value: QueryValue::Streams(streams),
        warnings: statistics.warnings(),
        last: collected.last,
        statistics,
    })
}

/// What the store is asked for.
pub(crate) fn scan_request(
    request: &QueryRequest,
    logs: &LogExpression,
    plan: &LogPlan,
    budget: &Budget,
) -> ScanRequest {
    ScanRequest {
        tenant: request.tenant.clone(),
        range: time_range(request),
        matchers: logs.selector.matchers.clone(),
        line_filters: plan.line_filters.clone(),
        direction: request.direction,
        columns: Columns::ALL,
        metadata_names: None,
        label_names: None,
        rows_wanted: Some(request.limit),
        fields: tests_of_lines(&plan.stages),
        counting: None,
        read_ahead_bytes_max: budget.read_ahead_bytes_max(),
        cancellation: request.cancellation.clone(),
    }
}

/// The time in which lines may still be part of the answer.
pub(crate) fn time_range(request: &QueryRequest) -> TimeRange {
    let is_point = request.start == request.end;
    let end = if is_point { request.end.saturating_add_nanos(1) } else { request.end };
    match (request.extras.page.and_then(|page| page.after), request.direction) {
        (None, _) => TimeRange::new(request.start, end),
        (Some(after), Direction::Forward) => TimeRange::new(request.start.max(after.timestamp), end),
        (Some(after), Direction::Backward) => {
            TimeRange::new(request.start, end.min(after.timestamp.saturating_add_nanos(1)))
        }
    }
}

/// Runs the pipeline over a row; gives the labels that are left of its stream and the line.
pub(crate) fn process<'a>(
    pipeline: &Pipeline,
    working: &mut WorkingRow<'a>,
    row: RowRef<'a>,
) -> Option<(Labels, Entry)> {
    working.reset(row.timestamp(), row.line(), row.labels(), row.metadata());
    if pipeline.process(working) == Verdict::Drop {
        return None;
    }
    let entry = Entry {
        timestamp: row.timestamp(),
        line: working.line().into(),
        metadata: working.labels_of(Category::Metadata),
        parsed: working.labels_of(Category::Parsed),
    };
    Some((working.labels_of(Category::Stream), entry))
}

impl Entry {
    /// About how many bytes it holds.
    fn bytes(&self) -> usize {
        let labels = self.metadata.iter().chain(self.parsed.iter());
        size_of::<Self>()
            + self.line.len()
            + labels.map(|(name, value)| name.len() + value.len() + 32).sum::<usize>()
    }
}

/// The smaller of two times, as seen from the end at which a query begins.
fn is_before(direction: Direction, a: timberyard_model::Timestamp, b: timberyard_model::Timestamp) -> bool {
    match direction {
        Direction::Forward => a < b,
        Direction::Backward => a > b,
    }
}
