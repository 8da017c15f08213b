//! Counts rows without reading them: from the footer where nothing parts a stream's rows in a group, else from the
//! counts of minutes; leaves to be read what those do not know.
//!
//! Not counted are rows that may be elsewhere too or may be deleted, rows of a minute that a cut or an end of the range parts, and
//! groups in which metadata that is asked for is not told apart by the counts.

use timberyard_model::counting::{CountedCell, CountedRows, Cuts};
use timberyard_model::level::DETECTED_LEVEL;
use timberyard_model::scan::{ScanError, ScanStatistics};
use timberyard_model::{Labels, Timestamp};

use super::contested::{Stretches, touches};
use super::day_plan::{DayPlan, PlannedStream, pass_over_damage};
use super::query::Query;
use crate::core::Core;
use crate::segment::{GroupStream, StreamCounts};

/// Units of a stream whose rows are counted together, from `start` to before `end`.
struct CountedUnits {
    start: usize,
    end: usize,
    first: Timestamp,
    last: Timestamp,
}

impl CountedUnits {
    fn sum(&self, numbers: &[u64]) -> u64 {
        numbers.get(self.start..self.end).unwrap_or_default().iter().sum()
    }
}

/// Counts what it can of a plan, group by group.
pub(super) struct Counter<'a> {
    pub(super) core: &'a Core,
    pub(super) query: &'a Query,
    pub(super) cuts: Cuts,
    /// Whether rows are told apart by the metadata that the query looks at.
    pub(super) by_metadata: bool,
}

impl Counter<'_> {
    /// Counts rows of one group into `counted`, and notes in the plan that they need not be read.
    pub(super) fn count_group(
        &self,
        plan: &mut DayPlan,
        number: usize,
        counted: &mut Vec<CountedRows>,
        statistics: &mut ScanStatistics,
    ) -> Result<(), ScanError> {
        let DayPlan { segments, groups, .. } = plan;
        let Some(planned) = groups.get_mut(number) else { return Ok(()) };
        let segment = &segments[planned.segment];
        let index = &segment.index;
        let group = &index.groups[planned.group];
        if !self.by_metadata || group.is_without_metadata() {
            for (stream, member) in planned.streams.iter_mut().zip(&group.streams) {
                if let Some(labels) = index.streams.get(member.stream as usize) {
                    counted.extend(self.count_whole(stream, member, labels));
                }
            }
        }
        if group.counts.is_none() || !planned.streams.iter().any(|stream| stream.accepted) {
            return Ok(());
        }
        let counts = match segment.segment.open().and_then(|reader| reader.counts(group)) {
            Ok(Some(counts)) => counts,
            Ok(None) => return Ok(()),
            // The rows themselves may be whole.
            Err(error) => return pass_over_damage(self.core, &segment.segment, &error, statistics),
        };
        if counts.names().any(|name| self.tells_by(name)) {
            return Ok(());
        }
        for (place, (stream, member)) in planned.streams.iter_mut().zip(&group.streams).enumerate() {
            let labels = index.streams.get(member.stream as usize);
            if let (true, Some(labels), Some(known)) =
                (stream.accepted && !stream.rows.is_partial(), labels, counts.stream(place, member))
            {
                self.count_units(stream, known, labels, counted);
            }
        }
        Ok(())
    }

    /// Counts all rows that the stream has in the group, if nothing parts them.
    fn count_whole(
        &self,
        stream: &mut PlannedStream,
        member: &GroupStream,
        labels: &Labels,
    ) -> Option<CountedRows> {
        let takes_part = stream.accepted && stream.is_exact_in_index();
        if !takes_part || !self.is_one(member.first, member.last) {
            return None;
        }
        stream.accepted = false;
        let cell = CountedCell {
            time: member.last,
            rows: member.rows,
            line_bytes: member.line_bytes,
            metadata_bytes: member.metadata_bytes(member.rows),
        };
        Some(CountedRows { labels: labels.clone(), metadata: Vec::new(), cells: vec![cell] })
    }

    fn tells_by(&self, name: &str) -> bool {
        self.by_metadata && self.query.looks_at_metadata(name)
    }

    /// Whether the times are in the range and no cut parts rows of the first from rows of the last.
    fn is_one(&self, first: Timestamp, last: Timestamp) -> bool {
        self.query.range.contains(first) && self.query.range.contains(last) && !self.cuts.part(first, last)
    }

    /// Counts the units of a stream that nothing parts, and notes the times of the others.
    fn count_units(
        &self,
        stream: &mut PlannedStream,
        known: StreamCounts<'_>,
        labels: &Labels,
        counted: &mut Vec<CountedRows>,
    ) {
        let by_level = self.tells_by(DETECTED_LEVEL);
        let levels: Vec<(Option<&[u8]>, &[u64])> = known.levels().collect();
        if by_level && self.query.columns.line && levels.len() > 1 {
            return;
        }
        let mut all_rows = vec![0; known.units()];
        for (_, rows) in &levels {
            all_rows.iter_mut().zip(*rows).for_each(|(sum, rows)| *sum += rows);
        }
        let mut unread: Vec<(Timestamp, Timestamp)> = Vec::new();
        let mut stretches: Vec<CountedUnits> = Vec::with_capacity(known.units());
        for (unit, _) in all_rows.iter().enumerate().filter(|(_, rows)| **rows > 0) {
            let (first, last) = known.bounds(unit);
            let contested = stream.contested.as_deref().is_some_and(|all| touches(all, first, last));
            let before = stretches.last_mut().filter(|before| {
                // What is still to be read must not lie between.
                !contested
                    && unread.last().is_none_or(|(start, _)| *start < before.first)
                    && self.is_one(before.first, last)
            });
            if let Some(before) = before {
                (before.end, before.last) = (unit + 1, last);
            } else if !contested && self.is_one(first, last) {
                stretches.push(CountedUnits { start: unit, end: unit + 1, first, last });
            } else if self.query.range.overlaps(first, last) {
                unread.push((first, last));
            }
        }
        let mut push = |level: Option<&[u8]>, rows: &[u64]| {
            let cells = stretches.iter().map(|units| {
                let rows = units.sum(rows);
                CountedCell {
                    time: units.last,
                    rows,
                    line_bytes: units.sum(known.line_bytes()),
                    metadata_bytes: known.member().metadata_bytes(rows),
                }
            });
            let mut counted_cells = Vec::with_capacity(stretches.len());
            counted_cells.extend(cells.filter(|cell| cell.rows > 0));
            counted.push(CountedRows {
                labels: labels.clone(),
                metadata: level.map(|level| (DETECTED_LEVEL.into(), level.into())).into_iter().collect(),
                cells: counted_cells,
            });
        };
        if by_level {
            levels.iter().for_each(|(level, rows)| push(*level, rows));
        } else {
            push(None, &all_rows);
        }
        stream.accepted = !unread.is_empty();
        stream.unread = Some(Stretches::from(unread));
    }
}

/// Takes the blocks out of the plan that hold no row that is still to be read.
pub(super) fn leave_out_counted(plan: &mut DayPlan, statistics: &mut ScanStatistics) {
    let DayPlan { groups, units, .. } = plan;
    units.retain(|unit| {
        let wanted = unit.group().is_none_or(|group| {
            groups[group].streams.iter().filter(|stream| stream.accepted).any(|stream| {
                stream.unread.as_deref().is_none_or(|unread| touches(unread, unit.first, unit.last))
            })
        });
        statistics.blocks_skipped.by_counts += u64::from(!wanted);
        wanted
    });
}
