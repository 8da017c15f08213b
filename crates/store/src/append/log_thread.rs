//! The thread that writes the log: one group at a time, synced, made visible, answered.
//!
//! No timer: a group is what arrived while the one before was being synced. Rows become visible
//! after they are durable and before they are acknowledged.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::origins::GroupOrigins;
use super::queue::QueuedBatch;
use super::unique_keys::GroupKeys;
use super::verdict::Verdict;
use crate::core::Core;
use crate::error::StoreError;
use crate::head::{Part, split};
use crate::wal::LogWriter;

/// Owns the end of the log.
pub(crate) struct LogThread {
    core: Arc<Core>,
    writer: LogWriter,
}

/// Answers what waits if the thread dies.
struct AnswerOnPanic(Arc<Core>);

impl Drop for AnswerOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the log's thread panicked");
            while let Some(group) = self.0.queue.take_group() {
                answer_all(group, &self.0.stopped_error());
            }
        }
    }
}

impl LogThread {
    pub(crate) fn new(core: Arc<Core>, writer: LogWriter) -> Self {
        Self { core, writer }
    }

    /// Works until the queue is closed and empty, and gives the log back.
    pub(crate) fn run(mut self) -> LogWriter {
        let _guard = AnswerOnPanic(Arc::clone(&self.core));
        while let Some(group) = self.core.queue.take_group() {
            if let Err(error) = self.core.wait_for_room().and_then(|()| self.core.check_free_bytes()) {
                answer_all(group, &error);
                continue;
            }
            self.write(group);
        }
        self.writer
    }

    fn write(&mut self, group: Vec<QueuedBatch>) {
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
        let written = self.make_durable(&accepted);
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
    fn make_durable(&mut self, group: &[QueuedBatch]) -> Result<u64, StoreError> {
        self.core.check_writing()?;
        let reserved = self.writer.reserve(group.iter().map(|queued| queued.payload.len()));
        let written = match reserved {
            // Nothing was written: when there is room again, writing goes on.
            Err(error) if error.is_full() => return Err(self.core.full_error()),
            Err(error) => Err(error),
            Ok(()) => self.writer.write_group(group.iter().map(|queued| &*queued.payload)),
        };
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
