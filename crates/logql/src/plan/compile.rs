//! Compiles the stages of a query for the streams that it will meet.
//!
//! As in Loki, a stage that does not compile is an error only when there is a stream that it would run on.

use timberyard_model::label_values::LabelQuestion;
use timberyard_model::scan::{LogSource, SeriesRequest};
use timberyard_model::{Cancellation, TenantId, TimeRange};

use super::pushdown::LogPlan;
use crate::error::QueryError;
use crate::syntax::ast::LogExpression;

/// The plan of `logs`; one that finds nothing when a stage does not compile and no stream would meet it.
pub(crate) fn compile(
    source: &dyn LogSource,
    tenant: &TenantId,
    range: TimeRange,
    logs: &LogExpression,
) -> Result<LogPlan, QueryError> {
    match LogPlan::new(logs) {
        Err(_) if !has_streams(source, tenant, range, logs)? => Ok(LogPlan::of_nothing()),
        plan => Ok(plan?),
    }
}

/// Whether a stream passes the selector.
pub(crate) fn has_streams(
    source: &dyn LogSource,
    tenant: &TenantId,
    range: TimeRange,
    logs: &LogExpression,
) -> Result<bool, QueryError> {
    let selectors = vec![logs.selector.matchers.clone()];
    let request = SeriesRequest {
        tenant: tenant.clone(),
        range,
        selectors,
        memory_bytes_max: usize::MAX,
        cancellation: Cancellation::default(),
    };
    // Every stream has a label, and names are few.
    Ok(!source.labels(&request, &LabelQuestion::Names)?.is_empty())
}
