//! The bytes of a block: some rows of a group, as three sections.
//!
//! Everything about the encoding of rows is in this file, its counterpart [`super::block_builder`], and in
//! [`super::metadata`]; that of lines is [`crate::columnar`]'s. Reading checks every length before it is used.

use timberyard_model::Timestamp;
use timberyard_model::field_values::FieldValues;
use timberyard_model::fields::FieldRequest;

use super::index::BlockEntry;
use super::metadata::Metadata;
use crate::codec::{Malformed, Reader};
use crate::columnar::{
    Group as LineGroup, GroupBytes, GroupFields, Matches, Narrowed, Narrowing, Strings, ask_fields,
    decode_numbers,
};
use timberyard_model::buffer::Buffer;

/// What of a block is wanted. Times and streams always are.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'f> {
    /// Only rows whose line passes; where columns cannot tell, [`Block::is_judged`] says so.
    pub(crate) filters: &'f Narrowing,
    /// Only rows whose fields may pass, and their fields, as far as columns have them.
    pub(crate) fields: Option<WantedFields<'f>>,
    /// Whether a line may have to be looked at, or spelled out.
    pub(crate) lines: bool,
    pub(crate) metadata: bool,
    /// Of metadata only pairs with these names, when not all.
    pub(crate) metadata_names: Option<&'f [Box<str>]>,
    /// What is wanted of a row, by the number of its stream within the group and its time.
    pub(crate) of_row: &'f dyn Fn(u32, Timestamp) -> OfRow,
}

/// What is wanted of a row that passes the filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OfRow {
    /// Nothing: the row does not pass.
    Nothing,
    /// That it is there. Where fields stand for lines and columns do not have the row's, it has its line anyway.
    Presence,
    /// Its line, too.
    Line,
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
    pub(crate) const ALL: Self = Self {
        filters: &Narrowing::NONE,
        fields: None,
        lines: true,
        metadata: true,
        metadata_names: None,
        of_row: &|_, _| OfRow::Line,
    };

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

    /// How many bytes of a gate are read first.
    pub(crate) fn gate_bytes(&self, entry: &BlockEntry) -> u64 {
        if self.filters.gates().is_empty() { 0 } else { u64::from(entry.gate.stored) }
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
    rows: RowColumns,
    lines: Lines,
    metadata: Option<Metadata>,
    decompressed_bytes: u64,
}

/// What reading a block came to.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub(crate) enum Decoded {
    /// Rows that may pass.
    Rows(Block),
    /// No line passes the filters.
    RuledOut(RuledOut),
}

/// What tells of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// What lies beside the block.
    Gate,
    /// Templates and the stamps of columns, without a look at any value.
    Stamps,
    /// Values of columns.
    Values,
}

/// How it was seen that no line of a block passes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuledOut {
    pub(crate) by: Evidence,
    /// Bytes that were decompressed for it.
    pub(crate) decompressed_bytes: u64,
}

impl Decoded {
    /// The rows, if there are any.
    pub(crate) fn rows(self) -> Option<Block> {
        match self {
            Self::Rows(block) => Some(block),
            Self::RuledOut(_) => None,
        }
    }
}

/// What every row has.
#[derive(Debug)]
struct RowColumns {
    /// Ascending.
    timestamps: Vec<Timestamp>,
    /// Numbers within the group.
    streams: Vec<u64>,
    merging: Merging,
}

#[derive(Debug)]
enum Merging {
    None,
    All,
    Some(Vec<u8>),
}

/// The lines that may pass, spelled out where they are wanted, or their fields.
#[derive(Debug)]
struct Lines {
    passing: Matches,
    judged: bool,
    spelled: Spelled,
    /// Which of the spelled lines is a row's; empty when every row has one.
    places: Vec<u32>,
    fields: GroupFields,
}

/// Lines in memory that is kept for the next block.
#[derive(Debug, Default)]
struct Spelled(Strings);

impl Drop for Spelled {
    fn drop(&mut self) {
        drop(Buffer::from(std::mem::take(&mut self.0.bytes)));
    }
}

impl Block {
    /// Decodes what was read from the block's start. `streams` is how many the group has.
    pub(crate) fn decode(
        entry: &BlockEntry,
        stored: &[u8],
        wanted: &Wanted<'_>,
        streams: usize,
    ) -> Result<Decoded, Malformed> {
        let mut reader = Reader::new(stored);
        let stored_rows = reader.take(entry.row_frame.stored as usize)?;
        let has_metadata = wanted.metadata && entry.metadata_frame.raw > 0;
        let stored_lines = if wanted.looks_at_lines() || has_metadata {
            reader.take(entry.line_frame.stored as usize)?
        } else {
            &[]
        };
        let mut read_metadata = |rows: &Matches| {
            let bytes = entry.metadata_frame.read(reader.take(entry.metadata_frame.stored as usize)?)?;
            Metadata::decode(&bytes, entry.rows as usize, rows, wanted.metadata_names)
        };
        let mut metadata = None;
        // Which metadata there is decides what fields mean.
        if has_metadata && wanted.fields.is_some() {
            metadata = Some(read_metadata(&Matches::All)?);
        }
        let (rows, lines);
        let mut line_bytes = 0;
        if wanted.looks_at_lines() {
            if !GroupBytes::checks_itself(stored_lines) {
                entry.line_frame.check(stored_lines)?;
            }
            let bytes = GroupBytes::read(stored_lines, entry.line_frame.raw as usize)?;
            let mut group = LineGroup::open(&bytes)?;
            if group.len() != entry.rows as usize {
                return Err(Malformed("lines are not as many as rows"));
            }
            let opened = group.decompressed_bytes();
            let narrowed = wanted.filters.ask(&mut group)?;
            if narrowed.matches == Matches::None {
                let decompressed_bytes = group.decompressed_bytes();
                let by = if decompressed_bytes == opened { Evidence::Stamps } else { Evidence::Values };
                return Ok(Decoded::RuledOut(RuledOut { by, decompressed_bytes }));
            }
            rows = RowColumns::decode(entry, stored_rows, streams)?;
            let fields = wanted.fields_beside(metadata.as_ref(), entry);
            lines = Lines::read(&mut group, &narrowed, rows.wanted(wanted, &narrowed.matches), fields)?;
            line_bytes = group.decompressed_bytes();
            if lines.passing == Matches::None {
                let decompressed_bytes = u64::from(entry.row_frame.raw) + line_bytes;
                return Ok(Decoded::RuledOut(RuledOut { by: Evidence::Values, decompressed_bytes }));
            }
        } else {
            rows = RowColumns::decode(entry, stored_rows, streams)?;
            lines = Lines::unread(&rows.wanted(wanted, &Matches::All));
        }
        if has_metadata && metadata.is_none() {
            metadata = Some(read_metadata(&lines.passing)?);
        }
        let metadata_bytes = metadata.as_ref().map_or(0, |_| entry.metadata_frame.raw);
        let decompressed_bytes = u64::from(entry.row_frame.raw) + u64::from(metadata_bytes) + line_bytes;
        Ok(Decoded::Rows(Self { rows, lines, metadata, decompressed_bytes }))
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows.timestamps.len()
    }

    /// How many lines were put together.
    pub(crate) fn spelled_rows(&self) -> usize {
        self.lines.spelled.0.len()
    }

    /// Bytes that were decompressed or put together to read this.
    pub(crate) fn decompressed_bytes(&self) -> u64 {
        self.decompressed_bytes
    }

    /// Ascending.
    pub(crate) fn timestamps(&self) -> &[Timestamp] {
        &self.rows.timestamps
    }

    /// The number within the group of a row's stream.
    pub(crate) fn stream(&self, row: usize) -> u32 {
        self.rows.streams.get(row).copied().unwrap_or_default() as u32
    }

    /// Whether the row is one with equal rows elsewhere.
    pub(crate) fn merges(&self, row: usize) -> bool {
        match &self.rows.merging {
            Merging::None => false,
            Merging::All => true,
            Merging::Some(bits) => bits.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1),
        }
    }

    /// Whether something is wanted of the row and it may pass the filters; surely, if the block
    /// [is judged](Block::is_judged).
    pub(crate) fn passes(&self, row: usize) -> bool {
        self.lines.passing.has(row)
    }

    /// Whether the rows that pass are exactly those whose lines pass all filters.
    pub(crate) fn is_judged(&self) -> bool {
        self.lines.judged
    }

    /// The line; empty when it was not wanted, or when the row does not pass.
    pub(crate) fn line(&self, row: usize) -> &[u8] {
        let place = if self.lines.places.is_empty() { row } else { self.lines.places[row] as usize };
        if place < self.lines.spelled.0.len() { self.lines.spelled.0.get(place) } else { &[] }
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

impl RowColumns {
    fn decode(entry: &BlockEntry, stored: &[u8], streams: usize) -> Result<Self, Malformed> {
        let bytes = entry.row_frame.read(stored)?;
        let mut reader = Reader::new(&bytes);
        let count = entry.rows as usize;
        let merging = Merging::decode(&mut reader, count)?;
        let timestamps = decode_times(&mut reader, entry)?;
        let rows = Self { merging, timestamps, streams: decode_numbers(&mut reader, count)? };
        reader.end()?;
        if rows.streams.iter().any(|stream| *stream >= streams as u64) {
            return Err(Malformed("stream is not in the group"));
        }
        Ok(rows)
    }

    /// What is wanted of each row; nothing of those that do not match.
    fn wanted(&self, wanted: &Wanted<'_>, matches: &Matches) -> Vec<OfRow> {
        let rows = self.streams.iter().zip(&self.timestamps).enumerate();
        let of_row = |(row, (stream, time)): (usize, (&u64, &Timestamp))| match matches.has(row) {
            true => (wanted.of_row)(*stream as u32, *time),
            false => OfRow::Nothing,
        };
        rows.map(of_row).collect()
    }
}

impl Lines {
    fn unread(wanted: &[OfRow]) -> Self {
        Self {
            passing: Matches::from_rows(wanted.iter().map(|of_row| *of_row != OfRow::Nothing).collect()),
            judged: true,
            spelled: Spelled::default(),
            places: Vec::new(),
            fields: GroupFields::default(),
        }
    }

    fn read(
        group: &mut LineGroup<'_>,
        narrowed: &Narrowed,
        wanted: Vec<OfRow>,
        asked: Option<WantedFields<'_>>,
    ) -> Result<Self, Malformed> {
        let mut lines = Self { judged: narrowed.judged, ..Self::unread(&wanted) };
        lines.passing = lines.passing.and(narrowed.matches.clone());
        let mut without_fields = Matches::None;
        if let Some(WantedFields { request, tested }) = asked {
            let passing = std::mem::replace(&mut lines.passing, Matches::None);
            (lines.passing, lines.fields) = ask_fields(group, request, tested, passing)?;
            if request.instead_of_line {
                without_fields = lines.fields.left_of(&lines.passing);
            }
        }
        // What is not judged yet has to be looked at.
        let looked_at = |(row, of_row): (usize, OfRow)| {
            lines.passing.has(row) && (of_row == OfRow::Line || !narrowed.judged || without_fields.has(row))
        };
        let spelled = Matches::from_rows(wanted.into_iter().enumerate().map(looked_at).collect());
        lines.spelled = Spelled(group.spell(&spelled)?);
        if let Matches::Some(rows) = &spelled {
            let mut next = 0;
            let place = |spelled: &bool| {
                next += u32::from(*spelled);
                if *spelled { next - 1 } else { u32::MAX }
            };
            lines.places = rows.iter().map(place).collect();
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
