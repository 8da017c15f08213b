//! Log rows in memory: the one form that batches coming in and blocks going out share.
//!
//! All bytes lie in one arena, rows and metadata are plain spans into it, so that a row costs no
//! allocation of its own. Immutable once built; built by [`RowsBuilder`].

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use xxhash_rust::xxh3::Xxh3;

use crate::labels::Labels;
use crate::time::Timestamp;

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
}

/// Rows with the streams they belong to, in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    streams: Vec<Labels>,
    names: Vec<Box<str>>,
    rows: Vec<Row>,
    metadata: Vec<(u32, Span)>,
    arena: Vec<u8>,
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

    /// Bytes held: lines, metadata values, and the tables that point to them.
    pub fn bytes(&self) -> usize {
        self.arena.capacity()
            + self.rows.capacity() * size_of::<Row>()
            + self.metadata.capacity() * size_of::<(u32, Span)>()
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

    /// Structured metadata in the order sent: name and value.
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a [u8])> + Clone + use<'a> {
        let rows = self.rows;
        let start = self.row.metadata_start as usize;
        rows.metadata[start..start + self.row.metadata_len as usize]
            .iter()
            .map(|(name, span)| (&*rows.names[*name as usize], rows.bytes_of(*span)))
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

type Xxh3Map<K, V> = HashMap<K, V, BuildHasherDefault<Xxh3>>;

/// Builds [`Rows`]. A row costs amortised no allocation.
#[derive(Debug, Default)]
pub struct RowsBuilder {
    rows: Rows,
    stream_numbers: Xxh3Map<Labels, u32>,
    name_numbers: Xxh3Map<Box<str>, u32>,
}

impl RowsBuilder {
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
        self.rows.rows.push(Row { timestamp, stream, line, metadata_start, metadata_len });
        Ok(())
    }

    /// Adds a copy of a row of other `Rows`.
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
    pub fn finish(self) -> Rows {
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
