//! Rows of a scan in order of time: the newest first, or the oldest first.
//!
//! A scan hands out blocks whose rows are in no useful order; its frontier says which of them are final. What
//! is held back until then is bounded by the number of rows wanted and by a number of bytes, and a scan is
//! left as soon as enough rows are final. Of rows with equal times the one stored later is the newer one.
//!
//! Everything here blocks: call it where blocking is allowed.

use std::cmp::Reverse;

use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{BlockStream, Direction, LogSource, ScanError, ScanRequest};
use timberyard_model::{Cancellation, RowRef, Rows};

use crate::error_response::ErrorResponse;

/// Why rows could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadError {
    /// The store could not answer, or the reader was called off.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The rows asked for would take too much memory.
    #[error("the rows asked for hold more than {limit} bytes, the limit for one query; ask for fewer")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

impl From<ReadError> for ErrorResponse {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Scan(error) => error.into(),
            ReadError::TooLarge { .. } => Self::bad_request("answer_too_large", error.to_string()),
        }
    }
}

/// How much a reader may return and hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReadLimits {
    /// Rows after which the scan is left.
    pub(super) rows_max: usize,
    /// Bytes of rows held at a time.
    pub(super) bytes_max: usize,
}

/// The rows of one scan that `accepts` takes, in the direction of the scan.
pub(super) struct OrderedRows<'s, P> {
    blocks: Option<Box<dyn BlockStream + 's>>,
    direction: Direction,
    cancellation: Cancellation,
    accepts: P,
    limits: ReadLimits,
    /// Rows that a later block may still come before, in order.
    pending: Rows,
}

impl<'s, P: FnMut(RowRef<'_>) -> bool> OrderedRows<'s, P> {
    /// Starts the scan.
    pub(super) fn start(
        source: &'s dyn LogSource,
        request: &ScanRequest,
        limits: ReadLimits,
        accepts: P,
    ) -> Result<Self, ReadError> {
        let blocks =
            if limits.rows_max == 0 || request.range.is_empty() { None } else { Some(source.scan(request)?) };
        Ok(Self {
            blocks,
            direction: request.direction,
            cancellation: request.cancellation.clone(),
            accepts,
            limits,
            pending: Rows::default(),
        })
    }

    /// The next rows that are final, in order; `None` when there are no more or enough were returned.
    pub(super) fn next_run(&mut self) -> Result<Option<Rows>, ReadError> {
        loop {
            if let Some(reason) = self.cancellation.reason() {
                return Err(ScanError::Cancelled(reason).into());
            }
            let Some(blocks) = &mut self.blocks else { return Ok(None) };
            let Some(block) = blocks.next_block()? else {
                self.blocks = None;
                let rest = std::mem::take(&mut self.pending);
                return Ok(Some(rest).filter(|rows| !rows.is_empty()));
            };
            self.merge(&block.rows)?;
            let ready = match self.direction {
                Direction::Backward => {
                    self.pending.iter().take_while(|row| row.timestamp() > block.frontier).count()
                }
                Direction::Forward => {
                    self.pending.iter().take_while(|row| row.timestamp() < block.frontier).count()
                }
            };
            if ready == 0 {
                continue;
            }
            let pending = std::mem::take(&mut self.pending);
            self.limits.rows_max -= ready;
            if self.limits.rows_max == 0 {
                self.blocks = None;
            }
            if ready == pending.len() {
                return Ok(Some(pending));
            }
            self.pending = copy(pending.iter().skip(ready), self.limits.bytes_max)?;
            return copy(pending.iter().take(ready), self.limits.bytes_max).map(Some);
        }
    }

    /// Puts the rows of a block that are wanted among the pending ones, and lets go of those beyond the
    /// limit.
    fn merge(&mut self, block: &Rows) -> Result<(), ReadError> {
        let direction = self.direction;
        let full_until = match self.pending.len().checked_sub(1) {
            Some(last) if self.pending.len() >= self.limits.rows_max => {
                Some(self.pending.get(last).timestamp())
            }
            _ => None,
        };
        let mut fresh: Vec<RowRef<'_>> = block
            .iter()
            .filter(|row| full_until.is_none_or(|last| precedes(direction, *row, last)))
            .filter(|row| (self.accepts)(*row))
            .collect();
        if fresh.is_empty() {
            return Ok(());
        }
        match direction {
            Direction::Backward => {
                fresh.reverse();
                fresh.sort_by_key(|row| Reverse(row.timestamp()));
            }
            Direction::Forward => fresh.sort_by_key(|row| row.timestamp()),
        }
        let pending = std::mem::take(&mut self.pending);
        let mut held = pending.iter().peekable();
        let mut fresh = fresh.into_iter().peekable();
        let merged = std::iter::from_fn(|| match (held.peek(), fresh.peek()) {
            // Among equal times an earlier block comes first.
            (Some(old), Some(new)) if precedes(direction, *new, old.timestamp()) => fresh.next(),
            (Some(_), _) => held.next(),
            (None, _) => fresh.next(),
        });
        self.pending = copy(merged.take(self.limits.rows_max), self.limits.bytes_max)?;
        Ok(())
    }
}

/// Reads up to `limits.rows_max` rows that `accepts` takes, in the direction of the request.
pub(super) fn read_rows(
    source: &dyn LogSource,
    request: &ScanRequest,
    limits: ReadLimits,
    accepts: impl FnMut(RowRef<'_>) -> bool,
) -> Result<Rows, ReadError> {
    let mut reader = OrderedRows::start(source, request, limits, accepts)?;
    let Some(first) = reader.next_run()? else { return Ok(Rows::default()) };
    let mut out = RowsCopy::new(limits.bytes_max);
    let mut run = Some(first);
    while let Some(rows) = run {
        out.extend(rows.iter())?;
        run = reader.next_run()?;
    }
    Ok(out.finish())
}

/// Copies rows one by one up to a number of bytes.
pub(super) struct RowsCopy {
    builder: RowsBuilder,
    bytes_max: usize,
}

impl RowsCopy {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { builder: RowsBuilder::default(), bytes_max }
    }

    pub(super) fn push(&mut self, row: RowRef<'_>) -> Result<(), ReadError> {
        let too_large = ReadError::TooLarge { limit: self.bytes_max };
        self.builder.push_row(row).map_err(|_| too_large.clone())?;
        if self.builder.bytes() > self.bytes_max {
            return Err(too_large);
        }
        Ok(())
    }

    pub(super) fn extend<'r>(&mut self, rows: impl Iterator<Item = RowRef<'r>>) -> Result<(), ReadError> {
        for row in rows {
            self.push(row)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Rows {
        self.builder.finish()
    }
}

fn copy<'r>(rows: impl Iterator<Item = RowRef<'r>>, bytes_max: usize) -> Result<Rows, ReadError> {
    let mut out = RowsCopy::new(bytes_max);
    out.extend(rows)?;
    Ok(out.finish())
}

fn precedes(direction: Direction, row: RowRef<'_>, other: timberyard_model::Timestamp) -> bool {
    match direction {
        Direction::Backward => row.timestamp() > other,
        Direction::Forward => row.timestamp() < other,
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::cancellation::CancelReason;
    use timberyard_model::{Labels, TenantId, TimeRange, Timestamp};
    use timberyard_testkit::memory_source::MemorySource;

    use super::*;

    const LIMITS: ReadLimits = ReadLimits { rows_max: 100, bytes_max: 1 << 20 };

    fn source(block_rows: usize, nanos: impl IntoIterator<Item = i64>) -> MemorySource {
        let source = MemorySource::default().with_block_rows(block_rows);
        let streams = ["a", "b"].map(|app| Labels::from_pairs([("app", app)]));
        for (index, nanos) in nanos.into_iter().enumerate() {
            let line = format!("{nanos}.{index}");
            source.push(&streams[index % 2], Timestamp::from_nanos(nanos), line.as_bytes(), &[]);
        }
        source
    }

    fn lines(rows: &Rows) -> Vec<String> {
        rows.iter().map(|row| String::from_utf8_lossy(row.line()).into_owned()).collect()
    }

    fn request(direction: Direction) -> ScanRequest {
        ScanRequest { direction, ..ScanRequest::all(TenantId::default(), TimeRange::ALL) }
    }

    #[test]
    fn the_newest_rows_come_first_whatever_the_size_of_a_block() {
        for block_rows in [1, 2, 3, 7, 100] {
            let source = source(block_rows, [5, 1, 4, 1, 3, 9, 2, 6]);
            let limits = ReadLimits { rows_max: 4, ..LIMITS };
            let rows = read_rows(&source, &request(Direction::Backward), limits, |_| true).expect("readable");
            assert_eq!(lines(&rows), ["9.5", "6.7", "5.0", "4.2"]);
            let rows = read_rows(&source, &request(Direction::Forward), limits, |_| true).expect("readable");
            assert_eq!(lines(&rows), ["1.1", "1.3", "2.6", "3.4"]);
        }
    }

    #[test]
    fn of_equal_times_the_one_stored_later_is_newer() {
        for block_rows in [1, 2, 3, 100] {
            let source = source(block_rows, [7, 7, 7, 8]);
            let read =
                |direction| read_rows(&source, &request(direction), LIMITS, |_| true).expect("readable");
            assert_eq!(lines(&read(Direction::Backward)), ["8.3", "7.2", "7.1", "7.0"]);
            assert_eq!(lines(&read(Direction::Forward)), ["7.0", "7.1", "7.2", "8.3"]);
        }
    }

    #[test]
    fn only_accepted_rows_count() {
        let source = source(2, 0..50);
        let limits = ReadLimits { rows_max: 2, ..LIMITS };
        let odd = |row: RowRef<'_>| row.timestamp().as_nanos() % 2 == 1;
        let rows = read_rows(&source, &request(Direction::Backward), limits, odd).expect("readable");
        assert_eq!(lines(&rows), ["49.49", "47.47"]);
    }

    #[test]
    fn refuses_to_hold_more_bytes_than_allowed() {
        let source = source(10, 0..50);
        let limits = ReadLimits { rows_max: 50, bytes_max: 60 };
        assert_eq!(
            read_rows(&source, &request(Direction::Backward), limits, |_| true).expect_err("too large"),
            ReadError::TooLarge { limit: 60 }
        );
    }

    #[test]
    fn stops_when_called_off() {
        let source = source(1, 0..50);
        let request = request(Direction::Backward);
        let cancellation = request.cancellation.clone();
        let read = read_rows(&source, &request, LIMITS, |_| {
            cancellation.cancel(CancelReason::ClientGone);
            true
        });
        assert_eq!(read.expect_err("cancelled"), ScanError::Cancelled(CancelReason::ClientGone).into());
    }
}
