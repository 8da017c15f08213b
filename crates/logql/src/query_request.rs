//! One question to the engine.

use timberyard_model::cancellation::Cancellation;
use timberyard_model::scan::Direction;
use timberyard_model::{TenantId, Timestamp};

use crate::error::QueryError;
use crate::syntax::ast::Expression;

/// What a query may ask for beyond Loki's API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryExtras {
    /// Log queries: the answer is one page of a longer one.
    pub page: Option<Page>,
    /// Metric queries: of too many series those that come first are the answer, with a warning, instead of an error.
    pub truncates_series: bool,
}

/// A part of the lines of a log query.
///
/// Lines of equal time come stream by stream, in an order of the streams that does not change, and those of a stream in the
/// order in which they were stored; so each line is in one page, however often the store is rearranged or
/// started anew in between. The limit of a page is not bounded by the limit of entries; its memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The last line of the page before; `None` for the first page.
    pub after: Option<LinePosition>,
}

/// The place of a line among those of a log query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePosition {
    /// Its time.
    pub timestamp: Timestamp,
    /// The stable hash of its stream's labels.
    pub stream: u64,
    /// How many lines of that stream and time come up to it, itself included.
    pub lines: u32,
}

/// What to run, for whom, and over which time.
#[derive(Clone, Debug)]
pub struct QueryRequest {
    /// Whose rows.
    pub tenant: TenantId,
    /// The query.
    pub expression: Expression,
    /// Log queries: the first point of time inside. Metric queries: the first step, moved back to a
    /// multiple of `step_ns` as Loki does.
    pub start: Timestamp,
    /// Log queries: the first point of time after, unless it equals `start`, which asks for that one
    /// point. Metric queries: the last step, moved on to a multiple of `step_ns`.
    pub end: Timestamp,
    /// Nanoseconds between steps; 0 asks for the values at `end` alone, which log queries refuse.
    pub step_ns: i64,
    /// Log queries: at least so many nanoseconds between two lines; 0 returns every line.
    pub interval_ns: i64,
    /// Log queries: how many lines at most.
    pub limit: usize,
    /// Log queries: from which end of the range.
    pub direction: Direction,
    /// What Loki's API does not know.
    pub extras: QueryExtras,
    /// When the query was asked: what `now` is in its templates.
    pub now: Timestamp,
    /// Looked at between blocks of rows, and between rows that stages work on.
    pub cancellation: Cancellation,
}

impl QueryRequest {
    /// Fails when nobody waits for the answer any longer.
    pub(crate) fn check_wanted(&self) -> Result<(), QueryError> {
        self.cancellation.reason().map_or(Ok(()), |reason| Err(QueryError::Cancelled(reason)))
    }
}
