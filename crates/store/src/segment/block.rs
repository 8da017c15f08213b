//! The bytes of a block: some rows of a group, as three sections.
//!
//! Everything about the encoding of rows is in this file, its counterpart [`super::block_builder`], and in
//! [`super::metadata`]; that of lines is [`crate::columnar`]'s. Reading checks every length before it is used.

use timberyard_model::Timestamp;
use timberyard_model::matcher::LineFilter;

use super::index::BlockEntry;
use super::metadata::Metadata;
use crate::codec::{Malformed, Reader};
use crate::columnar::{Group as LineGroup, Matches, Strings, decode_numbers, narrow};

/// What of a block is wanted. Times and streams always are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'f> {
    /// Only rows whose line passes; where columns cannot tell, [`Block::is_judged`] says so.
    pub(crate) filters: &'f [LineFilter],
    /// The lines' bytes.
    pub(crate) lines: bool,
    pub(crate) metadata: bool,
}

impl Wanted<'_> {
    /// Every row, whole.
    pub(crate) const ALL: Self = Self { filters: &[], lines: true, metadata: true };

    fn looks_at_lines(&self) -> bool {
        self.lines || !self.filters.is_empty()
    }

    /// How many bytes from a block's start have to be read for that.
    pub(crate) fn stored_bytes(&self, entry: &BlockEntry) -> u64 {
        let rows = u64::from(entry.row_frame.stored);
        let lines = u64::from(entry.line_frame.stored);
        let metadata = u64::from(entry.metadata_frame.stored);
        match (self.looks_at_lines(), self.metadata && entry.metadata_frame.raw > 0) {
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
    streams: Vec<u64>,
    merging: Merging,
    lines: Lines,
    metadata: Option<Metadata>,
    decompressed_bytes: u64,
}

#[derive(Debug)]
enum Merging {
    None,
    All,
    Some(Vec<u8>),
}

/// The lines that may pass, spelled out if they are wanted.
#[derive(Debug)]
struct Lines {
    passing: Matches,
    judged: bool,
    spelled: Strings,
    /// Which of the spelled lines is a row's; empty when every row has one.
    places: Vec<u32>,
}

impl Block {
    /// Decodes what was read from the block's start; `None` when no line passes the filters. `streams` is how many
    /// the group has.
    pub(crate) fn decode(
        entry: &BlockEntry,
        stored: &[u8],
        wanted: &Wanted<'_>,
        streams: usize,
    ) -> Result<Option<Self>, Malformed> {
        let mut reader = Reader::new(stored);
        let rows = reader.take(entry.row_frame.stored as usize)?;
        let mut lines = Lines::unread();
        let mut decompressed_bytes = u64::from(entry.row_frame.raw);
        if wanted.looks_at_lines() {
            let stored = reader.take(entry.line_frame.stored as usize)?;
            lines = Lines::read(entry, stored, wanted)?;
            decompressed_bytes += lines.spelled.bytes.len() as u64;
            if lines.passing == Matches::None {
                return Ok(None);
            }
        }
        let metadata = if wanted.metadata && entry.metadata_frame.raw > 0 {
            if !wanted.looks_at_lines() {
                reader.take(entry.line_frame.stored as usize)?;
            }
            decompressed_bytes += u64::from(entry.metadata_frame.raw);
            let bytes = entry.metadata_frame.read(reader.take(entry.metadata_frame.stored as usize)?)?;
            Some(Metadata::decode(&bytes, entry.rows as usize)?)
        } else {
            None
        };
        let rows = entry.row_frame.read(rows)?;
        let mut reader = Reader::new(&rows);
        let count = entry.rows as usize;
        let block = Self {
            merging: Merging::decode(&mut reader, count)?,
            timestamps: decode_times(&mut reader, entry)?,
            streams: decode_numbers(&mut reader, count)?,
            lines,
            metadata,
            decompressed_bytes,
        };
        reader.end()?;
        if block.streams.iter().any(|stream| *stream >= streams as u64) {
            return Err(Malformed("stream is not in the group"));
        }
        Ok(Some(block))
    }

    pub(crate) fn rows(&self) -> usize {
        self.timestamps.len()
    }

    /// Bytes that were decompressed or put together to read this.
    pub(crate) fn decompressed_bytes(&self) -> u64 {
        self.decompressed_bytes
    }

    /// Ascending.
    pub(crate) fn timestamps(&self) -> &[Timestamp] {
        &self.timestamps
    }

    /// The number within the group of a row's stream.
    pub(crate) fn stream(&self, row: usize) -> u32 {
        self.streams.get(row).copied().unwrap_or_default() as u32
    }

    /// Whether the row is one with equal rows elsewhere.
    pub(crate) fn merges(&self, row: usize) -> bool {
        match &self.merging {
            Merging::None => false,
            Merging::All => true,
            Merging::Some(bits) => bits.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1),
        }
    }

    /// Whether the row may pass the filters; surely, if the block [is judged](Block::is_judged).
    pub(crate) fn passes(&self, row: usize) -> bool {
        self.lines.passing.has(row)
    }

    /// Whether the rows that pass are exactly those whose lines pass all filters.
    pub(crate) fn is_judged(&self) -> bool {
        self.lines.judged
    }

    /// The line; empty when lines were not wanted, or when the row does not pass.
    pub(crate) fn line(&self, row: usize) -> &[u8] {
        let place = if self.lines.places.is_empty() { row } else { self.lines.places[row] as usize };
        if place < self.lines.spelled.len() { self.lines.spelled.get(place) } else { &[] }
    }

    /// Name and value of each pair, in the order sent; none when metadata was not wanted.
    pub(crate) fn metadata(&self, row: usize) -> impl ExactSizeIterator<Item = (&str, &[u8])> + Clone {
        static NONE: Metadata = Metadata::NONE;
        self.metadata.as_ref().unwrap_or(&NONE).of_row(row)
    }
}

impl Merging {
    fn decode(reader: &mut Reader<'_>, rows: usize) -> Result<Self, Malformed> {
        match reader.byte()? {
            0 => Ok(Self::None),
            1 => Ok(Self::All),
            2 => Ok(Self::Some(reader.take(rows.div_ceil(8))?.to_vec())),
            _ => Err(Malformed("unknown way of merging")),
        }
    }
}

impl Lines {
    fn unread() -> Self {
        Self { passing: Matches::All, judged: true, spelled: Strings::default(), places: Vec::new() }
    }

    fn read(entry: &BlockEntry, stored: &[u8], wanted: &Wanted<'_>) -> Result<Self, Malformed> {
        entry.line_frame.check(stored)?;
        let mut group = LineGroup::open(stored, entry.line_frame.raw as usize)?;
        if group.len() != entry.rows as usize {
            return Err(Malformed("lines are not as many as rows"));
        }
        let narrowed = narrow(&mut group, wanted.filters)?;
        let judged = narrowed.remaining.is_empty();
        let mut lines =
            Self { passing: narrowed.matches, judged, spelled: Strings::default(), places: Vec::new() };
        if wanted.lines || !judged {
            lines.spelled = group.spell(&lines.passing)?;
            if let Matches::Some(rows) = &lines.passing {
                let mut next = 0;
                lines.places = rows
                    .iter()
                    .map(|passes| {
                        next += u32::from(*passes);
                        if *passes { next - 1 } else { u32::MAX }
                    })
                    .collect();
            }
        }
        Ok(lines)
    }
}

fn decode_times(reader: &mut Reader<'_>, entry: &BlockEntry) -> Result<Vec<Timestamp>, Malformed> {
    let unit = reader.varint()?;
    let mut time = entry.first.as_nanos();
    let mut timestamps = Vec::with_capacity(entry.rows as usize);
    for step in decode_numbers(reader, entry.rows as usize)? {
        let step = step.checked_mul(unit).ok_or(Malformed("time is out of range"))?;
        time = time.checked_add_unsigned(step).ok_or(Malformed("time is out of range"))?;
        timestamps.push(Timestamp::from_nanos(time));
    }
    if timestamps.last().is_some_and(|last| *last != entry.last) {
        return Err(Malformed("last time is not the one in the footer"));
    }
    Ok(timestamps)
}
