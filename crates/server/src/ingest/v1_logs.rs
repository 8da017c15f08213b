//! `POST /v1/logs`: Logtopus', log-go's and OTLP's way in; the body says whose it is.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use timberyard_model::{LogBatch, Surface};
use timberyard_wire::v1_logs::Sender;
use timberyard_wire::{DecodeContext, DecodeError, Decoded, loggo, logtopus, otlp_json, otlp_proto, v1_logs};

use super::decode::decode;
use super::otlp;
use crate::auth::Identity;
use crate::body::RequestBody;
use crate::client_address::ClientAddress;
use crate::content_type::ContentType;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// What a JSON body was.
enum Sent {
    /// Entries, in one batch for each tenant they name, and whose they are.
    Entries(Surface, Vec<LogBatch>),
    /// OTLP.
    Otlp(Box<Decoded>),
}

/// 202 with the number of entries, all of which are stored; OTLP is answered in its own form.
pub async fn post(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    body: RequestBody,
) -> Result<Response, ErrorResponse> {
    if body.content_type == ContentType::Protobuf {
        let decoded = decode(&state, &identity, client, body, otlp_proto::decode).await?;
        return otlp::store_and_answer(&state, &identity, decoded, ContentType::Protobuf).await;
    }
    body.json()?;
    let (surface, batches) = match decode(&state, &identity, client, body, read).await? {
        Sent::Entries(surface, batches) => (surface, batches),
        Sent::Otlp(decoded) => {
            return otlp::store_and_answer(&state, &identity, *decoded, ContentType::Json).await;
        }
    };
    // Before anything is stored: all of a body or nothing.
    for batch in &batches {
        state.check_write(&identity, batch)?;
    }
    let received: usize = batches.iter().map(|batch| batch.rows.len()).sum();
    for batch in batches {
        state.submit(&identity, surface, batch).await?;
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "status": "accepted", "received": received }))).into_response())
}

fn read(body: &[u8], context: &DecodeContext<'_>) -> Result<Sent, DecodeError> {
    Ok(match v1_logs::sender_of(body, context.limits.request.json_depth_max)? {
        Sender::Logtopus => Sent::Entries(Surface::Logtopus, vec![logtopus::decode(body, context)?]),
        Sender::LogGo => Sent::Entries(Surface::Loggo, loggo::decode(body, context)?),
        Sender::Otlp => Sent::Otlp(Box::new(otlp_json::decode(body, context)?)),
    })
}
