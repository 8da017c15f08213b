//! Where rows that merge may be there twice: times at which one stream has rows in two places.
//!
//! Equal rows have equal times, so only where two places overlap in time do rows have to be compared. The
//! usual case, places that follow each other, costs nothing, nor do places that were compared when they were made.

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

/// Between which times, both included, one place has rows of a stream.
#[derive(Clone, Copy)]
struct Span {
    first: Timestamp,
    last: Timestamp,
    /// No row of the place is in another place that was compared, too.
    compared: bool,
}

/// Collects where streams have rows that merge. A place never repeats a row in itself.
#[derive(Default)]
pub(super) struct ContestedBuilder<'a> {
    spans: HashMap<&'a Labels, Vec<Span>>,
}

impl<'a> ContestedBuilder<'a> {
    /// One place has rows of the stream between these times, both included. Places that were compared hold no row
    /// twice among them.
    pub(super) fn add(&mut self, labels: &'a Labels, first: Timestamp, last: Timestamp, compared: bool) {
        self.spans.entry(labels).or_default().push(Span { first, last, compared });
    }

    pub(super) fn finish(self) -> Contested {
        let mut streams = HashMap::new();
        for (labels, spans) in self.spans {
            let stretches = overlaps(&spans);
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

/// The times that at least two of the spans hold, one of which was not compared.
fn overlaps(spans: &[Span]) -> Vec<(Timestamp, Timestamp)> {
    if spans.iter().all(|span| span.compared) {
        return Vec::new();
    }
    // Of equal times beginnings come before ends, since spans hold both their times.
    let begin = |span: &Span| (span.first, false, span.compared);
    let end = |span: &Span| (span.last, true, span.compared);
    let mut turns: Vec<(Timestamp, bool, bool)> =
        spans.iter().flat_map(|span| [begin(span), end(span)]).collect();
    turns.sort_unstable();
    let mut stretches: Vec<(Timestamp, Timestamp)> = Vec::new();
    let mut since: Option<Timestamp> = None;
    // Spans that hold the time: those that were not compared, and those that were.
    let mut open = [0usize; 2];
    for (time, ends, compared) in turns {
        let of_kind = &mut open[usize::from(compared)];
        if ends {
            *of_kind -= 1;
        } else {
            *of_kind += 1;
        }
        let contested = open[0] > 0 && open[0] + open[1] > 1;
        if contested {
            since.get_or_insert(time);
        } else if let Some(since) = since.take() {
            match stretches.last_mut() {
                Some(stretch) if since <= stretch.1 => stretch.1 = stretch.1.max(time),
                _ => stretches.push((since, time)),
            }
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spans with `true` were compared.
    type Spans<'a> = &'a [(i64, i64, bool)];

    #[test]
    fn stretches_are_where_two_places_overlap_that_were_not_compared_with_each_other() {
        let cases: [(Spans<'_>, &[(i64, i64)]); 11] = [
            (&[], &[]),
            (&[(1, 5, false)], &[]),
            (&[(1, 5, false), (6, 9, false)], &[]),
            (&[(1, 5, false), (5, 9, false)], &[(5, 5)]),
            (&[(1, 9, false), (2, 3, false), (5, 6, false)], &[(2, 3), (5, 6)]),
            (&[(4, 8, false), (1, 5, false), (7, 9, false)], &[(4, 5), (7, 8)]),
            (&[(1, 9, false), (1, 9, false), (3, 12, false), (10, 11, false)], &[(1, 9), (10, 11)]),
            (&[(1, 5, true), (1, 5, true), (2, 9, true)], &[]),
            (&[(1, 5, true), (3, 7, true), (4, 9, false)], &[(4, 7)]),
            (&[(1, 9, false), (2, 3, true), (2, 4, true), (6, 6, true)], &[(2, 4), (6, 6)]),
            (&[(1, 3, true), (3, 3, false), (3, 8, true), (7, 9, true), (8, 8, false)], &[(3, 3), (8, 8)]),
        ];
        let time = Timestamp::from_nanos;
        for (spans, expected) in cases {
            let span = |(first, last, compared): &(i64, i64, bool)| Span {
                first: time(*first),
                last: time(*last),
                compared: *compared,
            };
            let given: Vec<Span> = spans.iter().map(span).collect();
            let expected: Vec<(Timestamp, Timestamp)> =
                expected.iter().map(|(first, last)| (time(*first), time(*last))).collect();
            assert_eq!(overlaps(&given), expected, "{spans:?}");
            for now in 0..14 {
                let holders = || spans.iter().filter(|(first, last, _)| (*first..=*last).contains(&now));
                let contested = holders().count() > 1 && holders().any(|(_, _, compared)| !compared);
                assert_eq!(contains(&expected, time(now)), contested, "{now} in {spans:?}");
            }
        }
    }
}
