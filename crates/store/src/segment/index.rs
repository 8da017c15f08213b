//! The label index of a segment in memory: streams, postings, groups and blocks.

use std::sync::Arc;

use timberyard_model::matcher::{LabelMatcher, ValueTest};
use timberyard_model::{TimeRange, Timestamp};

use super::frame::Frame;
use super::label_index::{LabelIndex, Posting};
use super::stream_table::StreamTable;
use crate::codec::{Malformed, Reader};

/// What is known of a segment without reading a row. Readers share all but the label sets that they put together.
pub(crate) struct SegmentIndex {
    pub(crate) streams: StreamTable,
    pub(crate) labels: Arc<LabelIndex>,
    pub(crate) groups: Arc<[Group]>,
}

/// Rows of one family, sorted by time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// The `service_name` of all its streams.
    pub(crate) family: Box<str>,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) streams: Box<[GroupStream]>,
    pub(crate) blocks: Box<[BlockEntry]>,
    /// Where the counts by minute are, if there are any.
    pub(crate) counts: Option<CountsEntry>,
}

/// Where the counts of a group lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CountsEntry {
    pub(crate) offset: u64,
    pub(crate) frame: Frame,
}

/// One stream's part of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupStream {
    /// Its number in the segment.
    pub(crate) stream: u32,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) rows: u64,
    pub(crate) line_bytes: u64,
    /// Rows that are one with equal rows elsewhere.
    pub(crate) merging_rows: u64,
    /// Pairs of structured metadata of all rows together.
    pub(crate) metadata_pairs: u64,
    /// Bytes of the distinct names and values of that metadata.
    pub(crate) metadata_text_bytes: u64,
}

/// Where a block lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockEntry {
    pub(crate) offset: u64,
    pub(crate) rows: u32,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) row_frame: Frame,
    pub(crate) line_frame: Frame,
    pub(crate) metadata_frame: Frame,
    /// Empty when it has none.
    pub(crate) gate: Frame,
}

impl BlockEntry {
    /// Compares all that the file has of the block with its checksums.
    pub(crate) fn check(&self, stored: &[u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(stored);
        // No gate has no checksum either.
        for frame in self.frames().iter().filter(|frame| **frame != Frame::default()) {
            frame.check(reader.take(frame.stored as usize)?)?;
        }
        reader.end()
    }

    /// Bytes of the block in the file.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.frames().iter().map(|frame| u64::from(frame.stored)).sum()
    }

    /// Where its gate begins in the file.
    pub(crate) fn gate_offset(&self) -> u64 {
        self.offset + self.stored_bytes() - u64::from(self.gate.stored)
    }

    /// Its parts in the order of the file.
    fn frames(&self) -> [Frame; 4] {
        [self.row_frame, self.line_frame, self.metadata_frame, self.gate]
    }
}

impl Group {
    /// Whether no row has any structured metadata.
    pub(crate) fn is_without_metadata(&self) -> bool {
        self.blocks.iter().all(|block| block.metadata_frame.raw == 0)
    }

    pub(crate) fn rows(&self) -> u64 {
        self.streams.iter().map(|stream| stream.rows).sum()
    }

    pub(crate) fn line_bytes(&self) -> u64 {
        self.streams.iter().map(|stream| stream.line_bytes).sum()
    }

    /// Roughly what its rows count for where groups are measured.
    pub(crate) fn raw_bytes(&self) -> u64 {
        let metadata = self.blocks.iter().map(|block| u64::from(block.metadata_frame.raw)).sum::<u64>();
        self.line_bytes() + metadata + self.rows() * ROW_OVERHEAD_BYTES
    }
}

/// What a row counts for beside its line and metadata where groups are measured, in bytes.
pub(crate) const ROW_OVERHEAD_BYTES: u64 = 8;

/// What a pair of metadata takes in Loki's chunks beside its texts.
pub(crate) const PAIR_BYTES: u64 = 8;

impl GroupStream {
    /// What the metadata of some of its rows takes, at the average of all.
    pub(crate) fn metadata_bytes(&self, rows: u64) -> u64 {
        let all = self.metadata_pairs.saturating_mul(PAIR_BYTES).saturating_add(self.metadata_text_bytes);
        let share = u128::from(all) * u128::from(rows) / u128::from(self.rows.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        range.overlaps(self.first, self.last)
    }
}

/// A set of streams of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamSet {
    words: Vec<u64>,
}

impl StreamSet {
    pub(crate) fn empty(streams: usize) -> Self {
        Self { words: vec![0; streams.div_ceil(64)] }
    }

    pub(crate) fn full(streams: usize) -> Self {
        let mut set = Self { words: vec![u64::MAX; streams.div_ceil(64)] };
        if let (Some(last), 1..) = (set.words.last_mut(), streams % 64) {
            *last = (1 << (streams % 64)) - 1;
        }
        set
    }

    pub(crate) fn contains(&self, stream: u32) -> bool {
        let word = self.words.get(stream as usize / 64).copied().unwrap_or_default();
        word >> (stream % 64) & 1 == 1
    }

    pub(crate) fn insert(&mut self, stream: u32) {
        if let Some(word) = self.words.get_mut(stream as usize / 64) {
            *word |= 1 << (stream % 64);
        }
    }

    fn remove(&mut self, stream: u32) {
        if let Some(word) = self.words.get_mut(stream as usize / 64) {
            *word &= !(1 << (stream % 64));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    fn intersect(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    fn unite(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }
}

impl SegmentIndex {
    pub(super) fn new(labels: Arc<LabelIndex>, groups: Arc<[Group]>) -> Self {
        Self { streams: StreamTable::new(Arc::clone(&labels)), labels, groups }
    }

    /// The same for another reader, who puts label sets together for himself.
    pub(super) fn share(&self) -> Self {
        Self::new(Arc::clone(&self.labels), Arc::clone(&self.groups))
    }

    /// The streams that pass all matchers of at least one selector; all when there is no selector.
    pub(crate) fn select(&self, selectors: &[Vec<LabelMatcher>]) -> StreamSet {
        if selectors.is_empty() {
            return StreamSet::full(self.streams.len());
        }
        let mut selected = StreamSet::empty(self.streams.len());
        for matchers in selectors {
            let mut passing = StreamSet::full(self.streams.len());
            for matcher in matchers {
                if passing.is_empty() {
                    break;
                }
                passing.intersect(&self.passing(matcher));
            }
            selected.unite(&passing);
        }
        selected
    }

    /// A stream without the label has the empty value: it passes when that does.
    fn passing(&self, matcher: &LabelMatcher) -> StreamSet {
        let postings = self.labels.names(Some(&matcher.name)).next().map(|(_, postings)| postings);
        let absent_passes = matcher.test.accepts("");
        let count = self.streams.len();
        let mut set = if absent_passes { StreamSet::full(count) } else { StreamSet::empty(count) };
        let Some(postings) = postings else { return set };
        let mut apply = |posting: Posting<'_>, passes: bool| {
            for stream in posting.streams {
                if passes { set.insert(*stream) } else { set.remove(*stream) }
            }
        };
        match &matcher.test {
            ValueTest::Equal(value) if !absent_passes => {
                if let Some(posting) = postings.find(value) {
                    apply(posting, true);
                }
            }
            test => {
                for posting in postings.iter() {
                    let passes = test.accepts(posting.value);
                    if passes != absent_passes {
                        apply(posting, passes);
                    }
                }
            }
        }
        set
    }

    /// Memory this takes, in bytes, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        let groups: usize = self
            .groups
            .iter()
            .map(|group| {
                128 + group.streams.len() * size_of::<GroupStream>()
                    + group.blocks.len() * size_of::<BlockEntry>()
            })
            .sum();
        self.labels.bytes() + groups
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::matcher::accepts_all;
    use timberyard_model::pattern::Pattern;

    use super::*;
    use timberyard_model::Labels;

    fn matcher(name: &str, operator: &str, value: &str) -> LabelMatcher {
        let pattern = || Pattern::whole(value).expect("valid");
        let test = match operator {
            "=" => ValueTest::Equal(value.into()),
            "!=" => ValueTest::NotEqual(value.into()),
            "=~" => ValueTest::Matches(pattern()),
            _ => ValueTest::NotMatches(pattern()),
        };
        LabelMatcher { name: name.into(), test }
    }

    #[test]
    fn postings_select_what_looking_at_every_stream_would() {
        let mut streams: Vec<Labels> = (0..150)
            .map(|number| {
                let app = format!("app{}", number % 7);
                let pod = format!("pod{number}");
                let zone = if number % 3 == 0 { "" } else { "north" };
                Labels::from_pairs([("app", &*app), ("pod", &*pod), ("zone", zone)])
            })
            .collect();
        streams.sort();
        let index = SegmentIndex::new(Arc::new(LabelIndex::of(&streams)), Arc::new([]));
        let mut matchers = Vec::new();
        for name in ["app", "pod", "zone", "none"] {
            for operator in ["=", "!=", "=~", "!~"] {
                for value in ["", "app3", "pod1", "north", "app.*", ".+", ".*", "pod1|"] {
                    matchers.push(matcher(name, operator, value));
                }
            }
        }
        for pair in matchers.windows(2) {
            let selected = index.select(&[pair.to_vec()]);
            for (number, labels) in streams.iter().enumerate() {
                assert_eq!(selected.contains(number as u32), accepts_all(pair, labels), "{pair:?} {labels}");
            }
        }
        let either = index.select(&[vec![matcher("app", "=", "app1")], vec![matcher("zone", "=", "")]]);
        assert!(streams.iter().enumerate().all(|(number, labels)| {
            either.contains(number as u32)
                == (labels.get("app") == Some("app1") || labels.get("zone").is_none())
        }));
        assert!(streams.iter().enumerate().all(|(number, _)| index.select(&[]).contains(number as u32)));
    }
}
