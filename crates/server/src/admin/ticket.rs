//! `POST /ticket`: a ticket for one WebSocket, for web pages, which cannot send headers with one.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::auth::{Identity, TICKET_SECONDS};
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// The ticket, to be sent as `?ticket=` within the seconds that it says.
pub async fn post(
    State(state): State<SharedState>,
    identity: Identity,
) -> Result<Json<Value>, ErrorResponse> {
    let ticket = state.tickets.issue(identity, state.elapsed()).ok_or_else(|| {
        ErrorResponse::overloaded(
            "too many tickets are out; use one before asking for another",
            TICKET_SECONDS,
        )
    })?;
    Ok(Json(json!({ "status": "success", "ticket": ticket, "expires_in_seconds": TICKET_SECONDS })))
}
