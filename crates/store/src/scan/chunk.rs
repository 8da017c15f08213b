//! Some units of a day that are read in one go, by whichever thread, and what they come to.

use std::sync::Arc;

use timberyard_model::Cancellation;
use timberyard_model::Timestamp;
use timberyard_model::rows::{Rows, RowsBuilder};
use timberyard_model::scan::{Direction, ScanError, ScanStatistics};

use super::check;
use super::day_plan::{DayPlan, PlannedUnit};
use super::query::Query;
use super::unit::{Seen, UnitReader, UnitValues};
use crate::core::Core;

/// Units of at least so many bytes of lines and metadata make a chunk, where most of them are handed over; fewer where
/// blocks are smaller.
const BYTES: usize = 1 << 20;
/// So many full blocks make a chunk where filters or fields leave little of them.
const FILTERED_BLOCKS: usize = 2;
/// Units of at least so many rows make a chunk, since a consumer may have its fill soon.
const ROWS: usize = 1 << 16;
/// The same in units, so that cancellation and the frontier are never far.
const UNITS: usize = 256;
/// What a row takes beside its bytes.
const ROW_OVERHEAD_BYTES: usize = 48;

/// Units that are read together. Independent of all others, unless their rows may be elsewhere too.
pub(super) struct Chunk {
    plan: Arc<DayPlan>,
    units: Vec<PlannedUnit>,
    /// Whether rows have to be compared with those of chunks before this one.
    pub(super) contested: bool,
    /// Memory that reading it may take, roughly.
    pub(super) bytes: usize,
    /// The time that no row of a later chunk is beyond.
    pub(super) frontier: Timestamp,
}

/// The rows of a chunk that pass.
pub(super) struct ChunkRows {
    pub(super) rows: Rows,
    pub(super) frontier: Timestamp,
    /// What reading it cost.
    pub(super) statistics: ScanStatistics,
}

/// The units of a day that are still to be put into chunks.
#[derive(Default)]
pub(super) struct Unread {
    plan: Arc<DayPlan>,
    /// The one to read next is the last.
    units: Vec<PlannedUnit>,
}

impl Unread {
    /// Everything of a plan.
    pub(super) fn all_of(mut plan: DayPlan) -> Self {
        let units = std::mem::take(&mut plan.units);
        Self { plan: Arc::new(plan), units }
    }

    /// The unit that comes next.
    pub(super) fn next(&self) -> Option<&PlannedUnit> {
        self.units.last()
    }

    /// Takes the units that are read next, where full blocks have so many bytes; `frontier` tells from the unit after them what
    /// they leave.
    pub(super) fn take(
        &mut self,
        query: &Query,
        block_bytes: usize,
        frontier: impl Fn(Option<&PlannedUnit>) -> Timestamp,
    ) -> Option<Chunk> {
        let bytes_wanted = match query.hands_over_most() {
            true => BYTES.min(block_bytes),
            false => FILTERED_BLOCKS * block_bytes,
        };
        let contested = self.plan.is_contested(self.units.last()?);
        let (mut units, mut bytes, mut rows) = (Vec::new(), 0, 0);
        while bytes < bytes_wanted && rows < ROWS && units.len() < UNITS {
            let Some(unit) = self.units.pop_if(|unit| self.plan.is_contested(unit) == contested) else {
                break;
            };
            let (unit_bytes, unit_rows) = self.plan.size(&unit);
            bytes += unit_bytes;
            rows += unit_rows;
            units.push(unit);
        }
        let frontier = frontier(self.units.last());
        let bytes = bytes + rows * ROW_OVERHEAD_BYTES;
        Some(Chunk { plan: Arc::clone(&self.plan), units, contested, bytes, frontier })
    }
}

/// Reads chunks of one scan.
#[derive(Clone)]
pub(super) struct ChunkReader {
    pub(super) core: Arc<Core>,
    pub(super) query: Arc<Query>,
    /// Of the query.
    pub(super) cancellation: Cancellation,
    /// Raised when the scan is given up.
    pub(super) abandoned: Cancellation,
}

impl ChunkReader {
    /// Reads a chunk. `seen` knows the rows that were handed over and may come again; no other chunk than a contested one looks
    /// into it.
    pub(super) fn read(&self, chunk: &Chunk, seen: &mut Seen) -> Result<ChunkRows, ScanError> {
        let query = &*self.query;
        let mut rows = RowsBuilder::default();
        if let Some(fields) = query.fields.as_ref().filter(|fields| fields.instead_of_line) {
            rows.expect_fields(fields.reader.labels().len());
        }
        let mut statistics = ScanStatistics::default();
        let mut open = None;
        for unit in &chunk.units {
            check(&self.cancellation)?;
            check(&self.abandoned)?;
            let mut reader = UnitReader {
                core: &self.core,
                query,
                plan: &chunk.plan,
                open: &mut open,
                seen,
                statistics: &mut statistics,
            };
            let mut values = UnitValues::default();
            reader.read(unit, &mut |row| {
                let pushed = row.push_to(&mut rows, query, &mut values);
                pushed.map_err(|error| ScanError::Failed(error.to_string()))
            })?;
        }
        let rows = match query.direction {
            Direction::Forward => rows.finish(),
            // Read from the newest to the oldest; handed over with equal times in the order of storing.
            Direction::Backward => rows.finish().reversed(),
        };
        Ok(ChunkRows { rows, frontier: chunk.frontier, statistics })
    }
}
