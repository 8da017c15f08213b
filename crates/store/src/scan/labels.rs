//! Which labels there are, and their values: from postings and from the label sets of heads.
//!
//! As fine as [`super::series`], but no label set of a segment is put together: a value counts when one stream
//! of its postings has rows in the range.

use timberyard_model::label_values::{LabelCollector, LabelQuestion, LabelValues};
use timberyard_model::scan::{ScanError, ScanStatistics, SeriesRequest};

use super::check;
use super::day_plan::pass_over_damage;
use super::present::{in_entry, in_segment};
use super::query::Query;
use super::snapshot::Snapshot;
use crate::core::Core;
use crate::segment::{SegmentIndex, StreamSet};

/// The labels of the streams with rows in the range.
pub(crate) fn labels(
    core: &Core,
    request: &SeriesRequest,
    question: &LabelQuestion,
) -> Result<Vec<LabelValues>, ScanError> {
    let query = Query::count(request, core.visible(&request.tenant, request.range));
    let snapshot = Snapshot::take(core, &request.tenant, &query);
    let mut collector = LabelCollector::new(question, request.memory_bytes_max);
    let mut statistics = ScanStatistics::default();
    for day in snapshot.days.values() {
        for segment in &day.segments {
            check(&request.cancellation)?;
            match segment.index(&core.index_cache) {
                Ok(index) => {
                    let present = in_segment(segment, &index, &query, &snapshot.hiding);
                    add_segment(&index, &present, &mut collector)?;
                }
                Err(error) => pass_over_damage(core, segment, &error, &mut statistics)?,
            }
        }
        for entry in &day.entries {
            for labels in in_entry(entry, &query, &snapshot.hiding) {
                labels.iter().try_for_each(|(name, value)| collector.add(name, value))?;
            }
        }
    }
    Ok(collector.finish())
}

fn add_segment(
    index: &SegmentIndex,
    present: &StreamSet,
    collector: &mut LabelCollector<'_>,
) -> Result<(), ScanError> {
    for (name, postings) in index.labels.names(collector.only_name()) {
        for posting in postings.iter() {
            if !collector.wants(name) {
                break;
            }
            if posting.streams.iter().any(|stream| present.contains(*stream)) {
                collector.add(name, posting.value)?;
            }
        }
    }
    Ok(())
}
