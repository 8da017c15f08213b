//! The tests of whole surfaces once more, over servers whose only store is ClickHouse.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use timberyard_testkit::parts::clickhouse::ClickHouse;

use crate::{loggo, logpulse, logstream, logtopus, loki_api};

/// Tests that run at the same time.
const AT_ONCE: usize = 4;

thread_local! {
    static IS_WANTED: Cell<bool> = const { Cell::new(false) };
}

/// The settings of a server for this thread, when it is to keep nothing itself: a database of its own.
pub(crate) fn only_on_clickhouse() -> Option<String> {
    static ENGINE: OnceLock<ClickHouse> = OnceLock::new();
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    if !IS_WANTED.get() {
        return None;
    }
    // It ends with this process.
    let url = ENGINE.get_or_init(ClickHouse::start).url();
    let database = DATABASES.fetch_add(1, Ordering::Relaxed);
    Some(format!(
        "store: {{embedded: false}}\nquery: {{source: warehouse}}\nsinks:\n  \
         warehouse: {{required: true, clickhouse: {{url: '{url}', database: only_{database}, batch_age_ms: 1}}}}\n"
    ))
}

fn over_clickhouse(tests: &[fn()]) {
    for tests in tests.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            for test in tests {
                scope.spawn(|| {
                    IS_WANTED.set(true);
                    test();
                });
            }
        });
    }
}

#[test]
fn lokis_api_is_the_same_over_clickhouse() {
    over_clickhouse(loki_api::OVER_ANY_STORE);
}

#[test]
fn the_surfaces_of_other_systems_are_the_same_over_clickhouse() {
    for tests in
        [loggo::OVER_ANY_STORE, logpulse::OVER_ANY_STORE, logstream::OVER_ANY_STORE, logtopus::OVER_ANY_STORE]
    {
        over_clickhouse(tests);
    }
}
