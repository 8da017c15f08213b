//! One question to the engine.

use timberyard_model::cancellation::Cancellation;
use timberyard_model::scan::Direction;
use timberyard_model::{TenantId, Timestamp};

use crate::syntax::ast::Expression;

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
    /// When the query was asked: what `now` is in its templates.
    pub now: Timestamp,
    /// Looked at between blocks of rows.
    pub cancellation: Cancellation,
}
