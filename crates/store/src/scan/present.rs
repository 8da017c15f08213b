//! Which streams of one place have rows that a question is about: in the range, passing, not hidden.

use timberyard_model::Labels;

use super::query::Query;
use crate::deletion::{HiddenRows, Hiding, StreamRows};
use crate::head::HeadEntry;
use crate::segment::{Segment, SegmentIndex, SegmentSummary, StreamSet};

/// The streams of a segment, to the group: of a stream with rows near the range none may be inside.
pub(super) fn in_segment(
    segment: &Segment,
    index: &SegmentIndex,
    query: &Query,
    hiding: &Hiding,
) -> StreamSet {
    let SegmentSummary { sequences, first, last, .. } = &segment.summary;
    let hidden = HiddenRows::of(hiding, sequences.last, *first, *last);
    let whole = query.range.start <= *first && *last < query.range.end;
    if whole && query.selectors.is_empty() && hidden.is_empty() {
        return StreamSet::full(index.streams.len());
    }
    let selected = index.select(&query.selectors);
    let mut present = StreamSet::empty(index.streams.len());
    let groups = index.groups.iter().filter(|group| query.range.overlaps(group.first, group.last));
    for member in groups.flat_map(|group| &group.streams) {
        let shows = || {
            let labels = index.streams.get(member.stream as usize);
            labels.is_some_and(|labels| {
                !matches!(hidden.stream(labels, member.first, member.last), StreamRows::None)
            })
        };
        if selected.contains(member.stream) && member.overlaps(query.range) && (hidden.is_empty() || shows())
        {
            present.insert(member.stream);
        }
    }
    present
}

/// The streams of a head entry, to the row.
pub(super) fn in_entry<'e>(
    entry: &'e HeadEntry,
    query: &'e Query,
    hiding: &Hiding,
) -> impl Iterator<Item = &'e Labels> {
    let streams = entry.rows().streams();
    let hidden = HiddenRows::of(hiding, entry.sequence, entry.first, entry.last);
    let shown = |labels: &Labels| hidden.stream(labels, entry.first, entry.last);
    let shown: Vec<StreamRows> = streams.iter().map(shown).collect();
    let mut present = vec![false; streams.len()];
    for place in 0..entry.len() {
        let row = entry.row(place);
        let number = row.stream_index();
        if query.range.contains(row.timestamp())
            && shown.get(number).is_some_and(|rows| rows.shows(&row))
            && let Some(present) = present.get_mut(number)
        {
            *present = true;
        }
    }
    let present = streams.iter().zip(present).filter(|(_, present)| *present);
    present.map(|(labels, _)| labels).filter(|labels| query.accepts(labels))
}
