//! The ids of the messages of a partition that were read last: a producer that was not answered sends again, and what it sends
//! again is in the topic twice.

use std::collections::{HashSet, VecDeque};

/// How many are remembered of each partition.
const IDS_MAX: usize = 20_000;

#[derive(Debug, Default)]
pub(super) struct RecentIds {
    known: HashSet<u128>,
    in_order: VecDeque<u128>,
}

impl RecentIds {
    /// Remembers an id; `false` when it is known already.
    pub(super) fn insert(&mut self, id: u128) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        if self.in_order.len() == IDS_MAX
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.in_order.push_back(id);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ids_are_known_and_older_ones_forgotten() {
        let mut ids = RecentIds::default();
        for id in 0..=IDS_MAX as u128 {
            assert!(ids.insert(id));
        }
        assert!(!ids.insert(1));
        assert!(ids.insert(0), "the oldest was forgotten");
        assert_eq!((ids.known.len(), ids.in_order.len()), (IDS_MAX, IDS_MAX));
    }
}
