//! A segment as the rest of the store sees it: a summary, an index when asked, blocks when read.
//!
//! A segment that is no longer listed is doomed: its file goes when the last holder lets go.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use timberyard_model::{TenantId, Timestamp};

use super::block::{Block, Decoded, Evidence, RuledOut, Wanted};
use super::counts::{Counts, Recount};
use super::footer::{self, TRAILER_BYTES, Trailer};
use super::index::{BlockEntry, CountsEntry, Group, SegmentIndex};
use super::index_cache::IndexCache;
use super::keys::KeyIndex;
use crate::codec::{Malformed, checksum};
use crate::columnar::Gate;
use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;
use crate::paths::Paths;
use timberyard_model::buffer::Buffer;

/// What the manifest says of a segment: enough to leave it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentSummary {
    pub(crate) tenant: TenantId,
    pub(crate) day: i32,
    pub(crate) id: u64,
    /// Bytes of the file.
    pub(crate) file_bytes: u64,
    pub(crate) rows: u64,
    pub(crate) line_bytes: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) groups: u32,
    /// Unique keys of its rows.
    pub(crate) keys: u64,
    /// The log sequences of its rows.
    pub(crate) sequences: Sequences,
    /// No row that merges is in another segment of which this is said, too.
    pub(crate) compared: bool,
}

/// The log sequences between which those of some rows lie, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sequences {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Sequences {
    /// Of no row: joined with others it is those.
    pub(crate) const NONE: Self = Self { first: u64::MAX, last: 0 };

    pub(crate) fn of(sequence: u64) -> Self {
        Self { first: sequence, last: sequence }
    }

    /// Those of the rows of both.
    pub(crate) fn join(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

impl SegmentSummary {
    /// Sorts segments by when their rows came, as far as they came one segment after the other. Rows of two segments that
    /// came by turns, with equal times, keep no order beyond this.
    pub(crate) fn arrival(&self) -> (u64, u64) {
        (self.sequences.first, self.id)
    }
}

/// A listed segment.
pub(crate) struct Segment {
    pub(crate) summary: SegmentSummary,
    paths: Paths,
    disk: Arc<dyn Disk>,
    index: Mutex<Option<SegmentIndex>>,
    /// How many streams it has, once that is known.
    streams: OnceLock<usize>,
    keys: OnceLock<(KeyIndex, u64)>,
    damaged: AtomicBool,
    doomed: AtomicBool,
}

impl Segment {
    pub(crate) fn new(summary: SegmentSummary, paths: &Paths, disk: Arc<dyn Disk>) -> Self {
        Self {
            summary,
            paths: paths.clone(),
            disk,
            index: Mutex::default(),
            streams: OnceLock::new(),
            keys: OnceLock::new(),
            damaged: AtomicBool::new(false),
            doomed: AtomicBool::new(false),
        }
    }

    /// Put together when it is needed: there may be a hundred thousand segments.
    pub(crate) fn path(&self) -> PathBuf {
        self.paths.segment(&self.summary.tenant, self.summary.day, self.summary.id)
    }

    /// Opens the file, for as long as the reader lives.
    pub(crate) fn open(&self) -> Result<SegmentReader, StoreError> {
        let path = self.path();
        let file = self.disk.open(&path).map_err(|error| StoreError::io(&path, error))?;
        let length = file.length().map_err(|error| StoreError::io(&path, error))?;
        if length != self.summary.file_bytes {
            let expected = self.summary.file_bytes;
            return Err(self.corrupt(&format!("file is {length} bytes, the manifest says {expected}")));
        }
        Ok(SegmentReader { file, length, path })
    }

    /// The label index, from memory or from the file.
    pub(crate) fn index(self: &Arc<Self>, cache: &IndexCache) -> Result<Arc<SegmentIndex>, StoreError> {
        let mut held = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = &*held {
            return Ok(Arc::new(index.share()));
        }
        let index = Arc::new(self.read_index(&self.open()?)?);
        *held = Some(index.share());
        drop(held);
        cache.note(self, index.memory_bytes());
        Ok(index)
    }

    /// A segment just written, of so many streams.
    pub(crate) fn with_streams(mut self, streams: usize) -> Self {
        self.streams = streams.into();
        self
    }

    /// How many streams it has; read from the file when that is not known yet.
    pub(crate) fn streams(&self) -> Result<usize, StoreError> {
        match self.streams.get() {
            Some(streams) => Ok(*streams),
            None => Ok(self.read_index(&self.open()?)?.streams.len()),
        }
    }

    pub(super) fn forget_index(&self) {
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Reads the label index and compares it with the summary.
    pub(crate) fn read_index(&self, reader: &SegmentReader) -> Result<SegmentIndex, StoreError> {
        let trailer = self.trailer(reader)?;
        let stored = reader.bytes(trailer.footer_offset, trailer.footer.stored as usize)?;
        let decoded = trailer.footer.read(&stored).and_then(|raw| footer::decode(&raw, trailer.version));
        let footer = decoded.map_err(|error| self.corrupt_at("footer", error))?;
        let summary = &self.summary;
        let same = footer.tenant == summary.tenant
            && (footer.day, footer.id, footer.rows) == (summary.day, summary.id, summary.rows)
            && (footer.first, footer.last) == (summary.first, summary.last)
            && (footer.line_bytes, footer.index.groups.len())
                == (summary.line_bytes, summary.groups as usize);
        if !same {
            return Err(self.corrupt("footer: does not describe the segment that the manifest lists"));
        }
        self.streams.get_or_init(|| footer.index.streams.len());
        Ok(footer.index)
    }

    /// Whether a row of this segment has the key.
    pub(crate) fn contains_key(&self, hash: u64, key: &str) -> Result<bool, StoreError> {
        if self.summary.keys == 0 {
            return Ok(false);
        }
        let (index, offset) = self.key_index()?;
        let Some(page) = index.page_of(hash) else { return Ok(false) };
        let bytes = self.open()?.bytes(offset + page.offset, page.length as usize)?;
        let keys = page.decode(&bytes).map_err(|error| self.corrupt_at("keys", error))?;
        Ok(keys.contains(&(hash, key)))
    }

    /// Hands every unique key to `visit`, sorted by hash.
    pub(crate) fn for_each_key(&self, visit: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
        if self.summary.keys == 0 {
            return Ok(());
        }
        let (index, offset) = self.key_index()?;
        let reader = self.open()?;
        for page in index.pages() {
            let bytes = reader.bytes(offset + page.offset, page.length as usize)?;
            for (_, key) in page.decode(&bytes).map_err(|error| self.corrupt_at("keys", error))? {
                visit(key);
            }
        }
        Ok(())
    }

    /// Reads all there is, down to the last checksum, handing each block's row count to `visit`. Compares
    /// the counts in the index with the rows.
    pub(crate) fn read_everything(&self, visit: &mut dyn FnMut(u64)) -> Result<(), StoreError> {
        let reader = self.open()?;
        let index = self.read_index(&reader)?;
        for group in index.groups.iter() {
            let mut rows = vec![0u64; group.streams.len()];
            let mut before = group.first;
            let counts = reader.counts(group)?;
            let mut recount = counts.as_ref().map(Recount::of);
            for entry in &group.blocks {
                let block = reader.block(group, entry)?;
                for (row, time) in block.timestamps().iter().enumerate() {
                    let stream = block.stream(row) as usize;
                    let member = group.streams.get(stream);
                    if !member.is_some_and(|member| member.first <= *time && *time <= member.last) {
                        return Err(self.corrupt_block(entry, "a time is outside its stream's bounds"));
                    }
                    if let Some(rows) = rows.get_mut(stream) {
                        *rows += 1;
                    }
                    if *time < before || time.day() != self.summary.day {
                        return Err(self.corrupt_block(entry, "a time is out of order or of another day"));
                    }
                    before = *time;
                    if let Some(recount) = &mut recount {
                        recount.add(stream, *time, block.line(row).len(), block.metadata(row));
                    }
                }
                visit(block.rows() as u64);
            }
            if !group.streams.iter().map(|stream| stream.rows).eq(rows) {
                return Err(self.corrupt("footer: rows of a group are not those it counts"));
            }
            if recount.is_some_and(|recount| !recount.agrees()) {
                return Err(self.corrupt("counts: rows of a group are not those of its minutes"));
            }
        }
        self.for_each_key(&mut |_| {})
    }

    fn corrupt_block(&self, entry: &BlockEntry, what: &str) -> StoreError {
        self.corrupt(&format!("block at byte {}: {what}", entry.offset))
    }

    fn key_index(&self) -> Result<&(KeyIndex, u64), StoreError> {
        if let Some(keys) = self.keys.get() {
            return Ok(keys);
        }
        let reader = self.open()?;
        let trailer = self.trailer(&reader)?;
        let bytes = reader.bytes(trailer.keys_offset, trailer.key_index_bytes as usize)?;
        if checksum(&bytes) != trailer.key_index_checksum {
            return Err(self.corrupt("key index: checksum does not hold"));
        }
        let index = KeyIndex::decode(&bytes).map_err(|error| self.corrupt_at("key index", error))?;
        let pages_offset = trailer.keys_offset + u64::from(trailer.key_index_bytes);
        Ok(self.keys.get_or_init(|| (index, pages_offset)))
    }

    fn trailer(&self, reader: &SegmentReader) -> Result<Trailer, StoreError> {
        let Some(offset) = self.summary.file_bytes.checked_sub(TRAILER_BYTES as u64) else {
            return Err(self.corrupt("file is shorter than a trailer"));
        };
        let bytes = reader.bytes(offset, TRAILER_BYTES)?;
        let trailer = Trailer::decode(&bytes).map_err(|error| self.corrupt_at("trailer", error))?;
        let inside =
            |start: u64, length: u32| start.checked_add(u64::from(length)).is_some_and(|end| end <= offset);
        if !inside(trailer.footer_offset, trailer.footer.stored)
            || !inside(trailer.keys_offset, trailer.key_index_bytes)
        {
            return Err(self.corrupt("trailer: points outside the file"));
        }
        Ok(trailer)
    }

    /// Marks the segment as having something that cannot be read. Whether it was not so marked before.
    pub(crate) fn mark_damaged(&self) -> bool {
        !self.damaged.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Lets the file go with the last holder. Only once the manifest no longer lists it.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::Relaxed);
    }

    fn corrupt(&self, place: &str) -> StoreError {
        StoreError::corrupt(&self.path(), place)
    }

    fn corrupt_at(&self, part: &str, error: Malformed) -> StoreError {
        StoreError::corrupt(&self.path(), format!("{part}: {}", error.0))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if !self.doomed.load(Ordering::Relaxed) {
            return;
        }
        // An unlisted file that stays is removed when the store is opened next.
        if let Err(error) = self.disk.remove(&self.path()) {
            tracing::warn!(path = %self.path().display(), %error, "unlisted segment could not be removed");
        }
    }
}

/// An open segment file.
pub(crate) struct SegmentReader {
    file: Box<dyn DiskFile>,
    length: u64,
    path: PathBuf,
}

impl SegmentReader {
    /// Reads, checks and decodes one block of a group, every row of it.
    pub(crate) fn block(&self, group: &Group, entry: &BlockEntry) -> Result<Block, StoreError> {
        let corrupt =
            |what| StoreError::corrupt(&self.path, format!("block at byte {}: {what}", entry.offset));
        let stored = self.bytes(entry.offset, entry.stored_bytes() as usize)?;
        entry.check(&stored).map_err(|error| corrupt(error.0))?;
        let block = Block::decode(entry, &stored, &Wanted::ALL, group.streams.len());
        block.map_err(|error| corrupt(error.0))?.rows().ok_or_else(|| corrupt("it is empty"))
    }

    /// Reads and decodes what is wanted of one block of a group, unless its gate says that no line passes.
    pub(crate) fn narrowed_block(
        &self,
        group: &Group,
        entry: &BlockEntry,
        wanted: &Wanted<'_>,
    ) -> Result<Decoded, StoreError> {
        if self.is_barred(entry, wanted)? {
            return Ok(Decoded::RuledOut(RuledOut { by: Evidence::Gate, decompressed_bytes: 0 }));
        }
        let stored = self.bytes(entry.offset, wanted.stored_bytes(entry) as usize)?;
        Block::decode(entry, &stored, wanted, group.streams.len()).map_err(|error| {
            StoreError::corrupt(&self.path, format!("block at byte {}: {}", entry.offset, error.0))
        })
    }

    /// Whether the gate of a block says that no line passes the filters. A damaged gate says nothing: the lines behind it
    /// may be whole.
    fn is_barred(&self, entry: &BlockEntry, wanted: &Wanted<'_>) -> Result<bool, StoreError> {
        if wanted.gate_bytes(entry) == 0 {
            return Ok(false);
        }
        let stored = self.bytes(entry.gate_offset(), entry.gate.stored as usize)?;
        let gate = entry.gate.check(&stored).and_then(|()| Gate::read(&stored));
        Ok(gate.is_ok_and(|gate| !wanted.filters.gates().may_pass(&gate)))
    }

    /// Reads the counts of a group, if it has any.
    pub(crate) fn counts(&self, group: &Group) -> Result<Option<Counts>, StoreError> {
        let Some(entry) = group.counts else { return Ok(None) };
        let stored = self.bytes(entry.offset, entry.frame.stored as usize)?;
        let counts = entry.frame.read(&stored).and_then(|raw| Counts::decode(&raw, group));
        counts.map(Some).map_err(|error| {
            StoreError::corrupt(&self.path, format!("counts at byte {}: {}", entry.offset, error.0))
        })
    }

    /// The bytes of a group's counts as they are in the file.
    pub(super) fn stored_counts(&self, entry: &CountsEntry) -> Result<Buffer, StoreError> {
        self.bytes(entry.offset, entry.frame.stored as usize)
    }

    /// The bytes of a block as they are in the file.
    pub(super) fn stored_block(&self, entry: &BlockEntry) -> Result<Buffer, StoreError> {
        self.bytes(entry.offset, entry.stored_bytes() as usize)
    }

    fn bytes(&self, offset: u64, length: usize) -> Result<Buffer, StoreError> {
        if offset.checked_add(length as u64).is_none_or(|end| end > self.length) {
            let place = format!("{length} bytes at {offset} are not in the file");
            return Err(StoreError::corrupt(&self.path, place));
        }
        let mut bytes = Buffer::of_len(length);
        self.file.read_at(bytes.bytes_mut(), offset).map_err(|error| StoreError::io(&self.path, error))?;
        Ok(bytes)
    }
}
