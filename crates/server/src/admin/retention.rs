//! `GET /retention/preview`: what retention would take away, rule by rule, before it does.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use timberyard_wire::loki_query_params::parse_time;

use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::state::SharedState;

/// Of all tenants, under the settings of the server, at the time `at`; now when it is not given.
pub async fn preview(State(state): State<SharedState>, form: Form) -> Result<Json<Value>, ErrorResponse> {
    let at = parse_time(form.parameters().get("at"), state.now())?;
    let preview = state.operations.preview_retention(at).await?;
    Ok(Json(json!({ "status": "success", "at": at.to_string(), "data": preview })))
}
