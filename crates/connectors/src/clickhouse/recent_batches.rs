//! Tells a batch that is written again from another one that is equal to it.
//!
//! Two requests with the same rows that were received in the same nanosecond have the same hash, and are two. A batch that could
//! not be written, or of which nobody knows, comes again with its old hash, and is one.

use std::collections::{HashSet, VecDeque};

/// So many hashes of batches that were stored are remembered: several times what a server takes in a second.
const REMEMBERED: usize = 65_536;

/// Hashes of batches that are being stored, and of those that were stored lately.
#[derive(Debug, Default)]
pub(super) struct RecentBatches {
    taken: HashSet<u64>,
    stored: VecDeque<u64>,
}

impl RecentBatches {
    /// A hash for a batch, its own unless a different batch has it.
    pub(super) fn begin(&mut self, mut hash: u64) -> u64 {
        while !self.taken.insert(hash) {
            hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        }
        hash
    }

    /// The batch is stored.
    pub(super) fn stored(&mut self, hash: u64) {
        self.stored.push_back(hash);
        if self.stored.len() > REMEMBERED
            && let Some(oldest) = self.stored.pop_front()
        {
            self.taken.remove(&oldest);
        }
    }

    /// It is not, or nobody knows: it may come again.
    pub(super) fn failed(&mut self, hash: u64) {
        self.taken.remove(&hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_that_failed_keeps_its_hash_and_an_equal_one_gets_another() {
        let mut recent = RecentBatches::default();
        assert_eq!(recent.begin(7), 7);
        recent.failed(7);
        assert_eq!(recent.begin(7), 7);
        recent.stored(7);
        let twin = recent.begin(7);
        assert_ne!(twin, 7);
        for hash in 1000..1000 + REMEMBERED as u64 {
            recent.stored(hash);
        }
        assert_eq!(recent.begin(7), 7, "forgotten");
    }
}
