//! `StoreScan`: the blocks of one scan, in order, with the promise of the frontier.

use std::sync::Arc;

use timberyard_model::counting::{CountedRows, Cuts};
use timberyard_model::rows::Rows;
use timberyard_model::scan::{BlockStream, Direction, RowBlock, ScanError, ScanRequest, ScanStatistics};
use timberyard_model::{Cancellation, Timestamp};

use super::check;
use super::chunk::{ChunkReader, ChunkRows, Unread};
use super::counted::{Counter, leave_out_counted};
use super::day_plan::{DayPlan, PlannedUnit};
use super::query::Query;
use super::read_ahead::ReadAhead;
use super::snapshot::Snapshot;
use super::unit::Seen;
use crate::core::Core;

/// A block is handed over once it counts rows in this many cells.
const CELLS: usize = 1 << 16;

/// One scan over the state that the store had when it began.
pub(crate) struct StoreScan {
    core: Arc<Core>,
    query: Arc<Query>,
    cancellation: Cancellation,
    snapshot: Snapshot,
    counting: Option<Cuts>,
    /// The day whose rows are being counted, before the others of its rows are read.
    counted_day: Option<CountedDay>,
    unread: Unread,
    read_ahead: ReadAhead,
    seen: Seen,
    statistics: ScanStatistics,
}

struct CountedDay {
    plan: DayPlan,
    /// Groups of the plan that were looked at.
    groups: usize,
}

impl StoreScan {
    pub(crate) fn new(core: &Arc<Core>, request: &ScanRequest) -> Self {
        let query = Arc::new(Query::scan(request, core.visible(&request.tenant, request.range)));
        let snapshot = Snapshot::take(core, &request.tenant, &query);
        let statistics =
            ScanStatistics { segments_total: snapshot.segments_total, ..ScanStatistics::default() };
        let reader = ChunkReader {
            core: Arc::clone(core),
            query: Arc::clone(&query),
            cancellation: request.cancellation.clone(),
            abandoned: Cancellation::default(),
        };
        let only_counts = request.line_filters.is_empty() && request.fields.is_none();
        Self {
            core: Arc::clone(core),
            query,
            cancellation: request.cancellation.clone(),
            snapshot,
            counting: request.counting.filter(|_| only_counts),
            counted_day: None,
            unread: Unread::default(),
            read_ahead: ReadAhead::new(reader, request.read_ahead_bytes_max),
            seen: Seen::default(),
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
        // No row of another day equals one of this.
        self.seen = Seen::default();
        let hiding = &self.snapshot.hiding;
        let plan = DayPlan::new(&self.core, day, &self.query, hiding, &mut self.statistics)?;
        self.statistics.segments_read += plan.segments.len() as u64;
        match self.counting {
            Some(_) => self.counted_day = Some(CountedDay { plan, groups: 0 }),
            None => self.unread = Unread::all_of(plan),
        }
        Ok(true)
    }

    /// Counts groups of the day until there are enough cells for a block, or no group is left to count.
    fn count(&mut self) -> Result<Option<RowBlock>, ScanError> {
        let (Some(cuts), Some(mut day)) = (self.counting, self.counted_day.take()) else { return Ok(None) };
        let by_metadata = self.query.columns.metadata;
        let counter = Counter { core: &self.core, query: &self.query, cuts, by_metadata };
        let mut counted: Vec<CountedRows> = Vec::new();
        while day.groups < day.plan.groups.len()
            && counted.iter().map(|rows| rows.cells.len()).sum::<usize>() < CELLS
        {
            check(&self.cancellation)?;
            counter.count_group(&mut day.plan, day.groups, &mut counted, &mut self.statistics)?;
            day.groups += 1;
        }
        let frontier;
        if day.groups < day.plan.groups.len() {
            frontier = self.frontier(day.plan.units.last());
            self.counted_day = Some(day);
        } else {
            leave_out_counted(&mut day.plan, &mut self.statistics);
            self.unread = Unread::all_of(day.plan);
            frontier = self.frontier(self.unread.next());
        }
        if counted.is_empty() {
            return Ok(None);
        }
        Ok(Some(RowBlock { rows: Rows::default(), counted, frontier }))
    }

    /// The rows of the next chunk of the day.
    fn read(&mut self) -> Result<Option<RowBlock>, ScanError> {
        while self.read_ahead.has_room() {
            let mut unread = std::mem::take(&mut self.unread);
            let chunk = unread.take(&self.query, self.core.options.block_bytes, |next| self.frontier(next));
            self.unread = unread;
            match chunk {
                Some(chunk) => self.read_ahead.begin(chunk),
                None => break,
            }
        }
        let Some(read) = self.read_ahead.next(&mut self.seen) else { return Ok(None) };
        let ChunkRows { rows, frontier, statistics } = read?;
        self.statistics += statistics;
        self.seen.forget_beyond(frontier, self.query.direction);
        Ok(Some(RowBlock { rows, counted: Vec::new(), frontier }))
    }

    /// The time that no row is beyond if this unit is the next.
    fn frontier(&self, next: Option<&PlannedUnit>) -> Timestamp {
        let range = self.query.range;
        match self.query.direction {
            Direction::Forward => {
                let unit = next.map(|unit| unit.first.max(range.start));
                let day = || self.snapshot.days.values().next().map(|day| day.bounds(range).0);
                unit.or_else(day).unwrap_or(Timestamp::MAX)
            }
            Direction::Backward => {
                let latest = range.end.saturating_add_nanos(-1);
                let unit = next.map(|unit| unit.last.min(latest));
                let day = || self.snapshot.days.values().next_back().map(|day| day.bounds(range).1);
                unit.or_else(day).unwrap_or(Timestamp::MIN)
            }
        }
    }
}

impl BlockStream for StoreScan {
    fn next_block(&mut self) -> Result<Option<RowBlock>, ScanError> {
        loop {
            check(&self.cancellation)?;
            if let Some(block) = self.count()? {
                return Ok(Some(block));
            }
            if let Some(block) = self.read()? {
                return Ok(Some(block));
            }
            if self.counted_day.is_none() && !self.next_day()? {
                return Ok(None);
            }
        }
    }

    fn statistics(&self) -> ScanStatistics {
        self.statistics
    }
}
