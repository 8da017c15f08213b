//! Which streams there are.

use std::collections::HashSet;

use timberyard_model::Labels;
use timberyard_model::scan::{ScanError, ScanStatistics, SeriesRequest};

use super::check;
use super::day_plan::pass_over_damage;
use super::present::{in_entry, in_segment};
use super::query::Query;
use super::snapshot::Snapshot;
use crate::core::Core;

/// What a label set takes beside itself, in bytes: its place in a table that may be half empty.
const STREAM_OVERHEAD_BYTES: usize = 48;

/// The label sets found so far, within a limit.
struct Found {
    streams: HashSet<Labels>,
    bytes: usize,
    bytes_max: usize,
}

/// The streams with rows in the range: to the row for heads, to the group for segments.
pub(crate) fn series(core: &Core, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
    let query = Query::count(request, core.visible(&request.tenant, request.range));
    let snapshot = Snapshot::take(core, &request.tenant, &query);
    let mut found = Found { streams: HashSet::new(), bytes: 0, bytes_max: request.memory_bytes_max };
    let mut statistics = ScanStatistics::default();
    for day in snapshot.days.values() {
        for segment in &day.segments {
            check(&request.cancellation)?;
            let index = match segment.index(&core.index_cache) {
                Ok(index) => index,
                Err(error) => {
                    pass_over_damage(core, segment, &error, &mut statistics)?;
                    continue;
                }
            };
            let present = in_segment(segment, &index, &query, &snapshot.hiding);
            for stream in (0..index.streams.len()).filter(|stream| present.contains(*stream as u32)) {
                found.add(&index.labels.labels_of(stream))?;
            }
        }
        for entry in &day.entries {
            in_entry(entry, &query, &snapshot.hiding).try_for_each(|labels| found.add(labels))?;
        }
    }
    let mut streams: Vec<Labels> = found.streams.into_iter().collect();
    streams.sort_unstable();
    Ok(streams)
}

impl Found {
    fn add(&mut self, labels: &Labels) -> Result<(), ScanError> {
        if !self.streams.contains(labels) {
            self.bytes += labels.bytes() + STREAM_OVERHEAD_BYTES;
            if self.bytes > self.bytes_max {
                return Err(ScanError::Memory { limit: self.bytes_max });
            }
            self.streams.insert(labels.clone());
        }
        Ok(())
    }
}
