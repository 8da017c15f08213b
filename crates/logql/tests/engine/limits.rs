//! What a query may not exceed, and what stops it.

use timberyard_logql::{Engine, LimitError, QueryError, QueryExtras, QueryRequest, QueryValue};
use timberyard_model::Labels;
use timberyard_model::cancellation::{CancelReason, Cancellation};
use timberyard_model::counting::Cuts;
use timberyard_model::limits::QueryLimits;
use timberyard_model::scan::{
    BlockStream, CountVisitor, LogSource, RowBlock, ScanError, ScanEstimate, ScanRequest, ScanStatistics,
    SeriesRequest,
};
use timberyard_testkit::memory_source::MemorySource;

use crate::run::{range_request, request, run, source};

fn many_series() -> MemorySource {
    let rows: Vec<String> = (0..20).map(|n| format!("{} app=a{n} | v={n}", 30 + n)).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    source(&rows)
}

#[track_caller]
fn check(limits: &QueryLimits, request: &QueryRequest, expected: &LimitError) {
    let error = Engine::new(limits.clone()).run(&many_series(), request).expect_err("a limit");
    assert_eq!(error, QueryError::Limit(expected.clone()));
}

#[test]
fn series_of_the_answer_are_counted() {
    let limits = QueryLimits { series_max: 19, ..QueryLimits::default() };
    let expected = LimitError::Series { limit: 19 };
    let query = r#"count_over_time({app=~".+"}[1m])"#;
    check(&limits, &range_request(query, 60, 60, 0), &expected);
    check(&limits, &range_request(query, 0, 60, 30), &expected);
    let sum = range_request(&format!("sum({query})"), 60, 60, 0);
    Engine::new(limits).run(&many_series(), &sum).expect("one series");
}

#[test]
fn steps_are_counted() {
    let query = r#"rate({app="a1"}[1m])"#;
    let limits = QueryLimits { points_max: 10, ..QueryLimits::default() };
    check(&limits, &range_request(query, 0, 110, 10), &LimitError::Points { limit: 10 });
    Engine::new(limits).run(&many_series(), &range_request(query, 0, 100, 10)).expect("ten steps");
}

#[test]
fn lines_are_counted() {
    let limits = QueryLimits { entries_max: 50, ..QueryLimits::default() };
    let expected = LimitError::Entries { asked: 51, limit: 50 };
    check(&limits, &QueryRequest { limit: 51, ..request(r#"{app="a1"}"#) }, &expected);
}

#[test]
fn memory_is_bounded() {
    let limits = QueryLimits { memory_bytes_max: 500, ..QueryLimits::default() };
    let expected = LimitError::Memory { limit: 500 };
    check(&limits, &request(r#"{app=~".+"}"#), &expected);
    check(&limits, &range_request(r#"count_over_time({app=~".+"}[1m])"#, 60, 60, 0), &expected);
    let samples = r#"quantile_over_time(0.5, {app=~".+"} | logfmt | unwrap v [1m]) by (none)"#;
    check(&limits, &range_request(samples, 60, 60, 0), &expected);
}

#[test]
fn a_query_ends_when_nobody_waits() {
    for query in [r#"{app=~".+"}"#, r#"count_over_time({app=~".+"}[1m])"#] {
        let request = request(query);
        request.cancellation.cancel(CancelReason::TimedOut);
        assert_eq!(run(&many_series(), &request), Err(QueryError::Cancelled(CancelReason::TimedOut)));
    }
}

#[test]
fn too_many_series_are_truncated_with_a_warning_when_asked_for() {
    let limits = QueryLimits { series_max: 3, ..QueryLimits::default() };
    let engine = Engine::new(limits);
    let query = r#"count_over_time({app=~".+"}[1m])"#;
    for (step, query, expected) in [
        (0, query.to_owned(), ["a0", "a1", "a10"]),
        (30, query.to_owned(), ["a0", "a1", "a10"]),
        (
            0,
            r#"sort_desc(sum by (app) (sum_over_time({app=~".+"} | logfmt | unwrap v [1m])))"#.to_owned(),
            ["a19", "a18", "a17"],
        ),
    ] {
        let extras = QueryExtras { truncates_series: true, ..QueryExtras::default() };
        let request = QueryRequest { extras, ..range_request(&query, 60, 60, step) };
        let answer = engine.run(&many_series(), &request).expect("truncated");
        let apps: Vec<String> = match &answer.value {
            QueryValue::Matrix(series) => series.iter().map(|series| app(&series.labels)).collect(),
            QueryValue::Vector(samples) => samples.iter().map(|sample| app(&sample.labels)).collect(),
            other => panic!("{other:?}"),
        };
        assert_eq!(apps, expected, "{query}");
        assert_eq!(answer.warnings, ["the query has 20 series, of which these are the first 3"]);
    }
}

fn app(labels: &Labels) -> String {
    labels.get("app").expect("a label").to_owned()
}

#[test]
fn a_query_that_nobody_waits_for_ends_between_two_rows() {
    // It is called off once its first block is there, and the source does not look: only a look between rows finds out.
    for query in [r#"{app=~".+"} | logfmt"#, r#"count_over_time({app=~".+"} | logfmt [1m])"#] {
        let asked = request(query);
        let watched = Cancelling { source: many_series(), cancellation: asked.cancellation.clone() };
        let error = Engine::new(QueryLimits::default()).run(&watched, &asked).expect_err(query);
        assert_eq!(error, QueryError::Cancelled(CancelReason::ClientGone));
    }
}

/// A source that calls the query off as it hands blocks over, and does not heed that itself.
struct Cancelling {
    source: MemorySource,
    cancellation: Cancellation,
}

struct CancellingScan<'a> {
    scan: Box<dyn BlockStream + 'a>,
    cancellation: Cancellation,
}

impl LogSource for Cancelling {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        let deaf = ScanRequest { cancellation: Cancellation::default(), ..request.clone() };
        let scan = self.source.scan(&deaf)?;
        Ok(Box::new(CancellingScan { scan, cancellation: self.cancellation.clone() }))
    }

    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        self.source.estimate(request)
    }

    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        self.source.series(request)
    }

    fn count(
        &self,
        request: &SeriesRequest,
        cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError> {
        self.source.count(request, cuts, visit)
    }
}

impl BlockStream for CancellingScan<'_> {
    fn next_block(&mut self) -> Result<Option<RowBlock>, ScanError> {
        let block = self.scan.next_block()?;
        self.cancellation.cancel(CancelReason::ClientGone);
        Ok(block)
    }

    fn statistics(&self) -> ScanStatistics {
        self.scan.statistics()
    }
}
