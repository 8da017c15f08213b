//! `Store`: the door of this crate.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use timberyard_model::counting::Cuts;
use timberyard_model::label_values::{LabelQuestion, LabelValues};
use timberyard_model::scan::{
    BlockStream, CountVisitor, LogSource, ScanError, ScanEstimate, ScanRequest, SeriesRequest,
};
use timberyard_model::{Labels, LogBatch, TenantId, Timestamp};

use crate::append::{Committer, Pushed, QueuedBatch, SMALL_BYTES_MAX};
use crate::core::{Core, lock};
use crate::deletion::{CancelError, DeleteError, Deletion, DeletionId, DeletionRequest};
use crate::disk::{Disk, RealDisk};
use crate::error::StoreError;
use crate::head::CutChoice;
use crate::interpreters::Interpreters;
use crate::options::StoreOptions;
use crate::paths::Paths;
use crate::recovery::{DirectoryLock, Recovered, recover};
use crate::retention::RetentionPreview;
use crate::scan;
use crate::statistics::{MaintenanceReport, StoreStatistics};

/// An open data directory. All methods take `&self`; share it by `Arc`.
pub struct Store {
    core: Arc<Core>,
    committer: Arc<Committer>,
    threads: Mutex<Threads>,
    _lock: DirectoryLock,
}

#[derive(Default)]
struct Threads {
    log: Option<JoinHandle<()>>,
    cutter: Option<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
}

impl Store {
    /// Opens (or creates) a data directory: takes its lock, reads the manifest, replays the log.
    ///
    /// Fails when another process has it, when the manifest is damaged or missing beside data, and when the
    /// disk does. Damage elsewhere is named in the program's log and counted in [`StoreStatistics`].
    #[expect(clippy::needless_pass_by_value, reason = "it is made for this call")]
    pub fn open(
        directory: &Path,
        options: StoreOptions,
        interpreters: Interpreters,
    ) -> Result<Self, StoreError> {
        Self::open_on(Arc::new(RealDisk), directory, options, &interpreters)
    }

    /// The same on another file system than the machine's.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        directory: &Path,
        options: StoreOptions,
        interpreters: &Interpreters,
    ) -> Result<Self, StoreError> {
        let Recovered { core, writer, lock } = recover(disk, Paths::new(directory), options, interpreters)?;
        let committer = Arc::new(Committer::new(Arc::clone(&core), writer));
        let spawn_error = |error| StoreError::io(directory, error);
        let log = std::thread::Builder::new().name("store-log".to_owned());
        let log_committer = Arc::clone(&committer);
        let log = log.spawn(move || log_committer.run()).map_err(spawn_error)?;
        let cutter_core = Arc::clone(&core);
        let cutter = std::thread::Builder::new().name("store-cutter".to_owned());
        let cutter = cutter.spawn(move || cutter_core.run_cutter()).map_err(spawn_error)?;
        let mut threads = Threads { log: Some(log), cutter: Some(cutter), readers: Vec::new() };
        for _ in 0..core.read_pool.threads() {
            let reader_core = Arc::clone(&core);
            let reader = std::thread::Builder::new().name("store-reader".to_owned());
            threads.readers.push(reader.spawn(move || reader_core.read_pool.run()).map_err(spawn_error)?);
        }
        core.request_cut_if_due();
        Ok(Self { core, committer, threads: Mutex::new(threads), _lock: lock })
    }

    /// Makes a batch durable and visible, then calls `done`. `payload` is what goes into the log.
    ///
    /// Returns at once, except that a small batch is written and synced by this very thread while nobody else writes and that is
    /// quick ([`StoreOptions::quick_write_max`]). `done` is called exactly once, on the log's thread or on this one, and must
    /// not block.
    pub fn append(
        &self,
        batch: Arc<LogBatch>,
        payload: Vec<u8>,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        let queued = QueuedBatch { batch, payload, done: Box::new(done) };
        let may_be_written_here = queued.payload.len() <= SMALL_BYTES_MAX && self.core.has_room();
        match self.core.queue.push(queued, may_be_written_here) {
            Ok(Pushed::Waits) => {}
            Ok(Pushed::Back(queued, turn)) => self.committer.write_one(queued, turn),
            Err((queued, error)) => (queued.done)(Err(error)),
        }
    }

    /// Cuts all heads into segments and releases the log.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.core.cut(CutChoice::All).map(drop)
    }

    /// Cuts heads that are old, compacts, and carries out retention. To be called every few
    /// seconds to minutes, by one thread that may block. One call merges a bounded number of segments.
    pub fn maintain(&self, now: Timestamp) -> Result<MaintenanceReport, StoreError> {
        self.core.maintain(now)
    }

    /// Hides rows that are visible now, at once and durably, wherever they are. Rows that come later are not
    /// concerned, be they equal. [`Store::maintain`] takes the rows out of the files once
    /// [`StoreOptions::deletion_cancel_seconds`] have passed.
    pub fn delete(&self, request: DeletionRequest, now: Timestamp) -> Result<DeletionId, DeleteError> {
        self.core.delete(request, now)
    }

    /// The deletions of a tenant that were requested and not called off, the oldest first. Of those that were carried
    /// out only the newest thousand of the store are remembered.
    pub fn deletions(&self, tenant: &TenantId) -> Vec<Deletion> {
        self.core.deletions(tenant)
    }

    /// Calls a deletion off: its rows are seen again. With `force` also when it may be under way, and some rows
    /// are gone.
    pub fn cancel_deletion(
        &self,
        tenant: &TenantId,
        id: DeletionId,
        force: bool,
        now: Timestamp,
    ) -> Result<(), CancelError> {
        self.core.cancel_deletion(tenant, id, force, now)
    }

    /// What the next maintenance would take away if it were `now`, rule by rule. Reads indexes.
    pub fn preview_retention(&self, now: Timestamp) -> Result<RetentionPreview, StoreError> {
        self.core.preview_retention(now)
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        self.core.paths.root()
    }

    /// Batches appended and acknowledged since it was opened.
    pub fn batches_appended(&self) -> u64 {
        self.core.counters.batches_appended.load(Ordering::Relaxed)
    }

    /// Figures about what is stored and done.
    pub fn statistics(&self) -> StoreStatistics {
        self.core.statistics()
    }

    /// Makes a consistent copy in `target`, which must be empty or absent: segments by hard link
    /// (copied when on another volume), the log copied. It is restored by opening it.
    pub fn snapshot(&self, target: &Path) -> Result<(), StoreError> {
        self.core.snapshot(target)
    }

    /// Waits for what is queued, puts everything into segments, empties the log, and refuses
    /// appends from then on. Dropping a store without this loses nothing: the log is replayed.
    pub fn close(&self) -> Result<(), StoreError> {
        if !self.stop_threads() {
            return Ok(());
        }
        self.core.check_writing()?;
        self.committer.seal();
        self.core.cut(CutChoice::All)?;
        let manifest = lock(&self.core.manifest);
        self.core.log_files.release(manifest.covered, 0)
    }

    /// Whether everything that was taken is in the log now; says so only once.
    fn stop_threads(&self) -> bool {
        let mut threads = lock(&self.threads);
        self.core.queue.close(StoreError::Closed);
        // The cutter goes on until the log's thread, which may wait for it, has ended.
        let is_written = threads.log.take().is_some_and(|log| log.join().is_ok());
        self.core.stop();
        if let Some(cutter) = threads.cutter.take()
            && cutter.join().is_err()
        {
            tracing::error!("the cutter's thread panicked");
        }
        self.core.read_pool.close();
        for reader in threads.readers.drain(..) {
            if reader.join().is_err() {
                tracing::error!("a reader's thread panicked");
            }
        }
        is_written
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop_threads();
    }
}

impl LogSource for Store {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        Ok(Box::new(scan::StoreScan::new(&self.core, request)))
    }

    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        scan::estimate(&self.core, request)
    }

    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        scan::series(&self.core, request)
    }

    fn labels(
        &self,
        request: &SeriesRequest,
        question: &LabelQuestion,
    ) -> Result<Vec<LabelValues>, ScanError> {
        scan::labels(&self.core, request, question)
    }

    fn count(
        &self,
        request: &SeriesRequest,
        cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError> {
        scan::count(&self.core, request, cuts, visit)
    }
}
