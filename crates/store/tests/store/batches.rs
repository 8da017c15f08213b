//! Small batches whose rows a test can name, and what is stored of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use timberyard_model::batch::{EqualEntries, UniqueKey};
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::SeriesRequest;
use timberyard_model::{Cancellation, Labels, LogBatch, TenantId, TimeRange, Timestamp};
use timberyard_store::Store;

use crate::harness::{decoder, everything, small_options};

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const DAY: i64 = 86_400 * SECOND;
/// 2026-11-20T00:00:00Z.
pub(crate) const NOW: i64 = 20_777 * DAY;

/// A batch of rows given as service, time in nanoseconds, line.
pub(crate) fn batch_of(rows: &[(&str, i64, &str)], equal_entries: EqualEntries) -> LogBatch {
    let mut builder = RowsBuilder::default();
    for (service, time, line) in rows {
        let stream = builder.stream(&Labels::from_pairs([("service_name", *service)]));
        builder.push(stream, Timestamp::from_nanos(*time), line.as_bytes(), []).expect("fits");
    }
    LogBatch {
        tenant: TenantId::default(),
        received_at: Timestamp::from_nanos(NOW),
        equal_entries,
        rows: builder.finish(),
        unique_keys: Vec::new(),
        origins: Vec::new(),
    }
}

/// One row for each key, which is its line as well and unique.
pub(crate) fn event(keys: &[&str]) -> Arc<LogBatch> {
    let rows: Vec<_> = keys.iter().map(|key| ("analytics", NOW, *key)).collect();
    let mut batch = batch_of(&rows, EqualEntries::Keep);
    let key = |(row, key): (usize, &&str)| UniqueKey { row: row as u32, key: (*key).into() };
    batch.unique_keys = keys.iter().enumerate().map(key).collect();
    Arc::new(batch)
}

/// A question about all streams of the default tenant.
pub(crate) fn every_stream() -> SeriesRequest {
    SeriesRequest {
        tenant: TenantId::default(),
        range: TimeRange::ALL,
        selectors: Vec::new(),
        memory_bytes_max: usize::MAX,
        cancellation: Cancellation::default(),
    }
}

/// The lines of the default tenant, in the order of streams and times.
pub(crate) fn lines(store: &Store) -> Vec<String> {
    let rows = everything(store, &TenantId::default());
    rows.iter().map(|row| String::from_utf8_lossy(&row.line).into_owned()).collect()
}

/// All files below a folder with this extension, by name.
pub(crate) fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|other| other == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A store on the real file system.
pub(crate) fn open_real(directory: &Path) -> Store {
    Store::open(directory, small_options(), decoder()).expect("opens")
}
