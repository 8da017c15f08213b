//! The rows that segments hold already, as those meet them that are about to become a segment.
//!
//! Rows of Loki pushes that are equal are one, wherever they come. A cut leaves out the rows that a segment has, so that
//! from then on nobody has to compare the segments: neither a scan, which can count rows without reading them, nor
//! compaction, which can copy their groups. Only rows of exactly the same stream and time are compared; the usual case,
//! rows that follow those of the segments, reads nothing but indexes.
//!
//! Where that is too much to read, or deletions hide what it would be compared with, the segment is not said to have been
//! compared, and its rows are as they come.

use std::collections::HashMap;
use std::sync::Arc;

use timberyard_model::{RowRef, TenantId, Timestamp};

use crate::columnar::Narrowing;
use crate::deletion::Pending;
use crate::equality::RowIdentity;
use crate::error::StoreError;
use crate::segment::{
    Block, BlockEntry, Group, IndexCache, OfRow, Segment, SegmentIndex, SegmentReader, Wanted,
};

/// Rows of segments that are read at most for each row that is cut: reading one takes a hundredth of what writing one does.
const ROWS_READ_PER_ROW: usize = 4;
/// Rows and streams of segments that may be read in any case.
const ROWS_READ_FREE: usize = 10_000;
/// What looking at a row's line counts for, in rows of which only the time is read.
const LINE_ROWS: usize = 16;

/// The segments of one tenant and day of which it is known that they hold no row twice.
pub(crate) struct EarlierRows<'a> {
    segments: Vec<Arc<Segment>>,
    index_cache: &'a IndexCache,
    rows_left: usize,
    complete: bool,
}

/// What is known of the rows of one family.
#[derive(Default)]
pub(crate) struct EarlierRowsOfFamily {
    /// First and last times of groups of the family.
    pub(crate) groups: Vec<(Timestamp, Timestamp)>,
    /// Rows whose stream and time one of the new rows has.
    rows: HashMap<Timestamp, Vec<RowIdentity>>,
}

impl EarlierRowsOfFamily {
    /// Whether a segment has such a row. `identity` is asked only for times that matter, and is nothing for rows that
    /// never merge.
    pub(crate) fn has(&self, time: Timestamp, identity: impl FnOnce() -> Option<RowIdentity>) -> bool {
        !self.rows.is_empty()
            && self.rows.get(&time).is_some_and(|rows| identity().is_some_and(|row| rows.contains(&row)))
    }
}

/// The new rows of a family, sorted by time.
pub(crate) trait NewRows {
    /// How many there are.
    fn len(&self) -> usize;
    /// The time of a row.
    fn time(&self, place: usize) -> Timestamp;
    /// A row, if it is one with equal rows.
    fn merging(&self, place: usize) -> Option<RowRef<'_>>;

    /// The first row that is not before a time.
    fn since(&self, time: Timestamp) -> usize {
        let (mut start, mut end) = (0, self.len());
        while start < end {
            let middle = start.midpoint(end);
            if self.time(middle) < time {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start
    }
}

impl<'a> EarlierRows<'a> {
    /// What there is beside `rows` new ones of a tenant and day, the last of which has this log sequence.
    pub(crate) fn new<'s>(
        segments: impl Iterator<Item = &'s Arc<Segment>>,
        deletions: &Pending,
        (tenant, day): (&TenantId, i32),
        (rows, last_sequence): (usize, u64),
        index_cache: &'a IndexCache,
    ) -> Self {
        let side = deletions.side(tenant, day, last_sequence);
        let compared: Vec<Arc<Segment>> =
            segments.filter(|segment| segment.summary.compared).cloned().collect();
        let complete = compared
            .iter()
            .all(|segment| deletions.side(tenant, day, segment.summary.sequences.last) == side);
        let rows_left = rows.saturating_mul(ROWS_READ_PER_ROW).saturating_add(ROWS_READ_FREE);
        Self { segments: if complete { compared } else { Vec::new() }, index_cache, rows_left, complete }
    }

    /// Compares nothing.
    pub(crate) fn give_up(&mut self) {
        self.complete = false;
        self.segments.clear();
    }

    /// Whether every family was compared with all there is.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Looks for what the new rows of a family may repeat.
    pub(crate) fn of_family(&mut self, family: &str, new: &dyn NewRows) -> EarlierRowsOfFamily {
        let mut earlier = EarlierRowsOfFamily::default();
        let Some(last_place) = new.len().checked_sub(1) else { return earlier };
        let (first, last) = (new.time(0), new.time(last_place));
        let overlapping =
            |segment: &&Arc<Segment>| segment.summary.first <= last && first <= segment.summary.last;
        let overlapping: Vec<Arc<Segment>> = self.segments.iter().filter(overlapping).cloned().collect();
        for segment in overlapping {
            if !self.complete {
                return earlier;
            }
            let looked = self.look_into(&segment, family, new, (first, last), &mut earlier);
            // What cannot be read now is told by whoever wants its rows.
            self.complete = looked.unwrap_or(false);
        }
        earlier
    }

    /// Adds what one segment has. Whether that was not too much.
    fn look_into(
        &mut self,
        segment: &Arc<Segment>,
        family: &str,
        new: &dyn NewRows,
        (first, last): (Timestamp, Timestamp),
        earlier: &mut EarlierRowsOfFamily,
    ) -> Result<bool, StoreError> {
        if segment.is_damaged() {
            return Ok(false);
        }
        let index = segment.index(self.index_cache)?;
        let mut reader = None;
        for group in index.groups.iter().filter(|group| *group.family == *family) {
            if group.first > last || first > group.last {
                continue;
            }
            earlier.groups.push((group.first, group.last));
            if group.streams.iter().all(|stream| stream.merging_rows == 0) {
                continue;
            }
            for entry in &group.blocks {
                let place = new.since(entry.first);
                if place == new.len() || new.time(place) > entry.last {
                    continue;
                }
                if !self.spend(entry.rows as usize) {
                    return Ok(false);
                }
                let reader = match &mut reader {
                    Some(reader) => reader,
                    none => none.insert(segment.open()?),
                };
                let block = GroupBlock { reader, index: &index, group, entry };
                let times = block.times_shared_with(new)?;
                if times.is_empty() {
                    continue;
                }
                if !self.spend(entry.rows as usize + times.len() * LINE_ROWS) {
                    return Ok(false);
                }
                block.note_rows(&times, &mut earlier.rows)?;
            }
        }
        Ok(true)
    }

    /// Counts rows that are to be read. Whether they may be.
    fn spend(&mut self, rows: usize) -> bool {
        let left = self.rows_left.checked_sub(rows);
        self.rows_left = left.unwrap_or_default();
        left.is_some()
    }
}

/// One block of a segment.
struct GroupBlock<'a> {
    reader: &'a SegmentReader,
    index: &'a SegmentIndex,
    group: &'a Group,
    entry: &'a BlockEntry,
}

impl GroupBlock<'_> {
    /// Ascending, the times at which a stream has a row here and a new one.
    fn times_shared_with(&self, new: &dyn NewRows) -> Result<Vec<Timestamp>, StoreError> {
        let only_times = Wanted {
            lines: false,
            metadata: false,
            of_row: &|_, _| OfRow::Presence,
            filters: &Narrowing::NONE,
            ..Wanted::ALL
        };
        let mut shared = Vec::new();
        let Some(block) = self.reader.narrowed_block(self.group, self.entry, &only_times)?.rows() else {
            return Ok(shared);
        };
        let times = block.timestamps();
        let mut place = new.since(self.entry.first);
        let mut row = times.partition_point(|time| place < new.len() && *time < new.time(place));
        while let (Some(time), true) = (times.get(row).copied(), place < new.len()) {
            let next = new.time(place);
            if next < time {
                place += 1;
                continue;
            }
            if next == time && shared.last() != Some(&time) && self.is_shared(&block, row, new, place) {
                shared.push(time);
            }
            row += 1;
        }
        Ok(shared)
    }

    /// Whether the row here has the stream of one of the new rows from `place` on that have its time.
    fn is_shared(&self, block: &Block, row: usize, new: &dyn NewRows, place: usize) -> bool {
        let member = self.group.streams.get(block.stream(row) as usize);
        let labels = member.and_then(|member| self.index.streams.get(member.stream as usize));
        let Some(labels) = labels.filter(|_| block.merges(row)) else { return false };
        let time = new.time(place);
        (place..new.len())
            .take_while(|place| new.time(*place) == time)
            .any(|place| new.merging(place).is_some_and(|row| row.labels() == labels))
    }

    /// Notes the rows that merge at these times, which ascend.
    fn note_rows(
        &self,
        times: &[Timestamp],
        rows: &mut HashMap<Timestamp, Vec<RowIdentity>>,
    ) -> Result<(), StoreError> {
        let of_row = |_, time| match times.binary_search(&time) {
            Ok(_) => OfRow::Line,
            Err(_) => OfRow::Nothing,
        };
        let wanted = Wanted { of_row: &of_row, ..Wanted::ALL };
        let Some(block) = self.reader.narrowed_block(self.group, self.entry, &wanted)?.rows() else {
            return Ok(());
        };
        for (row, time) in block.timestamps().iter().enumerate() {
            let member = self.group.streams.get(block.stream(row) as usize);
            let labels = member.and_then(|member| self.index.streams.get(member.stream as usize));
            if let (true, true, Some(labels)) = (block.passes(row), block.merges(row), labels) {
                let identity = RowIdentity::of(labels, *time, block.line(row), block.metadata(row));
                rows.entry(*time).or_default().push(identity);
            }
        }
        Ok(())
    }
}
