//! The bytes of a block: some rows of a group, as three compressed sections.
//!
//! Everything about the encoding of rows is in this file and its counterpart,
//! [`super::block_builder`]. Reading checks every length before it is used.

use timberyard_model::Timestamp;

use super::index::BlockEntry;
use crate::codec::{Malformed, Reader};

/// Which sections of a block are wanted. Times, streams and lengths always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sections {
    pub(crate) lines: bool,
    pub(crate) metadata: bool,
}

impl Sections {
    pub(crate) const ALL: Self = Self { lines: true, metadata: true };

    /// How many bytes they have after decompression.
    pub(crate) fn raw_bytes(self, entry: &BlockEntry) -> u64 {
        let wanted = |wanted: bool, raw: u32| if wanted { u64::from(raw) } else { 0 };
        u64::from(entry.row_frame.raw)
            + wanted(self.lines, entry.line_frame.raw)
            + wanted(self.metadata, entry.metadata_frame.raw)
    }

    /// How many bytes from a block's start have to be read for them.
    pub(crate) fn stored_bytes(self, entry: &BlockEntry) -> u64 {
        let rows = u64::from(entry.row_frame.stored);
        let lines = u64::from(entry.line_frame.stored);
        let metadata = u64::from(entry.metadata_frame.stored);
        match (self.lines, self.metadata && entry.metadata_frame.raw > 0) {
            (_, true) => rows + lines + metadata,
            (true, false) => rows + lines,
            (false, false) => rows,
        }
    }
}

/// The rows of a block, column by column.
#[derive(Debug)]
pub(crate) struct Block {
    /// Ascending.
    timestamps: Vec<Timestamp>,
    /// Numbers within the group.
    streams: Streams,
    merging: Merging,
    /// Where each line ends; one more than rows, the first is 0.
    line_ends: Vec<u32>,
    lines: Vec<u8>,
    metadata: Option<Metadata>,
}

#[derive(Debug)]
enum Streams {
    One(u32),
    Each(Vec<u32>),
}

#[derive(Debug)]
enum Merging {
    None,
    All,
    Some(Vec<u8>),
}

#[derive(Debug)]
struct Metadata {
    names: Vec<Box<str>>,
    /// The first pair of each row; one more than rows.
    starts: Vec<u32>,
    pair_names: Vec<u32>,
    /// Where each value starts; one more than pairs.
    value_starts: Vec<u32>,
    values: Vec<u8>,
}

impl Block {
    /// Decodes what was read from the block's start. `streams` is how many the group has.
    pub(crate) fn decode(
        entry: &BlockEntry,
        stored: &[u8],
        sections: Sections,
        streams: usize,
    ) -> Result<Self, Malformed> {
        let mut reader = Reader::new(stored);
        let rows = entry.row_frame.read(reader.take(entry.row_frame.stored as usize)?)?;
        let mut block = Self::decode_rows(&rows, entry, streams)?;
        let wants_metadata = sections.metadata && entry.metadata_frame.raw > 0;
        if sections.lines || wants_metadata {
            let stored = reader.take(entry.line_frame.stored as usize)?;
            if sections.lines {
                block.lines = entry.line_frame.read(stored)?;
                if block.line_ends.last().map(|end| *end as usize) != Some(block.lines.len()) {
                    return Err(Malformed("lines are not as long as their lengths say"));
                }
            }
        }
        if wants_metadata {
            let bytes = entry.metadata_frame.read(reader.take(entry.metadata_frame.stored as usize)?)?;
            block.metadata = Some(Metadata::decode(&bytes, block.rows())?);
        }
        Ok(block)
    }

    fn decode_rows(bytes: &[u8], entry: &BlockEntry, group_streams: usize) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let rows = entry.rows as usize;
        if rows > bytes.len() {
            return Err(Malformed("block has fewer bytes than rows"));
        }
        let merging = match reader.byte()? {
            0 => Merging::None,
            1 => Merging::All,
            2 => Merging::Some(reader.take(rows.div_ceil(8))?.to_vec()),
            _ => return Err(Malformed("unknown way of merging")),
        };
        let unit = reader.varint()?;
        let mut timestamps = Vec::with_capacity(rows);
        let mut time = entry.first.as_nanos();
        for _ in 0..rows {
            let step = reader.varint()?.checked_mul(unit).ok_or(Malformed("time is out of range"))?;
            time = time.checked_add_unsigned(step).ok_or(Malformed("time is out of range"))?;
            timestamps.push(Timestamp::from_nanos(time));
        }
        if timestamps.last().is_some_and(|last| *last != entry.last) {
            return Err(Malformed("last time is not the one in the footer"));
        }
        let known = |stream: u32| {
            let known = (stream as usize) < group_streams;
            if known { Ok(stream) } else { Err(Malformed("stream is not in the group")) }
        };
        let streams = match reader.byte()? {
            0 => Streams::One(known(reader.varint_u32()?)?),
            1 => {
                let streams = (0..rows).map(|_| known(reader.varint_u32()?));
                Streams::Each(streams.collect::<Result<_, _>>()?)
            }
            _ => return Err(Malformed("unknown way of writing streams")),
        };
        let mut line_ends = Vec::with_capacity(rows + 1);
        let mut end = 0u32;
        line_ends.push(end);
        for _ in 0..rows {
            end = end.checked_add(reader.varint_u32()?).ok_or(Malformed("lines are over 4 GiB"))?;
            line_ends.push(end);
        }
        reader.end()?;
        Ok(Self { timestamps, streams, merging, line_ends, lines: Vec::new(), metadata: None })
    }

    pub(crate) fn rows(&self) -> usize {
        self.timestamps.len()
    }

    /// Ascending.
    pub(crate) fn timestamps(&self) -> &[Timestamp] {
        &self.timestamps
    }

    /// The number within the group of a row's stream.
    pub(crate) fn stream(&self, row: usize) -> u32 {
        match &self.streams {
            Streams::One(stream) => *stream,
            Streams::Each(streams) => streams.get(row).copied().unwrap_or_default(),
        }
    }

    /// Whether the row is one with equal rows elsewhere.
    pub(crate) fn merges(&self, row: usize) -> bool {
        match &self.merging {
            Merging::None => false,
            Merging::All => true,
            Merging::Some(bits) => bits.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1),
        }
    }

    pub(crate) fn line_bytes(&self, row: usize) -> usize {
        let (start, end) = self.line_span(row);
        end - start
    }

    /// The line; empty when lines were not read.
    pub(crate) fn line(&self, row: usize) -> &[u8] {
        let (start, end) = self.line_span(row);
        self.lines.get(start..end).unwrap_or_default()
    }

    /// All lines without anything between them.
    pub(crate) fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Name and value of each pair, in the order sent; none when metadata was not read.
    pub(crate) fn metadata(&self, row: usize) -> impl ExactSizeIterator<Item = (&str, &[u8])> + Clone {
        let pairs = self.metadata.as_ref().map_or(0..0, |metadata| metadata.pairs_of(row));
        pairs.map(|pair| self.metadata.as_ref().map_or(("", &[][..]), |metadata| metadata.pair(pair)))
    }

    fn line_span(&self, row: usize) -> (usize, usize) {
        let at = |place: usize| self.line_ends.get(place).copied().unwrap_or_default() as usize;
        (at(row), at(row + 1))
    }
}

impl Metadata {
    fn decode(bytes: &[u8], rows: usize) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let name_count = reader.count()?;
        let mut names = Vec::with_capacity(name_count);
        for _ in 0..name_count {
            names.push(reader.text()?.into());
        }
        let mut starts = Vec::with_capacity(rows + 1);
        let mut pairs = 0u32;
        starts.push(pairs);
        for _ in 0..rows {
            pairs = pairs.checked_add(reader.varint_u32()?).ok_or(Malformed("too many metadata pairs"))?;
            starts.push(pairs);
        }
        // Every pair takes a byte for its name and one for its length.
        if pairs as usize > bytes.len() {
            return Err(Malformed("metadata has fewer bytes than pairs"));
        }
        let mut pair_names = Vec::with_capacity(pairs as usize);
        for _ in 0..pairs {
            let name = reader.varint_u32()?;
            if name as usize >= name_count {
                return Err(Malformed("metadata name is not in the block"));
            }
            pair_names.push(name);
        }
        let mut value_starts = Vec::with_capacity(pairs as usize + 1);
        let mut end = 0u32;
        value_starts.push(end);
        for _ in 0..pairs {
            end = end.checked_add(reader.varint_u32()?).ok_or(Malformed("metadata is over 4 GiB"))?;
            value_starts.push(end);
        }
        let values = reader.take(end as usize)?.to_vec();
        reader.end()?;
        Ok(Self { names, starts, pair_names, value_starts, values })
    }

    fn pairs_of(&self, row: usize) -> std::ops::Range<usize> {
        let at = |place: usize| self.starts.get(place).copied().unwrap_or_default() as usize;
        at(row)..at(row + 1)
    }

    fn pair(&self, pair: usize) -> (&str, &[u8]) {
        let name = self.pair_names.get(pair).and_then(|name| self.names.get(*name as usize));
        let at = |place: usize| self.value_starts.get(place).copied().unwrap_or_default() as usize;
        (name.map_or("", |name| name), self.values.get(at(pair)..at(pair + 1)).unwrap_or_default())
    }
}
