//! How many rows and bytes each stream has.
//!
//! Exact: counts come from the index where a stream's part of a group lies inside the range and
//! none of its rows can be elsewhere too or is deleted; the rest is counted row by row.

use std::collections::BTreeMap;

use timberyard_model::Labels;
use timberyard_model::scan::{ScanError, ScanStatistics, SeriesRequest, StreamVolume};

use super::day_plan::{DayPlan, UnitPlace};
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
    for (_, day) in snapshot.days {
        let mut plan = DayPlan::new(core, day, &query, &snapshot.hiding, &mut statistics)?;
        count_from_index(&mut plan, &query, &mut counts);
        let (mut open, mut seen) = (None, Seen::default());
        while let Some(unit) = plan.units.pop() {
            if let UnitPlace::Block { group, .. } = unit.place
                && !plan.groups[group].streams.iter().any(|stream| stream.accepted)
            {
                continue;
            }
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

/// Counts what the index knows exactly, and takes it out of what is to be read.
fn count_from_index(plan: &mut DayPlan, query: &Query, counts: &mut Counts) {
    for group in &mut plan.groups {
        let index = &plan.segments[group.segment].index;
        for (stream, member) in group.streams.iter_mut().zip(&index.groups[group.group].streams) {
            let inside = query.range.start <= member.first && member.last < query.range.end;
            if stream.accepted
                && inside
                && stream.is_exact_in_index()
                && let Some(labels) = index.streams.get(member.stream as usize)
            {
                add(counts, labels, member.rows, member.line_bytes);
                stream.accepted = false;
            }
        }
    }
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
