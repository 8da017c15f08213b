//! Batches that wait for the log. Bounded by what they hold in memory; never waits for room.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use timberyard_model::LogBatch;

use crate::error::StoreError;

/// A group is cut at this many bytes, so that the first batch of it is not kept waiting by the last.
const GROUP_BYTES_MAX: usize = 16 << 20;

/// The largest record: its length is written in 32 bits.
const RECORD_BYTES_MAX: usize = u32::MAX as usize;

/// Called with what became of a batch.
pub(crate) type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A batch on its way into the log.
pub(crate) struct QueuedBatch {
    pub(crate) batch: Arc<LogBatch>,
    pub(crate) payload: Vec<u8>,
    pub(crate) done: Done,
}

impl QueuedBatch {
    /// Memory it holds.
    fn bytes(&self) -> usize {
        self.payload.len() + self.batch.rows.bytes()
    }
}

/// The queue.
pub(crate) struct Queue {
    bytes_max: usize,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<QueuedBatch>,
    bytes: usize,
    /// What pushes are answered with, once nothing is taken any more.
    closed: Option<StoreError>,
}

impl Queue {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, waiting: Mutex::default(), arrived: Condvar::new() }
    }

    /// Adds a batch, or gives it back with the reason.
    pub(crate) fn push(&self, queued: QueuedBatch) -> Result<(), (QueuedBatch, StoreError)> {
        let mut waiting = self.lock();
        if let Some(reason) = &waiting.closed {
            return Err((queued, reason.clone()));
        }
        if queued.payload.len() > RECORD_BYTES_MAX {
            let bytes = queued.payload.len();
            return Err((queued, StoreError::TooLarge { bytes, limit_bytes: RECORD_BYTES_MAX }));
        }
        let bytes = queued.bytes();
        if waiting.bytes > 0 && waiting.bytes + bytes > self.bytes_max {
            let refusal =
                StoreError::Overloaded { queued_bytes: waiting.bytes + bytes, limit_bytes: self.bytes_max };
            return Err((queued, refusal));
        }
        waiting.bytes += bytes;
        waiting.batches.push_back(queued);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for batches and takes a group of them; nothing once the queue is closed and empty.
    pub(crate) fn take_group(&self) -> Option<Vec<QueuedBatch>> {
        let mut waiting = self.lock();
        while waiting.batches.is_empty() {
            if waiting.closed.is_some() {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some(queued) = waiting.batches.pop_front() {
            bytes += queued.bytes();
            waiting.bytes -= queued.bytes();
            group.push(queued);
            if bytes >= GROUP_BYTES_MAX {
                break;
            }
        }
        Some(group)
    }

    /// Takes nothing from now on; what waits is still to be taken. The first reason stays.
    pub(crate) fn close(&self, reason: StoreError) {
        self.lock().closed.get_or_insert(reason);
        self.arrived.notify_all();
    }

    /// Memory held by what waits.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
