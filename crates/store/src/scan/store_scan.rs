//! `StoreScan`: the blocks of one scan, in order, with the promise of the frontier.

use timberyard_model::Cancellation;
use timberyard_model::Timestamp;
use timberyard_model::counting::{CountedRows, Cuts};
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{BlockStream, Direction, RowBlock, ScanError, ScanRequest, ScanStatistics};

use super::counted::{Counter, leave_out_counted};
use super::day_plan::DayPlan;
use super::query::Query;
use super::snapshot::Snapshot;
use super::unit::{Seen, UnitReader, UnitValues};
use crate::core::Core;
use crate::segment::SegmentReader;

/// A block is handed over once its rows hold this many bytes.
const BLOCK_BYTES: usize = 1 << 20;
/// The same in rows, which may have no bytes.
const BLOCK_ROWS: usize = 1 << 16;
/// A block is handed over, rows or not, once this many bytes were looked at for it.
const LOOKED_AT_BYTES: u64 = 8 << 20;
/// The same in rows, since columns may answer for many with few bytes, and a consumer may have its fill soon.
const LOOKED_AT_ROWS: u64 = 1 << 16;
/// The same in units, so that cancellation and the frontier are never far.
const LOOKED_AT_UNITS: usize = 256;
/// A block is handed over once it counts rows in this many cells.
const CELLS: usize = 1 << 16;

/// One scan over the state that the store had when it began.
pub(crate) struct StoreScan<'a> {
    core: &'a Core,
    query: Query,
    cancellation: Cancellation,
    snapshot: Snapshot,
    plan: DayPlan,
    open: Option<(usize, SegmentReader)>,
    seen: Seen,
    counting: Option<Cuts>,
    /// Groups of the plan that were looked at for it.
    groups_counted: usize,
    statistics: ScanStatistics,
}

impl<'a> StoreScan<'a> {
    pub(crate) fn new(core: &'a Core, request: &ScanRequest) -> Self {
        let query = Query::scan(request, core.visible(&request.tenant, request.range));
        let snapshot = Snapshot::take(core, &request.tenant, &query);
        let statistics =
            ScanStatistics { segments_total: snapshot.segments_total, ..ScanStatistics::default() };
        Self {
            core,
            query,
            cancellation: request.cancellation.clone(),
            snapshot,
            plan: DayPlan::default(),
            open: None,
            seen: Seen::default(),
            counting: request
                .counting
                .filter(|_| request.line_filters.is_empty() && request.fields.is_none()),
            groups_counted: 0,
            statistics,
        }
    }

    /// Plans the next day. Whether there was one.
    fn next_day(&mut self) -> Result<bool, ScanError> {
        let next = match self.query.direction {
            Direction::Forward => self.snapshot.days.pop_first(),
            Direction::Backward => self.snapshot.days.pop_last(),
        };
        let Some((_, day)) = next else { return Ok(false) };
        self.open = None;
        self.groups_counted = 0;
        // No row of another day equals one of this.
        self.seen = Seen::default();
        self.plan = DayPlan::new(self.core, day, &self.query, &self.snapshot.hiding, &mut self.statistics)?;
        self.statistics.segments_read += self.plan.segments.len() as u64;
        Ok(true)
    }

    /// Counts a group of the day if there is one left to count. Whether there was.
    fn count(&mut self, counted: &mut Vec<CountedRows>) -> Result<bool, ScanError> {
        let Some(cuts) = self.counting.filter(|_| self.groups_counted < self.plan.groups.len()) else {
            return Ok(false);
        };
        let by_metadata = self.query.columns.metadata;
        let counter = Counter { core: self.core, query: &self.query, cuts, by_metadata };
        counter.count_group(&mut self.plan, self.groups_counted, counted, &mut self.statistics)?;
        self.groups_counted += 1;
        if self.groups_counted == self.plan.groups.len() {
            leave_out_counted(&mut self.plan, &mut self.statistics);
        }
        Ok(true)
    }

    /// The time that no row still to come is beyond.
    fn frontier(&self) -> Timestamp {
        let range = self.query.range;
        match self.query.direction {
            Direction::Forward => {
                let unit = self.plan.units.last().map(|unit| unit.first.max(range.start));
                let day = || self.snapshot.days.values().next().map(|day| day.bounds(range).0);
                unit.or_else(day).unwrap_or(Timestamp::MAX)
            }
            Direction::Backward => {
                let latest = range.end.saturating_add_nanos(-1);
                let unit = self.plan.units.last().map(|unit| unit.last.min(latest));
                let day = || self.snapshot.days.values().next_back().map(|day| day.bounds(range).1);
                unit.or_else(day).unwrap_or(Timestamp::MIN)
            }
        }
    }
}

impl BlockStream for StoreScan<'_> {
    fn next_block(&mut self) -> Result<Option<RowBlock>, ScanError> {
        let mut rows = RowsBuilder::default();
        if let Some(fields) = self.query.fields.as_ref().filter(|fields| fields.instead_of_line) {
            rows.expect_fields(fields.reader.labels().len());
        }
        let mut counted = Vec::new();
        let before = self.statistics;
        let mut units = 0;
        loop {
            if let Some(reason) = self.cancellation.reason() {
                return Err(ScanError::Cancelled(reason));
            }
            if self.count(&mut counted)? {
                if counted.iter().map(|rows| rows.cells.len()).sum::<usize>() >= CELLS {
                    break;
                }
                continue;
            }
            let Some(unit) = self.plan.units.pop() else {
                if self.next_day()? {
                    continue;
                }
                if units == 0 && rows.is_empty() && counted.is_empty() {
                    return Ok(None);
                }
                break;
            };
            let query = &self.query;
            let mut reader = UnitReader {
                core: self.core,
                query,
                plan: &self.plan,
                open: &mut self.open,
                seen: &mut self.seen,
                statistics: &mut self.statistics,
            };
            let mut values = UnitValues::default();
            reader.read(&unit, &mut |row| {
                row.push_to(&mut rows, query, &mut values)
                    .map_err(|error| ScanError::Failed(error.to_string()))
            })?;
            units += 1;
            if rows.bytes() >= BLOCK_BYTES
                || rows.len() >= BLOCK_ROWS
                || self.statistics.decompressed_bytes - before.decompressed_bytes >= LOOKED_AT_BYTES
                || self.statistics.rows_scanned - before.rows_scanned >= LOOKED_AT_ROWS
                || units >= LOOKED_AT_UNITS
            {
                break;
            }
        }
        let frontier = self.frontier();
        self.seen.forget_beyond(frontier, self.query.direction);
        let rows = match self.query.direction {
            Direction::Forward => rows.finish(),
            // Read from the newest to the oldest; handed over with equal times in the order of storing.
            Direction::Backward => rows.finish().reversed(),
        };
        Ok(Some(RowBlock { rows, counted, frontier }))
    }

    fn statistics(&self) -> ScanStatistics {
        self.statistics
    }
}
