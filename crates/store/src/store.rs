//! `Store`: the door of this crate.

use std::path::Path;
use std::sync::Arc;

use timberyard_model::scan::{BlockStream, LogSource, ScanError, ScanRequest, SeriesRequest, StreamVolume};
use timberyard_model::{Labels, LogBatch, Timestamp};

use crate::error::StoreError;
use crate::options::StoreOptions;
use crate::statistics::{MaintenanceReport, StoreStatistics};

/// Turns the payload of a log record back into the batch it came with. It must give the same
/// rows in the same order whatever the settings are today.
pub type DecodeRecord = Arc<dyn Fn(&[u8]) -> Result<LogBatch, String> + Send + Sync>;

/// An open data directory. All methods take `&self`; share it by `Arc`.
pub struct Store {
    _decode: DecodeRecord,
}

impl Store {
    /// Opens (or creates) a data directory: takes its lock, reads the manifest, replays the log.
    pub fn open(directory: &Path, options: StoreOptions, decode: DecodeRecord) -> Result<Self, StoreError> {
        let _ = (directory, options);
        Ok(Self { _decode: decode })
    }

    /// Makes a batch durable and visible, then calls `done`. `payload` is what goes into the log.
    ///
    /// Returns at once. `done` is called exactly once, on the log's thread (or on this one
    /// when the batch is refused at once), and must not block.
    pub fn append(
        &self,
        batch: Arc<LogBatch>,
        payload: Vec<u8>,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        let _ = (batch, payload);
        done(Err(StoreError::Closed));
    }

    /// Cuts all heads into segments and releases the log.
    pub fn flush(&self) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    /// Cuts heads that are old, compacts, and carries out retention. To be called every few
    /// seconds to minutes, by one thread that may block.
    pub fn maintain(&self, now: Timestamp) -> Result<MaintenanceReport, StoreError> {
        let _ = now;
        Err(StoreError::Closed)
    }

    /// Figures about what is stored and done.
    pub fn statistics(&self) -> StoreStatistics {
        StoreStatistics::default()
    }

    /// Makes a consistent copy in `target`, which must be empty or absent: segments by hard link
    /// (copied when on another volume), the log copied. It is restored by opening it.
    pub fn snapshot(&self, target: &Path) -> Result<(), StoreError> {
        let _ = target;
        Err(StoreError::Closed)
    }

    /// Waits for what is queued, puts everything into segments, empties the log, and refuses
    /// appends from then on. Dropping a store without this loses nothing: the log is replayed.
    pub fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl LogSource for Store {
    fn scan<'a>(&'a self, _request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        Err(ScanError::Unavailable("store is not built yet".to_owned()))
    }

    fn series(&self, _request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        Err(ScanError::Unavailable("store is not built yet".to_owned()))
    }

    fn volumes(&self, _request: &SeriesRequest) -> Result<Vec<StreamVolume>, ScanError> {
        Err(ScanError::Unavailable("store is not built yet".to_owned()))
    }
}
