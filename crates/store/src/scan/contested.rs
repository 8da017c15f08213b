//! Where rows that merge may be there twice: times at which one stream has rows in two places.
//!
//! Equal rows have equal times, so only where two places overlap in time do rows have to be compared. The
//! usual case, places that follow each other, costs nothing.

use std::collections::HashMap;
use std::sync::Arc;

use timberyard_model::{Labels, Timestamp};

/// Closed stretches of time, ascending, apart from each other.
pub(super) type Stretches = Arc<[(Timestamp, Timestamp)]>;

/// The stretches of each stream that has any.
#[derive(Default)]
pub(super) struct Contested {
    streams: HashMap<Labels, Stretches>,
}

/// Collects where streams have rows that merge. A place never repeats a row in itself.
#[derive(Default)]
pub(super) struct ContestedBuilder<'a> {
    spans: HashMap<&'a Labels, Vec<(Timestamp, Timestamp)>>,
}

impl<'a> ContestedBuilder<'a> {
    /// One place has rows of the stream between these times, both included.
    pub(super) fn add(&mut self, labels: &'a Labels, first: Timestamp, last: Timestamp) {
        self.spans.entry(labels).or_default().push((first, last));
    }

    pub(super) fn finish(self) -> Contested {
        let mut streams = HashMap::new();
        for (labels, mut spans) in self.spans {
            let stretches = overlaps(&mut spans);
            if !stretches.is_empty() {
                streams.insert(labels.clone(), stretches.into());
            }
        }
        Contested { streams }
    }
}

impl Contested {
    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// The stretches of a stream, if any touches the time between these, both included.
    pub(super) fn of(&self, labels: &Labels, first: Timestamp, last: Timestamp) -> Option<&Stretches> {
        self.streams.get(labels).filter(|stretches| touches(stretches, first, last))
    }
}

/// Whether one of the stretches touches the time between these, both included.
pub(super) fn touches(stretches: &[(Timestamp, Timestamp)], first: Timestamp, last: Timestamp) -> bool {
    let next = stretches.partition_point(|(_, end)| *end < first);
    stretches.get(next).is_some_and(|(start, _)| *start <= last)
}

/// Whether a time lies in one of the stretches.
pub(super) fn contains(stretches: &[(Timestamp, Timestamp)], time: Timestamp) -> bool {
    let after = stretches.partition_point(|(first, _)| *first <= time);
    after.checked_sub(1).and_then(|place| stretches.get(place)).is_some_and(|(_, last)| time <= *last)
}

/// The times that at least two of the spans hold.
fn overlaps(spans: &mut [(Timestamp, Timestamp)]) -> Vec<(Timestamp, Timestamp)> {
    spans.sort_unstable();
    let mut stretches: Vec<(Timestamp, Timestamp)> = Vec::new();
    let mut reached: Option<Timestamp> = None;
    for (first, last) in spans.iter().copied() {
        if let Some(reached) = reached.filter(|reached| first <= *reached) {
            let end = last.min(reached);
            match stretches.last_mut() {
                Some(stretch) if first <= stretch.1 => stretch.1 = stretch.1.max(end),
                _ => stretches.push((first, end)),
            }
        }
        reached = reached.max(Some(last));
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(spans: &[(i64, i64)]) -> Vec<(Timestamp, Timestamp)> {
        let time = Timestamp::from_nanos;
        spans.iter().map(|(first, last)| (time(*first), time(*last))).collect()
    }

    #[test]
    fn stretches_are_where_two_places_overlap() {
        type Spans<'a> = &'a [(i64, i64)];
        let cases: [(Spans<'_>, Spans<'_>); 7] = [
            (&[], &[]),
            (&[(1, 5)], &[]),
            (&[(1, 5), (6, 9)], &[]),
            (&[(1, 5), (5, 9)], &[(5, 5)]),
            (&[(1, 9), (2, 3), (5, 6)], &[(2, 3), (5, 6)]),
            (&[(4, 8), (1, 5), (7, 9)], &[(4, 5), (7, 8)]),
            (&[(1, 9), (1, 9), (3, 12), (10, 11)], &[(1, 9), (10, 11)]),
        ];
        for (spans, expected) in cases {
            let mut given = times(spans);
            assert_eq!(overlaps(&mut given), times(expected), "{spans:?}");
            for time in 0..14 {
                let holders = spans.iter().filter(|(first, last)| (*first..=*last).contains(&time)).count();
                let found = contains(&times(expected), Timestamp::from_nanos(time));
                assert_eq!(found, holders >= 2, "{time} in {spans:?}");
            }
        }
    }
}
