//! How many rows and bytes each stream has.
//!
//! Exact: counts come from footers and the counts of minutes where none of the rows can be elsewhere too or is
//! deleted; the rest is counted row by row.

use std::collections::BTreeMap;

use timberyard_model::Labels;
use timberyard_model::counting::{CountedRows, Cuts};
use timberyard_model::scan::{ScanError, ScanStatistics, SeriesRequest, StreamVolume};

use super::counted::{Counter, leave_out_counted};
use super::day_plan::DayPlan;
use super::query::Query;
use super::snapshot::Snapshot;
use super::unit::{Seen, UnitReader};
use crate::core::Core;

type Counts = BTreeMap<Labels, (u64, u64)>;

pub(crate) fn volumes(core: &Core, request: &SeriesRequest) -> Result<Vec<StreamVolume>, ScanError> {
    let query = Query::count(request, core.visible(&request.tenant, request.range));
    let snapshot = Snapshot::take(core, &request.tenant, &query);
    let mut counts = Counts::new();
    let mut statistics = ScanStatistics::default();
    let counter = Counter { core, query: &query, cuts: Cuts::NONE };
    for (_, day) in snapshot.days {
        let mut plan = DayPlan::new(core, day, &query, &snapshot.hiding, &mut statistics)?;
        for group in 0..plan.groups.len() {
            let mut counted = Vec::new();
            counter.count_group(&mut plan, group, &mut counted, &mut statistics)?;
            for CountedRows { labels, cells, .. } in &counted {
                cells.iter().for_each(|cell| add(&mut counts, labels, cell.rows, cell.line_bytes));
            }
        }
        leave_out_counted(&mut plan, &mut statistics);
        let (mut open, mut seen) = (None, Seen::default());
        while let Some(unit) = plan.units.pop() {
            let mut reader = UnitReader {
                core,
                query: &query,
                plan: &plan,
                open: &mut open,
                seen: &mut seen,
                statistics: &mut statistics,
            };
            reader.read(&unit, &mut |row| {
                add(&mut counts, row.labels, 1, row.line_bytes as u64);
                Ok(())
            })?;
            if let Some(next) = plan.units.last() {
                seen.forget_beyond(next.first, query.direction);
            }
        }
    }
    let volume = |(labels, (rows, bytes))| StreamVolume { labels, rows, bytes };
    Ok(counts.into_iter().map(volume).collect())
}

fn add(counts: &mut Counts, labels: &Labels, rows: u64, bytes: u64) {
    match counts.get_mut(labels) {
        Some(count) => {
            count.0 += rows;
            count.1 += bytes;
        }
        None => {
            counts.insert(labels.clone(), (rows, bytes));
        }
    }
}
