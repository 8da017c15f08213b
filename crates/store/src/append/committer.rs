//! Makes groups of batches durable, then visible, and answers them: one group at a time, whoever has the turn.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::origins::GroupOrigins;
use super::queue::{QueuedBatch, Turn};
use super::unique_keys::GroupKeys;
use super::verdict::Verdict;
use crate::core::{Core, lock};
use crate::error::StoreError;
use crate::head::{Part, split};
use crate::wal::LogWriter;

/// Writes groups to the end of the log. Rows become visible after they are durable and before they are acknowledged.
pub(crate) struct Committer {
    core: Arc<Core>,
    writer: Mutex<LogWriter>,
}

/// Answers what waits if the thread that writes dies.
struct AnswerOnPanic<'c>(&'c Core);

impl Drop for AnswerOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("writing the log panicked");
            while let Some((_turn, group)) = self.0.queue.take_group() {
                answer_all(group, &self.0.stopped_error());
            }
        }
    }
}

impl Committer {
    pub(crate) fn new(core: Arc<Core>, writer: LogWriter) -> Self {
        Self { core, writer: Mutex::new(writer) }
    }

    /// Writes group after group until the queue is closed and empty: what the log's thread does. No timer: a group is what
    /// arrived while the one before was being synced.
    pub(crate) fn run(&self) {
        let _guard = AnswerOnPanic(&self.core);
        while let Some((turn, group)) = self.core.queue.take_group() {
            match self.core.wait_for_room().and_then(|()| self.core.check_free_bytes()) {
                Ok(()) => self.write(group, &turn),
                Err(error) => answer_all(group, &error),
            }
        }
    }

    /// Writes one batch on this thread.
    pub(crate) fn write_one(&self, queued: QueuedBatch, turn: Turn<'_>) {
        let _guard = AnswerOnPanic(&self.core);
        // Given back before the guard takes what waits.
        let turn = turn;
        match self.core.check_free_bytes() {
            Ok(()) => self.write(vec![queued], &turn),
            Err(error) => (queued.done)(Err(error)),
        }
    }

    /// Nothing is written behind what is there: the log's file ends here.
    pub(crate) fn seal(&self) {
        lock(&self.writer).seal();
    }

    fn write(&self, group: Vec<QueuedBatch>, turn: &Turn<'_>) {
        let mut origins = GroupOrigins::default();
        let mut keys = GroupKeys::default();
        let mut accepted = Vec::with_capacity(group.len());
        let mut refused = Vec::new();
        for queued in group {
            // Keys are judged last: those of a batch that is new count for the rest of the group.
            let verdict = match origins.judge(&self.core, &queued.batch) {
                Verdict::New => keys.judge(&self.core, &queued.batch),
                known => known,
            };
            match verdict {
                Verdict::New => {
                    origins.add(&queued.batch);
                    accepted.push(queued);
                }
                Verdict::Exists(error) => self.refuse(queued, error),
                Verdict::ExistsIfWritten(error) => refused.push((queued, error)),
            }
        }
        if accepted.is_empty() {
            return;
        }
        let written = self.make_durable(&accepted, turn);
        let first = match written {
            Ok(first) => first,
            Err(error) => {
                answer_all(accepted, &error);
                answer_all(refused.into_iter().map(|(queued, _)| queued), &error);
                return;
            }
        };
        self.make_visible(&accepted, first);
        for queued in accepted {
            (queued.done)(Ok(()));
        }
        for (queued, error) in refused {
            self.refuse(queued, error);
        }
    }

    fn refuse(&self, queued: QueuedBatch, error: StoreError) {
        self.core.counters.duplicates_refused.fetch_add(1, Ordering::Relaxed);
        (queued.done)(Err(error));
    }

    /// Returns the sequence of the first batch.
    fn make_durable(&self, group: &[QueuedBatch], turn: &Turn<'_>) -> Result<u64, StoreError> {
        self.core.check_writing()?;
        let mut writer = lock(&self.writer);
        let started = Instant::now();
        let reserved = writer.reserve(group.iter().map(|queued| queued.payload.len()));
        let written = match reserved {
            // Nothing was written: when there is room again, writing goes on.
            Err(error) if error.is_full() => return Err(self.core.full_error()),
            Err(error) => Err(error),
            Ok(()) => writer.write_group(group.iter().map(|queued| &*queued.payload)),
        };
        turn.took(started.elapsed(), group.iter().map(|queued| queued.payload.len()).sum());
        written.map_err(|error| {
            self.core.poison(&format!("writing the log failed: {error}"));
            self.core.stopped_error()
        })
    }

    fn make_visible(&self, group: &[QueuedBatch], first: u64) {
        let counters = &self.core.counters;
        let numbered = || (first..).zip(group);
        let parts: Vec<Vec<Part>> =
            numbered().map(|(sequence, queued)| split(&queued.batch, sequence, &|_| true)).collect();
        {
            let mut state = self.core.state();
            for ((sequence, queued), parts) in numbered().zip(parts) {
                state.insert(&queued.batch, sequence, parts);
            }
        }
        counters.log_syncs.fetch_add(1, Ordering::Relaxed);
        counters.batches_appended.fetch_add(group.len() as u64, Ordering::Relaxed);
        let rows: usize = group.iter().map(|queued| queued.batch.rows.len()).sum();
        counters.rows_appended.fetch_add(rows as u64, Ordering::Relaxed);
        let payload_bytes: usize = group.iter().map(|queued| queued.payload.len()).sum();
        counters.payload_bytes_appended.fetch_add(payload_bytes as u64, Ordering::Relaxed);
        self.core.request_cut_if_due();
    }
}

fn answer_all(group: impl IntoIterator<Item = QueuedBatch>, error: &StoreError) {
    for queued in group {
        (queued.done)(Err(error.clone()));
    }
}
