//! Segments: immutable files of rows with their label index. The only place that knows how rows
//! are encoded.
//!
//! The format is drawn in `docs/format/segment.md`. Above this module a segment is an index (streams,
//! postings, groups with counts and time bounds) and blocks of rows that can be read one by one;
//! how the bytes of a block look stays in [`block`].

mod block;
mod block_builder;
mod block_row;
mod counts;
mod footer;
mod frame;
mod handle;
mod index;
mod index_cache;
mod keys;
mod label_index;
mod metadata;
mod metadata_size;
#[cfg(test)]
mod round_trips;
mod stream_table;
mod writer;

pub(crate) use block::{Block, Decoded, Evidence, OfRow, RuledOut, Wanted, WantedFields};
pub(crate) use block_row::BlockRow;
pub(crate) use counts::StreamCounts;
pub(crate) use frame::FrameWriter;
pub(crate) use handle::{Segment, SegmentReader, SegmentSummary, Sequences};
pub(crate) use index::{
    BlockEntry, Group, GroupStream, PAIR_BYTES, ROW_OVERHEAD_BYTES, SegmentIndex, StreamSet,
};
pub(crate) use index_cache::IndexCache;
pub(crate) use keys::key_hash;
pub(crate) use writer::{FinishedSegment, SegmentWriter, WriterOptions};
