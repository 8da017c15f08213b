//! Collects rows and encodes them as the blocks of one group. The counterpart of [`super::block`].

use std::collections::{BTreeSet, HashMap};

use timberyard_model::level::DETECTED_LEVEL;
use timberyard_model::prehashed::Prehashed;
use timberyard_model::{Labels, RowRef, Timestamp};

use super::counts::CountsBuilder;
use super::frame::{Frame, FrameWriter};
use super::index::{BlockEntry, CountsEntry, Group, GroupStream, ROW_OVERHEAD_BYTES};
use super::metadata::MetadataBuilder;
use super::metadata_size::MetadataSizes;
use crate::codec::{Malformed, put_varint};
use crate::columnar::{Stretches, Strings, encode_numbers};

/// A block has no more rows than this, however short they are.
const BLOCK_ROWS_MAX: usize = 1 << 17;

/// Builds the blocks of one group. Rows must come sorted by time.
pub(crate) struct GroupBuilder {
    family: Box<str>,
    block_bytes: usize,
    numbers: HashMap<Labels, u32, Prehashed>,
    labels: Vec<Labels>,
    streams: Vec<GroupStream>,
    blocks: Vec<BlockEntry>,
    raw_bytes: usize,
    columns: Columns,
    counts: CountsBuilder,
    metadata_sizes: MetadataSizes,
    /// Of the metadata of blocks that are written.
    metadata_names: BTreeSet<Box<str>>,
}

/// The rows of the block that is being filled.
#[derive(Default)]
struct Columns {
    timestamps: Vec<Timestamp>,
    streams: Vec<u32>,
    merging: Vec<bool>,
    lines: Strings,
    metadata: MetadataBuilder,
}

/// A group whose blocks are written; its stream numbers are still its own.
pub(crate) struct BuiltGroup {
    pub(crate) labels: Vec<Labels>,
    /// `stream` counts within the group.
    pub(crate) group: Group,
}

impl GroupBuilder {
    /// `expected` is about how many rows and raw bytes there will be, of which memory for one block is reserved.
    pub(crate) fn new(family: &str, block_bytes: usize, expected: (usize, usize)) -> Self {
        Self {
            family: family.into(),
            block_bytes,
            numbers: HashMap::default(),
            labels: Vec::new(),
            streams: Vec::new(),
            blocks: Vec::new(),
            raw_bytes: 0,
            columns: Columns::with_room(block_bytes, expected),
            counts: CountsBuilder::default(),
            metadata_sizes: MetadataSizes::default(),
            metadata_names: BTreeSet::new(),
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
        let shape = self.columns.push(row, stream, merges);
        let level = self.level(row);
        self.counts.add(stream, level, row.timestamp(), row.line().len());
        self.raw_bytes += self.columns.bytes() - before;
        if let Some(counts) = self.streams.get_mut(stream as usize) {
            counts.last = row.timestamp();
            counts.rows += 1;
            counts.line_bytes += row.line().len() as u64;
            counts.merging_rows += u64::from(merges);
            if row.metadata().len() > 0 {
                counts.metadata_pairs += row.metadata().len() as u64;
                counts.metadata_text_bytes += self.metadata_sizes.add(stream, shape, level, row.metadata());
            }
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
        let names = self.metadata_names.iter().map(|name| &**name);
        let counts = self.counts.encode(&self.streams, names);
        let counts = match counts.is_empty() {
            true => None,
            false => {
                let offset = offset + out.len() as u64;
                Some(CountsEntry { offset, frame: frames.write(&counts, out)? })
            }
        };
        let (Some(first), Some(last)) = (self.blocks.first(), self.blocks.last()) else { return Ok(None) };
        let group = Group {
            family: self.family,
            first: first.first,
            last: last.last,
            streams: self.streams.into(),
            blocks: self.blocks.into(),
            counts,
        };
        Ok(Some(BuiltGroup { labels: self.labels, group }))
    }

    /// The number of the row's level among the counts.
    fn level(&mut self, row: RowRef<'_>) -> u8 {
        let mut levels = row.metadata().filter(|(name, _)| *name == DETECTED_LEVEL);
        let Some((_, value)) = levels.next() else { return 0 };
        if levels.next().is_some() {
            self.counts.give_up_levels();
        }
        self.counts.level(value)
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
            metadata_pairs: 0,
            metadata_text_bytes: 0,
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
            row_frame: columns.write_rows(frames, out)?,
            line_frame: frames.write_lines(&columns.lines, out)?,
            metadata_frame: columns.metadata.write(frames, out)?,
            gate: frames.write_gate(&columns.lines, out),
        };
        self.blocks.push(entry);
        self.metadata_names.extend(self.columns.metadata.take_names());
        self.metadata_sizes.forget_shapes();
        self.columns.clear();
        Ok(())
    }
}

impl Columns {
    /// With room for a block of so many raw bytes, or for fewer that are expected.
    fn with_room(block_bytes: usize, (rows, raw_bytes): (usize, usize)) -> Self {
        let bytes = raw_bytes.min(block_bytes);
        let rows = match raw_bytes {
            0 => 0,
            _ => (rows as u64 * bytes as u64).div_ceil(raw_bytes as u64) as usize,
        };
        // A block ends with the row that fills it.
        let rows = (rows + rows / 16).min(BLOCK_ROWS_MAX);
        let line_bytes = bytes.saturating_sub(rows * ROW_OVERHEAD_BYTES as usize);
        let mut columns = Self {
            timestamps: Vec::with_capacity(rows),
            streams: Vec::with_capacity(rows),
            merging: Vec::with_capacity(rows),
            ..Self::default()
        };
        columns.lines.bytes.reserve(line_bytes + line_bytes / 16);
        columns.lines.ends.reserve(rows);
        columns
    }

    fn len(&self) -> usize {
        self.timestamps.len()
    }

    fn bytes(&self) -> usize {
        self.lines.bytes.len() + self.metadata.bytes() + self.len() * ROW_OVERHEAD_BYTES as usize
    }

    /// Adds a row; gives the shape of its metadata.
    fn push(&mut self, row: RowRef<'_>, stream: u32, merges: bool) -> u32 {
        self.timestamps.push(row.timestamp());
        self.streams.push(stream);
        self.merging.push(merges);
        self.lines.push(row.line());
        self.metadata.push(row.metadata())
    }

    fn clear(&mut self) {
        self.timestamps.clear();
        self.streams.clear();
        self.merging.clear();
        self.lines.clear();
        self.metadata = MetadataBuilder::default();
    }

    fn write_rows(&self, frames: &mut FrameWriter, file: &mut Vec<u8>) -> Result<Frame, Malformed> {
        let mut stretches = Stretches::default();
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
        let steps: Vec<u64> = steps.into_iter().map(|step| step / unit).collect();
        let planes = encode_numbers(&steps, &mut out);
        stretches.note_numbers(out.len(), planes, steps.len());
        let planes = encode_numbers(&self.streams, &mut out);
        stretches.note_numbers(out.len(), planes, self.streams.len());
        frames.write_stretches(&out, &stretches, file)
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
}
