//! Random queries over random rows, and the requests that ask them: what tests of the engine over every source share.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use timberyard_logql::{Engine, QueryExtras, QueryRequest, QueryValue, syntax};
use timberyard_model::cancellation::Cancellation;
use timberyard_model::limits::QueryLimits;
use timberyard_model::scan::{Direction, LogSource};
use timberyard_model::{Labels, TenantId, Timestamp};

use crate::memory_source::Entry;
use crate::naive_logql;

/// Labels from `app=a env=x`.
pub fn labels(text: &str) -> Labels {
    Labels::from_pairs(text.split_whitespace().map(|pair| pair.split_once('=').expect("name=value")))
}

/// The time of a second after the epoch.
pub fn second(seconds: i64) -> Timestamp {
    Timestamp::from_nanos(seconds * 1_000_000_000)
}

/// A query for lines in seconds 0 to 1000, first come first.
pub fn request(query: &str) -> QueryRequest {
    QueryRequest {
        tenant: TenantId::default(),
        expression: syntax::parse(query, &QueryLimits::default()).expect(query),
        start: second(0),
        end: second(1000),
        step_ns: 1_000_000_000,
        interval_ns: 0,
        limit: 100,
        direction: Direction::Forward,
        extras: QueryExtras::default(),
        now: second(1000),
        cancellation: Cancellation::default(),
    }
}

/// The same at steps from `start` to `end`, all in seconds.
pub fn range_request(query: &str, start: i64, end: i64, step: i64) -> QueryRequest {
    let step_ns = step * 1_000_000_000;
    QueryRequest { start: second(start), end: second(end), step_ns, ..request(query) }
}

const STREAMS: [&str; 7] = [
    "app=a env=x",
    "app=a env=y",
    "app=b env=x",
    "app=b",
    "app=c env=z zone=q",
    "app=a service_name=s",
    "app=b env=y service_name=s",
];

/// A row: second, stream, value, word, level in the metadata.
pub type RowSeed = (i64, usize, i32, &'static str, Option<&'static str>);

/// Rows of a case.
pub fn rows() -> impl Strategy<Value = Vec<RowSeed>> {
    let row = (
        0_i64..200,
        0..STREAMS.len(),
        -5_i32..20,
        select(vec!["ok", "error", "warn ok", ""]),
        prop::option::of(select(vec!["info", "warn"])),
    );
    prop::collection::vec(row, 0..60)
}

/// The entry that a row stands for.
pub fn entry((seconds, stream, value, word, level): &RowSeed) -> Entry {
    Entry {
        tenant: TenantId::default(),
        labels: labels(STREAMS[*stream]),
        // Streams never share a time, so that the order of all rows is determined.
        timestamp: Timestamp::from_nanos(seconds * 1_000_000_000 + *stream as i64),
        line: format!("v={value} level={word}").into_bytes(),
        metadata: level.iter().map(|level| ("level".to_owned(), level.as_bytes().to_vec())).collect(),
        merges: false,
    }
}

/// A log query.
pub fn log_query() -> impl Strategy<Value = String> {
    let selector = select(vec![
        r#"{app=~".+"}"#,
        r#"{app="a"}"#,
        r#"{app=~"a|b", env!="y"}"#,
        r#"{env="x"}"#,
        r#"{app="none"}"#,
    ]);
    let stage = select(vec![
        r#"|= "ok""#,
        r#"!= "error""#,
        r#"|~ "v=1.*""#,
        r#"!~ "(?i)OK$""#,
        r#"|= "warn" or "v=7""#,
        r#"|> "v=<_> level=ok""#,
        r#"!> "<_>level=error""#,
        "| logfmt",
        "| logfmt --strict",
        r#"| logfmt word="level", v"#,
        "| json",
        "| unpack",
        "| pattern `v=<v> level=<word>`",
        "| regexp `v=(?P<v>-?[0-9]+) (?P<rest>.*)`",
        r#"| level="warn""#,
        r#"| level!~"w.*" or word="ok""#,
        "| v > 3",
        "| v >= 1 and v != 4",
        "| v < 9s",
        r#"| app = ip("10.0.0.0/8")"#,
        r#"| __error__ = """#,
        "| drop __error__, __error_details__",
        r#"| line_format "{{.v}}""#,
        r#"| line_format "v={{ add .v 1 }} {{ __line__ | upper }}""#,
        "| label_format word=level",
        r#"| label_format v="{{ mul .v 2 }}", both=`{{.app}}-{{.level}}`"#,
        "| decolorize",
        "| drop level",
        r#"| drop app="a""#,
        "| keep app, v",
    ]);
    (selector, prop::collection::vec(stage, 0..4))
        .prop_map(|(selector, stages)| format!("{selector} {}", stages.join(" ")))
}

fn range_aggregation() -> impl Strategy<Value = String> {
    let window = (select(vec![1, 7, 20, 45]), select(vec!["", " offset 13s", " offset -5s"]));
    let entries =
        select(vec!["count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time"]);
    let samples = select(vec![
        "sum_over_time(",
        "avg_over_time(",
        "min_over_time(",
        "max_over_time(",
        "stddev_over_time(",
        "stdvar_over_time(",
        "first_over_time(",
        "last_over_time(",
        "rate(",
        "rate_counter(",
        "quantile_over_time(0.3,",
    ]);
    let by = select(vec!["", " by (app)", " by (service_name)", " without (env, level)", " by ()"]);
    let window = window.prop_map(|(range, offset)| format!("[{range}s]{offset}"));
    prop_oneof![
        (entries, log_query(), window.clone()).prop_map(|(f, logs, window)| format!("{f}({logs} {window})")),
        (samples, log_query(), window, by).prop_map(|(f, logs, window, by)| {
            let by = if ["sum", "rate"].iter().any(|name| f.starts_with(name)) { "" } else { by };
            format!("{f}{logs} | logfmt | unwrap v {window}){by}")
        }),
    ]
}

/// An operator that does not make a large difference of the last bit, in which the engines may differ by the order of
/// their additions: deviations that should be 0 are not divided by, means are not compared, quotients have no remainder taken.
fn steady(operator: &'static str, operand: &str) -> &'static str {
    let has = |names: &[&str]| names.iter().any(|name| operand.contains(name));
    let jumps = ["%", ">", "<=", "== bool", "!="].contains(&operator);
    let unsteady = match operator {
        "%" => has(&["rate", "/", "^"]),
        "/" | "^" => has(&["std"]),
        _ => false,
    };
    if unsteady || jumps && has(&["std", "avg", "quantile"]) { "+" } else { operator }
}

/// A metric query.
pub fn metric_query() -> impl Strategy<Value = String> {
    let grouping =
        select(vec!["", "by (app)", "by (service_name)", "by (level, env)", "without (env)", "by ()"]);
    let operation = select(vec!["sum", "avg", "min", "max", "count", "stddev", "stdvar"]);
    let operator =
        select(vec!["+", "-", "*", "/", "%", "^", ">", "<=", "== bool", "!=", "and", "or", "unless"]);
    let matching = select(vec![
        "",
        "on (app)",
        "ignoring (level)",
        "on (env) group_left ()",
        "on (app) group_right (zone)",
    ]);
    // Within other operations the order of a sort has no meaning.
    let sort = select(vec!["", "", "", "", "sort", "sort_desc"]);
    let leaf = prop_oneof![4 => range_aggregation(), 1 => Just("vector(2)".to_owned())];
    let unsorted = leaf.prop_recursive(3, 6, 2, move |inner| {
        let aggregated = (operation.clone(), grouping.clone(), inner.clone())
            .prop_map(|(operation, grouping, inner)| format!("{operation} {grouping} ({inner})"));
        let best = (select(vec!["topk", "bottomk"]), grouping.clone(), 1..3, inner.clone()).prop_map(
            |(operation, grouping, keep, inner)| format!("{operation} {grouping} ({keep}, {inner})"),
        );
        let with_number =
            (inner.clone(), operator.clone(), any::<bool>()).prop_map(|(inner, operator, left)| {
                let operator = if ["and", "or", "unless"].contains(&operator) { ">" } else { operator };
                let operator = steady(operator, &inner);
                if left { format!("3 {operator} ({inner})") } else { format!("({inner}) {operator} 3") }
            });
        let joined = (inner.clone(), operator.clone(), matching.clone(), inner.clone()).prop_map(
            |(left, operator, matching, right)| {
                let operator = steady(steady(operator, &left), &right);
                let set = ["and", "or", "unless"].contains(&operator);
                let matching = if set { matching.split(" group").next().unwrap_or("") } else { matching };
                format!("({left}) {operator} {matching} ({right})")
            },
        );
        let replaced =
            inner.prop_map(|inner| format!(r#"label_replace({inner}, "copy", "$1-r", "env", "(x|z)")"#));
        prop_oneof![3 => aggregated, 1 => best, 1 => with_number, 2 => joined, 1 => replaced]
    });
    (sort, unsorted).prop_map(|(sort, query)| {
        // Values that differ by their last bit may change places.
        let is_exact = !["std", "avg", "quantile", "rate", "/", "^"].iter().any(|name| query.contains(name));
        if is_exact && !sort.is_empty() { format!("{sort} ({query})") } else { query }
    })
}

fn close(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-3)
}

/// Whether two answers are the same but for rounding.
pub fn same(a: &QueryValue, b: &QueryValue) -> bool {
    match (a, b) {
        (QueryValue::Matrix(a), QueryValue::Matrix(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| {
                    a.labels == b.labels
                        && a.points.len() == b.points.len()
                        && a.points
                            .iter()
                            .zip(&b.points)
                            .all(|(a, b)| a.timestamp == b.timestamp && close(a.value, b.value))
                })
        }
        (QueryValue::Vector(a), QueryValue::Vector(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| a.labels == b.labels && close(a.point.value, b.point.value))
        }
        _ => a == b,
    }
}

/// Compares the answer of the engine over a source with that of the naive engine over the same entries; gives whether there
/// is one.
pub fn compare(
    source: &dyn LogSource,
    entries: &[Entry],
    request: &QueryRequest,
) -> Result<bool, TestCaseError> {
    let limits = QueryLimits { series_max: usize::MAX, ..QueryLimits::default() };
    let actual = Engine::new(limits).run(source, request);
    let expected = naive_logql::answer(entries, request);
    match (&actual, &expected) {
        (Ok(actual), Ok(expected)) if same(&actual.value, expected) => Ok(true),
        (Err(_), Err(_)) => Ok(false),
        _ => {
            let query = &request.expression;
            Err(TestCaseError::fail(format!("{query}\nengine {actual:?}\nnaive  {expected:?}")))
        }
    }
}

/// Runs `case` on random input; most cases must have an answer, or the test tests nothing.
pub fn check_all<S: Strategy>(
    cases: u32,
    strategy: &S,
    case: impl Fn(S::Value) -> Result<bool, TestCaseError>,
) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let answered = Cell::new(0);
    let outcome = runner.run(strategy, |input| {
        answered.set(answered.get() + u32::from(case(input)?));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    assert!(answered.get() > cases / 2, "only {} of {cases} queries have an answer", answered.get());
}
