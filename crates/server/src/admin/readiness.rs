//! `/ready`, `/readiness` and `/liveness`, for those who watch the process.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::error_response::ErrorResponse;
use crate::state::{ServerState, SharedState};

/// `GET /ready`: `ready` when the store takes writes and answers queries and the server is not stopping.
pub async fn ready(State(state): State<SharedState>) -> Result<&'static str, ErrorResponse> {
    check(&state).map(|()| "ready\n")
}

/// `GET /readiness`: the same as JSON.
pub async fn readiness(State(state): State<SharedState>) -> Result<Json<Value>, ErrorResponse> {
    check(&state).map(|()| Json(json!({ "status": "ready" })))
}

/// `GET /liveness`: the process answers.
pub async fn liveness() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// Why the server cannot take and answer, if it cannot.
pub(crate) fn check(state: &ServerState) -> Result<(), ErrorResponse> {
    if state.stopping.is_cancelled() {
        return Err(ErrorResponse::unavailable("server is stopping"));
    }
    state.operations.readiness().map_err(|error| ErrorResponse::unavailable(error.to_string()))
}
