//! Random queries over random rows, answered by the engine and by the naive engine. The seed is fixed;
//! with `TIMBERYARD_TORTURE` set there are many more cases.

use proptest::prelude::*;
use proptest::sample::select;
use timberyard_logql::QueryRequest;
use timberyard_model::scan::Direction;
use timberyard_testkit::memory_source::MemorySource;
use timberyard_testkit::random_logql::{RowSeed, check_all, compare, entry, log_query, metric_query, rows};

use crate::run::range_request;

const CASES: u32 = 400;
/// With `TIMBERYARD_TORTURE` set.
const CASES_OF_TORTURE: u32 = 200_000;

fn cases() -> u32 {
    if std::env::var_os("TIMBERYARD_TORTURE").is_some() { CASES_OF_TORTURE } else { CASES }
}

fn check(rows: &[RowSeed], block_rows: usize, request: &QueryRequest) -> Result<bool, TestCaseError> {
    let source = MemorySource::default().with_block_rows(block_rows);
    for row in rows {
        source.push_entry(entry(row));
    }
    compare(&source, &source.entries(), request)
}

#[test]
fn metric_queries_agree_with_the_naive_engine() {
    let steps = (0_i64..100, 0_i64..120, select(vec![0_i64, 1, 5, 10, 33]));
    check_all(
        cases(),
        &(rows(), 1_usize..20, metric_query(), steps),
        |(rows, block_rows, query, (start, length, step))| {
            check(&rows, block_rows, &range_request(&query, start, start + length, step))
        },
    );
}

#[test]
fn log_queries_agree_with_the_naive_engine() {
    let span = (0_i64..100, 0_i64..150, 0_usize..40, 0_i64..30, any::<bool>());
    check_all(cases(), &(rows(), 1_usize..20, log_query(), span), |(rows, block_rows, query, span)| {
        let (start, length, limit, interval, forward) = span;
        let request = QueryRequest {
            limit,
            interval_ns: interval * 1_000_000_000,
            direction: if forward { Direction::Forward } else { Direction::Backward },
            ..range_request(&query, start, start + length, 1)
        };
        check(&rows, block_rows, &request)
    });
}
