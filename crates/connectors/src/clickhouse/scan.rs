//! A scan: numbers first where numbers do, then rows.
//!
//! Where a filter on lines means the same to ClickHouse for text alone, lines that are text are counted there, and the few that
//! are not come as rows.

use timberyard_model::Rows;
use timberyard_model::counting::Cuts;
use timberyard_model::scan::{BlockStream, Direction, RowBlock, ScanError, ScanRequest, ScanStatistics};

use super::conditions::{LineConditions, StreamConditions};
use super::connection::AnswerStream;
use super::count_scan::Counting;
use super::row_binary::RowReadError;
use super::row_scan::RowScan;
use super::source::{Asking, count_statement};
use super::statement::Statement;
use super::stream_labels::unreadable;

/// Numbers are handed over once their bytes are so many.
const BLOCK_BYTES: usize = 1 << 20;

/// The blocks of a scan that are still to come.
pub(super) struct ClickHouseScan<'s> {
    asking: Asking<'s>,
    counts: Option<CountScan>,
    rows: Option<RowScan>,
    statistics: ScanStatistics,
}

/// Numbers that are being read.
struct CountScan {
    request: ScanRequest,
    answer: AnswerStream,
    bytes: Vec<u8>,
}

impl<'s> ClickHouseScan<'s> {
    /// A scan without rows.
    pub(super) fn nothing(asking: Asking<'s>) -> Self {
        Self { asking, counts: None, rows: None, statistics: ScanStatistics::default() }
    }

    /// Starts a scan. Numbers are asked for at once, rows when they are wanted.
    pub(super) fn new(asking: Asking<'s>, request: &ScanRequest) -> Result<Self, ScanError> {
        let mut scan = Self::nothing(asking);
        if asking.range.is_empty() {
            return Ok(scan);
        }
        let Some(asked) = counting(asking, request) else {
            scan.rows = Some(RowScan::new(request, asking.range, None));
            return Ok(scan);
        };
        let answer = asking.stream(&asked)?;
        scan.counts = Some(CountScan { request: request.clone(), answer, bytes: Vec::new() });
        if !LineConditions::new(&request.line_filters).are_exact() {
            scan.rows = Some(RowScan::new(request, asking.range, Some("NOT isValidUTF8(line)")));
        }
        Ok(scan)
    }
}

/// The statement that counts the rows of a request, when numbers do.
pub(super) fn counting(asking: Asking<'_>, request: &ScanRequest) -> Option<Statement> {
    let cuts = request.counting.filter(|_| request.fields.is_none())?;
    let streams = StreamConditions::new(&request.matchers);
    let lines = LineConditions::new(&request.line_filters);
    // Rows have to be looked at where SQL does not say everything.
    if !lines.are_exact_of_text() || !streams.are_exact() {
        return None;
    }
    let counting = Counting::of_scan(request, cuts);
    let of = (&request.tenant, asking.range);
    let mut asked = count_statement(asking.relation(), of, std::slice::from_ref(&streams), &counting);
    for condition in &lines.sql {
        asked.push(" AND ").append(condition);
    }
    if !lines.are_exact() {
        asked.push(" AND isValidUTF8(line)");
    }
    asked.append(&counting.group_by(asking.range));
    Some(asked)
}

impl CountScan {
    /// Numbers that came; nothing at the end.
    fn next_block(
        &mut self,
        asking: &Asking<'_>,
        statistics: &mut ScanStatistics,
    ) -> Result<Option<RowBlock>, ScanError> {
        let counting = Counting::of_scan(&self.request, self.request.counting.unwrap_or(Cuts::NONE));
        let mut wanted_bytes = BLOCK_BYTES;
        let counted = loop {
            let mut is_over = false;
            while self.bytes.len() < wanted_bytes && !is_over {
                match asking.wait(self.answer.next(), &self.request.cancellation)? {
                    Some(part) => self.bytes.extend_from_slice(&part),
                    None => is_over = true,
                }
            }
            let counted = asking.take_counted(&self.request.tenant, &counting, &mut self.bytes)?;
            match (counted.is_empty(), is_over) {
                (false, _) => break counted,
                // One row is longer than that.
                (true, false) => wanted_bytes += BLOCK_BYTES,
                (true, true) if self.bytes.is_empty() => {
                    statistics.compressed_bytes += self.answer.received_bytes();
                    statistics.decompressed_bytes += self.answer.decoded_bytes();
                    return Ok(None);
                }
                (true, true) => return Err(unreadable(RowReadError::Incomplete)),
            }
        };
        let cells = counted.iter().flat_map(|counted| &counted.cells);
        statistics.rows_matched += cells.map(|cell| cell.rows).sum::<u64>();
        // Numbers come in no order: what is left may lie anywhere.
        let frontier = match self.request.direction {
            Direction::Forward => asking.range.start,
            Direction::Backward => asking.range.end,
        };
        Ok(Some(RowBlock { rows: Rows::default(), counted, frontier }))
    }
}

impl BlockStream for ClickHouseScan<'_> {
    fn next_block(&mut self) -> Result<Option<RowBlock>, ScanError> {
        if let Some(counts) = &mut self.counts {
            if let Some(block) = counts.next_block(&self.asking, &mut self.statistics)? {
                return Ok(Some(block));
            }
            self.counts = None;
        }
        match &mut self.rows {
            Some(rows) => rows.next_block(&self.asking, &mut self.statistics),
            None => Ok(None),
        }
    }

    fn statistics(&self) -> ScanStatistics {
        self.statistics
    }
}
