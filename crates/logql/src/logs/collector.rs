//! The lines that a log query keeps while it reads.
//!
//! Without an interval these are the best `limit` lines seen so far. With one, a line counts only when
//! it is far enough from the line before it, which is known once no earlier line can come: lines wait
//! until the scan's frontier has passed them. Of a page, lines up to the one it begins after are left out.

use std::collections::BTreeMap;

use timberyard_model::scan::Direction;
use timberyard_model::{Labels, Timestamp};

use super::is_before;
use crate::budget::Budget;
use crate::error::QueryError;
use crate::query_request::{LinePosition, Page};
use crate::result::Entry;

/// A row's place in the answer: smaller comes first.
///
/// Of rows with equal times the one that was stored first comes first in a forward answer and last
/// in a backward one; [`timberyard_model::scan::RowBlock`] says how that order is seen. It holds within a stream; between
/// streams it depends on where rows lie, so that pages put streams in an order of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    time: i64,
    /// The stable hash of the stream, in pages.
    stream: u64,
    block: u64,
    row: i64,
}

impl Rank {
    pub(super) fn new(
        direction: Direction,
        timestamp: Timestamp,
        stream: u64,
        block: u64,
        row: usize,
    ) -> Self {
        let time = ordered_time(direction, timestamp);
        let row = row as i64;
        match direction {
            Direction::Forward => Self { time, stream, block, row },
            Direction::Backward => Self { time, stream, block, row: !row },
        }
    }

    /// What lines of one stream and time have in common.
    fn place(&self) -> (i64, u64) {
        (self.time, self.stream)
    }
}

/// The time as a number that grows in the direction.
fn ordered_time(direction: Direction, timestamp: Timestamp) -> i64 {
    match direction {
        Direction::Forward => timestamp.as_nanos(),
        Direction::Backward => !timestamp.as_nanos(),
    }
}

/// Where a page begins.
#[derive(Clone, Copy, Debug)]
struct PageStart {
    place: (i64, u64),
    /// Lines of that place that earlier pages have.
    lines: usize,
}

/// The lines of an answer, first line first.
pub(super) struct Collected {
    pub(super) lines: Vec<(Labels, Entry)>,
    /// Of a full page, its last line.
    pub(super) last: Option<LinePosition>,
}

/// Keeps the lines of an answer.
#[derive(Debug)]
pub(super) struct Collector {
    direction: Direction,
    limit: usize,
    interval_ns: i64,
    is_page: bool,
    after: Option<PageStart>,
    /// Lines that may still be pushed out, or with an interval, that wait.
    open: BTreeMap<Rank, (Labels, Entry)>,
    /// Lines that are part of the answer.
    settled: Vec<(Labels, Entry)>,
    /// No line can push out one of `open` any longer.
    closed: bool,
}

impl Collector {
    /// A page has no interval.
    pub(super) fn new(direction: Direction, limit: usize, interval_ns: i64, page: Option<&Page>) -> Self {
        let after = page.and_then(|page| page.after).map(|after| PageStart {
            place: (ordered_time(direction, after.timestamp), after.stream),
            lines: after.lines as usize,
        });
        Self {
            direction,
            // Lines of the place where the page begins are told apart once all of them are there.
            limit: limit.saturating_add(after.map_or(0, |after| if limit == 0 { 0 } else { after.lines })),
            interval_ns: interval_ns.max(0),
            is_page: page.is_some(),
            after,
            open: BTreeMap::new(),
            settled: Vec::new(),
            closed: limit == 0,
        }
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
        if self.after.is_some_and(|after| rank.place() < after.place) {
            return false;
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
            // Rows at the frontier itself come after those already here, unless another stream's are wanted first.
            self.closed = match self.is_page {
                true => is_before(self.direction, worst.timestamp, frontier),
                false => !is_before(self.direction, frontier, worst.timestamp),
            };
        }
    }

    pub(super) fn finish(mut self) -> Collected {
        if self.is_page {
            return self.finish_page();
        }
        if self.interval_ns > 0 {
            self.settle_before(None, &mut Budget::new(usize::MAX));
            self.open.clear();
        }
        Collected { lines: self.settled.into_iter().chain(self.open.into_values()).collect(), last: None }
    }

    fn finish_page(self) -> Collected {
        let known = self.after.map_or(0, |after| after.lines);
        let wanted = self.limit.saturating_sub(known);
        let is_known = |(number, (rank, _)): &(usize, (Rank, _))| {
            self.after.is_some_and(|after| *number < known && rank.place() == after.place)
        };
        let open = self.open.into_iter().enumerate();
        let page: Vec<_> = open.skip_while(is_known).map(|(_, line)| line).take(wanted).collect();
        let last = match page.last() {
            Some((rank, (_, entry))) if page.len() == wanted => {
                let place = rank.place();
                let here = page.iter().rev().take_while(|(rank, _)| rank.place() == place).count();
                let before = self.after.filter(|after| after.place == place).map_or(0, |after| after.lines);
                Some(LinePosition {
                    timestamp: entry.timestamp,
                    stream: rank.stream,
                    lines: u32::try_from(before.saturating_add(here)).unwrap_or(u32::MAX),
                })
            }
            _ => None,
        };
        Collected { lines: page.into_iter().map(|(_, line)| line).collect(), last }
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
