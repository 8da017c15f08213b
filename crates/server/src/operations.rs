//! What the server asks of the store beyond reading and writing; `app` implements it.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use serde::Serialize;
use timberyard_model::Timestamp;

/// What an operation comes to.
pub type OperationFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, OperationError>> + Send + 'a>>;

/// The store as an operator sees it.
pub trait Operations: Send + Sync {
    /// Writes everything that is only in memory and log into segments.
    fn flush(&self) -> OperationFuture<'_, ()>;

    /// Makes a consistent copy of the store on its own volume, and says where it lies on the server's machine.
    fn snapshot(&self) -> OperationFuture<'_, PathBuf>;

    /// What retention would take away if it were `at`.
    fn preview_retention(&self, at: Timestamp) -> OperationFuture<'_, RetentionPreview>;

    /// Numbers for health pages and metrics. Cheap: reads counters, waits for nothing.
    fn statistics(&self) -> StoreStatistics;

    /// Whether the store takes writes and answers queries now; if not, why. Cheap.
    fn readiness(&self) -> Result<(), OperationError>;
}

/// Numbers of a store. Those that a store does not have are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStatistics {
    /// Bytes on disk: segments and write-ahead log.
    pub disk_bytes: u64,
    /// Bytes of the write-ahead log alone.
    pub wal_bytes: u64,
    /// Segments that are listed.
    pub segments: u64,
    /// Rows in the store.
    pub rows: u64,
    /// Bytes of their lines, uncompressed.
    pub line_bytes: u64,
    /// Streams known.
    pub streams: u64,
    /// Rows in memory that no segment has yet.
    pub head_rows: u64,
    /// Segments that were found damaged and are left out.
    pub segments_damaged: u64,
    /// Reads and writes that failed since start.
    pub errors: u64,
    /// Bytes left on the volume.
    pub disk_free_bytes: u64,
}

/// What retention would take away with the next maintenance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RetentionPreview {
    /// By tenant and rule; a rule that frees nothing is not there.
    pub freed: Vec<FreedByRule>,
    /// Segments that cannot be read and stay as they are.
    pub segments_damaged: u64,
}

/// What one rule takes away of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FreedByRule {
    /// Whose rows.
    pub tenant: String,
    /// `age`, `bytes of the tenant`, `bytes of all tenants`, or a selector.
    pub rule: String,
    /// Segments that go as a whole.
    pub segments_dropped: u64,
    /// Segments that are rewritten without some rows.
    pub segments_rewritten: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes of their lines, uncompressed.
    pub line_bytes: u64,
    /// Bytes on disk; of segments that are rewritten the share of the lines.
    pub file_bytes: u64,
}

/// Why an operation was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The store cannot do it now.
    #[error("store is unavailable: {0}")]
    Unavailable(String),
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
}
