//! Matching rows with the rows around them, as Logtopus' `before_context` and `after_context` ask for.
//!
//! "Around" is counted within a group of rows (one session or client), also beyond the ends of the time range
//! that matches are looked for in. No row comes twice, however close the matches are; the newest comes first.

use std::collections::VecDeque;

use timberyard_model::scan::{Direction, LogSource, ScanRequest};
use timberyard_model::{RowRef, Rows, TimeRange, Timestamp};

use super::ordered_rows::{OrderedRows, ReadError, ReadLimits, RowsCopy, read_rows};

/// How many rows to add on each side of a match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ContextSize {
    /// Older rows.
    pub(super) before: usize,
    /// Newer rows.
    pub(super) after: usize,
}

/// Reads the newest `limits.rows_max` rows of the group inside the request's range that `matches` takes, each
/// with its context.
///
/// `limits.rows_max` counts matches, `limits.bytes_max` everything. The request must ask for all columns,
/// newest first.
pub(super) fn read_with_context(
    source: &dyn LogSource,
    request: &ScanRequest,
    limits: ReadLimits,
    context: ContextSize,
    in_group: impl Fn(RowRef<'_>) -> bool,
    matches: impl Fn(RowRef<'_>) -> bool,
) -> Result<Rows, ReadError> {
    debug_assert_eq!(request.direction, Direction::Backward);
    let group = ReadLimits { rows_max: usize::MAX, ..limits };
    let mut gathered = Gathered::new(context, limits);
    let range = request.range;
    if context.after > 0 && range.end < Timestamp::MAX {
        let newer = ScanRequest {
            direction: Direction::Forward,
            range: TimeRange::new(range.end, Timestamp::MAX),
            ..request.clone()
        };
        let limits = ReadLimits { rows_max: context.after, ..limits };
        let newer = read_rows(source, &newer, limits, &in_group)?;
        for row in newer.iter().rev() {
            gathered.pass(row)?;
        }
    }
    let mut rows = OrderedRows::start(source, request, group, &in_group)?;
    while !gathered.is_complete() {
        let Some(run) = rows.next_run()? else { break };
        for row in run.iter() {
            gathered.consider(row, &matches)?;
        }
    }
    if gathered.older_due > 0 {
        let older = ScanRequest { range: TimeRange::new(Timestamp::MIN, range.start), ..request.clone() };
        let limits = ReadLimits { rows_max: gathered.older_due, ..limits };
        gathered.out.extend(read_rows(source, &older, limits, &in_group)?.iter())?;
    }
    Ok(gathered.out.finish())
}

/// Walks a group from its newest row to its oldest and keeps what belongs to the answer.
struct Gathered {
    context: ContextSize,
    bytes_max: usize,
    matches_due: usize,
    /// Rows that the last match still wants, older than itself.
    older_due: usize,
    /// The last rows that were passed over, the newest first: context of a match that may follow.
    passed: VecDeque<Rows>,
    out: RowsCopy,
}

impl Gathered {
    fn new(context: ContextSize, limits: ReadLimits) -> Self {
        Self {
            context,
            bytes_max: limits.bytes_max,
            matches_due: limits.rows_max,
            older_due: 0,
            passed: VecDeque::new(),
            out: RowsCopy::new(limits.bytes_max),
        }
    }

    fn is_complete(&self) -> bool {
        self.matches_due == 0 && self.older_due == 0
    }

    fn consider(&mut self, row: RowRef<'_>, matches: impl Fn(RowRef<'_>) -> bool) -> Result<(), ReadError> {
        if self.matches_due > 0 && matches(row) {
            self.matches_due -= 1;
            self.older_due = self.context.before;
            for passed in std::mem::take(&mut self.passed) {
                self.out.extend(passed.iter())?;
            }
            self.out.push(row)
        } else if self.older_due > 0 {
            self.older_due -= 1;
            self.out.push(row)
        } else {
            self.pass(row)
        }
    }

    fn pass(&mut self, row: RowRef<'_>) -> Result<(), ReadError> {
        if self.context.after == 0 || self.matches_due == 0 {
            return Ok(());
        }
        if self.passed.len() == self.context.after {
            self.passed.pop_front();
        }
        let mut one = RowsCopy::new(self.bytes_max);
        one.push(row)?;
        self.passed.push_back(one.finish());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::{Labels, TenantId};
    use timberyard_testkit::memory_source::MemorySource;

    use super::*;

    /// Rows 0 to 19 of session `s`, with rows of another session between them.
    fn source() -> MemorySource {
        let source = MemorySource::default().with_block_rows(3);
        let labels = Labels::from_pairs([("app", "a")]);
        for number in 0..20 {
            let line = number.to_string();
            let at = Timestamp::from_nanos(number * 10);
            source.push(&labels, at, line.as_bytes(), &[("session_id", b"s")]);
            source.push(&labels, at, b"other", &[("session_id", b"t")]);
        }
        source
    }

    fn read(range: TimeRange, rows_max: usize, context: ContextSize, wanted: &[&str]) -> Vec<String> {
        let request = ScanRequest::all(TenantId::default(), range);
        let limits = ReadLimits { rows_max, bytes_max: 1 << 20 };
        let rows = read_with_context(
            &source(),
            &request,
            limits,
            context,
            |row| row.metadata_value("session_id") == Some(b"s"),
            |row| wanted.iter().any(|line| line.as_bytes() == row.line()),
        )
        .expect("readable");
        rows.iter().map(|row| String::from_utf8_lossy(row.line()).into_owned()).collect()
    }

    #[test]
    fn each_match_comes_with_its_neighbours_and_none_comes_twice() {
        let context = ContextSize { before: 2, after: 1 };
        assert_eq!(
            read(TimeRange::ALL, 10, context, &["10", "8", "3"]),
            ["11", "10", "9", "8", "7", "6", "4", "3", "2", "1"]
        );
        assert_eq!(read(TimeRange::ALL, 10, context, &["19", "0"]), ["19", "18", "17", "1", "0"]);
        assert_eq!(read(TimeRange::ALL, 1, context, &["10", "8"]), ["11", "10", "9", "8"]);
    }

    #[test]
    fn context_reaches_beyond_the_time_range_but_matches_do_not() {
        let range = TimeRange::new(Timestamp::from_nanos(50), Timestamp::from_nanos(81));
        let context = ContextSize { before: 2, after: 2 };
        assert_eq!(read(range, 10, context, &["9", "8", "5"]), ["10", "9", "8", "7", "6", "5", "4", "3"]);
    }

    #[test]
    fn without_a_match_there_is_no_context() {
        assert!(read(TimeRange::ALL, 10, ContextSize { before: 5, after: 5 }, &["99"]).is_empty());
    }
}
