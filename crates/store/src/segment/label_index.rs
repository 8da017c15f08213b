//! The labels of a segment's streams in memory: postings by name and value, and each stream's pairs.
//!
//! Plain tables of numbers and one text a name, so that a stream costs a few bytes a label instead of
//! allocations; a label set is put together when somebody asks for it. Values of a name are sorted.

use std::collections::BTreeMap;

use timberyard_model::Labels;

use crate::codec::{Malformed, Reader, put_bytes, put_varint};

/// Which streams have which labels.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelIndex {
    /// By name, sorted.
    names: Box<[LabelPostings]>,
    /// Where the pairs of each stream end.
    pair_ends: Box<[u32]>,
    /// The pairs of each stream in turn, in the order of their names.
    pairs: Box<[Pair]>,
}

/// A name and a value by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pair {
    name: u32,
    value: u32,
}

/// The values of one label, each with the streams that have it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelPostings {
    name: Box<str>,
    /// All values end to end.
    text: Box<str>,
    text_ends: Box<[u32]>,
    stream_ends: Box<[u32]>,
    /// Of each value in turn, ascending.
    streams: Box<[u32]>,
}

/// The streams that have one value of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Posting<'a> {
    pub(crate) value: &'a str,
    /// Ascending.
    pub(crate) streams: &'a [u32],
}

/// Part `number` of what is cut at `ends`.
fn part(ends: &[u32], number: usize) -> Option<std::ops::Range<usize>> {
    let end = *ends.get(number)? as usize;
    let start = number.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |start| *start as usize);
    Some(start..end)
}

impl LabelPostings {
    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.text_ends.len()
    }

    pub(crate) fn get(&self, number: usize) -> Option<Posting<'_>> {
        let value = self.text.get(part(&self.text_ends, number)?)?;
        let streams = self.streams.get(part(&self.stream_ends, number)?)?;
        Some(Posting { value, streams })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Posting<'_>> {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    /// The streams with exactly this value.
    pub(crate) fn find(&self, value: &str) -> Option<Posting<'_>> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            let posting = self.get(middle)?;
            match posting.value.cmp(value) {
                std::cmp::Ordering::Equal => return Some(posting),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    fn bytes(&self) -> usize {
        let numbers = self.text_ends.len() + self.stream_ends.len() + self.streams.len();
        size_of::<Self>() + self.name.len() + self.text.len() + numbers * size_of::<u32>()
    }
}

/// Gathers the postings of one name.
#[derive(Default)]
struct PostingsBuilder {
    text: String,
    text_ends: Vec<u32>,
    stream_ends: Vec<u32>,
    streams: Vec<u32>,
}

impl PostingsBuilder {
    /// Ends a value whose streams were added. A footer, and so what it holds, is shorter than 4 GiB.
    fn end_value(&mut self, value: &str) {
        self.text.push_str(value);
        self.text_ends.push(self.text.len() as u32);
        self.stream_ends.push(self.streams.len() as u32);
    }

    fn finish(self, name: &str) -> LabelPostings {
        LabelPostings {
            name: name.into(),
            text: self.text.into(),
            text_ends: self.text_ends.into(),
            stream_ends: self.stream_ends.into(),
            streams: self.streams.into(),
        }
    }
}

impl LabelIndex {
    /// The index of streams that are sorted by their labels; a stream's number is its place.
    pub(super) fn of(streams: &[Labels]) -> Self {
        let mut names: BTreeMap<&str, Vec<(&str, u32)>> = BTreeMap::new();
        for (number, labels) in streams.iter().enumerate() {
            for (name, value) in labels.iter() {
                names.entry(name).or_default().push((value, number as u32));
            }
        }
        let postings = |(name, mut values): (&str, Vec<(&str, u32)>)| {
            values.sort_unstable();
            let mut builder = PostingsBuilder::default();
            for same in values.chunk_by(|a, b| a.0 == b.0) {
                builder.streams.extend(same.iter().map(|(_, stream)| *stream));
                builder.end_value(same.first().map_or("", |(value, _)| *value));
            }
            builder.finish(name)
        };
        Self::with_pairs(names.into_iter().map(postings).collect(), streams.len())
    }

    /// Adds the way from streams to labels; every stream of the postings is below `streams`.
    fn with_pairs(names: Box<[LabelPostings]>, streams: usize) -> Self {
        let mut next = vec![0u32; streams];
        for stream in names.iter().flat_map(|postings| &postings.streams) {
            if let Some(count) = next.get_mut(*stream as usize) {
                *count += 1;
            }
        }
        let mut start = 0;
        for next in &mut next {
            start += std::mem::replace(next, start);
        }
        let mut pairs = vec![Pair::default(); start as usize];
        for (name, postings) in names.iter().enumerate() {
            for value in 0..postings.len() {
                for stream in postings.get(value).map_or(&[][..], |posting| posting.streams) {
                    if let Some(next) = next.get_mut(*stream as usize)
                        && let Some(pair) = pairs.get_mut(*next as usize)
                    {
                        *pair = Pair { name: name as u32, value: value as u32 };
                        *next += 1;
                    }
                }
            }
        }
        // What was the start of each stream's pairs has moved to their end.
        Self { names, pair_ends: next.into(), pairs: pairs.into() }
    }

    /// How many streams there are.
    pub(crate) fn streams(&self) -> usize {
        self.pair_ends.len()
    }

    /// The label set of a stream; an empty one when there is no such stream.
    pub(crate) fn labels_of(&self, stream: usize) -> Labels {
        let pairs = part(&self.pair_ends, stream).and_then(|range| self.pairs.get(range)).unwrap_or_default();
        Labels::from_pairs(pairs.iter().filter_map(|pair| {
            let postings = self.names.get(pair.name as usize)?;
            Some((&*postings.name, postings.get(pair.value as usize)?.value))
        }))
    }

    /// Labels by name with their postings: the one of that name, or all of them.
    pub(crate) fn names(&self, name: Option<&str>) -> impl Iterator<Item = (&str, &LabelPostings)> {
        let chosen = match name {
            None => &*self.names,
            Some(name) => {
                self.place(name).and_then(|place| self.names.get(place..=place)).unwrap_or_default()
            }
        };
        chosen.iter().map(|postings| (&*postings.name, postings))
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.binary_search_by(|postings| (*postings.name).cmp(name)).ok()
    }

    /// Memory this takes, in bytes, roughly.
    pub(crate) fn bytes(&self) -> usize {
        let postings: usize = self.names.iter().map(LabelPostings::bytes).sum();
        postings + self.pairs.len() * size_of::<Pair>() + self.pair_ends.len() * size_of::<u32>()
    }

    /// Writes it as the footer has it: `docs/format/segment.md`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.streams() as u64);
        put_varint(out, self.names.len() as u64);
        for postings in &self.names {
            put_bytes(out, postings.name.as_bytes());
            put_varint(out, postings.len() as u64);
            for posting in postings.iter() {
                put_bytes(out, posting.value.as_bytes());
                put_varint(out, posting.streams.len() as u64);
                let mut before = 0;
                for stream in posting.streams {
                    put_varint(out, u64::from(stream - before));
                    before = *stream;
                }
            }
        }
    }

    /// Reads what [`LabelIndex::encode`] wrote.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        // A stream is named in the postings (unless it has no labels) and in a group.
        let stream_count = reader.count()?;
        let name_count = reader.count()?;
        let mut names = Vec::with_capacity(name_count);
        for _ in 0..name_count {
            let name = reader.text()?;
            let mut builder = PostingsBuilder::default();
            for _ in 0..reader.count()? {
                let value = reader.text()?;
                let mut stream = 0u32;
                for _ in 0..reader.count()? {
                    stream = stream.checked_add(reader.varint_u32()?).ok_or(Malformed("no such stream"))?;
                    if stream as usize >= stream_count {
                        return Err(Malformed("no such stream"));
                    }
                    builder.streams.push(stream);
                }
                builder.end_value(value);
            }
            names.push(builder.finish(name));
        }
        Ok(Self::with_pairs(names.into(), stream_count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_sets_come_back_from_postings_and_from_bytes() {
        let mut streams: Vec<Labels> = (0..300)
            .map(|number| {
                let (app, pod) = (format!("app{}", number % 7), format!("pod-{number}"));
                let zone = if number % 3 == 0 { "" } else { "nörth" };
                Labels::from_pairs([("app", &*app), ("pod", &*pod), ("zone", zone)])
            })
            .collect();
        streams.push(Labels::default());
        streams.sort();
        let index = LabelIndex::of(&streams);
        let mut bytes = Vec::new();
        index.encode(&mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(LabelIndex::decode(&mut reader).as_ref(), Ok(&index));
        assert_eq!(reader.end(), Ok(()));
        assert_eq!(index.streams(), streams.len());
        for (number, labels) in streams.iter().enumerate() {
            assert_eq!(index.labels_of(number), *labels);
        }
        assert!(index.labels_of(streams.len()).is_empty());
        let (_, pods) = index.names(Some("pod")).next().expect("there");
        let found = pods.find("pod-17").expect("there");
        assert_eq!(found.streams.len(), 1);
        assert_eq!(streams[found.streams[0] as usize].get("pod"), Some("pod-17"));
        assert!(pods.find("pod-").is_none() && index.names(Some("none")).next().is_none());
        for length in 0..bytes.len() {
            assert!(LabelIndex::decode(&mut Reader::new(&bytes[..length])).is_err(), "{length}");
        }
    }
}
