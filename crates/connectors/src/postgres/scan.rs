//! A scan of the table of events: a cursor in a transaction of its own, from which blocks of rows are fetched.

use timberyard_model::matcher::{LineFilter, LinePattern};
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{BlockStream, Direction, RowBlock, ScanError, ScanRequest, ScanStatistics};
use timberyard_model::{Rows, Timestamp};
use tokio_postgres::Row;

use super::failure::PostgresError;
use super::reading::{Reader, Values};
use super::stored_row::{StoredRow, selected};
use super::streams::Streams;
use super::transaction::Transaction;

/// Rows of the first block: as many as most questions want.
const ROWS_FIRST: usize = 128;
/// The most rows of a block.
const ROWS_MAX: usize = 4096;
/// Bytes that a block should come to.
const BLOCK_BYTES: usize = 2 << 20;

/// The rows of one scan that are not fetched yet.
pub(super) struct PostgresScan {
    reader: Reader,
    /// With the cursor open; `None` at the end.
    transaction: Option<Transaction>,
    streams: Streams,
    request: ScanRequest,
    block_rows: usize,
    statistics: ScanStatistics,
}

impl PostgresScan {
    /// Opens the cursor.
    pub(super) fn start(reader: &Reader, request: &ScanRequest) -> Result<Self, ScanError> {
        let (reader, request) = (reader.clone(), request.clone());
        let transaction = reader.begin(&request.cancellation)?;
        let (cancellation, tenant) = (&request.cancellation, &request.tenant);
        let streams = Streams::read(&reader, &transaction, cancellation, tenant, &[&request.matchers])?;
        let mut scan = Self {
            reader,
            transaction: None,
            streams,
            request,
            block_rows: ROWS_FIRST,
            statistics: ScanStatistics { segments_total: 1, segments_read: 1, ..ScanStatistics::default() },
        };
        match scan.streams.labels.is_empty() || scan.request.range.is_empty() {
            true => scan.reader.leave(transaction),
            false => {
                let mut values = Values::default();
                let statement = format!("DECLARE rows NO SCROLL CURSOR FOR {}", scan.statement(&mut values));
                scan.reader.query(&transaction, &scan.request.cancellation, &statement, &values)?;
                scan.transaction = Some(transaction);
            }
        }
        Ok(scan)
    }

    fn statement(&self, values: &mut Values) -> String {
        let request = &self.request;
        let mut condition = self.streams.condition(&request.tenant, request.range, values);
        for filter in &request.line_filters {
            condition.push_str(&line_condition(filter, values));
        }
        let order = match request.direction {
            Direction::Forward => "timestamp_ns, id",
            Direction::Backward => "timestamp_ns DESC, id DESC",
        };
        let columns = selected(request.columns.line || !request.line_filters.is_empty());
        format!("SELECT {columns} FROM analytics_logs WHERE {condition} ORDER BY {order}")
    }

    fn rows(&mut self, fetched: &[Row]) -> Result<(Rows, Option<Timestamp>), PostgresError> {
        let mut rows = RowsBuilder::default();
        let (mut last, columns) = (None, self.request.columns);
        // Of equal times the later one is fetched first when the newest are wanted.
        let in_order: Box<dyn Iterator<Item = &Row>> = match self.request.direction {
            Direction::Forward => Box::new(fetched.iter()),
            Direction::Backward => Box::new(fetched.iter().rev()),
        };
        for row in in_order.map(StoredRow::new) {
            let line = row.line()?;
            self.statistics.rows_scanned += 1;
            if !self.request.line_filters.iter().all(|filter| filter.accepts(line)) {
                continue;
            }
            let stream = rows.stream(self.streams.of(row.stream()?)?);
            let line = if columns.line { line } else { b"" };
            let time = row.timestamp()?;
            let pushed = match columns.metadata {
                true => row.metadata(|pairs| rows.push(stream, time, line, pairs.iter().copied()))?,
                false => rows.push(stream, time, line, []),
            };
            pushed.map_err(|full| PostgresError::Failed(full.to_string()))?;
        }
        if let Some(row) = fetched.last() {
            last = Some(StoredRow::new(row).timestamp()?);
        }
        Ok((rows.finish(), last))
    }
}

impl BlockStream for PostgresScan {
    fn next_block(&mut self) -> Result<Option<RowBlock>, ScanError> {
        let Some(transaction) = &self.transaction else { return Ok(None) };
        let statement = format!("FETCH {} FROM rows", self.block_rows);
        let cancellation = &self.request.cancellation;
        let fetched = self.reader.query(transaction, cancellation, &statement, &Values::default())?;
        if fetched.len() < self.block_rows
            && let Some(transaction) = self.transaction.take()
        {
            self.reader.leave(transaction);
        }
        let (rows, Some(frontier)) = self.rows(&fetched)? else { return Ok(None) };
        let (statistics, bytes) = (&mut self.statistics, rows.bytes());
        statistics.blocks_read += 1;
        statistics.decompressed_bytes += bytes as u64;
        statistics.rows_decoded += rows.len() as u64;
        statistics.rows_matched += rows.len() as u64;
        let row_bytes = bytes / rows.len().max(1);
        self.block_rows = (BLOCK_BYTES / row_bytes.max(1)).clamp(1, ROWS_MAX.min(self.block_rows * 4));
        Ok(Some(RowBlock { rows, counted: Vec::new(), frontier }))
    }

    fn statistics(&self) -> ScanStatistics {
        self.statistics
    }
}

impl Drop for PostgresScan {
    fn drop(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            self.reader.leave(transaction);
        }
    }
}

/// What a line filter says in SQL, beginning with `AND`; empty where SQL cannot say it. Lines that are not text pass: they
/// are judged when they are here.
fn line_condition(filter: &LineFilter, values: &mut Values) -> String {
    let Some(literals) = filter.any_of.iter().map(text_of).collect::<Option<Vec<&str>>>() else {
        return String::new();
    };
    let places: Vec<String> =
        literals.iter().map(|text| format!("strpos(line, {}) > 0", values.text(text))).collect();
    let not = if filter.negated { "NOT " } else { "" };
    format!(" AND (line IS NULL OR {not}({}))", places.join(" OR "))
}

/// The text that a pattern looks for, where it looks for one that a column can hold.
fn text_of(pattern: &LinePattern) -> Option<&str> {
    match pattern {
        LinePattern::Literal(bytes) => std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0')),
        LinePattern::Regex(_) => None,
    }
}
