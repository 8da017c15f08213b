//! Merges the groups of one family: rows sorted by time, rows that are one entry once, hidden rows left out.
//!
//! Groups that are large and that nothing overlaps are copied as they are; the others are read
//! block by block, as many at once as overlap in time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use timberyard_model::row_condition::RowView;
use timberyard_model::rows::RowsBuilder;
use timberyard_model::{Labels, Rows, Timestamp};

use crate::columnar::Narrowing;
use crate::deletion::{HiddenRows, Hiding, StreamRows, Tombstone};
use crate::equality::{Repetitions, RowIdentity};
use crate::error::StoreError;
use crate::gaps::Gaps;
use crate::segment::{
    BlockEntry, BlockRow, Group, SegmentIndex, SegmentReader, SegmentWriter, Sequences, Wanted,
};

/// A segment that is merged.
pub(super) struct Input {
    pub(super) sequences: Sequences,
    /// Of two that were compared no row that merges is in both.
    pub(super) compared: bool,
    pub(super) index: Arc<SegmentIndex>,
    pub(super) reader: SegmentReader,
}

/// One group of one input.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) input: &'a Input,
    pub(super) group: &'a Group,
}

impl Source<'_> {
    /// What is left to be seen of each stream of the group.
    pub(super) fn shown_streams(&self, hiding: &Hiding) -> Vec<StreamRows> {
        let Self { input, group } = self;
        let hidden = HiddenRows::of(hiding, input.sequences.last, group.first, group.last);
        let shown = group.streams.iter().map(|stream| {
            let labels = input.index.streams.get(stream.stream as usize);
            labels.map(|labels| hidden.stream(labels, stream.first, stream.last)).unwrap_or_default()
        });
        shown.collect()
    }

    /// Whether deletions hide any row of the group. Reads no further than the first.
    pub(super) fn has_hidden_rows(&self, deletions: &Arc<[Arc<Tombstone>]>) -> Result<bool, StoreError> {
        let hiding = Hiding { deletions: Arc::clone(deletions), ..Hiding::default() };
        let streams = self.shown_streams(&hiding);
        if streams.iter().any(|rows| matches!(rows, StreamRows::None)) {
            return Ok(true);
        }
        if streams.iter().all(|rows| matches!(rows, StreamRows::All)) {
            return Ok(false);
        }
        for tombstone in deletions.iter() {
            let filters = Narrowing::new(&tombstone.selector.line_filters);
            let metadata = streams.iter().any(StreamRows::needs_metadata);
            let wanted = Wanted { filters: &filters, metadata, ..Wanted::ALL };
            let overlaps = |entry: &&BlockEntry| tombstone.selector.range.overlaps(entry.first, entry.last);
            for entry in self.group.blocks.iter().filter(overlaps) {
                let Some(block) = self.input.reader.narrowed_block(self.group, entry, &wanted)?.rows() else {
                    continue;
                };
                let hidden = (0..block.rows()).filter(|row| block.passes(*row)).any(|row| {
                    let rows = streams.get(block.stream(row) as usize);
                    BlockRow::of(&self.input.index, self.group, &block, row)
                        .zip(rows)
                        .is_some_and(|(row, rows)| !rows.shows(&row))
                });
                if hidden {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// What the merged rows must obey.
#[derive(Clone, Copy)]
pub(super) struct MergeRules<'a> {
    /// Rows that this hides are left out.
    pub(super) hiding: &'a Hiding,
    /// Groups with at least this many raw bytes of lines are copied when nothing overlaps them.
    pub(super) copy_bytes_min: u64,
}

/// All groups by family, each family's in the order of the inputs.
pub(super) fn by_family(inputs: &[Input]) -> Vec<(&str, Vec<Source<'_>>)> {
    let mut families: std::collections::BTreeMap<&str, Vec<Source<'_>>> = std::collections::BTreeMap::new();
    for input in inputs {
        for group in input.index.groups.iter() {
            families.entry(&group.family).or_default().push(Source { input, group });
        }
    }
    families.into_iter().collect()
}

/// Writes the rows of one family. `others` are the first and last times of groups of it that stay where they are.
pub(super) fn merge_family(
    writer: &mut SegmentWriter,
    family: &str,
    sources: &[Source<'_>],
    rules: MergeRules<'_>,
    mut others: Vec<(Timestamp, Timestamp)>,
) -> Result<(), StoreError> {
    let contested = overlapping(sources);
    let mut merged = Vec::new();
    for (source, contested) in sources.iter().zip(contested) {
        let streams = source.shown_streams(rules.hiding);
        let whole = streams.iter().all(|rows| matches!(rows, StreamRows::All));
        let large = source.group.line_bytes() >= rules.copy_bytes_min;
        if large && whole && !contested {
            writer.copy_group(&source.input.index, source.group, &source.input.reader)?;
            others.push((source.group.first, source.group.last));
        } else if streams.iter().any(|rows| !matches!(rows, StreamRows::None)) {
            merged.push((*source, streams));
        }
    }
    let sum = |of: fn(&Group) -> u64| merged.iter().map(|(source, _)| of(source.group)).sum::<u64>() as usize;
    writer.expect(sum(Group::rows), sum(Group::raw_bytes));
    let mut gaps = Gaps::new(others);
    Merge::new(merged).run(|row, merges| {
        if gaps.parts(row.timestamp()) {
            writer.end_group()?;
        }
        writer.push(family, row, merges)
    })
}

/// For each source whether another with which it was not compared has rows of the same stream, that merge, at the same
/// time.
fn overlapping(sources: &[Source<'_>]) -> Vec<bool> {
    let mut overlapping = vec![false; sources.len()];
    if sources.iter().all(|source| source.input.compared) {
        return overlapping;
    }
    let mut spans: HashMap<&Labels, Vec<(Timestamp, Timestamp, usize)>> = HashMap::new();
    for (number, source) in sources.iter().enumerate() {
        for stream in source.group.streams.iter().filter(|stream| stream.merging_rows > 0) {
            if let Some(labels) = source.input.index.streams.get(stream.stream as usize) {
                spans.entry(labels).or_default().push((stream.first, stream.last, number));
            }
        }
    }
    for mut spans in spans.into_values() {
        spans.sort_unstable();
        let mut note = |number: usize, overlaps: bool| {
            if let Some(overlapping) = overlapping.get_mut(number) {
                *overlapping |= overlaps;
            }
        };
        let compared = |number: usize| sources.get(number).is_some_and(|source| source.input.compared);
        // How far those reach that begin before, and when the next one begins: of all, and of those not compared.
        let (mut reached, mut reached_uncompared) = (None, None);
        for (first, last, number) in spans.iter().copied() {
            let before = if compared(number) { reached_uncompared } else { reached };
            note(number, before >= Some(first));
            reached = reached.max(Some(last));
            if !compared(number) {
                reached_uncompared = reached_uncompared.max(Some(last));
            }
        }
        let (mut next, mut next_uncompared): (Option<Timestamp>, Option<Timestamp>) = (None, None);
        for (first, last, number) in spans.iter().rev().copied() {
            let after = if compared(number) { next_uncompared } else { next };
            note(number, after.is_some_and(|after| after <= last));
            next = Some(first);
            if !compared(number) {
                next_uncompared = Some(first);
            }
        }
    }
    overlapping
}

/// Some rows of one source, decoded.
struct Decoded {
    rows: Rows,
    merging: Vec<bool>,
}

/// How far a source has been read.
struct Cursor<'a> {
    source: Source<'a>,
    /// What is left of each stream of the group.
    streams: Vec<StreamRows>,
    next_block: usize,
    decoded: Option<Arc<Decoded>>,
    place: usize,
}

impl Cursor<'_> {
    /// The time of the next row; reads the next block when needed.
    fn peek(&mut self) -> Result<Option<Timestamp>, StoreError> {
        loop {
            if let Some(decoded) = &self.decoded
                && self.place < decoded.rows.len()
            {
                return Ok(Some(decoded.rows.get(self.place).timestamp()));
            }
            let group = self.source.group;
            let Some(entry) = group.blocks.get(self.next_block) else { return Ok(None) };
            self.next_block += 1;
            self.place = 0;
            let block = self.source.input.reader.block(group, entry)?;
            let mut rows = RowsBuilder::default();
            let mut merging = Vec::with_capacity(block.rows());
            for row in 0..block.rows() {
                let number = block.stream(row) as usize;
                let read = BlockRow::of(&self.source.input.index, group, &block, row);
                let Some(read) = read else { continue };
                if !self.streams.get(number).is_some_and(|rows| rows.shows(&read)) {
                    continue;
                }
                let stream = rows.stream(read.labels());
                // A block holds far less than the 4 GiB that rows can.
                if rows.push(stream, read.timestamp(), read.line(), block.metadata(row)).is_ok() {
                    merging.push(block.merges(row));
                }
            }
            self.decoded = Some(Arc::new(Decoded { rows: rows.finish(), merging }));
        }
    }
}

/// Merges sources by time; of equal times those of the first source come first.
struct Merge<'a> {
    cursors: Vec<Cursor<'a>>,
    /// The next time of each source that is not at its end.
    next: BinaryHeap<Reverse<(Timestamp, usize)>>,
}

impl<'a> Merge<'a> {
    fn new(sources: Vec<(Source<'a>, Vec<StreamRows>)>) -> Self {
        // A group is opened when its first time has come.
        let firsts = sources.iter().enumerate();
        let next = firsts.map(|(number, (source, _))| Reverse((source.group.first, number))).collect();
        let cursor = |(source, streams)| Cursor { source, streams, next_block: 0, decoded: None, place: 0 };
        Self { cursors: sources.into_iter().map(cursor).collect(), next }
    }

    fn run(
        mut self,
        mut push: impl FnMut(timberyard_model::RowRef<'_>, bool) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut repetitions = Repetitions::default();
        let mut run: Vec<(Arc<Decoded>, usize)> = Vec::new();
        while let Some(Reverse((time, _))) = self.next.peek().copied() {
            run.clear();
            while let Some(Reverse((same, number))) = self.next.peek().copied()
                && same == time
            {
                self.next.pop();
                self.take_equal(number, time, &mut run)?;
            }
            let identity = |place: usize| {
                let (decoded, row) = &run[place];
                let merges = decoded.merging.get(*row).copied().unwrap_or_default();
                let row = decoded.rows.get(*row);
                merges.then(|| RowIdentity::of(row.labels(), row.timestamp(), row.line(), row.metadata()))
            };
            let mut outcome = Ok(());
            repetitions.without(0..run.len(), identity, |place| {
                if outcome.is_ok() {
                    let (decoded, row) = &run[place];
                    let merges = decoded.merging.get(*row).copied().unwrap_or_default();
                    outcome = push(decoded.rows.get(*row), merges);
                }
            });
            outcome?;
        }
        Ok(())
    }

    /// Takes the rows of that time from a source and puts it back into line.
    fn take_equal(
        &mut self,
        number: usize,
        time: Timestamp,
        run: &mut Vec<(Arc<Decoded>, usize)>,
    ) -> Result<(), StoreError> {
        let Some(cursor) = self.cursors.get_mut(number) else { return Ok(()) };
        while let Some(next) = cursor.peek()? {
            if next != time {
                self.next.push(Reverse((next, number)));
                return Ok(());
            }
            if let Some(decoded) = &cursor.decoded {
                run.push((Arc::clone(decoded), cursor.place));
            }
            cursor.place += 1;
        }
        cursor.decoded = None;
        Ok(())
    }
}
