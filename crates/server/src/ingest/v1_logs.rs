//! `POST /v1/logs`: Logtopus', log-go's and OTLP's way in; the body says whose it is.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use timberyard_model::LogBatch;
use timberyard_wire::v1_logs::Sender;
use timberyard_wire::{DecodeContext, DecodeError, loggo, logtopus, v1_logs};

use super::decode::decode;
use crate::auth::Identity;
use crate::body::RequestBody;
use crate::client_address::ClientAddress;
use crate::content_type::ContentType;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// What a body was.
enum Sent {
    /// Entries, in one batch for each tenant they name.
    Entries(Vec<LogBatch>),
    /// OTLP, which is not taken yet.
    Otlp,
}

/// 202 with the number of entries, all of which are stored.
pub async fn post(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    body: RequestBody,
) -> Result<(StatusCode, Json<Value>), ErrorResponse> {
    if body.content_type == ContentType::Protobuf {
        return Err(otlp_is_missing());
    }
    body.json()?;
    let Sent::Entries(batches) = decode(&state, &identity, client, body, read).await? else {
        return Err(otlp_is_missing());
    };
    // Before anything is stored: all of a body or nothing.
    for batch in &batches {
        if batch.tenant != identity.tenant && !identity.tenants.allows(&batch.tenant) {
            let message = format!("this key may not write for org_id `{}`", batch.tenant);
            return Err(ErrorResponse::new(StatusCode::FORBIDDEN, "forbidden", message));
        }
    }
    let received: usize = batches.iter().map(|batch| batch.rows.len()).sum();
    for batch in batches {
        state.submit(batch).await?;
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "accepted", "received": received }))))
}

fn read(body: &[u8], context: &DecodeContext<'_>) -> Result<Sent, DecodeError> {
    Ok(match v1_logs::sender_of(body, context.limits.request.json_depth_max)? {
        Sender::Logtopus => Sent::Entries(vec![logtopus::decode(body, context)?]),
        Sender::LogGo => Sent::Entries(loggo::decode(body, context)?),
        Sender::Otlp => Sent::Otlp,
    })
}

fn otlp_is_missing() -> ErrorResponse {
    let message = "OTLP is not taken yet: send an array of Logtopus or log-go entries as JSON";
    ErrorResponse::new(StatusCode::NOT_IMPLEMENTED, "not_implemented", message)
}
