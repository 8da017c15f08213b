//! The embedded store with some rows in its segments, in a folder of its own.

use std::sync::{Arc, mpsc};

use tempfile::TempDir;
use timberyard_model::batch::EqualEntries;
use timberyard_model::counting::Cuts;
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{
    BlockStream, CountVisitor, LogSource, ScanError, ScanEstimate, ScanRequest, SeriesRequest,
};
use timberyard_model::{Labels, LogBatch, TenantId, Timestamp};
use timberyard_store::{Interpreters, Store, StoreOptions};

use crate::memory_source::Entry;

/// A store that is gone, with its files, when this is dropped.
pub struct StoredSource {
    store: Store,
    _folder: TempDir,
}

impl StoredSource {
    /// A store that holds these rows of the default tenant in segments, in blocks of about `block_bytes` of lines.
    pub fn new(entries: &[Entry], block_bytes: usize) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let options = StoreOptions {
            block_bytes,
            group_bytes: 4 * block_bytes,
            log_segment_bytes: 1 << 20,
            disk_reserve_bytes: 0,
            ..StoreOptions::default()
        };
        let nothing = Interpreters::of_records(|_| Err("nothing is replayed here".to_owned()));
        let store = Store::open(folder.path(), options, nothing).map_err(|error| error.to_string())?;
        let mut rows = RowsBuilder::default();
        for entry in entries {
            let stream = rows.stream(&entry.labels);
            let metadata = entry.metadata.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
            rows.push(stream, entry.timestamp, &entry.line, metadata).map_err(|error| error.to_string())?;
        }
        let batch = LogBatch {
            tenant: TenantId::default(),
            received_at: Timestamp::from_nanos(0),
            equal_entries: EqualEntries::Keep,
            rows: rows.finish(),
            unique_keys: Vec::new(),
            origins: Vec::new(),
        };
        let (sender, receiver) = mpsc::channel();
        store.append(Arc::new(batch), Vec::new(), move |outcome| {
            // Whoever waits may have given up.
            let _ = sender.send(outcome);
        });
        receiver.recv().map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        store.flush().map_err(|error| error.to_string())?;
        Ok(Self { store, _folder: folder })
    }
}

impl LogSource for StoredSource {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        self.store.scan(request)
    }

    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        self.store.estimate(request)
    }

    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        self.store.series(request)
    }

    fn count(
        &self,
        request: &SeriesRequest,
        cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError> {
        self.store.count(request, cuts, visit)
    }
}
