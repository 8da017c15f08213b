//! What the threads of a store share.
//!
//! Locks, in the order in which they may be taken: `maintaining`, `cutting`, `manifest`, `state`. The
//! state is locked for moments only, never while the disk works. What is in `state` changes in
//! one step: a row is in a head or in a listed segment, never both, never neither.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use timberyard_model::{LogBatch, TenantId, TimeRange, Timestamp};

use crate::append::Queue;
use crate::counters::Counters;
use crate::deletion::{DeletionId, Hiding, Pending};
use crate::disk::{Disk, DurableDirectories};
use crate::error::StoreError;
use crate::head::{CutChoice, Heads, Part};
use crate::maintenance::Maintained;
use crate::manifest::Manifest;
use crate::options::StoreOptions;
use crate::origin_table::OriginTable;
use crate::paths::Paths;
use crate::retention::Cutoffs;
use crate::scan::ReadPool;
use crate::segment::{IndexCache, Segment};
use crate::segment_set::SegmentSet;
use crate::wal::LogFiles;

/// An open store.
pub(crate) struct Core {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) paths: Paths,
    pub(crate) directories: DurableDirectories,
    pub(crate) options: StoreOptions,
    pub(crate) queue: Queue,
    pub(crate) log_files: Arc<LogFiles>,
    pub(crate) index_cache: IndexCache,
    pub(crate) counters: Counters,
    /// Turns of scans that read ahead.
    pub(crate) read_pool: ReadPool,
    /// Held by whoever compacts or expires segments: what the round before has left.
    pub(crate) maintaining: Mutex<Maintained>,
    /// Held by whoever turns heads into segments.
    pub(crate) cutting: Mutex<()>,
    /// What is on disk. Held while it is replaced.
    pub(crate) manifest: Mutex<Manifest>,
    next_segment_id: AtomicU64,
    state: Mutex<State>,
    /// Signalled when heads shrink, a cut is wanted or has failed, or the store stops.
    changed: Condvar,
    poisoned: OnceLock<Arc<str>>,
}

/// What queries see, and what the threads tell each other.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) heads: Heads,
    pub(crate) segments: Arc<SegmentSet>,
    /// The sequence of the last batch in the heads.
    pub(crate) applied: u64,
    /// How far origins are stored.
    pub(crate) origins: Arc<OriginTable>,
    pub(crate) cutoffs: Cutoffs,
    /// What hides rows.
    pub(crate) deletions: Arc<Pending>,
    /// Deletions that compaction has begun with.
    pub(crate) carrying_out: BTreeSet<DeletionId>,
    cut_wanted: bool,
    cut_failure: Option<StoreError>,
    stopping: bool,
}

impl State {
    /// Puts the parts of the next batch into the heads.
    pub(crate) fn insert(&mut self, batch: &LogBatch, sequence: u64, parts: Vec<Part>) {
        if !batch.origins.is_empty() {
            Arc::make_mut(&mut self.origins).note(batch);
        }
        self.heads.insert(batch, sequence, parts);
        self.applied = sequence;
    }

    /// All that hides rows of a tenant now.
    pub(crate) fn hiding(&self, tenant: &TenantId) -> Hiding {
        Hiding { deletions: self.deletions.of_tenant(tenant), retention: Arc::clone(self.cutoffs.of(tenant)) }
    }
}

impl Core {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        paths: Paths,
        options: StoreOptions,
        manifest: Manifest,
        segments: SegmentSet,
        log_files: Arc<LogFiles>,
    ) -> Self {
        let state = State {
            segments: Arc::new(segments),
            applied: manifest.covered,
            deletions: Arc::new(Pending::of(&manifest.deletions)),
            origins: Arc::clone(&manifest.origins),
            ..State::default()
        };
        Self {
            queue: Queue::new(options.queue_bytes_max, options.quick_write_max),
            log_files,
            index_cache: IndexCache::new(options.index_cache_bytes_max),
            counters: Counters::default(),
            read_pool: ReadPool::new(options.read_threads),
            maintaining: Mutex::default(),
            cutting: Mutex::default(),
            next_segment_id: AtomicU64::new(manifest.next_segment_id),
            manifest: Mutex::new(manifest),
            state: Mutex::new(state),
            changed: Condvar::new(),
            poisoned: OnceLock::new(),
            directories: DurableDirectories::below(paths.root()),
            disk,
            paths,
            options,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// An id that no segment has had.
    pub(crate) fn new_segment_id(&self) -> u64 {
        self.next_segment_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_segment_id(&self) -> u64 {
        self.next_segment_id.load(Ordering::Relaxed)
    }

    /// The range without what retention hides.
    pub(crate) fn visible(&self, tenant: &TenantId, range: TimeRange) -> TimeRange {
        TimeRange::new(range.start.max(self.state().cutoffs.of(tenant).earliest()), range.end)
    }

    /// Stops writing for good.
    pub(crate) fn poison(&self, reason: &str) {
        if self.poisoned.set(reason.into()).is_ok() {
            tracing::error!(reason, "store has stopped writing");
        }
        self.queue.close(self.stopped_error());
        self.changed.notify_all();
    }

    pub(crate) fn poison_reason(&self) -> Option<&Arc<str>> {
        self.poisoned.get()
    }

    /// Fails once writing has stopped for good.
    pub(crate) fn check_writing(&self) -> Result<(), StoreError> {
        match self.poisoned.get() {
            Some(reason) => Err(StoreError::Poisoned { reason: Arc::clone(reason) }),
            None => Ok(()),
        }
    }

    /// What is answered when nothing is taken any more: that writing has stopped, or that the store was closed.
    pub(crate) fn stopped_error(&self) -> StoreError {
        self.check_writing().err().unwrap_or(StoreError::Closed)
    }

    /// Names damage once a segment and counts it.
    pub(crate) fn note_damage(&self, segment: &Segment, error: &StoreError) {
        if segment.mark_damaged() {
            tracing::error!(path = %segment.path().display(), %error, "segment is damaged");
        }
    }

    /// An error that says how full the volume is.
    pub(crate) fn full_error(&self) -> StoreError {
        StoreError::Full {
            directory: self.paths.root().to_owned(),
            free_bytes: self.disk.free_bytes(self.paths.root()).unwrap_or_default(),
            reserve_bytes: self.options.disk_reserve_bytes,
        }
    }

    /// Refuses while the volume has less room than is kept in reserve.
    pub(crate) fn check_free_bytes(&self) -> Result<(), StoreError> {
        let free_bytes = self.disk.free_bytes(self.paths.root());
        let free_bytes = free_bytes.map_err(|error| StoreError::io(self.paths.root(), error))?;
        if free_bytes < self.options.disk_reserve_bytes { Err(self.full_error()) } else { Ok(()) }
    }

    /// Waits until heads and log are below their limits. Fails when making room fails.
    pub(crate) fn wait_for_room(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        state.cut_failure = None;
        loop {
            self.check_writing()?;
            if self.has_room_in(&state) {
                return Ok(());
            }
            if let Some(error) = state.cut_failure.take() {
                return Err(if error.is_full() { self.full_error() } else { error });
            }
            if state.stopping {
                return Err(StoreError::Closed);
            }
            state.cut_wanted = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether a batch would not have to wait for the cutter.
    pub(crate) fn has_room(&self) -> bool {
        self.has_room_in(&self.state())
    }

    fn has_room_in(&self, state: &State) -> bool {
        state.heads.bytes() < self.options.head_bytes_max
            && state.heads.largest_family_bytes() < self.options.family_bytes_max()
            && self.log_files.sealed_bytes() < self.options.log_bytes_max
    }

    /// Wakes the cutter when heads or log have become large.
    pub(crate) fn request_cut_if_due(&self) {
        let mut state = self.state();
        if self.due_cut(&state).is_some() {
            state.cut_wanted = true;
            self.changed.notify_all();
        }
    }

    /// What should be cut now so that limits are never reached.
    fn due_cut(&self, state: &State) -> Option<CutChoice> {
        let full_bytes = self.options.full_family_bytes();
        if state.heads.largest_family_bytes() >= full_bytes {
            return Some(CutChoice::Full(full_bytes));
        }
        // Few at a time: the longer a family waits, the larger its groups become.
        let head_bytes_max = self.options.head_bytes_max;
        if state.heads.bytes() >= head_bytes_max / 4 * 3 {
            return Some(CutChoice::LargestDownTo(head_bytes_max / 2));
        }
        if self.log_files.sealed_bytes() >= self.options.log_bytes_max / 4 * 3 {
            return Some(self.log_files.older_half_end().map_or(CutChoice::All, CutChoice::UpToSequence));
        }
        None
    }

    /// The cutter's thread: turns heads into segments whenever they have become large.
    pub(crate) fn run_cutter(&self) {
        let _guard = StopOnPanic(self);
        loop {
            {
                let mut state = self.state();
                while !state.cut_wanted && !state.stopping {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                if state.stopping {
                    return;
                }
                state.cut_wanted = false;
            }
            if let Err(error) = self.cut_what_is_due() {
                tracing::error!(%error, "heads could not be written to segments");
                self.state().cut_failure = Some(error);
                self.changed.notify_all();
            }
        }
    }

    fn cut_what_is_due(&self) -> Result<(), StoreError> {
        loop {
            let choice = self.due_cut(&self.state());
            let Some(choice) = choice else { return Ok(()) };
            self.cut(choice)?;
        }
    }

    /// Makes the cutter, and whoever waits for room, end.
    pub(crate) fn stop(&self) {
        self.state().stopping = true;
        self.changed.notify_all();
    }

    /// Tells waiting threads that heads have shrunk.
    pub(crate) fn notify(&self) {
        self.changed.notify_all();
    }

    /// When the oldest row that may stay in a head was received.
    pub(crate) fn head_age_limit(&self, now: Timestamp) -> Timestamp {
        let seconds = i64::try_from(self.options.head_age_seconds_max).unwrap_or(i64::MAX);
        now.saturating_add_nanos(seconds.saturating_mul(-timberyard_model::time::NANOS_PER_SECOND))
    }
}

/// Stops writing if the cutter dies, so that nobody waits for it.
struct StopOnPanic<'a>(&'a Core);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the cutter's thread panicked");
        }
    }
}

/// A lock whose holder panicked is still good: everything behind these locks changes in one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
