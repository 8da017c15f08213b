//! The lines that a log query keeps while it reads.
//!
//! Without an interval these are the best `limit` lines seen so far. With one, a line counts only when
//! it is far enough from the line before it, which is known once no earlier line can come: lines wait
//! until the scan's frontier has passed them.

use std::collections::BTreeMap;

use timberyard_model::scan::Direction;
use timberyard_model::{Labels, Timestamp};

use super::is_before;
use crate::budget::Budget;
use crate::error::QueryError;
use crate::result::Entry;

/// A row's place in the answer: smaller comes first.
///
/// Of rows with equal times the one that was stored first comes first in a forward answer and last
/// in a backward one; [`timberyard_model::scan::RowBlock`] says how that order is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    time: i64,
    block: u64,
    row: i64,
}

impl Rank {
    pub(super) fn new(direction: Direction, timestamp: Timestamp, block: u64, row: usize) -> Self {
        let time = timestamp.as_nanos();
        let row = row as i64;
        match direction {
            Direction::Forward => Self { time, block, row },
            Direction::Backward => Self { time: !time, block, row: !row },
        }
    }
}

/// Keeps the lines of an answer.
#[derive(Debug)]
pub(super) struct Collector {
    direction: Direction,
    limit: usize,
    interval_ns: i64,
    /// Lines that may still be pushed out, or with an interval, that wait.
    open: BTreeMap<Rank, (Labels, Entry)>,
    /// Lines that are part of the answer.
    settled: Vec<(Labels, Entry)>,
    /// No line can push out one of `open` any longer.
    closed: bool,
}

impl Collector {
    pub(super) fn new(direction: Direction, limit: usize, interval_ns: i64) -> Self {
        let interval_ns = interval_ns.max(0);
        Self { direction, limit, interval_ns, open: BTreeMap::new(), settled: Vec::new(), closed: limit == 0 }
    }

    /// Whether nothing that is still to come can change the answer.
    pub(super) fn is_full(&self) -> bool {
        self.closed
    }

    /// Whether a row of that rank could be part of the answer.
    pub(super) fn wants(&self, rank: &Rank) -> bool {
        if self.interval_ns > 0 {
            let time = if self.direction == Direction::Forward { rank.time } else { !rank.time };
            return self.is_far_enough(Timestamp::from_nanos(time));
        }
        self.open.len() < self.limit || self.open.last_key_value().is_some_and(|(worst, _)| rank < worst)
    }

    pub(super) fn add(
        &mut self,
        rank: Rank,
        stream: Labels,
        entry: Entry,
        budget: &mut Budget,
    ) -> Result<(), QueryError> {
        budget.take(entry.bytes())?;
        self.open.insert(rank, (stream, entry));
        if self.interval_ns == 0
            && self.open.len() > self.limit
            && let Some((_, (_, worst))) = self.open.pop_last()
        {
            budget.give_back(worst.bytes());
        }
        Ok(())
    }

    /// Takes note that no later row lies beyond `frontier`.
    pub(super) fn settle(&mut self, frontier: Timestamp, budget: &mut Budget) {
        if self.interval_ns > 0 {
            self.settle_before(Some(frontier), budget);
        } else if self.open.len() >= self.limit
            && let Some((_, (_, worst))) = self.open.last_key_value()
        {
            // Rows at the frontier itself come after those already here.
            self.closed = !is_before(self.direction, frontier, worst.timestamp);
        }
    }

    /// The answer, first line first.
    pub(super) fn finish(mut self) -> impl Iterator<Item = (Labels, Entry)> {
        if self.interval_ns > 0 {
            self.settle_before(None, &mut Budget::new(usize::MAX));
            self.open.clear();
        }
        self.settled.into_iter().chain(self.open.into_values())
    }

    /// Decides about the lines in front of `frontier`, or about all of them.
    fn settle_before(&mut self, frontier: Option<Timestamp>, budget: &mut Budget) {
        while !self.closed
            && let Some(first) = self.open.first_entry()
        {
            let time = first.get().1.timestamp;
            if frontier.is_some_and(|frontier| !is_before(self.direction, time, frontier)) {
                break;
            }
            let (stream, entry) = first.remove();
            if self.is_far_enough(time) {
                self.settled.push((stream, entry));
                self.closed = self.settled.len() >= self.limit;
            } else {
                budget.give_back(entry.bytes());
            }
        }
    }

    /// Whether a line at that time is at least an interval away from the last one.
    fn is_far_enough(&self, time: Timestamp) -> bool {
        let Some((_, last)) = self.settled.last() else { return true };
        match self.direction {
            Direction::Forward => time >= last.timestamp.saturating_add_nanos(self.interval_ns),
            Direction::Backward => time <= last.timestamp.saturating_add_nanos(-self.interval_ns),
        }
    }
}
