//! What a query returns, before anyone has chosen a format for it.
//!
//! Numbers stay numbers and lines stay bytes. Labels of streams, structured metadata and parsed
//! labels are kept apart; [`Streams`] shows them joined or apart, as the client asked.

use std::collections::HashMap;

use timberyard_model::scan::{Direction, ScanStatistics};
use timberyard_model::{Labels, Timestamp};

use crate::query_request::LinePosition;

/// The answer to one query.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryResult {
    /// The answer itself.
    pub value: QueryValue,
    /// What it cost.
    pub statistics: QueryStatistics,
    /// What the user should know about the answer.
    pub warnings: Vec<String>,
    /// Of a page that is full: its last line, after which the next page begins.
    pub last: Option<LinePosition>,
}

/// The four kinds of answers.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryValue {
    /// Lines: of a log query.
    Streams(Streams),
    /// Series over time, sorted by labels: of a metric query over a range.
    Matrix(Vec<Series>),
    /// One number a series: of a metric query at one time. Sorted by labels, or by value when the
    /// query says so.
    Vector(Vec<Sample>),
    /// A number alone: of a literal at one time.
    Scalar {
        /// When.
        timestamp: Timestamp,
        /// How much.
        value: f64,
    },
}

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Its values in the order of time.
    pub points: Vec<Point>,
}

/// A value at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When.
    pub timestamp: Timestamp,
    /// How much.
    pub value: f64,
}

/// The value of a series at the one time of an instant query.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The series' labels.
    pub labels: Labels,
    /// When and how much.
    pub point: Point,
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub timestamp: Timestamp,
    /// The line after all stages.
    pub line: Box<[u8]>,
    /// Structured metadata that is left after all stages.
    pub metadata: Labels,
    /// What stages added; errors too.
    pub parsed: Labels,
}

/// Lines that have the labels of their stream in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamResult {
    /// The labels of the stream that are left after all stages.
    pub stream: Labels,
    /// Its lines, in the order asked for.
    pub entries: Vec<Entry>,
}

/// The lines of a log query. Streams are sorted by labels, each is there once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streams {
    /// In which order entries lie.
    pub direction: Direction,
    /// The streams, with metadata and parsed labels beside each line (`categorize-labels`).
    pub streams: Vec<StreamResult>,
}

impl Streams {
    /// Groups entries, which lie in the order asked for, by the labels of their stream.
    pub(crate) fn group(direction: Direction, entries: impl IntoIterator<Item = (Labels, Entry)>) -> Self {
        // Comparing labels by their order takes longer than their hash, so there is one sort of few streams.
        let mut groups: HashMap<Labels, Vec<Entry>> = HashMap::new();
        for (stream, entry) in entries {
            groups.entry(stream).or_default().push(entry);
        }
        let mut streams: Vec<StreamResult> =
            groups.into_iter().map(|(stream, entries)| StreamResult { stream, entries }).collect();
        streams.sort_unstable_by(|a, b| a.stream.cmp(&b.stream));
        Self { direction, streams }
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.streams.iter().map(|stream| stream.entries.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// The lines by all their labels together, sorted by labels: each label set once, its entries
    /// in the order asked for. This is what clients get that do not ask for categories.
    pub fn by_all_labels(&self) -> Vec<(Labels, Vec<&Entry>)> {
        let mut groups: Vec<(Labels, Vec<&Entry>)> = Vec::new();
        let mut numbers: HashMap<Labels, usize> = HashMap::new();
        for stream in &self.streams {
            // Labels are put together once for all lines of a stream that have the same besides.
            let mut known: HashMap<(&Labels, &Labels), usize> = HashMap::new();
            for entry in &stream.entries {
                let number = *known.entry((&entry.metadata, &entry.parsed)).or_insert_with(|| {
                    let labels = entry.labels(&stream.stream);
                    *numbers.entry(labels).or_insert_with_key(|labels| {
                        groups.push((labels.clone(), Vec::new()));
                        groups.len() - 1
                    })
                });
                if let Some((_, entries)) = groups.get_mut(number) {
                    entries.push(entry);
                }
            }
        }
        groups.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (_, entries) in &mut groups {
            // Only entries of different streams whose labels together are the same can be out of order.
            match self.direction {
                Direction::Forward => entries.sort_by_key(|entry| entry.timestamp),
                Direction::Backward => entries.sort_by_key(|entry| std::cmp::Reverse(entry.timestamp)),
            }
        }
        groups
    }
}

impl Entry {
    /// The labels of the stream with this line's own: of equal names the parsed one counts, then metadata.
    pub fn labels(&self, stream: &Labels) -> Labels {
        if self.metadata.is_empty() && self.parsed.is_empty() {
            return stream.clone();
        }
        Labels::keeping_empty(stream.iter().chain(self.metadata.iter()).chain(self.parsed.iter()))
    }
}

/// What a query cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryStatistics {
    /// What its scans cost the store, added up.
    pub scan: ScanStatistics,
    /// Rows that stages or functions worked on.
    pub rows_processed: u64,
    /// Bytes of their lines, as far as lines were read.
    pub bytes_processed: u64,
    /// Lines, or points of all series, in the answer.
    pub entries_returned: u64,
}

impl QueryStatistics {
    /// Adds what a finished scan cost.
    pub(crate) fn add_scan(&mut self, scan: ScanStatistics) {
        self.scan += scan;
    }

    /// What the user should know about an answer that cost this.
    pub(crate) fn warnings(&self) -> Vec<String> {
        match self.scan.segments_damaged {
            0 => Vec::new(),
            damaged => {
                vec![format!("the answer may be incomplete: {damaged} damaged segments could not be read")]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(nanos: i64, parsed: &[(&str, &str)]) -> Entry {
        Entry {
            timestamp: Timestamp::from_nanos(nanos),
            line: Box::default(),
            metadata: Labels::default(),
            parsed: Labels::from_pairs(parsed.iter().copied()),
        }
    }

    #[test]
    fn lines_are_grouped_by_stream_and_shown_by_all_labels() {
        let stream = Labels::from_pairs([("app", "api")]);
        let bare = Labels::default();
        let streams = Streams::group(
            Direction::Forward,
            [
                (stream.clone(), entry(1, &[("level", "info")])),
                (bare, entry(2, &[("app", "api")])),
                (stream.clone(), entry(3, &[])),
            ],
        );
        assert_eq!(streams.len(), 3);
        assert_eq!(streams.streams.len(), 2);
        let shown = streams.by_all_labels();
        let times: Vec<Vec<i64>> =
            shown.iter().map(|(_, e)| e.iter().map(|e| e.timestamp.as_nanos()).collect()).collect();
        assert_eq!(shown[0].0, stream);
        assert_eq!(times, [vec![2, 3], vec![1]]);
    }
}
