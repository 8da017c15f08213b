//! The bytes of a block: some rows of a group, as three sections.
//!
//! Everything about the encoding of rows is in this file, its counterpart [`super::block_builder`], and in
//! [`super::metadata`]; that of lines is [`crate::columnar`]'s. Reading checks every length before it is used.

use timberyard_model::Timestamp;
use timberyard_model::field_values::FieldValues;
use timberyard_model::fields::FieldRequest;
use timberyard_model::matcher::LineFilter;

use super::index::BlockEntry;
use super::metadata::Metadata;
use crate::codec::{Malformed, Reader};
use crate::columnar::{
    Group as LineGroup, GroupFields, Matches, Strings, ask_fields, decode_numbers, narrow,
};

/// What of a block is wanted. Times and streams always are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'f> {
    /// Only rows whose line passes; where columns cannot tell, [`Block::is_judged`] says so.
    pub(crate) filters: &'f [LineFilter],
    /// Only rows whose fields may pass, and their fields, as far as columns have them.
    pub(crate) fields: Option<WantedFields<'f>>,
    /// The lines' bytes, of all rows that pass. Those without the fields that may stand for lines have them anyway.
    pub(crate) lines: bool,
    pub(crate) metadata: bool,
    /// Of metadata only pairs with these names, when not all.
    pub(crate) metadata_names: Option<&'f [Box<str>]>,
}

/// What is asked about fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WantedFields<'f> {
    pub(crate) request: &'f FieldRequest,
    /// Whether the tests mean something: no stream has a label of theirs. Metadata is seen to here.
    pub(crate) tested: bool,
}

impl Wanted<'_> {
    /// Every row, whole.
    pub(crate) const ALL: Self =
        Self { filters: &[], fields: None, lines: true, metadata: true, metadata_names: None };

    fn looks_at_lines(&self) -> bool {
        self.lines || !self.filters.is_empty() || self.fields.is_some()
    }

    /// What is asked about fields of rows with that metadata, which is `None` when it was not read.
    fn fields_beside(&self, metadata: Option<&Metadata>, entry: &BlockEntry) -> Option<WantedFields<'_>> {
        let fields = self.fields?;
        let hidden = match metadata {
            Some(metadata) => fields.request.tested_labels().any(|label| metadata.has_name(label)),
            None => entry.metadata_frame.raw > 0,
        };
        Some(WantedFields { tested: fields.tested && !hidden, ..fields })
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

/// The lines that may pass, spelled out if they are wanted, or their fields.
#[derive(Debug)]
struct Lines {
    passing: Matches,
    judged: bool,
    spelled: Strings,
    /// Which of the spelled lines is a row's; empty when every row has one.
    places: Vec<u32>,
    fields: GroupFields,
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
        let has_metadata = wanted.metadata && entry.metadata_frame.raw > 0;
        let stored_lines = if wanted.looks_at_lines() || has_metadata {
            reader.take(entry.line_frame.stored as usize)?
        } else {
            &[]
        };
        let mut read_metadata = || {
            let bytes = entry.metadata_frame.read(reader.take(entry.metadata_frame.stored as usize)?)?;
            Metadata::decode(&bytes, entry.rows as usize, wanted.metadata_names)
        };
        let mut metadata = None;
        // Which metadata there is decides what fields mean.
        if has_metadata && wanted.fields.is_some() {
            metadata = Some(read_metadata()?);
        }
        if wanted.looks_at_lines() {
            let fields = wanted.fields_beside(metadata.as_ref(), entry);
            lines = Lines::read(entry, stored_lines, wanted, fields)?;
            decompressed_bytes += lines.spelled.bytes.len() as u64;
            if lines.passing == Matches::None {
                return Ok(None);
            }
        }
        if has_metadata {
            decompressed_bytes += u64::from(entry.metadata_frame.raw);
            if metadata.is_none() {
                metadata = Some(read_metadata()?);
            }
        }
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

    /// The numbers of a row's fields in [`Block::field_values`]; `None` when it has its line.
    #[inline]
    pub(crate) fn fields(&self, row: usize) -> Option<&[u32]> {
        self.lines.fields.of_row(row)
    }

    /// The values that rows refer to, by field.
    pub(crate) fn field_values(&self) -> &[FieldValues] {
        self.lines.fields.values()
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
        Self {
            passing: Matches::All,
            judged: true,
            spelled: Strings::default(),
            places: Vec::new(),
            fields: GroupFields::default(),
        }
    }

    fn read(
        entry: &BlockEntry,
        stored: &[u8],
        wanted: &Wanted<'_>,
        fields: Option<WantedFields<'_>>,
    ) -> Result<Self, Malformed> {
        entry.line_frame.check(stored)?;
        let mut group = LineGroup::open(stored, entry.line_frame.raw as usize)?;
        if group.len() != entry.rows as usize {
            return Err(Malformed("lines are not as many as rows"));
        }
        let narrowed = narrow(&mut group, wanted.filters)?;
        let judged = narrowed.remaining.is_empty();
        let mut lines = Self { passing: narrowed.matches, judged, ..Self::unread() };
        if let Some(WantedFields { request, tested }) = fields {
            let passing = std::mem::replace(&mut lines.passing, Matches::None);
            (lines.passing, lines.fields) = ask_fields(&mut group, request, tested, passing)?;
        }
        let spelled = if wanted.lines || !judged {
            lines.passing.clone()
        } else if fields.is_some_and(|fields| fields.request.instead_of_line) {
            lines.fields.left_of(&lines.passing)
        } else {
            Matches::None
        };
        if spelled != Matches::None {
            lines.spelled = group.spell(&spelled)?;
            if let Matches::Some(rows) = &spelled {
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
