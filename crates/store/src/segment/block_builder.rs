//! Collects rows and encodes them as the blocks of one group. The counterpart of [`super::block`].

use std::collections::HashMap;

use timberyard_model::{Labels, RowRef, Timestamp};

use super::frame::FrameWriter;
use super::index::{BlockEntry, Group, GroupStream};
use crate::codec::{Malformed, put_bytes, put_varint};

/// A block has no more rows than this, however short they are.
const BLOCK_ROWS_MAX: usize = 1 << 17;
/// What a row counts for beside its line and metadata when blocks are cut, in bytes.
const ROW_OVERHEAD_BYTES: usize = 8;

/// Builds the blocks of one group. Rows must come sorted by time.
pub(crate) struct GroupBuilder {
    family: Box<str>,
    block_bytes: usize,
    numbers: HashMap<Labels, u32>,
    labels: Vec<Labels>,
    streams: Vec<GroupStream>,
    blocks: Vec<BlockEntry>,
    raw_bytes: usize,
    columns: Columns,
}

/// The rows of the block that is being filled.
#[derive(Default)]
struct Columns {
    timestamps: Vec<Timestamp>,
    streams: Vec<u32>,
    merging: Vec<bool>,
    line_lengths: Vec<u32>,
    lines: Vec<u8>,
    names: Vec<Box<str>>,
    name_numbers: HashMap<Box<str>, u32>,
    pair_counts: Vec<u32>,
    pair_names: Vec<u32>,
    value_lengths: Vec<u32>,
    values: Vec<u8>,
}

/// A group whose blocks are written; its stream numbers are still its own.
pub(crate) struct BuiltGroup {
    pub(crate) labels: Vec<Labels>,
    /// `stream` counts within the group.
    pub(crate) group: Group,
}

impl GroupBuilder {
    pub(crate) fn new(family: &str, block_bytes: usize) -> Self {
        Self {
            family: family.into(),
            block_bytes,
            numbers: HashMap::new(),
            labels: Vec::new(),
            streams: Vec::new(),
            blocks: Vec::new(),
            raw_bytes: 0,
            columns: Columns::default(),
        }
    }

    /// Raw bytes of all rows so far.
    pub(crate) fn raw_bytes(&self) -> usize {
        self.raw_bytes
    }

    /// The time of the row added last.
    pub(crate) fn last_time(&self) -> Option<Timestamp> {
        let block = self.blocks.last().map(|block| block.last);
        self.columns.timestamps.last().copied().or(block)
    }

    /// Adds a row. Finished blocks go to `out`, which starts at `offset` in the file.
    pub(crate) fn push(
        &mut self,
        row: RowRef<'_>,
        merges: bool,
        frames: &mut FrameWriter,
        offset: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let full = self.columns.bytes() >= self.block_bytes || self.columns.len() >= BLOCK_ROWS_MAX;
        let twice = self.columns.bytes() >= self.block_bytes.saturating_mul(2);
        let tie = self.columns.timestamps.last() == Some(&row.timestamp());
        // Equal times stay together, so that their order is seen by whoever reads the block.
        if full && (!tie || twice) {
            self.cut(frames, offset, out)?;
        }
        let stream = self.stream(row.labels(), row.timestamp());
        let before = self.columns.bytes();
        self.columns.push(row, stream, merges);
        self.raw_bytes += self.columns.bytes() - before;
        if let Some(counts) = self.streams.get_mut(stream as usize) {
            counts.last = row.timestamp();
            counts.rows += 1;
            counts.line_bytes += row.line().len() as u64;
            counts.merging_rows += u64::from(merges);
        }
        Ok(())
    }

    /// Writes what is left and gives the group; `None` when there were no rows.
    pub(crate) fn finish(
        mut self,
        frames: &mut FrameWriter,
        offset: u64,
        out: &mut Vec<u8>,
    ) -> Result<Option<BuiltGroup>, Malformed> {
        self.cut(frames, offset, out)?;
        let (Some(first), Some(last)) = (self.blocks.first(), self.blocks.last()) else { return Ok(None) };
        let group = Group {
            family: self.family,
            first: first.first,
            last: last.last,
            streams: self.streams.into(),
            blocks: self.blocks.into(),
        };
        Ok(Some(BuiltGroup { labels: self.labels, group }))
    }

    fn stream(&mut self, labels: &Labels, time: Timestamp) -> u32 {
        if let Some(number) = self.numbers.get(labels) {
            return *number;
        }
        let number = self.streams.len() as u32;
        self.numbers.insert(labels.clone(), number);
        self.labels.push(labels.clone());
        self.streams.push(GroupStream {
            stream: number,
            first: time,
            last: time,
            rows: 0,
            line_bytes: 0,
            merging_rows: 0,
        });
        number
    }

    fn cut(&mut self, frames: &mut FrameWriter, offset: u64, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let columns = &self.columns;
        let (Some(first), Some(last)) = (columns.timestamps.first(), columns.timestamps.last()) else {
            return Ok(());
        };
        let entry = BlockEntry {
            offset: offset + out.len() as u64,
            rows: columns.len() as u32,
            first: *first,
            last: *last,
            row_frame: frames.write(&columns.encode_rows(), out)?,
            line_frame: frames.write(&columns.lines, out)?,
            metadata_frame: frames.write(&columns.encode_metadata(), out)?,
        };
        self.blocks.push(entry);
        self.columns.clear();
        Ok(())
    }
}

impl Columns {
    fn len(&self) -> usize {
        self.timestamps.len()
    }

    fn bytes(&self) -> usize {
        self.lines.len() + self.values.len() + self.len() * ROW_OVERHEAD_BYTES
    }

    fn push(&mut self, row: RowRef<'_>, stream: u32, merges: bool) {
        self.timestamps.push(row.timestamp());
        self.streams.push(stream);
        self.merging.push(merges);
        self.line_lengths.push(row.line().len() as u32);
        self.lines.extend_from_slice(row.line());
        let metadata = row.metadata();
        self.pair_counts.push(metadata.len() as u32);
        for (name, value) in metadata {
            let number = match self.name_numbers.get(name) {
                Some(number) => *number,
                None => {
                    let number = self.names.len() as u32;
                    self.names.push(name.into());
                    self.name_numbers.insert(name.into(), number);
                    number
                }
            };
            self.pair_names.push(number);
            self.value_lengths.push(value.len() as u32);
            self.values.extend_from_slice(value);
        }
    }

    fn clear(&mut self) {
        self.timestamps.clear();
        self.streams.clear();
        self.merging.clear();
        self.line_lengths.clear();
        self.lines.clear();
        self.names.clear();
        self.name_numbers.clear();
        self.pair_counts.clear();
        self.pair_names.clear();
        self.value_lengths.clear();
        self.values.clear();
    }

    fn encode_rows(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len() * 4 + 16);
        let merging = self.merging.iter().filter(|merges| **merges).count();
        match merging {
            0 => out.push(0),
            all if all == self.len() => out.push(1),
            _ => {
                out.push(2);
                for eight in self.merging.chunks(8) {
                    let bits = eight.iter().enumerate().map(|(bit, merges)| u8::from(*merges) << bit);
                    out.push(bits.sum());
                }
            }
        }
        let steps = self.steps();
        // Clocks rarely tick in nanoseconds: a coarser unit makes shorter numbers.
        let unit = [1_000_000_000, 1_000_000, 1_000]
            .into_iter()
            .find(|unit| steps.iter().all(|step| step % unit == 0));
        let unit = unit.unwrap_or(1);
        put_varint(&mut out, unit);
        for step in steps {
            put_varint(&mut out, step / unit);
        }
        match self.streams.first() {
            Some(first) if self.streams.iter().all(|stream| stream == first) => {
                out.push(0);
                put_varint(&mut out, u64::from(*first));
            }
            _ => {
                out.push(1);
                for stream in &self.streams {
                    put_varint(&mut out, u64::from(*stream));
                }
            }
        }
        for length in &self.line_lengths {
            put_varint(&mut out, u64::from(*length));
        }
        out
    }

    /// Nanoseconds from row to row; the first is 0.
    fn steps(&self) -> Vec<u64> {
        let mut before = self.timestamps.first().copied().unwrap_or_default().as_nanos();
        let step = |time: &Timestamp| {
            // Sorted, so the difference fits although it may not fit an i64.
            let step = time.as_nanos().wrapping_sub(before) as u64;
            before = time.as_nanos();
            step
        };
        self.timestamps.iter().map(step).collect()
    }

    fn encode_metadata(&self) -> Vec<u8> {
        if self.pair_names.is_empty() {
            return Vec::new();
        }
        let mut out = Vec::with_capacity(self.values.len() + self.pair_names.len() * 3 + self.len() + 64);
        put_varint(&mut out, self.names.len() as u64);
        for name in &self.names {
            put_bytes(&mut out, name.as_bytes());
        }
        for column in [&self.pair_counts, &self.pair_names, &self.value_lengths] {
            for number in column {
                put_varint(&mut out, u64::from(*number));
            }
        }
        out.extend_from_slice(&self.values);
        out
    }
}
