//! How many rows and bytes each stream of a group has in each minute, so that counting opens no block.
//!
//! Time is divided into units, each open at its start and closed at its end, as windows of queries are; unit `n`
//! holds the times after `n` times its width, up to `n + 1` times. Rows are counted by stream, level (the structured
//! metadata [`DETECTED_LEVEL`]) and unit, bytes by stream and unit. A group whose rows are too few or too scattered
//! for counts to be worth their bytes has coarser units, or no counts.
//!
//! Invariant: the counts of a stream add up to those in the footer; what does not is malformed.

use timberyard_model::Timestamp;
use timberyard_model::level::DETECTED_LEVEL;

use super::index::{Group, GroupStream};
use crate::codec::{Malformed, Reader, put_bytes, put_varint};
use crate::columnar::{decode_numbers, encode_numbers};

const SECOND_NS: i64 = 1_000_000_000;
/// The widths of units, in seconds, the one tried first first.
const UNIT_SECONDS: [i64; 3] = [60, 600, 3600];
/// What a number of rows and one of bytes cost, and what counts may cost for each row: bits, roughly.
const ROWS_BITS: u64 = 2;
const BYTES_BITS: u64 = 10;
const BITS_PER_ROW_MAX: u64 = 3;
/// Levels that are told apart in a group.
const LEVELS_MAX: usize = 15;
/// The longest level that is told apart, in bytes.
const LEVEL_BYTES_MAX: usize = 32;
/// Units that the counts of a group may have altogether.
const UNITS_MAX: u64 = 1 << 24;

/// Where a time lies.
fn unit_of(time: Timestamp, unit_ns: i64) -> i64 {
    time.as_nanos().saturating_sub(1).div_euclid(unit_ns)
}

/// Units from that of the stream's first row to that of its last.
fn units_of(member: &GroupStream, unit_ns: i64) -> u64 {
    unit_of(member.last, unit_ns).abs_diff(unit_of(member.first, unit_ns)) + 1
}

/// Counts the rows of one group as they come, sorted by time.
#[derive(Default)]
pub(super) struct CountsBuilder {
    /// By the stream's number in the group.
    streams: Vec<Vec<Cell>>,
    /// Level `n` is at `n - 1`; rows without one have level 0.
    levels: Vec<Box<[u8]>>,
    /// That of the row before, if it has one.
    last_level: u8,
    /// More levels came than are told apart, or a row had two.
    levels_unclear: bool,
    unit: i64,
    /// The last time of that unit.
    unit_end: Option<Timestamp>,
}

/// Rows of one stream, level and unit of the least width.
struct Cell {
    unit: i64,
    level: u8,
    rows: u32,
    line_bytes: u64,
}

impl CountsBuilder {
    /// The number of a level of this group; 0 when it is not told apart.
    pub(super) fn level(&mut self, value: &[u8]) -> u8 {
        let last = usize::from(self.last_level).checked_sub(1).and_then(|place| self.levels.get(place));
        if last.is_some_and(|level| **level == *value) {
            return self.last_level;
        }
        if let Some(place) = self.levels.iter().position(|level| **level == *value) {
            self.last_level = place as u8 + 1;
            return self.last_level;
        }
        if self.levels.len() == LEVELS_MAX || value.len() > LEVEL_BYTES_MAX {
            self.levels_unclear = true;
            return 0;
        }
        self.levels.push(value.into());
        self.levels.len() as u8
    }

    /// Says that a row has more than one level.
    pub(super) fn give_up_levels(&mut self) {
        self.levels_unclear = true;
    }

    /// Counts a row.
    pub(super) fn add(&mut self, stream: u32, level: u8, time: Timestamp, line_bytes: usize) {
        if self.unit_end.is_none_or(|end| time > end) {
            let unit_ns = UNIT_SECONDS[0] * SECOND_NS;
            self.unit = unit_of(time, unit_ns);
            self.unit_end = Some(Timestamp::from_nanos((self.unit + 1).saturating_mul(unit_ns)));
        }
        let stream = stream as usize;
        if stream >= self.streams.len() {
            self.streams.resize_with(stream + 1, Vec::new);
        }
        let Some(cells) = self.streams.get_mut(stream) else { return };
        let now = cells.iter_mut().rev().take_while(|cell| cell.unit == self.unit);
        match now.into_iter().find(|cell| cell.level == level) {
            Some(cell) => {
                cell.rows += 1;
                cell.line_bytes += line_bytes as u64;
            }
            None => {
                cells.push(Cell { unit: self.unit, level, rows: 1, line_bytes: line_bytes as u64 });
            }
        }
    }

    /// The section for a group of these streams, whose metadata has these names. Empty when counts are not worth
    /// their bytes.
    pub(super) fn encode<'n>(
        mut self,
        members: &[GroupStream],
        names: impl Iterator<Item = &'n str>,
    ) -> Vec<u8> {
        if self.levels_unclear {
            self.levels.clear();
            self.streams.iter_mut().flatten().for_each(|cell| cell.level = 0);
        }
        let masks: Vec<u16> = self
            .streams
            .iter()
            .map(|cells| cells.iter().fold(0, |mask, cell| mask | 1 << cell.level))
            .collect();
        let rows: u64 = members.iter().map(|member| member.rows).sum();
        let bits = |unit_ns: i64| -> u64 {
            let of_stream = |(member, mask): (&GroupStream, &u16)| {
                let bits = u64::from(mask.count_ones()) * ROWS_BITS + BYTES_BITS;
                units_of(member, unit_ns).saturating_mul(bits)
            };
            members.iter().zip(&masks).map(of_stream).fold(0, u64::saturating_add)
        };
        let fits = |seconds: &&i64| bits(**seconds * SECOND_NS) <= rows.saturating_mul(BITS_PER_ROW_MAX);
        let Some(seconds) = UNIT_SECONDS.iter().find(fits) else { return Vec::new() };
        let mut out = Vec::new();
        put_varint(&mut out, *seconds as u64);
        let names: Vec<&str> = names.filter(|name| self.levels_unclear || *name != DETECTED_LEVEL).collect();
        put_varint(&mut out, names.len() as u64);
        names.iter().for_each(|name| put_bytes(&mut out, name.as_bytes()));
        put_varint(&mut out, self.levels.len() as u64);
        self.levels.iter().for_each(|level| put_bytes(&mut out, level));
        masks.iter().for_each(|mask| put_varint(&mut out, u64::from(*mask)));
        let (rows, line_bytes) = self.numbers(members, &masks, *seconds * SECOND_NS);
        encode_numbers(&rows, &mut out);
        encode_numbers(&line_bytes, &mut out);
        out
    }

    /// Rows by stream, level and unit, and bytes by stream and unit.
    fn numbers(&self, members: &[GroupStream], masks: &[u16], unit_ns: i64) -> (Vec<u64>, Vec<u64>) {
        let (mut rows, mut line_bytes) = (Vec::new(), Vec::new());
        let finest_ns = UNIT_SECONDS[0] * SECOND_NS;
        for ((member, cells), mask) in members.iter().zip(&self.streams).zip(masks) {
            let first = unit_of(member.first, unit_ns);
            let units = units_of(member, unit_ns) as usize;
            let (rows_at, bytes_at) = (rows.len(), line_bytes.len());
            rows.resize(rows_at + units * mask.count_ones() as usize, 0);
            line_bytes.resize(bytes_at + units, 0);
            for cell in cells {
                let unit = (cell.unit.div_euclid(unit_ns / finest_ns) - first) as usize;
                let level = (mask & ((1 << cell.level) - 1)).count_ones() as usize;
                rows[rows_at + level * units + unit] += u64::from(cell.rows);
                line_bytes[bytes_at + unit] += cell.line_bytes;
            }
        }
        (rows, line_bytes)
    }
}

/// The counts of one group.
#[derive(Debug)]
pub(crate) struct Counts {
    unit_ns: i64,
    names: Vec<Box<str>>,
    levels: Vec<Box<[u8]>>,
    streams: Vec<StreamPlace>,
    rows: Vec<u64>,
    line_bytes: Vec<u64>,
}

/// Where the counts of a stream are.
#[derive(Debug)]
struct StreamPlace {
    levels: u16,
    first_unit: i64,
    units: usize,
    rows_at: usize,
    bytes_at: usize,
}

/// The counts of one stream of a group.
#[derive(Clone, Copy)]
pub(crate) struct StreamCounts<'a> {
    counts: &'a Counts,
    place: &'a StreamPlace,
    member: &'a GroupStream,
}

impl Counts {
    /// Reads the section of a group.
    pub(super) fn decode(bytes: &[u8], group: &Group) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let seconds = i64::try_from(reader.bounded(86_400)?).unwrap_or_default();
        let unit_ns = seconds * SECOND_NS;
        if unit_ns == 0 {
            return Err(Malformed("unit of counts is nothing"));
        }
        let names = (0..reader.count()?).map(|_| Ok(reader.text()?.into())).collect::<Result<_, _>>()?;
        let levels = (0..reader.bounded(LEVELS_MAX)?).map(|_| Ok(reader.bytes()?.into()));
        let levels: Vec<Box<[u8]>> = levels.collect::<Result<_, _>>()?;
        let mut streams = Vec::with_capacity(group.streams.len());
        let (mut rows_at, mut bytes_at) = (0_u64, 0_u64);
        for member in &group.streams {
            let mask = reader.bounded((2 << levels.len()) - 1)? as u16;
            let units = units_of(member, unit_ns);
            if mask == 0 || units > UNITS_MAX {
                return Err(Malformed("counts of a stream are not there"));
            }
            streams.push(StreamPlace {
                levels: mask,
                first_unit: unit_of(member.first, unit_ns),
                units: units as usize,
                rows_at: rows_at as usize,
                bytes_at: bytes_at as usize,
            });
            rows_at += units * u64::from(mask.count_ones());
            bytes_at += units;
            if rows_at > UNITS_MAX {
                return Err(Malformed("counts are too many"));
            }
        }
        let rows = decode_numbers(&mut reader, rows_at as usize)?;
        let line_bytes = decode_numbers(&mut reader, bytes_at as usize)?;
        reader.end()?;
        let counts = Self { unit_ns, names, levels, streams, rows, line_bytes };
        for (number, member) in group.streams.iter().enumerate() {
            let stream = counts.stream(number, member).ok_or(Malformed("no such stream"))?;
            let sum = |numbers: &[u64]| numbers.iter().fold(0, |sum: u64, number| sum.wrapping_add(*number));
            let rows = stream.levels().fold(0, |rows: u64, (_, counts)| rows.wrapping_add(sum(counts)));
            if (rows, sum(stream.line_bytes())) != (member.rows, member.line_bytes) {
                return Err(Malformed("counts are not those of the footer"));
            }
        }
        Ok(counts)
    }

    /// Names of metadata that rows have and that they are not told apart by.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The counts of a stream by its number in the group.
    pub(crate) fn stream<'a>(&'a self, number: usize, member: &'a GroupStream) -> Option<StreamCounts<'a>> {
        Some(StreamCounts { counts: self, place: self.streams.get(number)?, member })
    }
}

/// Counts the rows of a group again, to be compared with its counts.
pub(super) struct Recount<'a> {
    counts: &'a Counts,
    rows: Vec<u64>,
    line_bytes: Vec<u64>,
    /// A row had no place in the counts.
    misplaced: bool,
}

impl<'a> Recount<'a> {
    pub(super) fn of(counts: &'a Counts) -> Self {
        let (rows, line_bytes) = (vec![0; counts.rows.len()], vec![0; counts.line_bytes.len()]);
        Self { counts, rows, line_bytes, misplaced: false }
    }

    /// Counts a row.
    pub(super) fn add<'m>(
        &mut self,
        stream: usize,
        time: Timestamp,
        line_bytes: usize,
        mut metadata: impl Iterator<Item = (&'m str, &'m [u8])>,
    ) {
        let counted = self.place(stream, time, metadata.find(|(name, _)| *name == DETECTED_LEVEL));
        let cells = counted
            .and_then(|(rows, bytes)| Some((self.rows.get_mut(rows)?, self.line_bytes.get_mut(bytes)?)));
        match cells {
            Some((rows, bytes)) => {
                *rows += 1;
                *bytes += line_bytes as u64;
            }
            None => self.misplaced = true,
        }
    }

    /// Where a row is counted.
    fn place(&self, stream: usize, time: Timestamp, level: Option<(&str, &[u8])>) -> Option<(usize, usize)> {
        let place = self.counts.streams.get(stream)?;
        let unit = usize::try_from(unit_of(time, self.counts.unit_ns) - place.first_unit).ok()?;
        let level = level.filter(|_| !self.counts.names().any(|name| name == DETECTED_LEVEL));
        let level = match level {
            Some((_, value)) => 1 + self.counts.levels.iter().position(|level| **level == *value)?,
            None => 0,
        };
        let nth = (place.levels & ((1 << level) - 1)).count_ones() as usize;
        let is_there = unit < place.units && place.levels >> level & 1 == 1;
        is_there.then_some((place.rows_at + nth * place.units + unit, place.bytes_at + unit))
    }

    /// Whether the rows are those that were counted.
    pub(super) fn agrees(&self) -> bool {
        !self.misplaced && self.rows == self.counts.rows && self.line_bytes == self.counts.line_bytes
    }
}

impl<'a> StreamCounts<'a> {
    /// What the footer says of the stream.
    pub(crate) fn member(&self) -> &'a GroupStream {
        self.member
    }

    /// How many units there are.
    pub(crate) fn units(&self) -> usize {
        self.place.units
    }

    /// The times that rows of a unit may have, both included: inside the unit and the stream's bounds.
    pub(crate) fn bounds(&self, unit: usize) -> (Timestamp, Timestamp) {
        let unit_ns = i128::from(self.counts.unit_ns);
        let start = (i128::from(self.place.first_unit) + unit as i128) * unit_ns;
        let clamp = |nanos: i128| i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX });
        let first = Timestamp::from_nanos(clamp(start + 1)).max(self.member.first);
        let last = Timestamp::from_nanos(clamp(start + unit_ns)).min(self.member.last);
        (first, last)
    }

    /// Each level that rows of the stream have (`None`: no level), with how many rows in each unit.
    pub(crate) fn levels(&self) -> impl Iterator<Item = (Option<&'a [u8]>, &'a [u64])> + use<'a> {
        let Self { counts, place, .. } = *self;
        let present = (0..u16::BITS).filter(|level| place.levels >> level & 1 == 1);
        present.enumerate().map(|(nth, level)| {
            let value = (level as usize).checked_sub(1).and_then(|level| counts.levels.get(level));
            let start = place.rows_at + nth * place.units;
            (value.map(|value| &**value), counts.rows.get(start..start + place.units).unwrap_or_default())
        })
    }

    /// Bytes of the lines of each unit.
    pub(crate) fn line_bytes(&self) -> &'a [u64] {
        let start = self.place.bytes_at;
        self.counts.line_bytes.get(start..start + self.place.units).unwrap_or_default()
    }
}
