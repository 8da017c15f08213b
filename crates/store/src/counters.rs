//! What a store has done since it was opened.

use std::sync::atomic::AtomicU64;

/// Counts that only grow.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) batches_appended: AtomicU64,
    pub(crate) rows_appended: AtomicU64,
    pub(crate) payload_bytes_appended: AtomicU64,
    pub(crate) duplicates_refused: AtomicU64,
    pub(crate) log_syncs: AtomicU64,
    pub(crate) damaged_log_records: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) segments_compacted: AtomicU64,
    pub(crate) segments_expired: AtomicU64,
    pub(crate) manifest_bytes: AtomicU64,
}
