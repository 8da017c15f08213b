//! `POST /api/v2/logs` and `/v1/input`: Datadog's agent, libraries and forwarders.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use timberyard_model::Surface;
use timberyard_wire::context::Rejections;
use timberyard_wire::datadog::{self, DatadogSource};
use timberyard_wire::{DecodeContext, DecodeError, Decoded};

use super::decode::decode;
use crate::auth::Identity;
use crate::body::RequestBody;
use crate::client_address::ClientAddress;
use crate::content_type::ContentType;
use crate::error_response::ErrorResponse;
use crate::form::UrlParameters;
use crate::state::SharedState;

/// 202 with an empty object when everything was stored; 400 that names what was not, while its neighbours are.
pub async fn post(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    url: UrlParameters,
    body: RequestBody,
) -> Result<(StatusCode, Json<Value>), ErrorResponse> {
    let source = DatadogSource {
        source: url.owned("ddsource"),
        tags: url.owned("ddtags"),
        hostname: url.owned("hostname"),
        service: url.owned("service"),
    };
    let is_text = body.content_type == ContentType::Other;
    let decoder = move |body: &[u8], context: &DecodeContext<'_>| -> Result<Decoded, DecodeError> {
        if is_text {
            let batch = datadog::decode_text(body, &source, context)?;
            return Ok(Decoded { batch, rejected: Rejections::default() });
        }
        datadog::decode_json(body, &source, context)
    };
    let decoded = decode(&state, &identity, client, body, decoder).await?;
    state.submit_decoded(&identity, Surface::Datadog, decoded).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

/// `GET /api/v1/validate`: what the agent asks to see whether its key is good. It is, or this would not be reached.
pub async fn validate() -> Json<Value> {
    Json(json!({ "valid": true }))
}
