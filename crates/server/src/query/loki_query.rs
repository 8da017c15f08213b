//! `/loki/api/v1/query_range` and `/loki/api/v1/query`.

use std::time::Instant;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use timberyard_logql::{QueryRequest, syntax};
use timberyard_model::Cancellation;

use super::form::Form;
use super::loki_reply::{exact_lines, label_encoding, query_response};
use super::run;
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// Lines of a range, or the values of a metric at the steps of a range.
pub async fn range(
    State(state): State<SharedState>,
    identity: Identity,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let limits = &identity.limits.query;
    let now = state.now();
    let parameters = form.parameters().range_query(now, limits.points_max)?;
    let expression = syntax::parse(&parameters.query, limits)?;
    let request = QueryRequest {
        tenant: identity.tenant.clone(),
        expression,
        start: parameters.start,
        end: parameters.end,
        step_ns: parameters.step_nanos,
        interval_ns: parameters.interval_nanos,
        limit: parameters.limit as usize,
        direction: parameters.direction,
        now,
        cancellation: Cancellation::default(),
    };
    answer(&state, &identity, &headers, request).await
}

/// The values of a metric at one time.
pub async fn instant(
    State(state): State<SharedState>,
    identity: Identity,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let now = state.now();
    let parameters = form.parameters().instant_query(now)?;
    let expression = syntax::parse(&parameters.query, &identity.limits.query)?;
    let request = QueryRequest {
        tenant: identity.tenant.clone(),
        expression,
        start: parameters.time,
        end: parameters.time,
        step_ns: 0,
        interval_ns: 0,
        limit: parameters.limit as usize,
        direction: parameters.direction,
        now,
        cancellation: Cancellation::default(),
    };
    answer(&state, &identity, &headers, request).await
}

async fn answer(
    state: &SharedState,
    identity: &Identity,
    headers: &HeaderMap,
    request: QueryRequest,
) -> Result<Response, ErrorResponse> {
    let started = Instant::now();
    let encoding = label_encoding(headers);
    let exact_lines = exact_lines(headers);
    run::answer(state, identity, request, move |state, result| {
        query_response(state, &result, encoding, exact_lines, started.elapsed())
    })
    .await
}
