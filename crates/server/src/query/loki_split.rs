//! What Loki leaves out of log queries where it splits them by the hour, left out likewise, and said.
//!
//! Loki cuts the range of a query at every full hour and looks up the chunks of each part. A chunk whose last entry lies
//! exactly where a part begins is not found, so that this entry is in no answer, although metric queries count it. Chunks
//! with one point of time are found since [grafana/loki#13117](https://github.com/grafana/loki/pull/13117), and entries
//! that the ingesters still hold are, too. Timberyard has no such chunks: it takes for one what a stream brought without a
//! pause as long as the one after which Loki closes a chunk.
//!
//! Only streams with rows exactly on an hour cost anything, a short scan or two each; beyond a number of such streams
//! nothing is left out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use timberyard_logql::syntax::Expression;
use timberyard_logql::{Engine, QueryError, QueryRequest, QueryResult};
use timberyard_model::counting::Cuts;
use timberyard_model::matcher::LabelMatcher;
use timberyard_model::scan::{
    BlockStream, Columns, CountVisitor, Direction, LogSource, RowBlock, ScanError, ScanEstimate, ScanRequest,
    ScanStatistics, SeriesRequest,
};
use timberyard_model::time::{NANOS_PER_SECOND, TimeRange};
use timberyard_model::{Labels, Timestamp};

const MINUTE_NS: i64 = 60 * NANOS_PER_SECOND;
const HOUR_NS: i64 = 60 * MINUTE_NS;

/// Loki's `split_queries_by_interval`.
const SPLIT_NS: i64 = HOUR_NS;
/// Loki's `query_ingesters_within`: what is younger is asked of ingesters, which find it.
const INGESTERS_NS: i64 = 3 * HOUR_NS;
/// Loki's `chunk_idle_period`: a chunk ends when nothing came for so long.
const CHUNK_IDLE_NS: i64 = 30 * MINUTE_NS;

/// So many streams are looked at for one scan.
const STREAMS_MAX: usize = 1000;

/// Runs a query as Loki would; entries that are left out are counted in a warning.
pub(super) fn run(
    engine: &Engine,
    source: &dyn LogSource,
    request: &QueryRequest,
) -> Result<QueryResult, QueryError> {
    let Expression::Logs(_) = request.expression else { return engine.run(source, request) };
    let split = SplitSource {
        source,
        after: request.start,
        before: request.now.saturating_add_nanos(-INGESTERS_NS),
        left_out: AtomicU64::new(0),
    };
    let mut result = engine.run(&split, request)?;
    let left_out = split.left_out.into_inner();
    if left_out > 0 {
        let (entries, are) = if left_out == 1 { ("entry", "is") } else { ("entries", "are") };
        result.warnings.push(format!(
            "{left_out} {entries} exactly on the hour {are} left out, as Loki does where it splits a query; \
             with loki.split_gaps false, with a cursor and as rows the answer has all"
        ));
    }
    Ok(result)
}

/// A source without the rows that Loki does not find.
struct SplitSource<'s> {
    source: &'s dyn LogSource,
    /// Where the query begins: its first part has no part before it.
    after: Timestamp,
    /// From when on ingesters are asked.
    before: Timestamp,
    /// How many rows were met and left out.
    left_out: AtomicU64,
}

impl SplitSource<'_> {
    /// Whether a part of the query begins at `time`.
    fn is_split(&self, time: Timestamp) -> bool {
        time.as_nanos() % SPLIT_NS == 0 && time > self.after && time < self.before
    }

    /// The time of one of a stream's rows, of the first block that has some.
    fn find(
        &self,
        of: &ScanRequest,
        labels: &Labels,
        range: TimeRange,
    ) -> Result<Option<Timestamp>, ScanError> {
        let request = ScanRequest {
            matchers: labels.iter().map(|(name, value)| LabelMatcher::equal(name, value)).collect(),
            direction: Direction::Backward,
            columns: Columns { line: false, metadata: false },
            rows_wanted: Some(1),
            read_ahead_bytes_max: 0,
            cancellation: of.cancellation.clone(),
            ..ScanRequest::all(of.tenant.clone(), range)
        };
        let mut blocks = self.source.scan(&request)?;
        while let Some(block) = blocks.next_block()? {
            // Streams with further labels pass the matchers as well.
            let rows = block.rows.iter().filter(|row| row.labels() == labels);
            if let Some(newest) = rows.map(|row| row.timestamp()).max() {
                return Ok(Some(newest));
            }
        }
        Ok(None)
    }
}

impl LogSource for SplitSource<'_> {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        let blocks = self.source.scan(request)?;
        Ok(Box::new(SplitBlocks { split: self, request: request.clone(), blocks, known: HashMap::new() }))
    }

    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        self.source.estimate(request)
    }

    fn statement(&self, request: &ScanRequest) -> Option<String> {
        self.source.statement(request)
    }

    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        self.source.series(request)
    }

    fn count(
        &self,
        request: &SeriesRequest,
        cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError> {
        self.source.count(request, cuts, visit)
    }
}

/// The rows of one scan without those.
struct SplitBlocks<'a> {
    split: &'a SplitSource<'a>,
    request: ScanRequest,
    blocks: Box<dyn BlockStream + 'a>,
    /// Of streams with rows where a part begins.
    known: HashMap<Labels, Known>,
}

/// What is known of a stream.
#[derive(Clone, Copy)]
struct Known {
    /// It has a row at this time.
    row: Timestamp,
    /// Whether its rows of this time end a chunk with earlier ones, when that was asked.
    ends_chunk: Option<bool>,
}

impl SplitBlocks<'_> {
    fn is_left_out(&mut self, labels: &Labels, time: Timestamp) -> Result<bool, ScanError> {
        let known = self.known.get(labels).copied();
        match known {
            Some(known) if known.row > time => return Ok(false),
            Some(Known { row, ends_chunk: Some(ends_chunk) }) if row == time => return Ok(ends_chunk),
            None if self.known.len() >= STREAMS_MAX => return Ok(false),
            _ => {}
        }
        let (split, request) = (self.split, &self.request);
        let later = TimeRange::new(time.saturating_add_nanos(1), Timestamp::MAX);
        let known = match split.find(request, labels, later)? {
            Some(row) => Known { row, ends_chunk: None },
            None => {
                let earlier = TimeRange::new(time.saturating_add_nanos(-CHUNK_IDLE_NS), time);
                let ends_chunk = split.find(request, labels, earlier)?.is_some();
                Known { row: time, ends_chunk: Some(ends_chunk) }
            }
        };
        self.known.insert(labels.clone(), known);
        Ok(known.row == time && known.ends_chunk == Some(true))
    }
}

impl BlockStream for SplitBlocks<'_> {
    fn next_block(&mut self) -> Result<Option<RowBlock>, ScanError> {
        let Some(mut block) = self.blocks.next_block()? else { return Ok(None) };
        if !block.rows.iter().any(|row| self.split.is_split(row.timestamp())) {
            return Ok(Some(block));
        }
        let (mut failed, mut left_out) = (None, 0);
        block.rows.retain(|row| {
            let time = row.timestamp();
            if failed.is_some() || !self.split.is_split(time) {
                return true;
            }
            let leave = self.is_left_out(row.labels(), time).unwrap_or_else(|error| {
                failed = Some(error);
                false
            });
            left_out += u64::from(leave);
            !leave
        });
        self.split.left_out.fetch_add(left_out, Ordering::Relaxed);
        failed.map_or(Ok(Some(block)), Err)
    }

    fn statistics(&self) -> ScanStatistics {
        self.blocks.statistics()
    }
}
