//! What an input has done, as numbers that only grow.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Numbers of one input.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) messages: Counter,
    pub(super) rows: Counter,
    pub(super) repeated: Counter,
    pub(super) dead_letters: Counter,
    pub(super) retries: Counter,
    pub(super) rebalances: Counter,
    pub(super) commit_failures: Counter,
}
