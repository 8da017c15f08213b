//! The seam between ingestion and destinations.

use std::future::Future;
use std::pin::Pin;

use crate::ingest_record::IngestRecord;
use crate::origin::AlreadyStored;

/// What a write comes to.
pub type SinkFuture<'a> = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send + 'a>>;

/// A destination of batches: the embedded store, Kafka, ClickHouse, files, another node.
pub trait Sink: Send + Sync {
    /// Its name in settings, metrics and errors.
    fn name(&self) -> &str;

    /// How many batches it takes at the same time to be fast; they may be stored in another order than they came.
    fn writes_at_once(&self) -> usize {
        1
    }

    /// What it has done, where it counts that.
    fn figures(&self) -> Option<SinkFigures> {
        None
    }

    /// Whether its engine was there when it was asked last, and if not why; nothing of a sink that needs nobody else. Does not
    /// wait.
    fn reachability(&self) -> Option<Result<(), String>> {
        None
    }

    /// Whether it would take rows now, as far as that is known. Does not wait.
    ///
    /// # Errors
    /// Why it would not, for people.
    fn readiness(&self) -> Result<(), String> {
        self.reachability().unwrap_or(Ok(()))
    }

    /// Makes the batch durable, all of it or nothing; `Ok` is a promise that outlives a crash.
    fn write(&self, record: IngestRecord) -> SinkFuture<'_>;
}

/// What a sink has done since the start, as metrics show it; 0 where it does not count something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkFigures {
    /// Rows that it has.
    pub rows_written: u64,
    /// Writes that failed and were tried again.
    pub retries: u64,
    /// Bytes on their way, or waiting for it.
    pub queued_bytes: u64,
    /// How long the oldest rows have waited for it.
    pub oldest_age_seconds: u64,
}

/// Why a batch was not made durable, and so what the sender should do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// A unique key exists already; nothing of the batch was written.
    #[error("key `{key}` exists already")]
    Duplicate {
        /// The key.
        key: Box<str>,
        /// The number of the row that has it.
        row: u32,
    },
    /// Something of what the batch was read from is stored already; nothing of the batch was written.
    #[error(transparent)]
    AlreadyStored(AlreadyStored),
    /// No room on the disk: free some, or wait for retention.
    #[error("storage is full: {0}")]
    Full(String),
    /// Too much at once: try again after the given seconds.
    #[error("overloaded: {reason}; try again in {retry_after_seconds} s")]
    Overloaded {
        /// What is overloaded.
        reason: String,
        /// When a retry will be taken.
        retry_after_seconds: u64,
    },
    /// The batch can never be taken: send it in parts.
    #[error("{0}")]
    TooLarge(String),
    /// The destination cannot be reached or does not take writes now.
    #[error("{0}")]
    Unavailable(String),
}
