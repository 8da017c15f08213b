//! `POST /flush`: writes what is only in memory and log into segments.

use axum::extract::State;
use axum::http::StatusCode;

use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// 204 when it is done.
pub async fn post(State(state): State<SharedState>) -> Result<StatusCode, ErrorResponse> {
    state.operations.flush().await?;
    Ok(StatusCode::NO_CONTENT)
}
