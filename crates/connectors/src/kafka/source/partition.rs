//! One partition that is ours for now: what was read of it and is not written yet, and how far the group's offset is to move.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::recent_ids::RecentIds;
use super::stretch::{Place, Stretch};

/// How much is written at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) bytes_max: usize,
    pub(super) rows_max: usize,
    pub(super) age_max: Duration,
}

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) place: Place,
    /// What tells it apart from the same partition at another time.
    pub(super) generation: u64,
    pub(super) recent_ids: RecentIds,
    /// Stretches one behind the other; all but the last are full.
    pub(super) gathered: VecDeque<Stretch>,
    pub(super) in_flight: Option<InFlight>,
    /// The offset behind the last message that the sinks have.
    pub(super) written_to: Option<i64>,
    /// Whether that is to be committed yet.
    pub(super) is_commit_due: bool,
}

/// A stretch that is being written.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) bytes: usize,
    pub(super) cancel: CancellationToken,
}

impl Partition {
    pub(super) fn new(place: Place, generation: u64) -> Self {
        Self {
            place,
            generation,
            recent_ids: RecentIds::default(),
            gathered: VecDeque::new(),
            in_flight: None,
            written_to: None,
            is_commit_due: false,
        }
    }

    /// Bytes that it holds in memory.
    pub(super) fn bytes(&self) -> usize {
        let gathered: usize = self.gathered.iter().map(|stretch| stretch.bytes).sum();
        gathered + self.in_flight.as_ref().map_or(0, |stretch| stretch.bytes)
    }

    /// The stretch that the next message goes to.
    pub(super) fn open_stretch(&mut self, bounds: &Bounds, now: Instant) -> &mut Stretch {
        if self.gathered.back().is_none_or(|last| bounds.is_reached(last)) {
            self.gathered.push_back(Stretch::new(now));
        }
        let last = self.gathered.len() - 1;
        &mut self.gathered[last]
    }

    /// The first stretch, when it is time to write it and nothing is being written.
    pub(super) fn take_due(&mut self, bounds: &Bounds, hurry: bool, now: Instant) -> Option<Stretch> {
        if self.in_flight.is_some() {
            return None;
        }
        let first = self.gathered.front()?;
        let is_old = now.saturating_duration_since(first.since) >= bounds.age_max;
        if is_old || hurry || bounds.is_reached(first) { self.gathered.pop_front() } else { None }
    }
}

impl Bounds {
    fn is_reached(&self, stretch: &Stretch) -> bool {
        stretch.bytes >= self.bytes_max || stretch.rows >= self.rows_max
    }
}
