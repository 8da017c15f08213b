//! Chunks of one scan that are read before the consumer asks for them, by threads of the pool and by the consumer itself
//! while it would wait.
//!
//! They are handed over in their order whoever finishes first, so that answers do not depend on threads. How many there
//! may be grows with what the consumer has taken: one that has its fill soon leaves little that was read for nothing.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use timberyard_model::cancellation::CancelReason;
use timberyard_model::scan::ScanError;

use super::chunk::{Chunk, ChunkReader, ChunkRows};
use super::pool::Work;
use super::unit::Seen;
use crate::core::lock;

/// What the consumer of a scan sees of the chunks that are under way.
pub(super) struct ReadAhead {
    shared: Arc<Shared>,
    /// In the order in which they are handed over.
    under_way: VecDeque<UnderWay>,
    bytes: usize,
    bytes_max: usize,
    next_number: u64,
    taken: usize,
}

enum UnderWay {
    /// Read by anybody, with the memory it may take.
    Shared { number: u64, bytes: usize },
    /// Read by the consumer, at its turn.
    Own(Chunk),
}

struct Shared {
    reader: ChunkReader,
    chunks: Mutex<Chunks>,
    /// Signalled with every chunk that was read.
    finished: Condvar,
}

#[derive(Default)]
struct Chunks {
    waiting: VecDeque<(u64, Chunk)>,
    read: BTreeMap<u64, Result<ChunkRows, ScanError>>,
}

impl ReadAhead {
    /// With chunks that may take so much memory in all, roughly, beside the one that is handed over next.
    pub(super) fn new(reader: ChunkReader, bytes_max: usize) -> Self {
        let shared = Shared { reader, chunks: Mutex::default(), finished: Condvar::new() };
        Self {
            shared: Arc::new(shared),
            under_way: VecDeque::new(),
            bytes: 0,
            bytes_max,
            next_number: 0,
            taken: 0,
        }
    }

    /// Whether another chunk may be begun with.
    pub(super) fn has_room(&self) -> bool {
        let chunks_max = self.shared.reader.core.read_pool.threads().min(self.taken) + 1;
        self.under_way.is_empty() || (self.under_way.len() < chunks_max && self.bytes < self.bytes_max)
    }

    /// Takes in the chunk that comes after all that were taken in.
    pub(super) fn begin(&mut self, chunk: Chunk) {
        if chunk.contested {
            self.under_way.push_back(UnderWay::Own(chunk));
            return;
        }
        let (number, bytes) = (self.next_number, chunk.bytes);
        self.next_number += 1;
        self.bytes += bytes;
        self.under_way.push_back(UnderWay::Shared { number, bytes });
        lock(&self.shared.chunks).waiting.push_back((number, chunk));
        // The first is read by the consumer, which comes for it at once.
        if self.under_way.len() > 1 {
            self.shared.reader.core.read_pool.ask(Arc::clone(&self.shared) as Arc<dyn Work>);
        }
    }

    /// The next chunk, once it is read; `None` when none is under way.
    pub(super) fn next(&mut self, seen: &mut Seen) -> Option<Result<ChunkRows, ScanError>> {
        let outcome = match self.under_way.pop_front()? {
            UnderWay::Own(chunk) => self.shared.reader.read(&chunk, seen),
            UnderWay::Shared { number, bytes } => {
                self.bytes -= bytes;
                self.shared.wait_for(number)
            }
        };
        self.taken += 1;
        Some(outcome)
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.shared.reader.abandoned.cancel(CancelReason::ClientGone);
        lock(&self.shared.chunks).waiting.clear();
    }
}

impl Shared {
    /// Reads what waits until that chunk is read, by this thread or another.
    fn wait_for(&self, number: u64) -> Result<ChunkRows, ScanError> {
        let mut chunks = lock(&self.chunks);
        loop {
            if let Some(outcome) = chunks.read.remove(&number) {
                return outcome;
            }
            if let Some((begun, chunk)) = chunks.waiting.pop_front() {
                drop(chunks);
                let outcome = self.read(&chunk);
                if begun == number {
                    return outcome;
                }
                chunks = lock(&self.chunks);
                chunks.read.insert(begun, outcome);
            } else {
                chunks = self.finished.wait(chunks).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn read(&self, chunk: &Chunk) -> Result<ChunkRows, ScanError> {
        let read = || self.reader.read(chunk, &mut Seen::default());
        // Whoever waits for it must learn of it.
        let failed = |_| Err(ScanError::Failed("reading a block panicked".to_owned()));
        catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(failed)
    }
}

impl Work for Shared {
    fn do_part(&self) {
        let Some((number, chunk)) = lock(&self.chunks).waiting.pop_front() else { return };
        let outcome = self.read(&chunk);
        // What holds files and plans goes before anybody is told that it is over.
        drop(chunk);
        lock(&self.chunks).read.insert(number, outcome);
        self.finished.notify_all();
    }
}
