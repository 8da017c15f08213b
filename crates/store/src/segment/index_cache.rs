//! Bounds the memory that segment indexes take: the ones loaded first are forgotten first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::handle::Segment;

/// Knows which segments have their index in memory.
#[derive(Default)]
pub(crate) struct IndexCache {
    bytes_max: usize,
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    bytes: usize,
    oldest_first: VecDeque<(Weak<Segment>, usize)>,
}

impl IndexCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, loaded: Mutex::default() }
    }

    /// Notes that a segment's index now takes `bytes`, and makes others forget theirs past the limit.
    pub(super) fn note(&self, segment: &Arc<Segment>, bytes: usize) {
        let mut forgotten = Vec::new();
        {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            loaded.bytes += bytes;
            loaded.oldest_first.push_back((Arc::downgrade(segment), bytes));
            while loaded.bytes > self.bytes_max && loaded.oldest_first.len() > 1 {
                let Some((segment, bytes)) = loaded.oldest_first.pop_front() else { break };
                loaded.bytes -= bytes;
                forgotten.push(segment);
            }
        }
        for segment in forgotten.iter().filter_map(Weak::upgrade) {
            segment.forget_index();
        }
    }
}
