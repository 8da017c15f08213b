//! `MemorySource`: the simplest possible store, a vector of rows that every scan walks from end to end.
//!
//! It is the oracle for stores and the stand-in for one in tests of queries and handlers. It prunes
//! nothing, but it leaves out the columns that a scan did not ask for, and hands rows out in a
//! deliberately unhelpful order inside each block, so that a consumer that relies on more than
//! [`LogSource`] promises fails here first.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use timberyard_model::batch::{EqualEntries, LogBatch};
use timberyard_model::cancellation::Cancellation;
use timberyard_model::counting::{CountedCell, CountedRows, Cuts};
use timberyard_model::ingest_record::IngestRecord;
use timberyard_model::labels::Labels;
use timberyard_model::matcher::accepts_all;
use timberyard_model::origin::{AlreadyStored, OriginName};
use timberyard_model::rows::{Rows, RowsBuilder};
use timberyard_model::scan::{
    BlockStream, CountVisitor, Direction, LogSource, RowBlock, ScanError, ScanEstimate, ScanRequest,
    ScanStatistics, SeriesRequest,
};
use timberyard_model::sink::{Sink, SinkError, SinkFuture};
use timberyard_model::tenant::TenantId;
use timberyard_model::time::Timestamp;

/// Rows in memory, readable as a [`LogSource`] and writable as a [`Sink`].
#[derive(Debug)]
pub struct MemorySource {
    block_rows: usize,
    contents: RwLock<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    entries: Vec<Entry>,
    unique_keys: HashSet<(TenantId, Box<str>)>,
    origin_ends: HashMap<(TenantId, OriginName), u64>,
}

/// One stored row, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its stream.
    pub labels: Labels,
    /// When it happened.
    pub timestamp: Timestamp,
    /// Its bytes.
    pub line: Vec<u8>,
    /// Structured metadata in the order sent.
    pub metadata: Vec<(String, Vec<u8>)>,
    /// Whether it merges with an equal entry that merges too.
    pub merges: bool,
}

impl Default for MemorySource {
    fn default() -> Self {
        Self { block_rows: 1000, contents: RwLock::default() }
    }
}

impl MemorySource {
    /// The same source, handing out at most `rows` rows a block (at least one).
    #[must_use]
    pub fn with_block_rows(mut self, rows: usize) -> Self {
        self.block_rows = rows.max(1);
        self
    }

    /// Adds a row of the default tenant that never merges.
    pub fn push(&self, labels: &Labels, timestamp: Timestamp, line: &[u8], metadata: &[(&str, &[u8])]) {
        self.push_entry(Entry {
            tenant: TenantId::default(),
            labels: labels.clone(),
            timestamp,
            line: line.to_vec(),
            metadata: metadata.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect(),
            merges: false,
        });
    }

    /// Adds a row, unless it merges with one that is there.
    pub fn push_entry(&self, entry: Entry) {
        self.contents.write().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// Adds all rows of a batch, or none when one of its unique keys is taken or something of its origins is stored.
    pub fn push_batch(&self, batch: &LogBatch) -> Result<(), SinkError> {
        let mut contents = self.contents.write().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = |name: &OriginName| (batch.tenant.clone(), name.clone());
        let end = |name: &OriginName| contents.origin_ends.get(&of_tenant(name)).copied();
        if let Some(stored) = AlreadyStored::of(&batch.origins, end) {
            return Err(SinkError::AlreadyStored(stored));
        }
        let mut fresh = HashSet::new();
        for unique in &batch.unique_keys {
            let key = (batch.tenant.clone(), unique.key.clone());
            if contents.unique_keys.contains(&key) || !fresh.insert(key) {
                return Err(SinkError::Duplicate { key: unique.key.clone(), row: unique.row });
            }
        }
        contents.unique_keys.extend(fresh);
        let ends = batch.origins.iter().map(|range| (of_tenant(&range.name), range.to));
        contents.origin_ends.extend(ends);
        for row in batch.rows.iter() {
            contents.push(Entry {
                tenant: batch.tenant.clone(),
                labels: row.labels().clone(),
                timestamp: row.timestamp(),
                line: row.line().to_vec(),
                metadata: row.metadata().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
                merges: batch.equal_entries == EqualEntries::Merge,
            });
        }
        Ok(())
    }

    /// A copy of everything stored, in the order of arrival.
    pub fn entries(&self) -> Vec<Entry> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner).entries.clone()
    }

    /// Rows of a tenant in a range and of streams that pass any selector.
    fn selected(&self, request: &SeriesRequest) -> Vec<Entry> {
        let any = |entry: &Entry| {
            request.selectors.is_empty()
                || request.selectors.iter().any(|selector| accepts_all(selector, &entry.labels))
        };
        let wanted = |entry: &Entry| {
            entry.tenant == request.tenant && request.range.contains(entry.timestamp) && any(entry)
        };
        self.entries().into_iter().filter(wanted).collect()
    }
}

impl Contents {
    fn push(&mut self, entry: Entry) {
        if !(entry.merges && self.entries.contains(&entry)) {
            self.entries.push(entry);
        }
    }
}

impl Sink for MemorySource {
    fn name(&self) -> &str {
        "memory"
    }

    fn write(&self, record: IngestRecord) -> SinkFuture<'_> {
        Box::pin(std::future::ready(self.push_batch(&record.batch)))
    }
}

impl LogSource for MemorySource {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        let mut statistics = ScanStatistics::default();
        let mut entries = self.entries();
        entries.retain(|entry| {
            let in_reach = entry.tenant == request.tenant
                && request.range.contains(entry.timestamp)
                && accepts_all(&request.matchers, &entry.labels);
            statistics.rows_scanned += u64::from(in_reach);
            in_reach && request.line_filters.iter().all(|filter| filter.accepts(&entry.line))
        });
        statistics.rows_matched = entries.len() as u64;
        entries.sort_by_key(|entry| entry.timestamp);
        let counted = match request.counting {
            Some(cuts) if request.line_filters.is_empty() => count_some(&mut entries, cuts, request),
            _ => Vec::new(),
        };
        if request.direction == Direction::Backward {
            entries.reverse();
        }
        let mut blocks = Vec::new();
        for chunk in entries.chunks(self.block_rows) {
            let Some(last) = chunk.last() else { continue };
            let mut builder = RowsBuilder::default();
            // Against the direction of the scan, since rows of a block come in any order; only rows of
            // equal time lie in the order in which they were stored.
            let mut chunk: Vec<&Entry> = chunk.iter().collect();
            match request.direction {
                Direction::Backward => chunk.reverse(),
                Direction::Forward => chunk.sort_by_key(|entry| Reverse(entry.timestamp)),
            }
            for entry in chunk {
                let stream = builder.stream(&entry.labels);
                let line: &[u8] = if request.columns.line { &entry.line } else { b"" };
                let metadata: &[_] = if request.columns.metadata { &entry.metadata } else { &[] };
                let pairs = metadata.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
                builder
                    .push(stream, entry.timestamp, line, pairs)
                    .map_err(|full| ScanError::Failed(full.to_string()))?;
            }
            blocks.push((builder.finish(), last.timestamp));
        }
        blocks.reverse();
        Ok(Box::new(MemoryScan { counted, blocks, statistics, cancellation: request.cancellation.clone() }))
    }

    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        let selectors = vec![request.matchers.clone()];
        let selected = self.selected(&SeriesRequest {
            tenant: request.tenant.clone(),
            range: request.range,
            selectors,
            memory_bytes_max: usize::MAX,
            cancellation: request.cancellation.clone(),
        });
        let streams: BTreeSet<&Labels> = selected.iter().map(|entry| &entry.labels).collect();
        Ok(ScanEstimate {
            streams: streams.len() as u64,
            memory_rows: selected.len() as u64,
            memory_bytes: selected.iter().map(|entry| entry.line.len() as u64).sum(),
            ..ScanEstimate::default()
        })
    }

    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        let streams: BTreeSet<Labels> =
            self.selected(request).into_iter().map(|entry| entry.labels).collect();
        Ok(streams.into_iter().collect())
    }

    fn count(
        &self,
        request: &SeriesRequest,
        cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError> {
        let mut texts = BTreeSet::new();
        for entry in self.selected(request) {
            let (time, line_bytes) = (entry.timestamp, entry.line.len() as u64);
            let mut cell = CountedCell { time, rows: 1, line_bytes, metadata_bytes: 0 };
            for (name, value) in entry.metadata {
                cell.metadata_bytes += 8;
                for text in [name.into_bytes(), value] {
                    let bytes = text.len() as u64;
                    let is_new = texts.insert((entry.labels.clone(), cuts.stretch(time), text));
                    cell.metadata_bytes += if is_new { bytes } else { 0 };
                }
            }
            visit(&entry.labels, &cell)?;
        }
        Ok(())
    }
}

/// Takes some of the entries, sorted by time, and counts them instead.
fn count_some(entries: &mut Vec<Entry>, cuts: Cuts, request: &ScanRequest) -> Vec<CountedRows> {
    let mut counted: Vec<(Timestamp, CountedRows)> = Vec::new();
    let looks_at = |name: &str| {
        let names = request.metadata_names.as_ref();
        request.columns.metadata && names.is_none_or(|names| names.iter().any(|other| **other == *name))
    };
    // Which ones is of no matter, as long as some are and some are not.
    for entry in entries.extract_if(.., |entry| entry.line.len() % 3 > 0) {
        let metadata: Vec<(Box<str>, Box<[u8]>)> = entry
            .metadata
            .iter()
            .filter(|(name, _)| looks_at(name))
            .map(|(name, value)| (name.as_str().into(), value.as_slice().into()))
            .collect();
        let cell = CountedCell {
            time: entry.timestamp,
            rows: 1,
            line_bytes: entry.line.len() as u64,
            metadata_bytes: 0,
        };
        let alike =
            counted.iter_mut().find(|(_, rows)| rows.labels == entry.labels && rows.metadata == metadata);
        match alike {
            None => {
                let rows = CountedRows { labels: entry.labels, metadata, cells: vec![cell] };
                counted.push((entry.timestamp, rows));
            }
            Some((first, rows)) => match rows.cells.last_mut() {
                Some(last) if !cuts.part(*first, cell.time) => {
                    last.time = cell.time;
                    last.rows += 1;
                    last.line_bytes += cell.line_bytes;
                }
                _ => {
                    *first = cell.time;
                    rows.cells.push(cell);
                }
            },
        }
    }
    counted.into_iter().map(|(_, rows)| rows).collect()
}

/// The blocks still to come, last one first.
struct MemoryScan {
    /// For the first block.
    counted: Vec<CountedRows>,
    blocks: Vec<(Rows, Timestamp)>,
    statistics: ScanStatistics,
    cancellation: Cancellation,
}

impl BlockStream for MemoryScan {
    fn next_block(&mut self) -> Result<Option<RowBlock>, ScanError> {
        if let Some(reason) = self.cancellation.reason() {
            return Err(ScanError::Cancelled(reason));
        }
        let counted = std::mem::take(&mut self.counted);
        let Some((rows, frontier)) = self.blocks.pop() else {
            let rest = RowBlock { rows: Rows::default(), counted, frontier: Timestamp::MIN };
            return Ok(Some(rest).filter(|rest| !rest.counted.is_empty()));
        };
        self.statistics.blocks_read += 1;
        Ok(Some(RowBlock { rows, counted, frontier }))
    }

    fn statistics(&self) -> ScanStatistics {
        self.statistics
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::scan::Columns;
    use timberyard_model::time::TimeRange;

    use super::*;

    fn source() -> MemorySource {
        let source = MemorySource::default().with_block_rows(2);
        let api = Labels::from_pairs([("app", "api")]);
        for nanos in [3, 1, 2] {
            source.push(
                &api,
                Timestamp::from_nanos(nanos),
                format!("line {nanos}").as_bytes(),
                &[("k", b"v")],
            );
        }
        source
    }

    #[test]
    fn blocks_come_in_the_direction_asked_for_and_never_pass_their_frontier() {
        let source = source();
        for (direction, expected) in
            [(Direction::Forward, [vec![2, 1], vec![3]]), (Direction::Backward, [vec![2, 3], vec![1]])]
        {
            let request = ScanRequest { direction, ..ScanRequest::all(TenantId::default(), TimeRange::ALL) };
            let mut scan = source.scan(&request).expect("scan starts");
            for block in expected {
                let next = scan.next_block().expect("readable").expect("a block");
                let times: Vec<i64> = next.rows.iter().map(|row| row.timestamp().as_nanos()).collect();
                assert_eq!(times, block);
                assert_eq!(next.frontier.as_nanos(), block[0]);
            }
            assert!(scan.next_block().expect("readable").is_none());
        }
    }

    #[test]
    fn columns_that_were_not_asked_for_are_empty() {
        let mut request = ScanRequest::all(TenantId::default(), TimeRange::ALL);
        request.columns = Columns { line: false, metadata: false };
        let source = source();
        let block = source.scan(&request).expect("starts").next_block().expect("readable").expect("a block");
        assert_eq!(block.rows.line_bytes(), 0);
        assert_eq!(block.rows.get(0).metadata().len(), 0);
    }

    #[test]
    fn equal_entries_merge_only_when_both_may() {
        let source = MemorySource::default();
        let entry = Entry {
            tenant: TenantId::default(),
            labels: Labels::default(),
            timestamp: Timestamp::from_nanos(1),
            line: b"x".to_vec(),
            metadata: Vec::new(),
            merges: true,
        };
        source.push_entry(entry.clone());
        source.push_entry(entry.clone());
        source.push_entry(Entry { merges: false, ..entry });
        assert_eq!(source.entries().len(), 2);
    }
}
