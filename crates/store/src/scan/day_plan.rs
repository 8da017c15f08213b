//! The plan for one day: which blocks and head entries are read, in which order, and which of their
//! rows have to be compared with others.

use std::collections::HashMap;
use std::sync::Arc;

use timberyard_model::scan::{Direction, ScanError, ScanStatistics};
use timberyard_model::{Labels, TimeRange, Timestamp};

use super::contested::{Contested, ContestedBuilder, Stretches, contains, touches};
use super::query::Query;
use super::snapshot::Day;
use crate::core::Core;
use crate::deletion::{HiddenRows, Hiding, StreamRows};
use crate::error::StoreError;
use crate::head::HeadEntry;
use crate::segment::{Group, Segment, SegmentIndex};

/// Rows of a head entry that are read at once, in bytes of lines.
const HEAD_UNIT_BYTES: usize = 1 << 20;

/// What is read of one day.
#[derive(Default)]
pub(super) struct DayPlan {
    pub(super) segments: Vec<PlannedSegment>,
    pub(super) groups: Vec<PlannedGroup>,
    pub(super) entries: Vec<PlannedEntry>,
    /// The one to read next is the last.
    pub(super) units: Vec<PlannedUnit>,
}

pub(super) struct PlannedSegment {
    pub(super) segment: Arc<Segment>,
    pub(super) index: Arc<SegmentIndex>,
}

/// A group with streams that pass.
pub(super) struct PlannedGroup {
    pub(super) segment: usize,
    /// Its place in the index.
    pub(super) group: usize,
    /// By number within the group.
    pub(super) streams: Vec<PlannedStream>,
}

/// A head entry with streams that pass.
pub(super) struct PlannedEntry {
    pub(super) entry: Arc<HeadEntry>,
    /// By number within the batch.
    pub(super) streams: Vec<PlannedStream>,
}

/// What is wanted of a stream's rows in one place.
#[derive(Clone, Default)]
pub(super) struct PlannedStream {
    pub(super) accepted: bool,
    /// Where its rows may be elsewhere too.
    pub(super) contested: Option<Stretches>,
    /// Which of its rows deletions leave.
    pub(super) rows: StreamRows,
    /// The times at which its rows are still to be read, when some were counted; all when it is `None`.
    pub(super) unread: Option<Stretches>,
}

/// What is read at once.
pub(super) struct PlannedUnit {
    pub(super) place: UnitPlace,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

#[derive(Clone, Copy)]
pub(super) enum UnitPlace {
    Block { group: usize, block: usize },
    Entry { entry: usize, start: usize, end: usize },
}

impl PlannedUnit {
    /// The number in the plan of the group that a block is of.
    pub(super) fn group(&self) -> Option<usize> {
        match self.place {
            UnitPlace::Block { group, .. } => Some(group),
            UnitPlace::Entry { .. } => None,
        }
    }
}

impl PlannedStream {
    /// A stream that passes, of which deletions leave these rows.
    fn accepted(rows: StreamRows) -> Self {
        Self { accepted: !matches!(rows, StreamRows::None), rows, ..Self::default() }
    }

    /// Every accepted row in the range is handed over, so that counts of the index are those of the rows.
    pub(super) fn is_exact_in_index(&self) -> bool {
        self.contested.is_none() && !self.rows.is_partial()
    }

    /// Whether a row of that time is to be read.
    pub(super) fn wants(&self, time: Timestamp) -> bool {
        self.accepted && self.unread.as_deref().is_none_or(|unread| contains(unread, time))
    }
}

impl PlannedGroup {
    pub(super) fn group<'p>(&self, plan: &'p DayPlan) -> &'p Group {
        &plan.segments[self.segment].index.groups[self.group]
    }
}

/// Turns an error of a segment into damage that is noted, or into the end of the scan.
pub(super) fn pass_over_damage(
    core: &Core,
    segment: &Segment,
    error: &StoreError,
    statistics: &mut ScanStatistics,
) -> Result<(), ScanError> {
    if !error.is_damage() {
        return Err(ScanError::Failed(error.to_string()));
    }
    core.note_damage(segment, error);
    statistics.segments_damaged += 1;
    Ok(())
}

impl DayPlan {
    pub(super) fn new(
        core: &Core,
        day: Day,
        query: &Query,
        hiding: &Hiding,
        statistics: &mut ScanStatistics,
    ) -> Result<Self, ScanError> {
        let mut plan = Self::default();
        for segment in day.segments {
            match segment.index(&core.index_cache) {
                Ok(index) => plan.add_segment(segment, index, query, hiding, statistics),
                Err(error) => pass_over_damage(core, &segment, &error, statistics)?,
            }
        }
        let mut accepted: HashMap<Labels, bool> = HashMap::new();
        for entry in day.entries {
            plan.add_entry(entry, query, hiding, &mut accepted);
        }
        plan.note_contested(query.range);
        plan.sort(query.direction);
        Ok(plan)
    }

    fn add_segment(
        &mut self,
        segment: Arc<Segment>,
        index: Arc<SegmentIndex>,
        query: &Query,
        hiding: &Hiding,
        statistics: &mut ScanStatistics,
    ) {
        let selected = index.select(&query.selectors);
        let number = self.segments.len();
        for (place, group) in index.groups.iter().enumerate() {
            let in_range = query.range.overlaps(group.first, group.last);
            let last_sequence = segment.summary.sequences.last;
            let hidden = HiddenRows::of(hiding, last_sequence, group.first, group.last);
            let stream = |stream: &crate::segment::GroupStream| {
                if !selected.contains(stream.stream) || !stream.overlaps(query.range) {
                    return PlannedStream::default();
                }
                let labels = index.streams.get(stream.stream as usize);
                let shown = labels.map(|labels| hidden.stream(labels, stream.first, stream.last));
                PlannedStream::accepted(shown.unwrap_or_default())
            };
            let streams: Vec<PlannedStream> =
                if in_range { group.streams.iter().map(stream).collect() } else { Vec::new() };
            if !streams.iter().any(|stream| stream.accepted) {
                let skipped = &mut statistics.blocks_skipped;
                let reason = if in_range { &mut skipped.by_labels } else { &mut skipped.by_time };
                *reason += group.blocks.len() as u64;
                continue;
            }
            for (block, entry) in group.blocks.iter().enumerate() {
                if query.range.overlaps(entry.first, entry.last) {
                    let place = UnitPlace::Block { group: self.groups.len(), block };
                    self.units.push(PlannedUnit { place, first: entry.first, last: entry.last });
                } else {
                    statistics.blocks_skipped.by_time += 1;
                }
            }
            self.groups.push(PlannedGroup { segment: number, group: place, streams });
        }
        self.segments.push(PlannedSegment { segment, index });
    }

    fn add_entry(
        &mut self,
        entry: Arc<HeadEntry>,
        query: &Query,
        hiding: &Hiding,
        accepted: &mut HashMap<Labels, bool>,
    ) {
        let hidden = HiddenRows::of(hiding, entry.sequence, entry.first, entry.last);
        let labels = entry.rows().streams();
        let stream = |labels: &Labels| {
            if !*accepted.entry(labels.clone()).or_insert_with(|| query.accepts(labels)) {
                return PlannedStream::default();
            }
            PlannedStream::accepted(hidden.stream(labels, entry.first, entry.last))
        };
        let streams: Vec<PlannedStream> = labels.iter().map(stream).collect();
        if !streams.iter().any(|stream| stream.accepted) {
            return;
        }
        let number = self.entries.len();
        if entry.bytes <= HEAD_UNIT_BYTES {
            let place = UnitPlace::Entry { entry: number, start: 0, end: entry.len() };
            self.units.push(PlannedUnit { place, first: entry.first, last: entry.last });
            self.entries.push(PlannedEntry { entry, streams });
            return;
        }
        let (mut start, mut bytes) = (0, 0);
        let (mut first, mut last) = (Timestamp::MAX, Timestamp::MIN);
        for place in 0..entry.len() {
            let row = entry.row(place);
            bytes += row.line().len();
            first = first.min(row.timestamp());
            last = last.max(row.timestamp());
            if bytes >= HEAD_UNIT_BYTES || place + 1 == entry.len() {
                if query.range.overlaps(first, last) {
                    let place = UnitPlace::Entry { entry: number, start, end: place + 1 };
                    self.units.push(PlannedUnit { place, first, last });
                }
                (start, bytes) = (place + 1, 0);
                (first, last) = (Timestamp::MAX, Timestamp::MIN);
            }
        }
        self.entries.push(PlannedEntry { entry, streams });
    }

    fn note_contested(&mut self, range: TimeRange) {
        let contested = self.contested(range);
        if contested.is_empty() {
            return;
        }
        for group in &mut self.groups {
            let index = &self.segments[group.segment].index;
            let members = &index.groups[group.group].streams;
            for (stream, member) in group.streams.iter_mut().zip(members) {
                if member.merging_rows > 0
                    && let Some(labels) = index.streams.get(member.stream as usize)
                {
                    stream.contested = contested.of(labels, member.first, member.last).cloned();
                }
            }
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.entry.merges()) {
            let labels = entry.entry.rows().streams();
            for span in entry.entry.merging.iter().flatten() {
                let number = span.stream as usize;
                if let (Some(stream), Some(labels)) = (entry.streams.get_mut(number), labels.get(number)) {
                    stream.contested = contested.of(labels, span.first, span.last).cloned();
                }
            }
        }
    }

    fn contested(&self, range: TimeRange) -> Contested {
        let mut builder = ContestedBuilder::default();
        let compared = |segment: &PlannedSegment| segment.segment.summary.compared;
        if self.entries.is_empty() && self.segments.iter().all(compared) {
            return builder.finish();
        }
        for group in &self.groups {
            let segment = &self.segments[group.segment];
            let index = &segment.index;
            for (stream, member) in group.streams.iter().zip(&group.group(self).streams) {
                if stream.accepted
                    && member.merging_rows > 0
                    && let Some(labels) = index.streams.get(member.stream as usize)
                {
                    builder.add(labels, member.first, member.last, compared(segment));
                }
            }
        }
        for entry in &self.entries {
            let labels = entry.entry.rows().streams();
            for span in entry.entry.merging.iter().flatten() {
                let stream = span.stream as usize;
                let accepted = entry.streams.get(stream).is_some_and(|stream| stream.accepted);
                if let (true, true, Some(labels)) =
                    (accepted, range.overlaps(span.first, span.last), labels.get(stream))
                {
                    builder.add(labels, span.first, span.last, false);
                }
            }
        }
        builder.finish()
    }

    /// Whether rows of the unit may be elsewhere too.
    pub(super) fn is_contested(&self, unit: &PlannedUnit) -> bool {
        let streams = match unit.place {
            UnitPlace::Block { group, .. } => &self.groups[group].streams,
            UnitPlace::Entry { entry, .. } => &self.entries[entry].streams,
        };
        streams.iter().filter(|stream| stream.accepted).any(|stream| {
            stream.contested.as_ref().is_some_and(|stretches| touches(stretches, unit.first, unit.last))
        })
    }

    /// Bytes of lines and metadata, and rows, that the unit has.
    pub(super) fn size(&self, unit: &PlannedUnit) -> (usize, usize) {
        match unit.place {
            UnitPlace::Block { group, block } => {
                let entry = &self.groups[group].group(self).blocks[block];
                (entry.line_frame.raw as usize + entry.metadata_frame.raw as usize, entry.rows as usize)
            }
            UnitPlace::Entry { entry, start, end } => {
                (self.entries[entry].entry.bytes.min(HEAD_UNIT_BYTES), end - start)
            }
        }
    }

    /// Ties are read in the order in which they were found: segments before heads, older before newer when
    /// going forward, the other way round when going backward.
    fn sort(&mut self, direction: Direction) {
        match direction {
            Direction::Forward => {
                self.units.reverse();
                self.units.sort_by_key(|unit| std::cmp::Reverse(unit.first));
            }
            Direction::Backward => self.units.sort_by_key(|unit| unit.last),
        }
    }
}
