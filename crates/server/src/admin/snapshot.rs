//! `POST /snapshot`: a consistent copy of the running store, on its own volume.
//!
//! The caller does not say where: whoever may ask for a copy may not write anywhere else.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// 201 with the path of the copy on the server's machine.
pub async fn post(State(state): State<SharedState>) -> Result<(StatusCode, Json<Value>), ErrorResponse> {
    let path = state.operations.snapshot().await?;
    Ok((StatusCode::CREATED, Json(json!({ "status": "success", "path": path }))))
}
