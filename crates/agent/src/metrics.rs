//! What the agent counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since start, and a few figures of now.
#[derive(Debug, Default)]
pub struct AgentMetrics {
    /// Lines read.
    pub lines_read: Counter,
    /// Bytes read.
    pub bytes_read: Counter,
    /// Lines that a server has.
    pub lines_stored: Counter,
    /// Requests that a server had taken before.
    pub duplicates: Counter,
    /// Lines that were refused for good.
    pub lines_refused: Counter,
    /// Lines that steps have dropped.
    pub lines_dropped: Counter,
    /// Lines over the limit, which were sent in parts.
    pub lines_cut: Counter,
    /// Requests that were tried again.
    pub retries: Counter,
    /// Bytes of logs that went away before they were read.
    pub bytes_lost: Counter,
    /// Logs that were cut to nothing while they were read.
    pub truncations: Counter,
    /// Files followed now.
    pub files: Counter,
    /// Bytes that are there and not stored yet.
    pub backlog_bytes: Counter,
    /// Whether the last request was taken: 1 or 0.
    pub reachable: Counter,
}

/// A number that threads share.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl AgentMetrics {
    /// Name, kind, meaning and value of each.
    pub(crate) fn all(&self) -> [(&'static str, &'static str, &'static str, u64); 13] {
        [
            ("lines_read_total", "counter", "Lines read", self.lines_read.get()),
            ("bytes_read_total", "counter", "Bytes read", self.bytes_read.get()),
            ("lines_stored_total", "counter", "Lines that a server has", self.lines_stored.get()),
            ("duplicates_total", "counter", "Requests that a server had taken before", self.duplicates.get()),
            ("lines_refused_total", "counter", "Lines refused for good", self.lines_refused.get()),
            ("lines_dropped_total", "counter", "Lines that steps have dropped", self.lines_dropped.get()),
            ("lines_cut_total", "counter", "Parts of lines over the limit", self.lines_cut.get()),
            ("retries_total", "counter", "Requests that were tried again", self.retries.get()),
            (
                "bytes_lost_total",
                "counter",
                "Bytes that went away before they were read",
                self.bytes_lost.get(),
            ),
            ("truncations_total", "counter", "Files cut to nothing while read", self.truncations.get()),
            ("files", "gauge", "Files followed", self.files.get()),
            ("backlog_bytes", "gauge", "Bytes that are not stored yet", self.backlog_bytes.get()),
            ("server_reachable", "gauge", "Whether the last request was taken", self.reachable.get()),
        ]
    }
}
