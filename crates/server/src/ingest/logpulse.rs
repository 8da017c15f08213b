//! `POST /ingest`: LogPulse's streams.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use timberyard_model::Surface;
use timberyard_wire::logpulse;

use super::decode::decode;
use crate::auth::Identity;
use crate::body::RequestBody;
use crate::client_address::ClientAddress;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// 200 with the number of entries, all of which are stored.
pub async fn post(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    body: RequestBody,
) -> Result<Json<Value>, ErrorResponse> {
    body.json()?;
    let batch = decode(&state, &identity, client, body, logpulse::decode).await?;
    let receipt = state.submit(&identity, Surface::Logpulse, batch).await?;
    Ok(Json(json!({ "accepted": receipt.rows })))
}
