//! Log rows in memory: the one form that batches coming in and blocks going out share.
//!
//! All bytes lie in one arena, rows and metadata are plain spans into it, so that a row costs no
//! allocation of its own. Immutable once built; built by [`RowsBuilder`].

mod assembler;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::field_values::{FieldTable, FieldValues, RowFields};
use crate::labels::Labels;
use crate::time::Timestamp;

pub use assembler::{RowsAssembler, RowsPartsError};

/// The most bytes that one `Rows` may hold, so that spans fit 32 bits.
pub const ROWS_BYTES_MAX: usize = u32::MAX as usize;

/// A run of bytes in the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    len: u32,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    timestamp: Timestamp,
    stream: u32,
    line: Span,
    metadata_start: u32,
    metadata_len: u32,
    /// Its place among the fields, or [`NO_FIELDS`].
    fields: u32,
}

/// Of a row whose fields are to be read from its line.
const NO_FIELDS: u32 = u32::MAX;

/// Rows with the streams they belong to, in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    streams: Vec<Labels>,
    names: Vec<Box<str>>,
    rows: Vec<Row>,
    metadata: Vec<(u32, Span)>,
    arena: Vec<u8>,
    fields: FieldTable,
}

/// One row of [`Rows`].
#[derive(Clone, Copy)]
pub struct RowRef<'a> {
    rows: &'a Rows,
    row: &'a Row,
}

impl Rows {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The label sets that rows refer to by number. Each is there once.
    pub fn streams(&self) -> &[Labels] {
        &self.streams
    }

    /// The row at `index`. Panics when there is none, as a slice does.
    pub fn get(&self, index: usize) -> RowRef<'_> {
        RowRef { rows: self, row: &self.rows[index] }
    }

    /// All rows in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RowRef<'_>> + DoubleEndedIterator + Clone {
        self.rows.iter().map(|row| RowRef { rows: self, row })
    }

    /// The names of metadata that rows refer to by number.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// The values of each field that rows refer to by number; empty unless a scan asked for fields.
    pub fn field_values(&self) -> &[FieldValues] {
        &self.fields.values
    }

    /// All bytes of all rows, end to end: of each row in turn its line, then its metadata values.
    pub fn arena(&self) -> &[u8] {
        &self.arena
    }

    /// Bytes held: lines, metadata values, the tables that point to them, and label sets.
    pub fn bytes(&self) -> usize {
        self.streams.iter().map(Labels::bytes).sum::<usize>()
            + self.arena.capacity()
            + self.rows.capacity() * size_of::<Row>()
            + self.metadata.capacity() * size_of::<(u32, Span)>()
            + self.fields.bytes()
    }

    /// The same rows, the last first. Moves only the table of rows, no bytes.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        self.rows.reverse();
        self
    }

    /// A copy of the rows with these numbers, in this order, and of what they alone hold. Panics when there is no such
    /// row, as a slice does. Rows with [fields](RowRef::fields) lose them.
    #[must_use]
    pub fn selected(&self, numbers: &[u32]) -> Self {
        let chosen = || numbers.iter().map(|number| &self.rows[*number as usize]);
        let metadata = |row: &Row| {
            let start = row.metadata_start as usize;
            &self.metadata[start..start + row.metadata_len as usize]
        };
        let values = |row: &Row| metadata(row).iter().map(|(_, value)| value.len as usize).sum::<usize>();
        let bytes = chosen().map(|row| row.line.len as usize + values(row)).sum();
        let mut selected = Self {
            names: self.names.clone(),
            rows: Vec::with_capacity(numbers.len()),
            metadata: Vec::with_capacity(chosen().map(|row| row.metadata_len as usize).sum()),
            arena: Vec::with_capacity(arena_capacity(bytes)),
            ..Self::default()
        };
        let mut streams: Vec<Option<u32>> = vec![None; self.streams.len()];
        for row in chosen() {
            let stream = *streams[row.stream as usize].get_or_insert_with(|| {
                selected.streams.push(self.streams[row.stream as usize].clone());
                selected.streams.len() as u32 - 1
            });
            let mut copied = |span: Span| {
                let start = selected.arena.len() as u32;
                selected.arena.extend_from_slice(self.bytes_of(span));
                Span { start, ..span }
            };
            let line = copied(row.line);
            let metadata_start = selected.metadata.len() as u32;
            for (name, value) in metadata(row) {
                selected.metadata.push((*name, copied(*value)));
            }
            selected.rows.push(Row { stream, line, metadata_start, fields: NO_FIELDS, ..*row });
        }
        selected
    }

    /// Keeps the rows that `keep` is true of, in their order. The bytes of the others stay where they are.
    pub fn retain(&mut self, mut keep: impl FnMut(RowRef<'_>) -> bool) {
        let rows = std::mem::take(&mut self.rows);
        self.rows = rows.iter().filter(|row| keep(RowRef { rows: self, row })).copied().collect();
    }

    /// The same rows in streams of other labels, which `relabel` gives each; those of two streams have to differ.
    #[must_use]
    pub fn relabelled(mut self, relabel: impl Fn(&Labels) -> Labels) -> Self {
        for labels in &mut self.streams {
            *labels = relabel(labels);
        }
        self
    }

    /// Bytes of all lines together.
    pub fn line_bytes(&self) -> u64 {
        self.rows.iter().map(|row| u64::from(row.line.len)).sum()
    }

    /// The earliest and the latest timestamp; `None` without rows.
    pub fn time_bounds(&self) -> Option<(Timestamp, Timestamp)> {
        let first = self.rows.first()?.timestamp;
        Some(
            self.rows
                .iter()
                .fold((first, first), |(low, high), row| (low.min(row.timestamp), high.max(row.timestamp))),
        )
    }

    fn bytes_of(&self, span: Span) -> &[u8] {
        &self.arena[span.start as usize..][..span.len as usize]
    }
}

impl<'a> RowRef<'a> {
    /// When it happened.
    pub fn timestamp(&self) -> Timestamp {
        self.row.timestamp
    }

    /// The number of its stream in [`Rows::streams`].
    pub fn stream_index(&self) -> usize {
        self.row.stream as usize
    }

    /// The labels of its stream.
    pub fn labels(&self) -> &'a Labels {
        &self.rows.streams[self.row.stream as usize]
    }

    /// The line, byte for byte as it was sent (empty when the scan did not ask for lines).
    pub fn line(&self) -> &'a [u8] {
        self.rows.bytes_of(self.row.line)
    }

    /// Its fields, when they stand in the place of the line: then the line is not there.
    #[inline]
    pub fn fields(&self) -> Option<RowFields<'a>> {
        let rows = self.rows;
        (self.row.fields != NO_FIELDS).then(|| rows.fields.row(self.row.fields))
    }

    /// Structured metadata in the order sent: name and value.
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a [u8])> + Clone + use<'a> {
        let rows = self.rows;
        let start = self.row.metadata_start as usize;
        rows.metadata[start..start + self.row.metadata_len as usize]
            .iter()
            .map(|(name, span)| (&*rows.names[*name as usize], rows.bytes_of(*span)))
    }

    /// For each metadata pair the number of its name in [`Rows::names`] and the length of its value in bytes.
    pub fn metadata_spans(&self) -> impl ExactSizeIterator<Item = (u32, u32)> + Clone + use<'a> {
        let start = self.row.metadata_start as usize;
        self.rows.metadata[start..start + self.row.metadata_len as usize]
            .iter()
            .map(|(name, span)| (*name, span.len))
    }

    /// The first metadata value of that name.
    pub fn metadata_value(&self, name: &str) -> Option<&'a [u8]> {
        self.metadata().find(|(n, _)| *n == name).map(|(_, value)| value)
    }
}

/// Metadata and lines are equal byte for byte, labels and times too.
impl PartialEq for RowRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.timestamp() == other.timestamp()
            && self.line() == other.line()
            && self.labels() == other.labels()
            && self.metadata().eq(other.metadata())
    }
}

impl std::fmt::Debug for RowRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?}", self.timestamp(), self.labels(), String::from_utf8_lossy(self.line()))?;
        for (name, value) in self.metadata() {
            write!(f, " {name}={:?}", String::from_utf8_lossy(value))?;
        }
        Ok(())
    }
}

/// Rows would not fit in one arena: more than 4 GiB of lines and metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rows hold more than {ROWS_BYTES_MAX} bytes, the most one batch can")]
pub struct RowsFull;

/// The capacity with which a buffer of `bytes` is best allocated: large ones come in few sizes, an eighth of a power of
/// two apart, so that the hole that one leaves behind fits the next.
pub fn arena_capacity(bytes: usize) -> usize {
    const LARGE_BYTES: usize = 64 << 10;
    if bytes < LARGE_BYTES { bytes } else { bytes.next_multiple_of(bytes.next_power_of_two() / 16) }
}

type Xxh3Map<K, V> = HashMap<K, V, BuildHasherDefault<OneShotXxh3>>;

/// xxh3 of each piece, seeded with what came before: unlike the streaming form it has no state to set up.
#[derive(Clone, Copy, Debug, Default)]
struct OneShotXxh3(u64);

impl Hasher for OneShotXxh3 {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u8(&mut self, byte: u8) {
        self.0 = self.0.rotate_left(8) ^ u64::from(byte);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 ^= value;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Up to so many names are looked through one by one, which beats hashing.
const NAMES_SCANNED_MAX: usize = 8;

/// Builds [`Rows`]. A row costs amortised no allocation.
#[derive(Debug, Default)]
pub struct RowsBuilder {
    rows: Rows,
    stream_numbers: Xxh3Map<Labels, u32>,
    name_numbers: Xxh3Map<Box<str>, u32>,
}

impl RowsBuilder {
    /// Makes room for `bytes` of lines and metadata, so that the arena need not grow step by step.
    pub fn reserve_bytes(&mut self, bytes: usize) {
        self.rows.arena.reserve_exact(arena_capacity(bytes.min(ROWS_BYTES_MAX)));
    }

    /// The number of a stream, adding it if it is new.
    pub fn stream(&mut self, labels: &Labels) -> u32 {
        if let Some(number) = self.stream_numbers.get(labels) {
            return *number;
        }
        let number = self.rows.streams.len() as u32;
        self.rows.streams.push(labels.clone());
        self.stream_numbers.insert(labels.clone(), number);
        number
    }

    /// Adds a row to a stream that [`RowsBuilder::stream`] numbered.
    pub fn push<'m>(
        &mut self,
        stream: u32,
        timestamp: Timestamp,
        line: &[u8],
        metadata: impl IntoIterator<Item = (&'m str, &'m [u8])>,
    ) -> Result<(), RowsFull> {
        debug_assert!((stream as usize) < self.rows.streams.len());
        let line = self.store(line)?;
        let metadata_start = self.rows.metadata.len();
        for (name, value) in metadata {
            let name = self.name(name);
            let value = self.store(value)?;
            self.rows.metadata.push((name, value));
        }
        let metadata_len = (self.rows.metadata.len() - metadata_start) as u32;
        let metadata_start = metadata_start as u32;
        let fields = NO_FIELDS;
        self.rows.rows.push(Row { timestamp, stream, line, metadata_start, metadata_len, fields });
        Ok(())
    }

    /// Makes rows with so many fields possible. To be called once, before the first of them.
    pub fn expect_fields(&mut self, count: usize) {
        self.rows.fields.values.resize_with(count, FieldValues::default);
    }

    /// The values of a field, to add to; `None` when it is not expected.
    pub fn field_values(&mut self, field: usize) -> Option<&mut FieldValues> {
        self.rows.fields.values.get_mut(field)
    }

    /// Adds a row that has fields instead of a line: of each expected field the number of its value, or
    /// [`FieldValues::ABSENT`].
    pub fn push_fields<'m>(
        &mut self,
        stream: u32,
        timestamp: Timestamp,
        fields: &[u32],
        metadata: impl IntoIterator<Item = (&'m str, &'m [u8])>,
    ) -> Result<(), RowsFull> {
        debug_assert_eq!(fields.len(), self.rows.fields.values.len());
        let place = self.rows.fields.add_row(fields).ok_or(RowsFull)?;
        self.push(stream, timestamp, &[], metadata)?;
        if let Some(row) = self.rows.rows.last_mut() {
            row.fields = place;
        }
        Ok(())
    }

    /// Adds a copy of a row of other `Rows`, without [fields](RowRef::fields).
    pub fn push_row(&mut self, row: RowRef<'_>) -> Result<(), RowsFull> {
        let stream = self.stream(row.labels());
        self.push(stream, row.timestamp(), row.line(), row.metadata())
    }

    /// How many rows there are so far.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none so far.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of lines and metadata so far.
    pub fn bytes(&self) -> usize {
        self.rows.arena.len()
    }

    /// The rows, no longer changeable.
    pub fn finish(mut self) -> Rows {
        let arena = &mut self.rows.arena;
        if arena.capacity() / 2 > arena.len() {
            arena.shrink_to_fit();
        }
        // These grew by doubling, and rows may stay for hours.
        self.rows.rows.shrink_to_fit();
        self.rows.metadata.shrink_to_fit();
        self.rows
    }

    fn store(&mut self, bytes: &[u8]) -> Result<Span, RowsFull> {
        let start = self.rows.arena.len();
        if bytes.len() > ROWS_BYTES_MAX - start {
            return Err(RowsFull);
        }
        self.rows.arena.extend_from_slice(bytes);
        Ok(Span { start: start as u32, len: bytes.len() as u32 })
    }

    fn name(&mut self, name: &str) -> u32 {
        let scanned = self.rows.names.iter().take(NAMES_SCANNED_MAX);
        if let Some(number) = scanned.map(|known| &**known).position(|known| known == name) {
            return number as u32;
        }
        if let Some(number) = self.name_numbers.get(name) {
            return *number;
        }
        let number = self.rows.names.len() as u32;
        self.rows.names.push(name.into());
        self.name_numbers.insert(name.into(), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selected_rows_are_those_that_were_chosen_and_hold_nothing_else() {
        let mut builder = RowsBuilder::default();
        for number in 0..9u8 {
            let stream =
                builder.stream(&Labels::from_pairs([("app", ["api", "web", "db"][number as usize % 3])]));
            let line = vec![number; number as usize];
            let metadata = [("k", &line[..]), ("l", b"v")];
            let pairs = metadata.into_iter().take(number as usize % 4);
            builder.push(stream, Timestamp::from_nanos(i64::from(number)), &line, pairs).expect("fits");
        }
        let rows = builder.finish();
        let selected = rows.selected(&[5, 2, 8, 4]);
        assert!(selected.iter().eq([5, 2, 8, 4].map(|number| rows.get(number))));
        assert_eq!(selected.streams().len(), 2);
        assert_eq!(selected.arena().len(), (5 + 5) + (2 + 2 + 1) + 8 + 4);
        assert!(rows.selected(&[]).is_empty());
    }

    #[test]
    fn rows_are_retained_with_their_bytes_and_fields() {
        let mut builder = RowsBuilder::default();
        let api = builder.stream(&Labels::from_pairs([("app", "api")]));
        for (time, line) in [(1, &b"one"[..]), (2, b"two"), (3, b"three")] {
            builder.push(api, Timestamp::from_nanos(time), line, [("k", line)]).expect("fits");
        }
        let mut rows = builder.finish();
        rows.retain(|row| row.line() != b"two");
        assert_eq!(rows.iter().map(|row| row.line().to_vec()).collect::<Vec<_>>(), [&b"one"[..], b"three"]);
        assert_eq!(rows.get(1).metadata().collect::<Vec<_>>(), [("k", &b"three"[..])]);
        rows.retain(|_| false);
        assert!(rows.is_empty());

        let mut builder = RowsBuilder::default();
        let api = builder.stream(&Labels::from_pairs([("app", "api")]));
        builder.expect_fields(1);
        let values = builder.field_values(0).expect("expected");
        let numbers = ["503", "200"].map(|value| {
            values.add(|text| {
                text.push_str(value);
                true
            })
        });
        for (time, number) in [(1, numbers[0]), (2, numbers[1])] {
            builder.push_fields(api, Timestamp::from_nanos(time), &[number], []).expect("fits");
        }
        let mut rows = builder.finish();
        rows.retain(|row| row.timestamp() == Timestamp::from_nanos(2));
        assert_eq!(rows.get(0).fields().map(|fields| fields.get(0)), Some(Some("200")));
    }

    #[test]
    fn large_arenas_come_in_few_sizes() {
        let sizes: std::collections::BTreeSet<usize> =
            (1 << 20..2 << 20).step_by(999).map(arena_capacity).collect();
        assert_eq!(sizes.len(), 9);
        assert_eq!((arena_capacity(0), arena_capacity(1000), arena_capacity(100_000)), (0, 1000, 106_496));
        assert!((0..300_000).step_by(7).all(|bytes| arena_capacity(bytes) >= bytes));
    }

    #[test]
    fn rows_keep_their_bytes_order_and_metadata() {
        let mut builder = RowsBuilder::default();
        let api = builder.stream(&Labels::from_pairs([("app", "api")]));
        let web = builder.stream(&Labels::from_pairs([("app", "web")]));
        assert_eq!(builder.stream(&Labels::from_pairs([("app", "api")])), api);
        builder.push(web, Timestamp::from_nanos(2), b"\xff\0", []).expect("fits");
        builder.push(api, Timestamp::from_nanos(1), b"two", [("k", &b"v"[..]), ("k", b"w")]).expect("fits");
        let rows = builder.finish();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows.get(0).line(), b"\xff\0");
        assert_eq!(rows.get(0).labels().get("app"), Some("web"));
        assert_eq!(rows.get(1).metadata().collect::<Vec<_>>(), [("k", &b"v"[..]), ("k", b"w")]);
        assert_eq!(rows.time_bounds(), Some((Timestamp::from_nanos(1), Timestamp::from_nanos(2))));
    }
}
