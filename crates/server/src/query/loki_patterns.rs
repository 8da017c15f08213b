//! `/loki/api/v1/patterns`: templates of lines, and how often each comes in each step.
//!
//! Exact over any range: every line that the query finds is counted, within the query's limits. Counts
//! stand at whole seconds, so steps are of whole seconds, too.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use timberyard_logql::patterns::PatternSeries;
use timberyard_logql::{QueryExtras, QueryRequest, syntax};
use timberyard_model::Cancellation;
use timberyard_model::scan::Direction;
use timberyard_model::time::NANOS_PER_SECOND;

use super::run;
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::state::SharedState;

/// The templates, the most frequent first.
pub async fn get(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Json<Value>, ErrorResponse> {
    let limits = &identity.limits.query;
    let now = state.now();
    let asked = form.parameters().range_query(now, limits.points_max)?;
    let step_seconds = (asked.step_nanos / NANOS_PER_SECOND).max(1);
    let request = QueryRequest {
        tenant: identity.tenant.clone(),
        expression: syntax::parse(&asked.query, limits)?,
        start: asked.start,
        end: asked.end,
        step_ns: step_seconds.saturating_mul(NANOS_PER_SECOND),
        interval_ns: 0,
        limit: 0,
        direction: Direction::Backward,
        extras: QueryExtras::default(),
        now,
        cancellation: Cancellation::default(),
    };
    let found = run::patterns(&state, &identity, request).await?;
    let data: Vec<Value> = found.iter().map(series_json).collect();
    Ok(Json(json!({ "status": "success", "data": data })))
}

fn series_json(series: &PatternSeries) -> Value {
    let sample = |(time, lines): &(timberyard_model::Timestamp, u64)| {
        json!([time.as_nanos() / NANOS_PER_SECOND, lines])
    };
    let samples: Vec<Value> = series.samples.iter().map(sample).collect();
    json!({ "pattern": series.pattern, "level": series.level, "samples": samples })
}
