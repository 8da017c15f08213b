//! `POST /api/ingest`: LogStream's single logs.
//!
//! "Queued" is what LogStream says; here the log is stored and synced when it does.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use timberyard_model::Surface;
use timberyard_wire::{DecodeContext, logstream};

use super::decode::decode;
use crate::auth::Identity;
use crate::body::RequestBody;
use crate::client_address::ClientAddress;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// 202 with the id that the log got.
pub async fn post(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    body: RequestBody,
) -> Result<(StatusCode, Json<Value>), ErrorResponse> {
    body.json()?;
    let id = uuid::Uuid::new_v4().to_string();
    let decoder = {
        let id = id.clone();
        move |body: &[u8], context: &DecodeContext<'_>| logstream::decode(body, context, &id)
    };
    let batch = decode(&state, &identity, client, body, decoder).await.map_err(invalid)?;
    state.submit(&identity, Surface::Logstream, batch).await.map_err(not_queued)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "queued", "id": id }))))
}

/// Under LogStream's name; a body that is not JSON is listed as a field too.
fn invalid(mut error: ErrorResponse) -> ErrorResponse {
    if error.status != StatusCode::BAD_REQUEST {
        return error;
    }
    let has_details = error.error == "validation_error";
    error.error = "Validation Failed".into();
    if has_details {
        return error;
    }
    let details = json!([{ "field": "body", "message": error.message }]);
    error.with_details(details)
}

/// Under LogStream's name, and always 5xx: its clients know no other way to hear of it.
fn not_queued(mut error: ErrorResponse) -> ErrorResponse {
    error.error = "Failed to queue log".into();
    if !error.status.is_server_error() {
        error.status = StatusCode::SERVICE_UNAVAILABLE;
    }
    error
}
