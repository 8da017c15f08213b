//! What came in and what became of it, as plain counters that metrics and status pages read.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters of the intake, since start.
#[derive(Debug, Default)]
pub struct IntakeCounters {
    /// Rows acknowledged.
    pub rows_accepted: Counter,
    /// Bytes of their lines.
    pub line_bytes_accepted: Counter,
    /// Batches acknowledged.
    pub batches_accepted: Counter,
    /// Rows of batches that were refused or could not be stored; their senders were told.
    pub rows_refused: Counter,
    /// Rows that were acknowledged and that steps dropped.
    pub rows_dropped: Counter,
    /// Rows that were acknowledged and that steps routed past a required sink.
    pub rows_routed_past: Counter,
}
