//! Which streams there are.

use std::collections::BTreeSet;

use timberyard_model::Labels;
use timberyard_model::scan::{ScanError, ScanStatistics, SeriesRequest};

use super::day_plan::pass_over_damage;
use super::query::Query;
use super::snapshot::Snapshot;
use crate::core::Core;
use crate::deletion::{HiddenRows, StreamRows};
use crate::segment::SegmentSummary;

/// The streams with rows in the range: to the row for heads, to the group for segments.
pub(crate) fn series(core: &Core, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
    let query = Query::count(request, core.visible(&request.tenant, request.range));
    let snapshot = Snapshot::take(core, &request.tenant, &query);
    let mut found: BTreeSet<Labels> = BTreeSet::new();
    let mut statistics = ScanStatistics::default();
    for day in snapshot.days.values() {
        for segment in &day.segments {
            let index = match segment.index(&core.index_cache) {
                Ok(index) => index,
                Err(error) => {
                    pass_over_damage(core, segment, &error, &mut statistics)?;
                    continue;
                }
            };
            let selected = index.select(&query.selectors);
            let SegmentSummary { sequences, first, last, .. } = &segment.summary;
            let hidden = HiddenRows::of(&snapshot.deletions, sequences.last, *first, *last);
            let groups = index.groups.iter().filter(|group| query.range.overlaps(group.first, group.last));
            for stream in groups.flat_map(|group| &group.streams) {
                if selected.contains(stream.stream)
                    && stream.overlaps(query.range)
                    && let Some(labels) = index.streams.get(stream.stream as usize)
                    && !found.contains(labels)
                    && !matches!(hidden.stream(labels, stream.first, stream.last), StreamRows::None)
                {
                    found.insert(labels.clone());
                }
            }
        }
        for entry in &day.entries {
            let streams = entry.batch.batch.rows.streams();
            let hidden = HiddenRows::of(&snapshot.deletions, entry.batch.sequence, entry.first, entry.last);
            let shown: Vec<StreamRows> =
                streams.iter().map(|labels| hidden.stream(labels, entry.first, entry.last)).collect();
            let mut present = vec![false; streams.len()];
            for place in 0..entry.len() {
                let row = entry.row(place);
                let number = row.stream_index();
                if query.range.contains(row.timestamp())
                    && shown.get(number).is_some_and(|rows| rows.shows(row.timestamp(), row.line()))
                    && let Some(present) = present.get_mut(number)
                {
                    *present = true;
                }
            }
            let present = streams.iter().zip(present).filter(|(_, present)| *present);
            found.extend(present.map(|(labels, _)| labels).filter(|labels| query.accepts(labels)).cloned());
        }
    }
    Ok(found.into_iter().collect())
}
