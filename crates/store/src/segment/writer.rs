//! Writes one segment: blocks as they fill, then keys, footer and trailer, then its name.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use timberyard_model::batch::UniqueKey;
use timberyard_model::prehashed::Prehashed;
use timberyard_model::{Labels, RowRef, TenantId};

use super::block_builder::{BuiltGroup, GroupBuilder};
use super::footer::{self, MAGIC, Trailer};
use super::frame::FrameWriter;
use super::handle::{SegmentReader, SegmentSummary, Sequences};
use super::index::{Group, SegmentIndex};
use super::keys::KeysBuilder;
use super::label_index::LabelIndex;
use crate::codec::{Malformed, checksum};
use crate::disk::{Disk, DiskFile, DurableDirectories, Syncs};
use crate::error::StoreError;
use crate::paths::Paths;

/// Bytes that are gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// How large groups and blocks become, in raw bytes, and who syncs the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriterOptions {
    pub(crate) group_bytes: usize,
    pub(crate) block_bytes: usize,
    pub(crate) syncs: Syncs,
}

/// A segment being written. Dropping it unfinished removes the file.
pub(crate) struct SegmentWriter {
    disk: Arc<dyn Disk>,
    paths: Paths,
    options: WriterOptions,
    /// Raw bytes of a full group of the family that is written.
    group_bytes: usize,
    /// Rows and raw bytes that are still to come of the family.
    expected: (usize, usize),
    tenant: TenantId,
    day: i32,
    id: u64,
    sequences: Sequences,
    compared: bool,
    path: PathBuf,
    file: Option<Box<dyn DiskFile>>,
    /// Bytes written before `buffer`.
    position: u64,
    buffer: Vec<u8>,
    frames: FrameWriter,
    numbers: HashMap<Labels, u32, Prehashed>,
    labels: Vec<Labels>,
    groups: Vec<Group>,
    current: Option<(Box<str>, GroupBuilder)>,
    keys: KeysBuilder,
}

/// A segment that has its name, but is not listed yet. It is durable, unless segments are synced together.
pub(crate) struct FinishedSegment {
    pub(crate) summary: SegmentSummary,
    pub(crate) streams: usize,
}

impl SegmentWriter {
    pub(crate) fn create(
        disk: &Arc<dyn Disk>,
        directories: &DurableDirectories,
        paths: &Paths,
        tenant: &TenantId,
        day: i32,
        id: u64,
        options: WriterOptions,
    ) -> Result<Self, StoreError> {
        let directory = paths.segment_directory(tenant, day);
        directories
            .create(&**disk, &directory, options.syncs)
            .map_err(|error| StoreError::io(&directory, error))?;
        let path = paths.new_segment(tenant, day, id);
        let file = disk.create(&path).map_err(|error| StoreError::io(&path, error))?;
        Ok(Self {
            disk: Arc::clone(disk),
            paths: paths.clone(),
            options,
            group_bytes: options.group_bytes,
            expected: (0, 0),
            tenant: tenant.clone(),
            day,
            id,
            sequences: Sequences::NONE,
            compared: false,
            path,
            file: Some(file),
            position: 0,
            buffer: MAGIC.to_vec(),
            frames: FrameWriter::new(),
            numbers: HashMap::default(),
            labels: Vec::new(),
            groups: Vec::new(),
            current: None,
            keys: KeysBuilder::default(),
        })
    }

    /// Makes the groups of so many rows and raw bytes of a family about equally large, so that none is a small rest.
    pub(crate) fn expect(&mut self, rows: usize, raw_bytes: usize) {
        self.expected = (rows, raw_bytes);
        let most = self.options.group_bytes + self.options.group_bytes / 8;
        let groups = raw_bytes.div_ceil(most.max(1)).max(1);
        self.group_bytes = match groups {
            1 => most,
            _ => raw_bytes.div_ceil(groups),
        };
    }

    /// Adds a row of a family. Rows of one family come together and sorted by time.
    pub(crate) fn push(&mut self, family: &str, row: RowRef<'_>, merges: bool) -> Result<(), StoreError> {
        let goes_on = self.current.as_ref().is_some_and(|(current, builder)| {
            let full =
                builder.raw_bytes() >= self.group_bytes && builder.last_time() != Some(row.timestamp());
            **current == *family && !full
        });
        if !goes_on {
            self.end_group()?;
        }
        // Where groups are not divided into blocks a block is as large as its group.
        let undivided = self.options.block_bytes >= self.options.group_bytes;
        let block_bytes = if undivided { self.group_bytes } else { self.options.block_bytes };
        let expected = self.expected;
        let (_, builder) = self
            .current
            .get_or_insert_with(|| (family.into(), GroupBuilder::new(family, block_bytes, expected)));
        let pushed = builder.push(row, merges, &mut self.frames, self.position, &mut self.buffer);
        pushed.map_err(|error| malformed(&self.path, error))?;
        if self.buffer.len() >= WRITE_BYTES {
            self.write()?;
        }
        Ok(())
    }

    /// Copies a group of another segment without decoding it.
    pub(crate) fn copy_group(
        &mut self,
        index: &SegmentIndex,
        group: &Group,
        reader: &SegmentReader,
    ) -> Result<(), StoreError> {
        self.end_group()?;
        let mut group = group.clone();
        for block in &mut group.blocks {
            let bytes = reader.stored_block(block)?;
            block.offset = self.position + self.buffer.len() as u64;
            self.buffer.extend_from_slice(&bytes);
            if self.buffer.len() >= WRITE_BYTES {
                self.write()?;
            }
        }
        if let Some(counts) = &mut group.counts {
            let bytes = reader.stored_counts(counts)?;
            counts.offset = self.position + self.buffer.len() as u64;
            self.buffer.extend_from_slice(&bytes);
        }
        for stream in &mut group.streams {
            let labels = index.streams.get(stream.stream as usize);
            let labels = labels.ok_or_else(|| malformed(&self.path, Malformed("no such stream")))?;
            stream.stream = self.number(labels);
        }
        self.groups.push(group);
        Ok(())
    }

    /// Notes the log sequences of rows that are added.
    pub(crate) fn note_sequences(&mut self, sequences: Sequences) {
        self.sequences = self.sequences.join(sequences);
    }

    /// Says of the segment what [`SegmentSummary::compared`] means.
    pub(crate) fn note_compared(&mut self, compared: bool) {
        self.compared = compared;
    }

    /// Adds a unique key of a row.
    pub(crate) fn push_key(&mut self, key: &UniqueKey) {
        self.keys.push(key);
    }

    /// Adds a unique key that another segment had.
    pub(crate) fn push_key_text(&mut self, key: &str) {
        self.keys.push_text(key);
    }

    /// Writes the rest, syncs unless that is done for many together, and gives the file its name. `None`, and no file, when it has no rows.
    pub(crate) fn finish(mut self) -> Result<Option<FinishedSegment>, StoreError> {
        self.end_group()?;
        let bounds = self.groups.iter().map(|group| (group.first, group.last));
        let bounds = bounds.reduce(|(first, last), (start, end)| (first.min(start), last.max(end)));
        let Some((first, last)) = bounds else { return Ok(None) };
        let index = self.sorted_index();
        let keys = std::mem::take(&mut self.keys);
        let mut summary = SegmentSummary {
            tenant: self.tenant.clone(),
            day: self.day,
            id: self.id,
            file_bytes: 0,
            rows: index.groups.iter().map(Group::rows).sum(),
            line_bytes: index.groups.iter().map(Group::line_bytes).sum(),
            first,
            last,
            groups: index.groups.len() as u32,
            keys: keys.len() as u64,
            sequences: self.sequences,
            compared: self.compared,
        };
        let mut trailer = Trailer {
            footer_offset: 0,
            footer: super::frame::Frame::default(),
            keys_offset: 0,
            key_index_bytes: 0,
            key_index_checksum: 0,
            version: footer::Version::NEWEST,
        };
        if keys.len() > 0 {
            let (key_index, pages) = keys.encode();
            trailer.keys_offset = self.offset();
            trailer.key_index_bytes = key_index.len() as u32;
            trailer.key_index_checksum = checksum(&key_index);
            self.buffer.extend_from_slice(&key_index);
            self.buffer.extend_from_slice(&pages);
        }
        trailer.footer_offset = self.offset();
        let footer = footer::encode(&summary, &index);
        let frame = self.frames.write(&footer, &mut self.buffer);
        trailer.footer = frame.map_err(|error| malformed(&self.path, error))?;
        self.buffer.extend_from_slice(&trailer.encode());
        self.write()?;
        summary.file_bytes = self.position;
        self.name(&summary)?;
        Ok(Some(FinishedSegment { summary, streams: index.streams.len() }))
    }

    fn name(&mut self, summary: &SegmentSummary) -> Result<(), StoreError> {
        let each = self.options.syncs == Syncs::Each;
        if let Some(file) = self.file.as_ref().filter(|_| each) {
            file.sync().map_err(|error| self.failed(error))?;
        }
        let path = self.paths.segment(&summary.tenant, summary.day, summary.id);
        let directory = self.paths.segment_directory(&summary.tenant, summary.day);
        self.disk.rename(&self.path, &path).map_err(|error| StoreError::io(&path, error))?;
        self.file = None;
        if !each {
            return Ok(());
        }
        self.disk.sync_directory(&directory).map_err(|error| StoreError::io(&directory, error))
    }

    /// The index with streams numbered in the order of their labels.
    fn sorted_index(&mut self) -> SegmentIndex {
        let mut order: Vec<u32> = (0..self.labels.len() as u32).collect();
        let labels = std::mem::take(&mut self.labels);
        order.sort_by(|a, b| labels[*a as usize].cmp(&labels[*b as usize]));
        let mut numbers = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            numbers[*old as usize] = new as u32;
        }
        let mut groups = std::mem::take(&mut self.groups);
        for stream in groups.iter_mut().flat_map(|group| &mut group.streams) {
            stream.stream = numbers[stream.stream as usize];
        }
        let streams: Vec<Labels> = order.iter().map(|old| labels[*old as usize].clone()).collect();
        SegmentIndex::new(Arc::new(LabelIndex::of(&streams)), groups.into())
    }

    /// Makes the next row begin a group.
    pub(crate) fn end_group(&mut self) -> Result<(), StoreError> {
        let Some((_, builder)) = self.current.take() else { return Ok(()) };
        let built = builder.finish(&mut self.frames, self.position, &mut self.buffer);
        let Some(BuiltGroup { labels, mut group }) = built.map_err(|error| malformed(&self.path, error))?
        else {
            return Ok(());
        };
        for (stream, labels) in group.streams.iter_mut().zip(&labels) {
            stream.stream = self.number(labels);
        }
        self.groups.push(group);
        Ok(())
    }

    fn number(&mut self, labels: &Labels) -> u32 {
        if let Some(number) = self.numbers.get(labels) {
            return *number;
        }
        let number = self.labels.len() as u32;
        self.labels.push(labels.clone());
        self.numbers.insert(labels.clone(), number);
        number
    }

    fn offset(&self) -> u64 {
        self.position + self.buffer.len() as u64
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let Some(file) = &self.file else { return Ok(()) };
        file.write_at(&self.buffer, self.position).map_err(|error| self.failed(error))?;
        self.position += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn failed(&self, error: std::io::Error) -> StoreError {
        StoreError::io(&self.path, error)
    }
}

fn malformed(path: &std::path::Path, error: Malformed) -> StoreError {
    StoreError::corrupt(path, error.0)
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        // After a failure, or without rows, there is a file without a name of its own.
        if self.file.take().is_some() && self.disk.remove(&self.path).is_err() {
            tracing::warn!(path = %self.path.display(), "unfinished segment could not be removed");
        }
    }
}
