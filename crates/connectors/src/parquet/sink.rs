//! Batches on their way to Parquet files. `Ok` means that a batch is staged, synced, and will be in a file.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use timberyard_model::IngestRecord;
use timberyard_model::sink::{Sink, SinkError, SinkFigures, SinkFuture};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::exporter::Exporter;
use super::settings::ParquetSettings;
use super::staging::Staging;
use super::target::Target;

/// How many batches share one sync.
const WRITES_AT_ONCE: usize = 64;

/// Parquet files as a sink.
pub struct ParquetSink {
    exporter: Arc<Exporter>,
    exporting: JoinHandle<()>,
}

impl ParquetSink {
    /// Opens the folder where rows wait, and exports from there until it is dropped. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// The folder cannot be used, or the settings say nothing of where files go.
    pub fn start(name: &str, settings: ParquetSettings, staging: &Path) -> Result<Self, String> {
        let exporter = Arc::new(Exporter {
            name: name.to_owned(),
            staging: Staging::open(staging, settings.staged_bytes_max.0)?,
            target: Target::new(&settings)?,
            settings,
            staged: Notify::new(),
            rows: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        });
        let exporting = tokio::spawn(Arc::clone(&exporter).run());
        Ok(Self { exporter, exporting })
    }

    /// Makes a file where files would go, and removes it.
    ///
    /// # Errors
    /// Why that cannot be done.
    pub async fn connect_check(settings: &ParquetSettings) -> Result<String, String> {
        let target = Target::new(settings)?;
        target.check().await?;
        Ok(format!("{} can be written to", target.shown()))
    }
}

impl Drop for ParquetSink {
    fn drop(&mut self) {
        self.exporting.abort();
    }
}

impl Sink for ParquetSink {
    fn name(&self) -> &str {
        &self.exporter.name
    }

    fn writes_at_once(&self) -> usize {
        WRITES_AT_ONCE
    }

    fn figures(&self) -> Option<SinkFigures> {
        let oldest_age_seconds = self.exporter.staging.waiting().map_or(0, |(_, age_seconds)| age_seconds);
        Some(SinkFigures {
            rows_written: self.exporter.rows.load(Ordering::Relaxed),
            retries: self.exporter.retries.load(Ordering::Relaxed),
            queued_bytes: self.exporter.staging.held_bytes(),
            oldest_age_seconds,
        })
    }

    fn write(&self, record: IngestRecord) -> SinkFuture<'_> {
        let exporter = Arc::clone(&self.exporter);
        Box::pin(async move {
            if record.batch.rows.is_empty() {
                return Ok(());
            }
            let staged = tokio::task::spawn_blocking(move || {
                exporter.staging.append(&record.batch)?;
                exporter.staged.notify_one();
                Ok(())
            });
            let failed = |error: tokio::task::JoinError| Err(SinkError::Unavailable(error.to_string()));
            staged.await.unwrap_or_else(failed)
        })
    }
}
