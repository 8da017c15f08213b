//! Reads one unit of a plan and hands over the rows that pass.

use std::collections::BTreeSet;

use timberyard_model::field_values::FieldValues;
use timberyard_model::row_condition::RowView;
use timberyard_model::rows::{RowsBuilder, RowsFull};
use timberyard_model::scan::{Direction, ScanError, ScanStatistics};
use timberyard_model::{Labels, RowRef, Timestamp};

use super::contested::{contains, touches};
use super::day_plan::{DayPlan, PlannedStream, PlannedUnit, UnitPlace, pass_over_damage};
use super::query::Query;
use crate::core::Core;
use crate::equality::RowIdentity;
use crate::segment::{Block, Decoded, Evidence, OfRow, RuledOut, SegmentReader, Wanted, WantedFields};

/// Rows that were handed over and may come again. Forgotten as the scan goes on.
#[derive(Default)]
pub(super) struct Seen {
    rows: BTreeSet<(Timestamp, RowIdentity)>,
}

impl Seen {
    /// Forgets the rows that the scan has left behind.
    pub(super) fn forget_beyond(&mut self, frontier: Timestamp, direction: Direction) {
        const WORTH_IT: usize = 4096;
        if self.rows.len() < WORTH_IT {
            return;
        }
        let lowest = (frontier, RowIdentity::MIN);
        match direction {
            Direction::Forward => self.rows = self.rows.split_off(&lowest),
            Direction::Backward => {
                let above = (frontier.saturating_add_nanos(1), RowIdentity::MIN);
                if frontier < Timestamp::MAX {
                    self.rows.split_off(&above);
                }
            }
        }
    }
}

/// A row that passed.
pub(super) struct PassedRow<'a> {
    pub(super) labels: &'a Labels,
    pub(super) timestamp: Timestamp,
    pub(super) line_bytes: usize,
    content: Content<'a>,
}

#[derive(Clone, Copy)]
enum Content<'a> {
    Block(&'a Block, usize),
    Head(RowRef<'a>),
}

impl PassedRow<'_> {
    /// Adds the row, as far as it is wanted, to `rows`. `values` remembers where in `rows` the values of the unit's fields are.
    pub(super) fn push_to(
        &self,
        rows: &mut RowsBuilder,
        query: &Query,
        values: &mut UnitValues,
    ) -> Result<(), RowsFull> {
        let stream = rows.stream(self.labels);
        if let Content::Block(block, row) = self.content
            && let Some(fields) = block.fields(row)
        {
            let numbers = values.numbers_in(rows, block.field_values(), fields)?;
            return if query.columns.metadata {
                rows.push_fields(stream, self.timestamp, numbers, block.metadata(row))
            } else {
                rows.push_fields(stream, self.timestamp, numbers, [])
            };
        }
        let line = if query.columns.line { self.content.line() } else { &[] };
        match (self.content, query.columns.metadata) {
            (Content::Block(block, row), true) => {
                rows.push(stream, self.timestamp, line, block.metadata(row))
            }
            (Content::Head(row), true) => rows.push(stream, self.timestamp, line, row.metadata()),
            (_, false) => rows.push(stream, self.timestamp, line, []),
        }
    }
}

impl PassedRow<'_> {
    /// Hands over names and values of the metadata, in turn.
    pub(super) fn for_each_metadata_text(&self, mut visit: impl FnMut(&[u8])) {
        self.for_each_metadata(&mut |name, value| {
            visit(name.as_bytes());
            visit(value);
        });
    }
}

impl RowView for PassedRow<'_> {
    fn labels(&self) -> &Labels {
        self.labels
    }

    fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    fn line(&self) -> &[u8] {
        self.content.line()
    }

    fn for_each_metadata<'r>(&'r self, visit: &mut dyn FnMut(&'r str, &'r [u8])) {
        let pair = |(name, value): (&'r str, &'r [u8])| visit(name, value);
        match self.content {
            Content::Block(block, row) => block.metadata(row).for_each(pair),
            Content::Head(row) => row.metadata().for_each(pair),
        }
    }
}

/// Where in the rows of a scan the field values of one unit are.
#[derive(Default)]
pub(super) struct UnitValues {
    first: Option<Vec<u32>>,
    numbers: Vec<u32>,
}

impl UnitValues {
    /// From the numbers of a row's values in the unit to those in `rows`, where the first row takes all values.
    fn numbers_in(
        &mut self,
        rows: &mut RowsBuilder,
        values: &[FieldValues],
        fields: &[u32],
    ) -> Result<&[u32], RowsFull> {
        if self.first.is_none() {
            let mut first = Vec::with_capacity(values.len());
            for (field, values) in values.iter().enumerate() {
                first.push(rows.field_values(field).and_then(|all| all.append(values)).ok_or(RowsFull)?);
            }
            self.first = Some(first);
        }
        let first = self.first.as_deref().unwrap_or_default();
        let shifted = fields.iter().zip(first).map(|(number, first)| match *number {
            FieldValues::ABSENT => FieldValues::ABSENT,
            number => number + first,
        });
        self.numbers.clear();
        self.numbers.extend(shifted);
        Ok(&self.numbers)
    }
}

impl<'a> Content<'a> {
    fn line(self) -> &'a [u8] {
        match self {
            Self::Block(block, row) => block.line(row),
            Self::Head(row) => row.line(),
        }
    }

    fn identity(self, labels: &Labels, timestamp: Timestamp) -> RowIdentity {
        match self {
            Self::Block(block, row) => {
                RowIdentity::of(labels, timestamp, block.line(row), block.metadata(row))
            }
            Self::Head(row) => RowIdentity::of(labels, timestamp, row.line(), row.metadata()),
        }
    }
}

/// Reads units of one day.
pub(super) struct UnitReader<'a> {
    pub(super) core: &'a Core,
    pub(super) query: &'a Query,
    pub(super) plan: &'a DayPlan,
    /// The segment that was read last stays open.
    pub(super) open: &'a mut Option<(usize, SegmentReader)>,
    pub(super) seen: &'a mut Seen,
    pub(super) statistics: &'a mut ScanStatistics,
}

type Visit<'v> = &'v mut dyn FnMut(&PassedRow<'_>) -> Result<(), ScanError>;

impl UnitReader<'_> {
    /// Hands the rows of the unit that pass to `visit`, in the direction of the scan as far as
    /// they are sorted.
    pub(super) fn read(&mut self, unit: &PlannedUnit, visit: Visit<'_>) -> Result<(), ScanError> {
        match unit.place {
            UnitPlace::Block { group, block } => self.read_block(group, block, visit),
            UnitPlace::Entry { entry, start, end } => self.read_entry(entry, start..end, visit),
        }
    }

    fn read_block(&mut self, group: usize, block: usize, visit: Visit<'_>) -> Result<(), ScanError> {
        let plan = self.plan;
        let planned = &plan.groups[group];
        let segment = &plan.segments[planned.segment];
        let group = planned.group(plan);
        let entry = &group.blocks[block];
        let accepted = || planned.streams.iter().filter(|stream| stream.accepted);
        let contested = |stream: &PlannedStream| {
            stream.contested.as_ref().is_some_and(|stretches| touches(stretches, entry.first, entry.last))
        };
        let compares = accepted().any(contested);
        let judges = accepted().any(|stream| stream.rows.needs_lines());
        let judges_metadata = accepted().any(|stream| stream.rows.needs_metadata());
        let query = self.query;
        let labels = || {
            let members = planned.streams.iter().zip(&group.streams).filter(|(stream, _)| stream.accepted);
            members.filter_map(|(_, member)| segment.index.streams.get(member.stream as usize))
        };
        let spells = query.columns.line && !query.takes_fields();
        let of_row = |stream: u32, time: Timestamp| {
            let stream = planned.streams.get(stream as usize).filter(|stream| stream.wants(time));
            let Some(stream) = stream.filter(|_| query.range.contains(time)) else { return OfRow::Nothing };
            let compared = || stream.contested.as_ref().is_some_and(|stretches| contains(stretches, time));
            if spells || stream.rows.needs_lines() || compared() { OfRow::Line } else { OfRow::Presence }
        };
        let fields = query.fields.as_ref();
        let wanted = Wanted {
            filters: query.filters.narrowing(),
            fields: fields.map(|request| WantedFields { request, tested: query.can_test(labels()) }),
            lines: spells || compares || judges,
            metadata: query.columns.metadata || compares || judges_metadata,
            metadata_names: query.metadata_names.as_deref().filter(|_| !compares && !judges_metadata),
            of_row: &of_row,
        };
        if self.open.as_ref().is_none_or(|(open, _)| *open != planned.segment) {
            match segment.segment.open() {
                Ok(reader) => *self.open = Some((planned.segment, reader)),
                Err(error) => return pass_over_damage(self.core, &segment.segment, &error, self.statistics),
            }
        }
        let Some((_, reader)) = self.open.as_ref() else { return Ok(()) };
        let decoded = match reader.narrowed_block(group, entry, &wanted) {
            Ok(decoded) => decoded,
            Err(error) => return pass_over_damage(self.core, &segment.segment, &error, self.statistics),
        };
        self.statistics.compressed_bytes += wanted.gate_bytes(entry);
        if matches!(decoded, Decoded::RuledOut(RuledOut { by: Evidence::Gate, .. })) {
            self.statistics.blocks_skipped.by_gates += 1;
            return Ok(());
        }
        self.statistics.blocks_read += 1;
        self.statistics.compressed_bytes += wanted.stored_bytes(entry);
        let decoded = match decoded {
            Decoded::Rows(decoded) => decoded,
            Decoded::RuledOut(RuledOut { by, decompressed_bytes }) => {
                let reason = match by {
                    Evidence::Stamps => &mut self.statistics.blocks_stamped_out,
                    _ => &mut self.statistics.blocks_filtered_out,
                };
                *reason += 1;
                self.statistics.decompressed_bytes += decompressed_bytes;
                // Every line was looked at, in the columns.
                self.statistics.rows_scanned += u64::from(entry.rows);
                return Ok(());
            }
        };
        self.statistics.decompressed_bytes += decoded.decompressed_bytes();
        self.statistics.rows_decoded += decoded.spelled_rows() as u64;
        let times = decoded.timestamps();
        let start = times.partition_point(|time| *time < self.query.range.start);
        let end = times.partition_point(|time| *time < self.query.range.end);
        self.statistics.rows_scanned += end.saturating_sub(start) as u64;
        let judged = decoded.is_judged();
        let direction = self.query.direction;
        let mut row = |row: usize| {
            if !decoded.passes(row) {
                return Ok(());
            }
            let number = decoded.stream(row) as usize;
            let Some(stream) = planned.streams.get(number).filter(|stream| stream.wants(times[row])) else {
                return Ok(());
            };
            let member = group.streams.get(number);
            let labels = member.and_then(|member| segment.index.streams.get(member.stream as usize));
            let Some(labels) = labels else { return Ok(()) };
            let passed = PassedRow {
                labels,
                timestamp: times[row],
                line_bytes: decoded.line(row).len(),
                content: Content::Block(&decoded, row),
            };
            if !judged && !self.query.filters.accept(passed.line()) || !stream.rows.shows(&passed) {
                return Ok(());
            }
            self.hand_over(&passed, stream, decoded.merges(row), visit)
        };
        match direction {
            Direction::Forward => (start..end).try_for_each(&mut row),
            Direction::Backward => (start..end).rev().try_for_each(&mut row),
        }
    }

    fn read_entry(
        &mut self,
        entry: usize,
        mut places: std::ops::Range<usize>,
        visit: Visit<'_>,
    ) -> Result<(), ScanError> {
        let planned = &self.plan.entries[entry];
        let direction = self.query.direction;
        let mut row = |place: usize| {
            let row = planned.entry.row(place);
            let stream = planned.streams.get(row.stream_index());
            let Some(stream) = stream.filter(|stream| stream.accepted) else { return Ok(()) };
            if !self.query.range.contains(row.timestamp()) {
                return Ok(());
            }
            let passed = PassedRow {
                labels: row.labels(),
                timestamp: row.timestamp(),
                line_bytes: row.line().len(),
                content: Content::Head(row),
            };
            self.statistics.rows_scanned += 1;
            if !self.query.filters.accept(row.line()) || !stream.rows.shows(&row) {
                return Ok(());
            }
            self.hand_over(&passed, stream, planned.entry.merges(), visit)
        };
        match direction {
            Direction::Forward => places.try_for_each(&mut row),
            Direction::Backward => places.rev().try_for_each(&mut row),
        }
    }

    /// Hands over a row that passed the filters, unless it was handed over before.
    fn hand_over(
        &mut self,
        row: &PassedRow<'_>,
        stream: &PlannedStream,
        merges: bool,
        visit: Visit<'_>,
    ) -> Result<(), ScanError> {
        if merges
            && let Some(stretches) = &stream.contested
            && contains(stretches, row.timestamp)
        {
            let identity = row.content.identity(row.labels, row.timestamp);
            if !self.seen.rows.insert((row.timestamp, identity)) {
                return Ok(());
            }
        }
        self.statistics.rows_matched += 1;
        visit(row)
    }
}
