//! Batches that wait for the log, and whose turn it is to write it. Bounded by what they hold in memory; never waits for room.
//!
//! Usually the log's thread has the turn. A small batch that meets an idle log whose syncs are quick is written by the thread that
//! brings it: waking another one, and being woken by it, would take longer than the sync.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use timberyard_model::LogBatch;

use crate::error::StoreError;

/// A group is cut at this many bytes, so that the first batch of it is not kept waiting by the last.
const GROUP_BYTES_MAX: usize = 16 << 20;

/// The largest record: its length is written in 32 bits.
const RECORD_BYTES_MAX: usize = u32::MAX as usize;

/// Groups of at most so many bytes are small: a sync, not writing them, is what takes time.
pub(crate) const SMALL_BYTES_MAX: usize = 64 << 10;

/// How many of the last small groups the time of one is taken from.
const GROUPS_AVERAGED: u32 = 8;

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
    quick_write_max: Duration,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<QueuedBatch>,
    bytes: usize,
    /// Whether somebody has the turn.
    writing: bool,
    /// What a small group took lately.
    small_group: Option<Duration>,
    /// What pushes are answered with, once nothing is taken any more.
    closed: Option<StoreError>,
}

/// The right to write to the log, which one thread has at a time. Given back when dropped.
pub(crate) struct Turn<'q>(&'q Queue);

impl Turn<'_> {
    /// Tells how long it took to make a group of so many bytes durable.
    pub(crate) fn took(&self, time: Duration, bytes: usize) {
        if bytes <= SMALL_BYTES_MAX {
            let mut waiting = self.0.lock();
            let before = waiting.small_group.unwrap_or(time);
            waiting.small_group = Some((before * (GROUPS_AVERAGED - 1) + time) / GROUPS_AVERAGED);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.writing = false;
        if !waiting.batches.is_empty() || waiting.closed.is_some() {
            self.0.arrived.notify_all();
        }
    }
}

/// Where a batch went.
pub(crate) enum Pushed<'q> {
    /// Behind others; the log's thread writes it.
    Waits,
    /// Nowhere: whoever brought it is to write it.
    Back(QueuedBatch, Turn<'q>),
}

impl Queue {
    pub(crate) fn new(bytes_max: usize, quick_write_max: Duration) -> Self {
        Self { bytes_max, quick_write_max, waiting: Mutex::default(), arrived: Condvar::new() }
    }

    /// Adds a batch, or gives it back with the reason. When it `may_be_written_here` and that is soon done, it is given back with
    /// the turn.
    pub(crate) fn push(
        &self,
        queued: QueuedBatch,
        may_be_written_here: bool,
    ) -> Result<Pushed<'_>, (QueuedBatch, StoreError)> {
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
        let is_quick = waiting.small_group.is_some_and(|time| time <= self.quick_write_max);
        if may_be_written_here && is_quick && !waiting.writing && waiting.batches.is_empty() {
            waiting.writing = true;
            return Ok(Pushed::Back(queued, Turn(self)));
        }
        waiting.bytes += bytes;
        waiting.batches.push_back(queued);
        if !waiting.writing {
            self.arrived.notify_one();
        }
        Ok(Pushed::Waits)
    }

    /// Waits for batches and the turn, and takes a group of them; nothing once the queue is closed and empty, and nobody writes.
    pub(crate) fn take_group(&self) -> Option<(Turn<'_>, Vec<QueuedBatch>)> {
        let mut waiting = self.lock();
        while waiting.writing || waiting.batches.is_empty() {
            if !waiting.writing && waiting.closed.is_some() {
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
        waiting.writing = true;
        drop(waiting);
        Some((Turn(self), group))
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

#[cfg(test)]
mod tests {
    use timberyard_model::batch::EqualEntries;
    use timberyard_model::rows::Rows;
    use timberyard_model::{TenantId, Timestamp};

    use super::*;

    const QUICK: Duration = Duration::from_millis(1);

    fn queue() -> Queue {
        Queue::new(1 << 20, QUICK)
    }

    fn batch() -> QueuedBatch {
        let batch = LogBatch {
            tenant: TenantId::default(),
            received_at: Timestamp::from_nanos(0),
            equal_entries: EqualEntries::Keep,
            rows: Rows::default(),
            unique_keys: Vec::new(),
            origins: Vec::new(),
        };
        QueuedBatch { batch: Arc::new(batch), payload: vec![0; 10], done: Box::new(drop) }
    }

    /// The turn, when the batch is given back with it.
    fn turn(queue: &Queue) -> Option<Turn<'_>> {
        match queue.push(batch(), true) {
            Ok(Pushed::Back(_, turn)) => Some(turn),
            Ok(Pushed::Waits) => None,
            Err((_, error)) => panic!("{error}"),
        }
    }

    /// What the log's thread does with one group, which takes so long.
    fn write_group(queue: &Queue, time: Duration, bytes: usize) -> usize {
        let (turn, group) = queue.take_group().expect("something waits");
        turn.took(time, bytes);
        group.len()
    }

    #[test]
    fn a_batch_is_written_by_who_brings_it_when_that_is_known_to_be_quick() {
        let queue = queue();
        assert!(turn(&queue).is_none(), "nobody knows yet");
        // A large group tells nothing.
        assert_eq!(write_group(&queue, QUICK / 2, SMALL_BYTES_MAX + 1), 1);
        assert!(turn(&queue).is_none());
        assert_eq!(write_group(&queue, QUICK / 2, SMALL_BYTES_MAX), 1);
        turn(&queue).expect("quick").took(QUICK * 100, 10);
        assert!(turn(&queue).is_none(), "one was slow");
        assert_eq!(write_group(&queue, QUICK / 2, 10), 1);
        assert!(matches!(queue.push(batch(), false), Ok(Pushed::Waits)), "it is large, or there is no room");
    }

    #[test]
    fn one_has_the_turn_and_what_comes_meanwhile_waits_for_the_thread() {
        let queue = queue();
        assert!(turn(&queue).is_none());
        assert_eq!(write_group(&queue, QUICK / 2, 10), 1);
        let first = turn(&queue).expect("quick and idle");
        assert!(turn(&queue).is_none() && turn(&queue).is_none());
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| write_group(&queue, QUICK / 2, 10));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!thread.is_finished(), "there is one turn");
            drop(first);
            assert_eq!(thread.join().expect("no panic"), 2);
        });
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn a_closed_queue_ends_when_the_turn_is_given_back() {
        let queue = queue();
        assert!(turn(&queue).is_none());
        assert_eq!(write_group(&queue, QUICK / 2, 10), 1);
        let last = turn(&queue).expect("quick and idle");
        queue.close(StoreError::Closed);
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| queue.take_group().is_none());
            std::thread::sleep(Duration::from_millis(20));
            assert!(!thread.is_finished(), "somebody still writes");
            drop(last);
            assert!(thread.join().expect("no panic"));
        });
        assert!(queue.push(batch(), true).is_err());
    }
}
