//! `POST /alertmanager/webhook`: alerts of Prometheus' Alertmanager as events.

use axum::extract::State;
use axum::http::StatusCode;
use timberyard_model::Surface;
use timberyard_wire::alertmanager;

use super::decode::decode;
use crate::auth::Identity;
use crate::body::RequestBody;
use crate::client_address::ClientAddress;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// 204 when all alerts are stored. Alertmanager tries again after 5xx only.
pub async fn post(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    body: RequestBody,
) -> Result<StatusCode, ErrorResponse> {
    body.json()?;
    let batch = decode(&state, &identity, client, body, alertmanager::decode).await?;
    if !batch.rows.is_empty() {
        state.submit(&identity, Surface::Alertmanager, batch).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
