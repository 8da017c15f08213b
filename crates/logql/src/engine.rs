//! Runs a query over any source of rows.
//!
//! One call, one answer: no threads, no clock, no state between queries. Whoever calls decides where it runs, and
//! raises the request's cancellation when nobody waits any longer.

use timberyard_model::limits::QueryLimits;
use timberyard_model::scan::LogSource;

use crate::error::QueryError;
use crate::query_request::QueryRequest;
use crate::result::QueryResult;
use crate::syntax::ast::Expression;

/// Runs queries within limits.
#[derive(Clone, Debug)]
pub struct Engine {
    limits: QueryLimits,
}

impl Engine {
    /// An engine that keeps within `limits`.
    pub fn new(limits: QueryLimits) -> Self {
        Self { limits }
    }

    /// Answers the query from one consistent state of the source for each of its selectors.
    pub fn run(&self, source: &dyn LogSource, request: &QueryRequest) -> Result<QueryResult, QueryError> {
        match &request.expression {
            Expression::Logs(logs) => crate::logs::run(source, request, logs, &self.limits),
            Expression::Metric(metric) => crate::metric::run(source, request, metric, &self.limits),
        }
    }
}
