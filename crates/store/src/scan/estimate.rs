//! What a scan would read, from the indexes of segments and heads alone.

use std::collections::HashSet;

use timberyard_model::Labels;
use timberyard_model::scan::{ScanError, ScanEstimate, ScanRequest, ScanStatistics};

use super::check;
use super::day_plan::{DayPlan, UnitPlace};
use super::query::Query;
use super::snapshot::Snapshot;
use crate::core::Core;

/// Plans every day of the range and adds up what the plans name.
pub(crate) fn estimate(core: &Core, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
    let query = Query::scan(request, core.visible(&request.tenant, request.range));
    let snapshot = Snapshot::take(core, &request.tenant, &query);
    let mut statistics = ScanStatistics::default();
    let mut streams: HashSet<Labels> = HashSet::new();
    let mut estimate = ScanEstimate { segments_total: snapshot.segments_total, ..ScanEstimate::default() };
    for (_, day) in snapshot.days {
        check(&request.cancellation)?;
        let plan = DayPlan::new(core, day, &query, &snapshot.hiding, &mut statistics)?;
        let read: HashSet<usize> = plan.groups.iter().map(|group| group.segment).collect();
        estimate.segments += read.len() as u64;
        for unit in &plan.units {
            match unit.place {
                UnitPlace::Block { group, block } => {
                    let block = &plan.groups[group].group(&plan).blocks[block];
                    estimate.blocks += 1;
                    estimate.stored_bytes += block.stored_bytes();
                    estimate.stored_rows += u64::from(block.rows);
                }
                UnitPlace::Entry { entry, start, end } => {
                    let entry = &plan.entries[entry].entry;
                    estimate.memory_rows += (end - start) as u64;
                    estimate.memory_bytes +=
                        (start..end).map(|place| entry.row(place).line().len() as u64).sum::<u64>();
                }
            }
        }
        add_streams(&plan, &mut streams);
    }
    estimate.blocks_skipped = statistics.blocks_skipped.total();
    estimate.streams = streams.len() as u64;
    Ok(estimate)
}

fn add_streams(plan: &DayPlan, streams: &mut HashSet<Labels>) {
    for group in &plan.groups {
        let index = &plan.segments[group.segment].index;
        for (stream, member) in group.streams.iter().zip(&group.group(plan).streams) {
            if stream.accepted
                && let Some(labels) = index.streams.get(member.stream as usize)
                && !streams.contains(labels)
            {
                streams.insert(labels.clone());
            }
        }
    }
    for entry in &plan.entries {
        let labels = entry.entry.rows().streams();
        let accepted = entry.streams.iter().zip(labels).filter(|(stream, _)| stream.accepted);
        streams.extend(accepted.map(|(_, labels)| labels.clone()));
    }
}
