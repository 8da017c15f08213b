//! Rows of a scan, page by page in the order asked for.
//!
//! A scan may not know how many rows its consumer will take, and ClickHouse sorts what it is asked for. So time is gone
//! through in windows that grow while they hold little, and a window in pages that grow while they are full; what a page
//! has shown of how dense rows lie decides how long the next window is. A row is handed over once, whatever is stored meanwhile: each page
//! begins behind the last row of the one before.
//!
//! Rows that nothing tells apart may be cut in two by the end of a page, so those at its end are left to the next one. `LIMIT … WITH TIES`
//! would give all of them, but ClickHouse then sorts rows with all their columns instead of reading lines of those that are left: it is
//! asked for where a page holds nothing else.

use std::collections::HashMap;
use std::ops::Range;

use timberyard_model::Labels;
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{Direction, RowBlock, ScanError, ScanRequest, ScanStatistics};
use timberyard_model::time::{TimeRange, Timestamp};

use super::conditions::{LineConditions, StreamConditions, of_fields};
use super::connection::AnswerStream;
use super::row_binary::{RowReadError, RowReader};
use super::source::Asking;
use super::statement::Statement;
use super::stream_labels::unreadable;

/// Rows of the first page when nobody says how many are wanted.
const PAGE_ROWS_FIRST: u64 = 2_000;
/// Rows of a page at least.
const PAGE_ROWS_MIN: u64 = 100;
/// Rows of a page at most: what the server sorts and holds.
const PAGE_ROWS_MAX: u64 = 200_000;
/// The first window at least, in nanoseconds.
const WINDOW_MIN_NS: i64 = 15 * 60 * 1_000_000_000;
/// Which part of the range the first window is: of all rows, and of some.
const WINDOW_SHARE_OF_ALL: i64 = 4;
const WINDOW_SHARE_OF_SOME: i64 = 16;
/// By how much windows and pages grow, and windows in which next to nothing is found.
const GROWTH: i64 = 4;
const GROWTH_MAX: i64 = 64;
/// By how much a page is longer where SQL may let rows pass that are not wanted.
const SURPLUS: u64 = 2;
/// A block is handed over once it holds so many bytes.
const BLOCK_BYTES: usize = 1 << 20;

/// A row's place in the order of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    time: i64,
    sequence: u64,
    entry: u64,
}

/// What is left of a scan.
pub(super) struct RowScan {
    request: ScanRequest,
    streams: StreamConditions,
    lines: LineConditions,
    /// Asked of every row besides: nothing, or that SQL alone cannot judge its line.
    besides: Option<&'static str>,
    /// What no window has covered yet.
    left: TimeRange,
    window_ns: i64,
    page_rows: u64,
    page: Option<Page>,
    /// Where the next page begins, where the last one was full.
    next_page: Option<PageStart>,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug)]
struct PageStart {
    window: TimeRange,
    behind: Option<Place>,
    /// Whether it has all rows that nothing tells from its last one.
    with_ties: bool,
}

/// An answer that is being read.
struct Page {
    answer: AnswerStream,
    start: PageStart,
    /// What came and is not handed over yet.
    bytes: Vec<u8>,
    /// Rows that were handed over.
    rows: u64,
    rows_max: u64,
    first: Option<Place>,
    last: Option<Place>,
}

/// Whole rows as they lie in what came.
struct ReadRows<'b> {
    rows: Vec<RowParts<'b>>,
    metadata: Vec<(&'b str, &'b [u8])>,
    /// Where the last one ends.
    end: usize,
}

/// One of them.
struct RowParts<'b> {
    start: usize,
    place: Place,
    stream: u64,
    line: &'b [u8],
    /// Where its metadata lies.
    metadata: Range<usize>,
}

impl RowScan {
    /// The rows of a request, within a range that holds all of them.
    pub(super) fn new(request: &ScanRequest, range: TimeRange, besides: Option<&'static str>) -> Self {
        let wanted = request.rows_wanted.map(|rows| rows as u64);
        // One row more tells that no other has the time of the last one.
        let page_rows = wanted.map_or(PAGE_ROWS_FIRST, |rows| rows.saturating_add(1));
        let surplus = if request.fields.is_some() { SURPLUS } else { 1 };
        let share = if wanted == Some(u64::MAX) { WINDOW_SHARE_OF_ALL } else { WINDOW_SHARE_OF_SOME };
        let length_ns = range.end.as_nanos().saturating_sub(range.start.as_nanos());
        Self {
            streams: StreamConditions::new(&request.matchers),
            lines: LineConditions::new(&request.line_filters),
            request: request.clone(),
            besides,
            left: range,
            window_ns: (length_ns / share).max(WINDOW_MIN_NS),
            page_rows: page_rows.saturating_mul(surplus).clamp(PAGE_ROWS_MIN, PAGE_ROWS_MAX),
            page: None,
            next_page: None,
        }
    }

    /// The statement of the first page, for people.
    pub(super) fn first_statement(&self, asking: &Asking<'_>) -> Statement {
        self.statement(asking, &self.next_start())
    }

    fn wants_line(&self) -> bool {
        self.request.columns.line || !self.lines.are_exact()
    }

    fn next_window(&self) -> TimeRange {
        let TimeRange { start, end } = self.left;
        match self.request.direction {
            Direction::Forward => TimeRange::new(start, start.saturating_add_nanos(self.window_ns).min(end)),
            Direction::Backward => TimeRange::new(end.saturating_add_nanos(-self.window_ns).max(start), end),
        }
    }

    /// Where a page begins whose window is the next one.
    fn next_start(&self) -> PageStart {
        PageStart { window: self.next_window(), behind: None, with_ties: false }
    }

    fn statement(&self, asking: &Asking<'_>, start: &PageStart) -> Statement {
        let PageStart { window, behind, with_ties } = *start;
        let line = if self.wants_line() { "line" } else { "''" };
        let mut metadata = Statement::default();
        match (&self.request.metadata_names, self.request.columns.metadata) {
            (_, false) => metadata.push("CAST(map(), 'Map(String, String)')"),
            (None, true) => metadata.push("metadata"),
            (Some(names), true) => {
                metadata.push("mapFilter((name, value) -> has(");
                metadata.texts(names.iter().map(|name| &**name)).push(", name), metadata)")
            }
        };
        let mut statement = Statement::new("SELECT toUnixTimestamp64Nano(time), sequence, entry, stream, ");
        statement.push(line).push(", ").append(&metadata);
        let relation = asking.relation();
        statement.push(" FROM ").append(&relation.rows(window));
        let selector = std::slice::from_ref(&self.streams);
        statement.append(&relation.rows_where(&self.request.tenant, window, selector));
        let (order, compared) = match self.request.direction {
            Direction::Forward => ("ASC", ">"),
            Direction::Backward => ("DESC", "<"),
        };
        if let Some(behind) = behind {
            statement.push(" AND time ").push(compared).push("= ").time(behind.time);
        }
        for condition in &self.lines.sql {
            statement.push(" AND ").append(condition);
        }
        let tenant = &self.request.tenant;
        let of_streams =
            |conditions: &StreamConditions| asking.relation().stream_condition(tenant, window, conditions);
        for condition in self.request.fields.iter().flat_map(|fields| of_fields(fields, of_streams)) {
            statement.push(" AND ").append(&condition);
        }
        if let Some(besides) = self.besides {
            statement.push(" AND ").push(besides);
        }
        if let Some(behind) = behind {
            // Equal entries differ in this, so it is asked of the one that is left of them.
            statement
                .push(relation.keywords().1)
                .push("(time, sequence, entry) ")
                .push(compared)
                .push(" (")
                .time(behind.time);
            statement.push(", ").uint(behind.sequence).push(", ").uint(behind.entry).push(")");
        }
        statement.push(&format!(
            " ORDER BY time {order}, sequence {order}, entry {order} LIMIT {}",
            self.page_rows
        ));
        statement.push(if with_ties { " WITH TIES" } else { "" });
        statement
    }

    /// Rows that came, or at least how far the scan has come; nothing at the end.
    pub(super) fn next_block(
        &mut self,
        asking: &Asking<'_>,
        statistics: &mut ScanStatistics,
    ) -> Result<Option<RowBlock>, ScanError> {
        let mut page = match (self.page.take(), self.next_page.take()) {
            (Some(page), _) => page,
            (None, Some(start)) => self.open(asking, start)?,
            (None, None) if self.left.is_empty() => return Ok(None),
            (None, None) => self.open(asking, self.next_start())?,
        };
        let enough = page.bytes.len() + BLOCK_BYTES;
        let is_over = loop {
            let Some(bytes) = asking.wait(page.answer.next(), &self.request.cancellation)? else {
                break true;
            };
            page.bytes.extend_from_slice(&bytes);
            if page.bytes.len() >= enough {
                break false;
            }
        };
        let mut bytes = std::mem::take(&mut page.bytes);
        let mut read = ReadRows::new(&bytes)?;
        let is_full = page.rows + read.rows.len() as u64 >= page.rows_max;
        let is_certain = page.start.with_ties || is_over && !is_full;
        let count = if is_certain { read.rows.len() } else { read.count_before_last_place() };
        // No later row lies beyond the first that waits.
        let frontier = read.rows.get(count).or(read.rows.last()).map(|row| row.place);
        let rest = read.rows.get(count).map_or(read.end, |row| row.start);
        if is_over && read.end < bytes.len() {
            return Err(unreadable(RowReadError::Incomplete));
        }
        read.rows.truncate(count);
        page.rows += count as u64;
        page.first = page.first.or(read.rows.first().map(|row| row.place));
        page.last = read.rows.last().map(|row| row.place).or(page.last);
        let matched = self.rows_of(read, asking, statistics)?;
        let mut frontier = frontier.map(|place| Timestamp::from_nanos(place.time));
        if is_over {
            statistics.compressed_bytes += page.answer.received_bytes();
            statistics.decompressed_bytes += page.answer.decoded_bytes();
            self.close(&page, is_full, &mut frontier);
        } else {
            bytes.drain(..rest);
            page.bytes = bytes;
            self.page = Some(page);
        }
        let frontier = frontier.unwrap_or(match self.request.direction {
            Direction::Forward => self.left.start,
            Direction::Backward => self.left.end,
        });
        Ok(Some(RowBlock { rows: matched, counted: Vec::new(), frontier }))
    }

    fn open(&self, asking: &Asking<'_>, start: PageStart) -> Result<Page, ScanError> {
        let answer = asking.stream(&self.statement(asking, &start))?;
        let rows_max = self.page_rows;
        Ok(Page { answer, start, bytes: Vec::new(), rows: 0, rows_max, first: None, last: None })
    }

    /// A page is read to its end: decides about the next one.
    fn close(&mut self, page: &Page, is_full: bool, frontier: &mut Option<Timestamp>) {
        let window = page.start.window;
        if !is_full {
            // The window holds nothing more.
            let border = match self.request.direction {
                Direction::Forward => {
                    self.left.start = window.end;
                    window.end
                }
                Direction::Backward => {
                    self.left.end = window.start;
                    window.start
                }
            };
            *frontier = Some(border);
            if page.rows < page.rows_max / GROWTH as u64 {
                let growth = (page.rows_max / page.rows.max(1)).clamp(GROWTH as u64, GROWTH_MAX as u64);
                self.window_ns = self.window_ns.saturating_mul(growth as i64);
            }
            return;
        }
        let (Some(first), Some(last)) = (page.first, page.last) else {
            // Nothing tells its rows apart, and there may be more of them.
            self.next_page = Some(PageStart { with_ties: true, ..page.start });
            return;
        };
        // As much time again for every page's worth of rows, so that little of a window is looked at twice.
        let span = last.time.abs_diff(first.time).clamp(1_000_000, i64::MAX as u64 / 8) as i64;
        self.page_rows = (self.page_rows * GROWTH as u64).min(PAGE_ROWS_MAX);
        self.window_ns = span.saturating_mul(GROWTH);
        let here = Timestamp::from_nanos(last.time);
        let window = match self.request.direction {
            Direction::Forward => {
                self.left.start = here;
                TimeRange::new(here, here.saturating_add_nanos(self.window_ns).min(self.left.end))
            }
            Direction::Backward => {
                let end = here.saturating_add_nanos(1).min(self.left.end);
                self.left.end = end;
                TimeRange::new(end.saturating_add_nanos(-self.window_ns).max(self.left.start), end)
            }
        };
        self.next_page = Some(PageStart { window, behind: Some(last), with_ties: false });
    }

    /// The rows of which nothing says that they are not wanted, in the order in which they were stored.
    fn rows_of(
        &self,
        read: ReadRows<'_>,
        asking: &Asking<'_>,
        statistics: &mut ScanStatistics,
    ) -> Result<timberyard_model::Rows, ScanError> {
        let ReadRows { mut rows, metadata, end } = read;
        statistics.rows_scanned += rows.len() as u64;
        let mut streams: Vec<u64> = rows.iter().map(|row| row.stream).collect();
        streams.sort_unstable();
        streams.dedup();
        let labels: HashMap<u64, Labels> = asking.labels_of(&self.request.tenant, &streams)?;
        if self.request.direction == Direction::Backward {
            rows.reverse();
        }
        let mut builder = RowsBuilder::default();
        if self.request.columns.line {
            // Names and numbers of rows come to little beside lines.
            builder.reserve_bytes(end);
        }
        for row in rows {
            let Some(labels) = labels.get(&row.stream) else { continue };
            if !(self.streams.accepts(labels) && self.lines.accepts(row.line)) {
                continue;
            }
            let stream = builder.stream(labels);
            let line: &[u8] = if self.request.columns.line { row.line } else { b"" };
            let metadata = metadata.get(row.metadata).unwrap_or_default().iter().copied();
            builder
                .push(stream, Timestamp::from_nanos(row.place.time), line, metadata)
                .map_err(|full| ScanError::Failed(full.to_string()))?;
        }
        statistics.rows_decoded += builder.len() as u64;
        statistics.rows_matched += builder.len() as u64;
        Ok(builder.finish())
    }
}

impl<'b> ReadRows<'b> {
    /// The whole rows at the beginning of bytes.
    fn new(bytes: &'b [u8]) -> Result<Self, ScanError> {
        let mut reader = RowReader::new(bytes);
        let mut read = Self { rows: Vec::new(), metadata: Vec::new(), end: 0 };
        while !reader.is_at_end() {
            match read.read_row(&mut reader) {
                Ok(row) => read.rows.push(row),
                Err(RowReadError::Incomplete) => break,
                Err(error) => return Err(unreadable(error)),
            }
            read.end = reader.position();
        }
        Ok(read)
    }

    fn read_row(&mut self, reader: &mut RowReader<'b>) -> Result<RowParts<'b>, RowReadError> {
        let start = reader.position();
        let place = Place { time: reader.i64()?, sequence: reader.u64()?, entry: reader.u64()? };
        let (stream, line) = (reader.u64()?, reader.text()?);
        let before = self.metadata.len();
        reader.map_into(&mut self.metadata)?;
        Ok(RowParts { start, place, stream, line, metadata: before..self.metadata.len() })
    }

    /// How many rows lie before those that nothing tells from the last one.
    fn count_before_last_place(&self) -> usize {
        let Some(last) = self.rows.last() else { return 0 };
        self.rows.iter().rposition(|row| row.place != last.place).map_or(0, |before| before + 1)
    }
}
