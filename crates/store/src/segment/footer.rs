//! The bytes of a segment's footer and trailer: the label index and what leads to it.

use std::sync::Arc;

use timberyard_model::{TenantId, Timestamp};

use super::frame::Frame;
use super::handle::SegmentSummary;
use super::index::{BlockEntry, CountsEntry, Group, GroupStream, SegmentIndex};
use super::label_index::LabelIndex;
use crate::codec::{Malformed, Reader, checksum, put_bytes, put_u32, put_u64, put_varint, put_zigzag};

pub(super) const MAGIC: &[u8; 8] = b"TMBRSEG\n";
pub(super) const TRAILER_BYTES: usize = 64;
const TRAILER_MAGIC: &[u8; 4] = b"TSEG";
/// What is written. Up to 2, groups of lines have no outlines.
const VERSION: u32 = 4;
/// The last without gates.
const VERSION_WITHOUT_GATES: u32 = 3;
/// Without counts of minutes and sizes of metadata.
const OLDEST_VERSION: u32 = 1;

/// The last bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) footer_offset: u64,
    pub(super) footer: Frame,
    /// 0 when there are no keys.
    pub(super) keys_offset: u64,
    pub(super) key_index_bytes: u32,
    pub(super) key_index_checksum: u64,
    pub(super) version: Version,
}

/// A version of the format that this program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version(u32);

impl Version {
    /// The one that is written.
    pub(super) const NEWEST: Self = Self(VERSION);

    fn has_counts(self) -> bool {
        self.0 > OLDEST_VERSION
    }

    fn has_gates(self) -> bool {
        self.0 > VERSION_WITHOUT_GATES
    }
}

impl Trailer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(TRAILER_BYTES);
        put_u64(&mut out, self.footer_offset);
        put_u32(&mut out, self.footer.stored);
        put_u32(&mut out, self.footer.raw);
        put_u64(&mut out, self.footer.checksum);
        put_u64(&mut out, self.keys_offset);
        put_u32(&mut out, self.key_index_bytes);
        put_u32(&mut out, 0);
        put_u64(&mut out, self.key_index_checksum);
        put_u32(&mut out, self.version.0);
        out.extend_from_slice(TRAILER_MAGIC);
        let sum = checksum(&out);
        put_u64(&mut out, sum);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some((body, sum)) = bytes.split_at_checked(TRAILER_BYTES - 8) else {
            return Err(Malformed("file is shorter than a trailer"));
        };
        if Reader::new(sum).u64()? != checksum(body) {
            return Err(Malformed("trailer's checksum does not hold"));
        }
        let mut reader = Reader::new(body);
        let footer_offset = reader.u64()?;
        let footer = Frame { stored: reader.u32()?, raw: reader.u32()?, checksum: reader.u64()? };
        let keys_offset = reader.u64()?;
        let key_index_bytes = reader.u32()?;
        reader.u32()?;
        let key_index_checksum = reader.u64()?;
        let version = Version(reader.u32()?);
        if !(OLDEST_VERSION..=VERSION).contains(&version.0) {
            return Err(Malformed("segment version is not one this program reads"));
        }
        if reader.take(TRAILER_MAGIC.len())? != TRAILER_MAGIC {
            return Err(Malformed("trailer has the wrong magic"));
        }
        Ok(Self { footer_offset, footer, keys_offset, key_index_bytes, key_index_checksum, version })
    }
}

fn difference(later: Timestamp, earlier: Timestamp) -> u64 {
    later.as_nanos().wrapping_sub(earlier.as_nanos()) as u64
}

fn later(earlier: Timestamp, difference: u64) -> Result<Timestamp, Malformed> {
    let nanos = earlier.as_nanos().checked_add_unsigned(difference);
    nanos.map(Timestamp::from_nanos).ok_or(Malformed("time is out of range"))
}

pub(super) fn encode(summary: &SegmentSummary, index: &SegmentIndex) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, summary.tenant.as_str().as_bytes());
    put_zigzag(&mut out, i64::from(summary.day));
    put_varint(&mut out, summary.id);
    put_varint(&mut out, summary.rows);
    put_varint(&mut out, summary.line_bytes);
    put_zigzag(&mut out, summary.first.as_nanos());
    put_varint(&mut out, difference(summary.last, summary.first));
    index.labels.encode(&mut out);
    put_varint(&mut out, index.groups.len() as u64);
    for group in index.groups.iter() {
        put_group(&mut out, group);
    }
    out
}

fn put_group(out: &mut Vec<u8>, group: &Group) {
    put_bytes(out, group.family.as_bytes());
    put_zigzag(out, group.first.as_nanos());
    put_varint(out, difference(group.last, group.first));
    put_varint(out, group.streams.len() as u64);
    for stream in &group.streams {
        put_varint(out, u64::from(stream.stream));
        put_varint(out, difference(stream.first, group.first));
        put_varint(out, difference(stream.last, stream.first));
        put_varint(out, stream.rows);
        put_varint(out, stream.line_bytes);
        put_varint(out, stream.merging_rows);
        put_varint(out, stream.metadata_pairs);
        put_varint(out, stream.metadata_text_bytes);
    }
    put_varint(out, group.blocks.len() as u64);
    for block in &group.blocks {
        put_varint(out, block.offset);
        put_varint(out, u64::from(block.rows));
        put_varint(out, difference(block.first, group.first));
        put_varint(out, difference(block.last, block.first));
        block.row_frame.put(out);
        block.line_frame.put(out);
        block.metadata_frame.put(out);
        block.gate.put_plain(out);
    }
    // No group starts at 0: the magic is there.
    put_varint(out, group.counts.map_or(0, |counts| counts.offset));
    if let Some(counts) = group.counts {
        counts.frame.put(out);
    }
}

/// What a footer says, with what it says of the segment as a whole.
pub(super) struct Footer {
    pub(super) tenant: TenantId,
    pub(super) day: i32,
    pub(super) id: u64,
    pub(super) rows: u64,
    pub(super) line_bytes: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) index: SegmentIndex,
}

/// Reads the footer of a segment of that version.
pub(super) fn decode(bytes: &[u8], version: Version) -> Result<Footer, Malformed> {
    let mut reader = Reader::new(bytes);
    let tenant = TenantId::new(reader.text()?).map_err(|_| Malformed("tenant has no valid name"))?;
    let day = i32::try_from(reader.zigzag()?).map_err(|_| Malformed("day is out of range"))?;
    let id = reader.varint()?;
    let rows = reader.varint()?;
    let line_bytes = reader.varint()?;
    let first = Timestamp::from_nanos(reader.zigzag()?);
    let last = later(first, reader.varint()?)?;
    let labels = LabelIndex::decode(&mut reader)?;
    let group_count = reader.count()?;
    let mut groups = Vec::with_capacity(group_count);
    for _ in 0..group_count {
        groups.push(read_group(&mut reader, labels.streams(), version)?);
    }
    reader.end()?;
    let index = SegmentIndex::new(Arc::new(labels), groups.into());
    Ok(Footer { tenant, day, id, rows, line_bytes, first, last, index })
}

fn read_group(reader: &mut Reader<'_>, stream_count: usize, version: Version) -> Result<Group, Malformed> {
    let family = reader.text()?.into();
    let first = Timestamp::from_nanos(reader.zigzag()?);
    let last = later(first, reader.varint()?)?;
    let count = reader.count()?;
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let stream = reader.varint_u32()?;
        if stream as usize >= stream_count {
            return Err(Malformed("no such stream"));
        }
        let start = later(first, reader.varint()?)?;
        let end = later(start, reader.varint()?)?;
        let (rows, line_bytes, merging_rows) = (reader.varint()?, reader.varint()?, reader.varint()?);
        let (metadata_pairs, metadata_text_bytes) =
            if version.has_counts() { (reader.varint()?, reader.varint()?) } else { (0, 0) };
        streams.push(GroupStream {
            stream,
            first: start,
            last: end,
            rows,
            line_bytes,
            merging_rows,
            metadata_pairs,
            metadata_text_bytes,
        });
    }
    let count = reader.count()?;
    let mut blocks = Vec::with_capacity(count);
    for _ in 0..count {
        let offset = reader.varint()?;
        let rows = reader.varint_u32()?;
        let start = later(first, reader.varint()?)?;
        blocks.push(BlockEntry {
            offset,
            rows,
            first: start,
            last: later(start, reader.varint()?)?,
            row_frame: Frame::get(reader)?,
            line_frame: Frame::get(reader)?,
            metadata_frame: Frame::get(reader)?,
            gate: if version.has_gates() { Frame::get_plain(reader)? } else { Frame::default() },
        });
    }
    let offset = if version.has_counts() { reader.varint()? } else { 0 };
    let counts = if offset > 0 { Some(CountsEntry { offset, frame: Frame::get(reader)? }) } else { None };
    Ok(Group { family, first, last, streams: streams.into(), blocks: blocks.into(), counts })
}
