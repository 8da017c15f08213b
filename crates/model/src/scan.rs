//! The seam between queries and stores: what a query asks for and how rows come back.
//!
//! Every store (embedded, ClickHouse, PostgreSQL, other nodes) is a [`LogSource`].

use std::ops::AddAssign;
use std::sync::Arc;

use crate::cancellation::{CancelReason, Cancellation};
use crate::counting::{CountedCell, CountedRows, Cuts, VolumeSums};
use crate::fields::FieldRequest;
use crate::label_values::{LabelCollector, LabelQuestion, LabelValues};
use crate::labels::Labels;
use crate::matcher::{LabelMatcher, LineFilter};
use crate::rows::Rows;
use crate::tenant::TenantId;
use crate::time::{TimeRange, Timestamp};

/// From which end of the time range rows are wanted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// Which parts of a row the consumer will look at; a source may leave the others empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The line's bytes.
    pub line: bool,
    /// Structured metadata.
    pub metadata: bool,
}

impl Columns {
    /// Everything.
    pub const ALL: Self = Self { line: true, metadata: true };
}

/// The rows that a query wants to look at.
#[derive(Clone, Debug)]
pub struct ScanRequest {
    /// Whose rows.
    pub tenant: TenantId,
    /// Rows with a timestamp inside.
    pub range: TimeRange,
    /// Rows of streams that pass all of these.
    pub matchers: Vec<LabelMatcher>,
    /// Rows whose line passes all of these. The source applies every one, exactly.
    pub line_filters: Vec<LineFilter>,
    /// Which rows come first.
    pub direction: Direction,
    /// What the consumer will look at.
    pub columns: Columns,
    /// The names of structured metadata that it will look at, when not all; a source may hand over others too.
    pub metadata_names: Option<Arc<[Box<str>]>>,
    /// The names of stream labels that it will look at where rows are counted, when not all; a source may hand over others
    /// too.
    pub label_names: Option<Arc<[Box<str>]>>,
    /// How many rows it takes if it takes all that it gets, though it may want more; the largest number where it wants all
    /// there are, and nothing where it does not know.
    pub rows_wanted: Option<usize>,
    /// Fields of the line that it will look at. A source may ignore this.
    pub fields: Option<FieldRequest>,
    /// Set by a consumer that only counts rows of equal metadata, as far as it looks at metadata, between cuts: the
    /// source may hand over numbers instead of rows. A source that cannot count what passes the line filters ignores it
    /// where there are some, and every source does where fields are asked for.
    pub counting: Option<Cuts>,
    /// Memory that may be taken by what a source reads before the consumer asks for it, in bytes, roughly; with 0 it
    /// reads nothing ahead.
    pub read_ahead_bytes_max: usize,
    /// Looked at between blocks.
    pub cancellation: Cancellation,
}

impl ScanRequest {
    /// What is read ahead when nobody says otherwise, in bytes.
    pub const READ_AHEAD_BYTES: usize = 32 << 20;

    /// All rows of a tenant in a range, newest first.
    pub fn all(tenant: TenantId, range: TimeRange) -> Self {
        Self {
            tenant,
            range,
            matchers: Vec::new(),
            line_filters: Vec::new(),
            direction: Direction::Backward,
            columns: Columns::ALL,
            metadata_names: None,
            label_names: None,
            rows_wanted: None,
            fields: None,
            counting: None,
            read_ahead_bytes_max: Self::READ_AHEAD_BYTES,
            cancellation: Cancellation::default(),
        }
    }
}

/// Some rows of a scan.
#[derive(Debug)]
pub struct RowBlock {
    /// The rows, in any order, except that rows of one stream with equal timestamps lie in the order in
    /// which they were stored (also when scanning backward, where an earlier block holds the later ones).
    /// Equal entries that merge are there once in the whole scan.
    pub rows: Rows,
    /// Rows that are counted instead; nothing unless [`ScanRequest::counting`] asked for it.
    pub counted: Vec<CountedRows>,
    /// How far the scan has come: no later block holds a row beyond it (newer than it when
    /// scanning backward, older when scanning forward). A consumer that has its fill of
    /// rows before the frontier may stop.
    pub frontier: Timestamp,
}

/// The rows of one scan, block by block.
pub trait BlockStream: Send {
    /// The next block, or `None` at the end. Blocks may be empty: they still move the frontier.
    fn next_block(&mut self) -> Result<Option<RowBlock>, ScanError>;

    /// What the scan has cost so far.
    fn statistics(&self) -> ScanStatistics;
}

/// What a scan cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanStatistics {
    /// Segments (or their like) that were there.
    pub segments_total: u64,
    /// Segments opened.
    pub segments_read: u64,
    /// Segments of which something could not be read because it is damaged: the answer lacks those rows.
    pub segments_damaged: u64,
    /// Blocks of these segments that were not read, by what ruled them out.
    pub blocks_skipped: SkippedBlocks,
    /// Blocks of which something was read.
    pub blocks_read: u64,
    /// Of these, blocks in which no line can pass the filters, as the stamps of their columns tell without a look at
    /// any value.
    pub blocks_stamped_out: u64,
    /// Of these, blocks in which no line passes the filters, as the values of their columns tell.
    pub blocks_filtered_out: u64,
    /// Bytes read from the store, compressed.
    pub compressed_bytes: u64,
    /// Bytes after decompression.
    pub decompressed_bytes: u64,
    /// Rows whose line was looked at, in columns or whole.
    pub rows_scanned: u64,
    /// Rows that were put together from their columns.
    pub rows_decoded: u64,
    /// Rows that passed all filters.
    pub rows_matched: u64,
}

/// Blocks that were not read, by what ruled them out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SkippedBlocks {
    /// No row is in the range.
    pub by_time: u64,
    /// No row is of a stream that passes, or deletions hide all that are.
    pub by_labels: u64,
    /// Their rows were counted without being read.
    pub by_counts: u64,
    /// What lies beside them to tell which texts no line of theirs has says that none passes the line filters.
    pub by_gates: u64,
}

impl SkippedBlocks {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_time + self.by_labels + self.by_counts + self.by_gates
    }
}

impl AddAssign for SkippedBlocks {
    fn add_assign(&mut self, other: Self) {
        self.by_time += other.by_time;
        self.by_labels += other.by_labels;
        self.by_counts += other.by_counts;
        self.by_gates += other.by_gates;
    }
}

impl AddAssign for ScanEstimate {
    fn add_assign(&mut self, other: Self) {
        self.streams += other.streams;
        self.segments_total += other.segments_total;
        self.segments += other.segments;
        self.blocks += other.blocks;
        self.blocks_skipped += other.blocks_skipped;
        self.stored_bytes += other.stored_bytes;
        self.stored_rows += other.stored_rows;
        self.memory_rows += other.memory_rows;
        self.memory_bytes += other.memory_bytes;
    }
}

impl AddAssign for ScanStatistics {
    fn add_assign(&mut self, other: Self) {
        self.segments_total += other.segments_total;
        self.segments_read += other.segments_read;
        self.segments_damaged += other.segments_damaged;
        self.blocks_skipped += other.blocks_skipped;
        self.blocks_read += other.blocks_read;
        self.blocks_stamped_out += other.blocks_stamped_out;
        self.blocks_filtered_out += other.blocks_filtered_out;
        self.compressed_bytes += other.compressed_bytes;
        self.decompressed_bytes += other.decompressed_bytes;
        self.rows_scanned += other.rows_scanned;
        self.rows_decoded += other.rows_decoded;
        self.rows_matched += other.rows_matched;
    }
}

/// What a scan would read, as far as that is known without reading rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanEstimate {
    /// Streams with rows that may be wanted.
    pub streams: u64,
    /// Segments that are there.
    pub segments_total: u64,
    /// Segments that would be opened.
    pub segments: u64,
    /// Blocks that would be looked at. What of a block its filters then rule out is not read.
    pub blocks: u64,
    /// Blocks of those segments that are ruled out.
    pub blocks_skipped: u64,
    /// Bytes of those blocks in the store, compressed.
    pub stored_bytes: u64,
    /// Rows in those blocks.
    pub stored_rows: u64,
    /// Rows in memory that would be looked at.
    pub memory_rows: u64,
    /// Bytes of their lines.
    pub memory_bytes: u64,
}

/// Why a scan ended early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// The consumer's [`Cancellation`] was raised.
    #[error("query was cancelled: {0:?}")]
    Cancelled(CancelReason),
    /// The store cannot answer now (starting up, unreachable).
    #[error("store is unavailable: {0}")]
    Unavailable(String),
    /// Reading failed.
    #[error("store failed to read: {0}")]
    Failed(String),
    /// The answer would hold too much at once.
    #[error(
        "answer needs more than {limit} bytes of memory (limits.query.memory_bytes_max); narrow its selector or \
         time range"
    )]
    Memory {
        /// The most allowed, in bytes.
        limit: usize,
    },
}

/// Which streams a question about labels concerns.
#[derive(Clone, Debug)]
pub struct SeriesRequest {
    /// Whose streams.
    pub tenant: TenantId,
    /// Streams that may have rows inside.
    pub range: TimeRange,
    /// Streams that pass all matchers of at least one selector; all streams when empty.
    pub selectors: Vec<Vec<LabelMatcher>>,
    /// Memory that the answer may hold, in bytes, roughly; past it the question is refused.
    pub memory_bytes_max: usize,
    /// Looked at between segments or blocks.
    pub cancellation: Cancellation,
}

/// Rows and bytes of one stream in a time range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamVolume {
    /// The stream.
    pub labels: Labels,
    /// Its rows.
    pub rows: u64,
    /// Bytes of its lines.
    pub bytes: u64,
    /// What the structured metadata of its rows takes, as Loki's chunks hold it: eight bytes a pair, and each distinct
    /// name and value once; an estimate where a part of the rows lies outside the range.
    pub metadata_bytes: u64,
}

/// Takes the numbers of some rows of one stream that no cut parts; an error ends the counting.
pub type CountVisitor<'v> = dyn FnMut(&Labels, &CountedCell) -> Result<(), ScanError> + 'v;

/// Anything that LogQL can run on.
pub trait LogSource: Send + Sync {
    /// Starts a scan over one consistent state of the store.
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError>;

    /// What such a scan would read at most. Cheap: reads indexes, no rows.
    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError>;

    /// What such a scan first asks of another engine, in that engine's language, for people; nothing of a source that asks
    /// none.
    fn statement(&self, _request: &ScanRequest) -> Option<String> {
        None
    }

    /// The label sets of streams, sorted; at the granularity of the store's index, so a
    /// stream with rows near the range may be included.
    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError>;

    /// Labels that those streams have, sorted by name, with the values that are asked for. A source that can tell
    /// without looking at every label set should.
    fn labels(
        &self,
        request: &SeriesRequest,
        question: &LabelQuestion,
    ) -> Result<Vec<LabelValues>, ScanError> {
        let mut collector = LabelCollector::new(question, request.memory_bytes_max);
        for labels in self.series(request)? {
            labels.iter().try_for_each(|(name, value)| collector.add(name, value))?;
        }
        Ok(collector.finish())
    }

    /// Counts the rows of those streams between cuts, and hands over the numbers as they come: of one stream and stretch
    /// of time there may be several, which add up. Rows and bytes of lines are exact.
    fn count(
        &self,
        request: &SeriesRequest,
        cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError>;

    /// Rows and bytes of each stream, sorted by labels.
    fn volumes(&self, request: &SeriesRequest) -> Result<Vec<StreamVolume>, ScanError> {
        let mut volumes = VolumeSums::new(request.memory_bytes_max);
        self.count(request, Cuts::NONE, &mut |labels, cell| volumes.add(labels, cell))?;
        Ok(volumes.finish())
    }
}
