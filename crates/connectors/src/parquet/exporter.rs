//! Makes files of what is staged, as long as there is a sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::encode;
use super::settings::ParquetSettings;
use super::staging::Staging;
use super::target::Target;

/// How often it is looked whether rows are old enough.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The first pause after an export that failed; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What is exported where.
pub(super) struct Exporter {
    pub(super) name: String,
    pub(super) settings: ParquetSettings,
    pub(super) staging: Staging,
    pub(super) target: Target,
    /// Something was staged.
    pub(super) staged: Notify,
    /// Rows in files.
    pub(super) rows: AtomicU64,
    /// Exports that failed.
    pub(super) retries: AtomicU64,
}

impl Exporter {
    /// Runs until it is stopped.
    pub(super) async fn run(self: Arc<Self>) {
        let mut pause = PAUSE_FIRST;
        loop {
            let ParquetSettings { file_bytes_max, file_seconds_max, .. } = &self.settings;
            let is_enough =
                |(row_bytes, age_seconds)| row_bytes >= file_bytes_max.0 || age_seconds >= file_seconds_max.0;
            if !self.staging.waiting().is_some_and(is_enough) {
                // Whichever comes first; an idle server wakes up for neither of them more than twice a second.
                let _ = tokio::time::timeout(LOOK_INTERVAL, self.staged.notified()).await;
                continue;
            }
            match self.export().await {
                Ok(()) => pause = PAUSE_FIRST,
                Err(error) => {
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(sink = self.name, error, "rows are not exported yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    async fn export(self: &Arc<Self>) -> Result<(), String> {
        let row_bytes_max = self.settings.file_bytes_max.0;
        let gathered = self.blocking(move |this| this.staging.gather(row_bytes_max)).await?;
        let Some(mut gathered) = gathered else { return Ok(()) };
        let compression = self.settings.compression;
        for (partition, rows) in std::mem::take(&mut gathered.partitions) {
            let path = format!("{}/part-{}.parquet", partition.path(), gathered.note.id);
            let encode = move |_: &Self| encode::file(rows, compression).map_err(|error| error.to_string());
            self.target.put(&path, self.blocking(encode).await?).await?;
        }
        let rows = gathered.rows;
        self.blocking(move |this| this.staging.exported(gathered)).await?;
        self.rows.fetch_add(rows, Ordering::Relaxed);
        Ok(())
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let this = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&this)).await;
        done.unwrap_or_else(|error| Err(error.to_string()))
    }
}
