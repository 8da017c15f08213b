//! How many rows and bytes each stream has.
//!
//! Rows and bytes of lines are exact: counts come from footers and the counts of minutes where none of the rows can be
//! elsewhere too or is hidden; the rest is counted row by row.

use std::collections::HashSet;

use timberyard_model::counting::{CountedCell, Cuts};
use timberyard_model::prehashed::Prehashed;
use timberyard_model::scan::{CountVisitor, ScanError, ScanStatistics, SeriesRequest};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::check;
use super::counted::{Counter, leave_out_counted};
use super::day_plan::DayPlan;
use super::query::Query;
use super::snapshot::Snapshot;
use super::unit::{PassedRow, Seen, UnitReader};
use crate::core::Core;
use crate::segment::PAIR_BYTES;

/// Distinct texts of metadata that are remembered; further ones all count as new.
const TEXTS_MAX: usize = 1 << 20;

/// Counts the rows that a question is about, see [`LogSource::count`](timberyard_model::scan::LogSource::count).
pub(crate) fn count(
    core: &Core,
    request: &SeriesRequest,
    cuts: Cuts,
    visit: &mut CountVisitor<'_>,
) -> Result<(), ScanError> {
    let query = Query::count(request, core.visible(&request.tenant, request.range));
    let snapshot = Snapshot::take(core, &request.tenant, &query);
    let mut statistics = ScanStatistics::default();
    let mut texts = Texts { known: HashSet::default(), cuts };
    let counter = Counter { core, query: &query, cuts, by_metadata: false };
    for (_, day) in snapshot.days {
        let mut plan = DayPlan::new(core, day, &query, &snapshot.hiding, &mut statistics)?;
        for group in 0..plan.groups.len() {
            check(&request.cancellation)?;
            let mut counted = Vec::new();
            counter.count_group(&mut plan, group, &mut counted, &mut statistics)?;
            for rows in &counted {
                rows.cells.iter().try_for_each(|cell| visit(&rows.labels, cell))?;
            }
        }
        leave_out_counted(&mut plan, &mut statistics);
        let (mut open, mut seen) = (None, Seen::default());
        while let Some(unit) = plan.units.pop() {
            check(&request.cancellation)?;
            let mut reader = UnitReader {
                core,
                query: &query,
                plan: &plan,
                open: &mut open,
                seen: &mut seen,
                statistics: &mut statistics,
            };
            reader.read(&unit, &mut |row| visit(row.labels, &texts.cell(row)))?;
            if let Some(next) = plan.units.last() {
                seen.forget_beyond(next.first, query.direction);
            }
        }
    }
    Ok(())
}

/// The metadata of rows that were looked at, hashed with their stream and stretch of time.
struct Texts {
    known: HashSet<u64, Prehashed>,
    cuts: Cuts,
}

impl Texts {
    /// The numbers of one row.
    fn cell(&mut self, row: &PassedRow<'_>) -> CountedCell {
        let stretch = row.labels.stable_hash().wrapping_add(self.cuts.stretch(row.timestamp) as u64);
        let known = &mut self.known;
        let mut metadata_bytes = 0;
        row.for_each_metadata_text(|text| {
            let hash = xxh3_64_with_seed(text, stretch);
            let is_new = if known.len() < TEXTS_MAX { known.insert(hash) } else { !known.contains(&hash) };
            metadata_bytes += PAIR_BYTES / 2 + if is_new { text.len() as u64 } else { 0 };
        });
        CountedCell { time: row.timestamp, rows: 1, line_bytes: row.line_bytes as u64, metadata_bytes }
    }
}
