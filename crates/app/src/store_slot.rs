//! The embedded store as the rest of the program sees it: a source, a sink, and something to operate.
//!
//! A server listens before its store has replayed its log. Until then everything here answers "unavailable", so that
//! `/ready` and queries say 503 and nothing is ever answered from half a store.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use timberyard_logql::LogqlConditions;
use timberyard_model::counting::Cuts;
use timberyard_model::label_values::{LabelQuestion, LabelValues};
use timberyard_model::scan::{
    BlockStream, CountVisitor, LogSource, ScanError, ScanEstimate, ScanRequest, SeriesRequest,
};
use timberyard_model::sink::{Sink, SinkError, SinkFuture};
use timberyard_model::{IngestRecord, Labels, Timestamp};
use timberyard_pipeline::DrainGauge;
use timberyard_server::Operations;
use timberyard_server::operations::{OperationError, OperationFuture, RetentionPreview, StoreStatistics};
use timberyard_store::{Interpreters, Store, StoreError};
use timberyard_wire::log_record;
use tokio::sync::oneshot;

use crate::demoted_labels_file::DemotedLabelsFile;
use crate::key_file::DirectoryKeyFile;
use crate::retention_preview::shown;
use crate::search_file::DirectorySearchFile;
use crate::time_argument::now;

/// What is said until the store is open.
const STARTING: &str = "server is starting: the write-ahead log is being replayed";
/// Where snapshots of a running store are made, in its data directory.
const SNAPSHOTS: &str = "snapshots";

/// A place for the store, empty until it is open.
#[derive(Default)]
pub(crate) struct StoreSlot {
    store: OnceLock<Arc<Store>>,
    /// Bytes on their way into the log.
    gauge: DrainGauge,
}

impl StoreSlot {
    /// Puts the open store in its place; the first one stays.
    pub(crate) fn fill(&self, store: Arc<Store>) {
        // It is filled once, by the task that opens it.
        let _ = self.store.set(store);
    }

    /// The store, if it is open.
    pub(crate) fn store(&self) -> Option<&Arc<Store>> {
        self.store.get()
    }

    pub(crate) fn operated(&self) -> Result<Arc<Store>, OperationError> {
        self.store().cloned().ok_or_else(|| OperationError::Unavailable(STARTING.to_owned()))
    }

    fn read(&self) -> Result<&Store, ScanError> {
        self.store().map(AsRef::as_ref).ok_or_else(|| ScanError::Unavailable(STARTING.to_owned()))
    }
}

impl StoreSlot {
    /// What a sender of so many bytes is to do about an error of the store.
    fn sink_error(&self, error: &StoreError, bytes: u64) -> SinkError {
        let reason = error.to_string();
        match error {
            StoreError::Duplicate { key, row } => SinkError::Duplicate { key: key.clone(), row: *row },
            StoreError::AlreadyStored(stored) => SinkError::AlreadyStored((**stored).clone()),
            StoreError::Full { .. } => SinkError::Full(reason),
            StoreError::TooLarge { .. } => SinkError::TooLarge(reason),
            StoreError::Overloaded { queued_bytes, limit_bytes } => {
                let in_the_way = queued_bytes.saturating_sub(*limit_bytes) as u64;
                let retry_after_seconds = self.gauge.retry_after_leaving_seconds(in_the_way, bytes);
                SinkError::Overloaded { reason, retry_after_seconds }
            }
            _ => SinkError::Unavailable(reason),
        }
    }
}

impl LogSource for StoreSlot {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        self.read()?.scan(request)
    }

    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        self.read()?.estimate(request)
    }

    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        self.read()?.series(request)
    }

    fn labels(
        &self,
        request: &SeriesRequest,
        question: &LabelQuestion,
    ) -> Result<Vec<LabelValues>, ScanError> {
        self.read()?.labels(request, question)
    }

    fn count(
        &self,
        request: &SeriesRequest,
        cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError> {
        self.read()?.count(request, cuts, visit)
    }
}

impl Sink for StoreSlot {
    fn name(&self) -> &str {
        "store"
    }

    fn write(&self, record: IngestRecord) -> SinkFuture<'_> {
        Box::pin(async move {
            let store = self.store().ok_or_else(|| SinkError::Unavailable(STARTING.to_owned()))?;
            let payload = log_record::encode(&record);
            let bytes = (record.batch.rows.bytes() + payload.len()) as u64;
            let mut entered = self.gauge.enter(bytes);
            let (done, stored) = oneshot::channel();
            store.append(record.batch, payload, move |result| {
                // The sender may have gone; the batch is stored all the same.
                let _ = done.send(result);
            });
            match stored.await {
                Ok(result) => result.map_err(|error| {
                    entered.give_up();
                    drop(entered);
                    self.sink_error(&error, bytes)
                }),
                Err(_) => Err(SinkError::Unavailable("store stopped before it answered".to_owned())),
            }
        })
    }
}

impl Operations for StoreSlot {
    fn flush(&self) -> OperationFuture<'_, ()> {
        Box::pin(async move {
            let store = self.operated()?;
            blocking(move || store.flush()).await
        })
    }

    fn snapshot(&self) -> OperationFuture<'_, PathBuf> {
        Box::pin(async move {
            let store = self.operated()?;
            let failed = |error: std::io::Error| OperationError::Failed(error.to_string());
            let directory = std::path::absolute(store.directory()).map_err(failed)?;
            // Two at the same time get two names; a folder that is there already is refused by the store.
            let path = directory.join(SNAPSHOTS).join(now().as_nanos().to_string());
            let target = path.clone();
            blocking(move || store.snapshot(&target)).await?;
            DemotedLabelsFile::new(&directory).copy_to(&path).map_err(failed)?;
            DirectoryKeyFile::new(&directory).copy_to(&path).map_err(failed)?;
            DirectorySearchFile::new(&directory).copy_to(&path).map_err(failed)?;
            Ok(path)
        })
    }

    fn preview_retention(&self, at: Timestamp) -> OperationFuture<'_, RetentionPreview> {
        Box::pin(async move {
            let store = self.operated()?;
            let work = move || store.preview_retention(at);
            match tokio::task::spawn_blocking(work).await {
                Ok(Ok(preview)) => Ok(shown(&preview)),
                Ok(Err(error)) => Err(OperationError::Failed(error.to_string())),
                Err(_) => Err(OperationError::Failed("store stopped before it answered".to_owned())),
            }
        })
    }

    fn statistics(&self) -> StoreStatistics {
        let Some(store) = self.store() else { return StoreStatistics::default() };
        let figures = store.statistics();
        StoreStatistics {
            disk_bytes: figures.segment_bytes + figures.log_bytes + figures.manifest_bytes,
            wal_bytes: figures.log_bytes,
            segments: figures.segments,
            rows: figures.rows,
            line_bytes: figures.raw_bytes,
            head_rows: figures.head_rows,
            segments_damaged: figures.damaged_segments,
            disk_free_bytes: figures.free_bytes.unwrap_or_default(),
            ..StoreStatistics::default()
        }
    }

    fn readiness(&self) -> Result<(), OperationError> {
        match self.operated()?.statistics().poisoned {
            Some(reason) => Err(OperationError::Failed(format!("writing has stopped: {reason}"))),
            None => Ok(()),
        }
    }
}

/// Runs what may block where that harms nobody.
async fn blocking(
    work: impl FnOnce() -> Result<(), StoreError> + Send + 'static,
) -> Result<(), OperationError> {
    let result = tokio::task::spawn_blocking(work).await;
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(OperationError::Failed(error.to_string())),
        Err(_) => Err(OperationError::Failed("store stopped before it answered".to_owned())),
    }
}

/// Opens the store of a data directory.
pub(crate) fn open(directory: &Path, options: timberyard_store::StoreOptions) -> Result<Store, StoreError> {
    let decode = Arc::new(|payload: &[u8]| log_record::decode(payload).map_err(|error| error.to_string()));
    Store::open(directory, options, Interpreters { decode, conditions: Arc::new(LogqlConditions) })
}
