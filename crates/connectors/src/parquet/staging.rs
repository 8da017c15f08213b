//! Batches on disk until they are exported, each once whoever hands them over again after a kill.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use timberyard_model::LogBatch;
use timberyard_model::sink::SinkError;
use timberyard_pipeline::spool::{Spool, SpoolError, Spooled};
use timberyard_wire::batch_record;
use xxhash_rust::xxh3::xxh3_64;

use super::encode::StagedRow;
use super::note::{Note, NoteFile};
use super::partition::Partition;

/// When somebody should try again who found no room, in seconds.
const RETRY_AFTER_SECONDS: u64 = 10;

/// What waits to be exported.
pub(super) struct Staging {
    spool: Spool,
    note: NoteFile,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Batches that were here before this process: whoever hands over one of these again has not heard that it is here.
    known: HashSet<u64>,
    /// Bytes of rows that wait, as far as this process knows.
    row_bytes: u64,
    /// When the oldest of them came, in seconds since 1970.
    oldest_at_seconds: Option<u64>,
}

/// What is exported together.
pub(super) struct Gathered {
    pub(super) note: Note,
    /// Rows by the file that they belong to.
    pub(super) partitions: BTreeMap<Partition, Vec<StagedRow>>,
    pub(super) rows: u64,
    row_bytes: u64,
    last: Spooled,
}

impl Staging {
    /// Opens a folder, or makes it, with what is in it from before.
    pub(super) fn open(folder: &Path, bytes_max: u64) -> Result<Self, String> {
        let spool = Spool::open(folder, bytes_max).map_err(|error| error.to_string())?;
        let note = NoteFile::new(folder);
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        let noted = note.read().map_err(failed)?.unwrap_or_default();
        let staging = Self { spool, note, state: Mutex::default() };
        staging.forget_exported(&noted)?;
        let mut state = State::default();
        state.known.extend(&noted.batches);
        // What is damaged is told when it is exported; whatever lies behind it is there once more at worst.
        let mut next = staging.spool.oldest().unwrap_or_default();
        while let Some(record) = next {
            state.known.insert(xxh3_64(&record.payload));
            // Rows are more than their record; how much more is known when they are read.
            state.row_bytes += record.payload.len() as u64;
            state.oldest_at_seconds.get_or_insert(record.at_seconds);
            next = staging.spool.after(&record).unwrap_or_default();
        }
        *staging.state() = state;
        Ok(staging)
    }

    /// Takes away what was exported by a process that had no time to.
    fn forget_exported(&self, noted: &Note) -> Result<(), String> {
        if !noted.is_done {
            return Ok(());
        }
        while let Ok(Some(record)) = self.spool.oldest()
            && noted.batches.contains(&xxh3_64(&record.payload))
        {
            self.spool.delivered(&record).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Stages a batch: it outlives a cut of power when this returns. Blocks for the disk.
    pub(super) fn append(&self, batch: &LogBatch) -> Result<(), SinkError> {
        let record = batch_record::encode(batch);
        if self.state().known.remove(&xxh3_64(&record)) {
            return Ok(());
        }
        let now = now_seconds();
        self.spool.append(&record, now, true).map_err(|error| match error {
            SpoolError::Full { .. } => {
                SinkError::Overloaded { reason: error.to_string(), retry_after_seconds: RETRY_AFTER_SECONDS }
            }
            SpoolError::Io { .. } => SinkError::Unavailable(error.to_string()),
        })?;
        let mut state = self.state();
        state.row_bytes += batch.rows.bytes() as u64;
        state.oldest_at_seconds.get_or_insert(now);
        Ok(())
    }

    /// About how many bytes of rows wait, and for how many seconds the oldest of them has; nothing when none waits.
    pub(super) fn waiting(&self) -> Option<(u64, u64)> {
        let state = self.state();
        let since = state.oldest_at_seconds?;
        Some((state.row_bytes, now_seconds().saturating_sub(since)))
    }

    /// What was begun and not finished, else the oldest batches with up to that many bytes of rows, written down now. Nothing when
    /// nothing waits. Blocks for the disk.
    pub(super) fn gather(&self, row_bytes_max: u64) -> Result<Option<Gathered>, String> {
        let text = |error: SpoolError| error.to_string();
        let begun = self.note.read().map_err(|error| error.to_string())?.filter(|note| !note.is_done);
        let Some(mut record) = self.spool.oldest().map_err(text)? else {
            let mut state = self.state();
            (state.row_bytes, state.oldest_at_seconds) = (0, None);
            return Ok(None);
        };
        let mut gathered = Gathered {
            note: Note { id: new_id(), batches: Vec::new(), is_done: false },
            partitions: BTreeMap::new(),
            rows: 0,
            row_bytes: 0,
            last: record.clone(),
        };
        loop {
            gathered.take(&record);
            gathered.last = record.clone();
            let is_enough = match &begun {
                Some(begun) => gathered.note.batches.len() >= begun.batches.len(),
                None => gathered.row_bytes >= row_bytes_max,
            };
            if is_enough {
                break;
            }
            // What is wrong with a later one is told when it is the oldest.
            match self.spool.after(&record) {
                Ok(Some(next)) => record = next,
                Ok(None) | Err(_) => break,
            }
        }
        match begun {
            Some(begun) if begun.batches == gathered.note.batches => gathered.note = begun,
            begun => {
                if begun.is_some() {
                    tracing::error!(
                        "batches of an export that was begun are gone or damaged; files of it may be there twice"
                    );
                }
                self.note.write(&gathered.note).map_err(|error| error.to_string())?;
            }
        }
        Ok(Some(gathered))
    }

    /// All files of these are there. Blocks for the disk.
    pub(super) fn exported(&self, gathered: Gathered) -> Result<(), String> {
        let done = Note { is_done: true, ..gathered.note };
        self.note.write(&done).map_err(|error| error.to_string())?;
        self.spool.delivered(&gathered.last).map_err(|error| error.to_string())?;
        let oldest = self.spool.oldest().map_err(|error| error.to_string())?;
        let mut state = self.state();
        state.oldest_at_seconds = oldest.as_ref().map(|record| record.at_seconds);
        state.row_bytes = state.row_bytes.saturating_sub(gathered.row_bytes);
        Ok(())
    }

    /// Bytes on disk.
    pub(super) fn held_bytes(&self) -> u64 {
        if self.spool.is_empty() { 0 } else { self.spool.held_bytes() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    fn take(&mut self, record: &Spooled) {
        self.note.batches.push(xxh3_64(&record.payload));
        let batch = match batch_record::decode(&record.payload) {
            Ok(batch) => Arc::new(batch),
            Err(error) => {
                tracing::error!(%error, "a staged batch cannot be read and is not exported");
                return;
            }
        };
        self.row_bytes += batch.rows.bytes() as u64;
        self.rows += batch.rows.len() as u64;
        for (number, row) in (0_u32..).zip(batch.rows.iter()) {
            let rows = self.partitions.entry(Partition::new(&batch.tenant, row.timestamp())).or_default();
            rows.push(StagedRow { batch: Arc::clone(&batch), number });
        }
    }
}

/// A name that no other export has, sorted by time.
fn new_id() -> String {
    format!("{:010x}-{:016x}", now_seconds(), fastrand::u64(..))
}

fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
