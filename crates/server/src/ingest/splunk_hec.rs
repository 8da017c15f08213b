//! Splunk's HTTP event collector under `/services/collector`.
//!
//! An answer of 200 means that the events are stored and synced. A client that wants acknowledgements is given as their id
//! the time in microseconds: whatever was given out before now is stored, so that nothing needs to be remembered.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use timberyard_model::Surface;
use timberyard_wire::splunk_hec::{self, EventSource, HecEvents, HecRefusal};
use timberyard_wire::{DecodeContext, DecodeError};

use super::decode::decode;
use crate::admin::readiness;
use crate::auth::Identity;
use crate::body::RequestBody;
use crate::client_address::ClientAddress;
use crate::error_response::ErrorResponse;
use crate::form::UrlParameters;
use crate::state::{ServerState, SharedState};

/// The most ids that one question for acknowledgements may have.
const ACKS_MAX: usize = 100_000;

/// `POST /services/collector`, `/services/collector/event`.
pub async fn post_events(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    url: UrlParameters,
    headers: HeaderMap,
    body: RequestBody,
) -> Result<Response, ErrorResponse> {
    let wants_ack = wants_ack(&url, &headers);
    let decoder = |body: &[u8], context: &DecodeContext<'_>| -> Result<HecEvents, DecodeError> {
        Ok(splunk_hec::decode_events(body, context))
    };
    let events = decode(&state, &identity, client, body, decoder).await?;
    store(&state, &identity, events, wants_ack).await
}

/// `POST /services/collector/raw`: lines; the URL says where they are from.
pub async fn post_raw(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    url: UrlParameters,
    headers: HeaderMap,
    body: RequestBody,
) -> Result<Response, ErrorResponse> {
    let wants_ack = wants_ack(&url, &headers);
    let source = EventSource {
        host: url.owned("host"),
        source: url.owned("source"),
        sourcetype: url.owned("sourcetype"),
        index: url.owned("index"),
    };
    let decoder = move |body: &[u8], context: &DecodeContext<'_>| -> Result<HecEvents, DecodeError> {
        Ok(splunk_hec::decode_raw(body, &source, context))
    };
    let events = decode(&state, &identity, client, body, decoder).await?;
    store(&state, &identity, events, wants_ack).await
}

/// `POST /services/collector/ack`: which of these ids are stored.
pub async fn post_ack(
    State(state): State<SharedState>,
    body: RequestBody,
) -> Result<Json<Value>, ErrorResponse> {
    #[derive(serde::Deserialize)]
    struct Question {
        acks: Vec<u64>,
    }
    let Question { acks } = serde_json::from_slice(&body.bytes)
        .map_err(|error| ErrorResponse::bad_request("invalid_body", error.to_string()))?;
    if acks.len() > ACKS_MAX {
        let message = format!("{} ids, limit is {ACKS_MAX}", acks.len());
        return Err(ErrorResponse::bad_request("too_many_ids", message));
    }
    let now = ack_id(&state);
    let acks: Map<String, Value> = acks.iter().map(|id| (id.to_string(), (*id < now).into())).collect();
    Ok(Json(json!({ "acks": acks })))
}

/// `GET /services/collector/health`, and what Docker's driver asks without a key before a container starts: `OPTIONS` of where it
/// will send.
pub async fn health(State(state): State<SharedState>) -> (StatusCode, Json<Value>) {
    match readiness::check(&state) {
        Ok(()) => (StatusCode::OK, Json(json!({ "text": "HEC is healthy", "code": 17 }))),
        Err(_) => {
            let answer = json!({ "text": "HEC is unhealthy, queues are full", "code": 18 });
            (StatusCode::SERVICE_UNAVAILABLE, Json(answer))
        }
    }
}

/// Stores what was taken. An event that was not is answered with 400 and its number, although its neighbours are stored:
/// senders give up such a request as a whole.
async fn store(
    state: &ServerState,
    identity: &Identity,
    events: HecEvents,
    wants_ack: bool,
) -> Result<Response, ErrorResponse> {
    if !events.batch.rows.is_empty() {
        state.submit(identity, Surface::Splunk, events.batch).await?;
    }
    if let Some(HecRefusal { fault, event, reason, count }) = events.refused {
        let answer = json!({
            "text": fault.text(), "code": fault.code(), "invalid-event-number": event,
            "message": reason, "refused": count,
        });
        return Ok((StatusCode::BAD_REQUEST, Json(answer)).into_response());
    }
    let mut answer = json!({ "text": "Success", "code": 0 });
    if wants_ack {
        answer["ackId"] = ack_id(state).into();
    }
    Ok(Json(answer).into_response())
}

/// A client that names its channel wants to be told.
fn wants_ack(url: &UrlParameters, headers: &HeaderMap) -> bool {
    url.get("channel").is_some() || headers.contains_key("x-splunk-request-channel")
}

fn ack_id(state: &ServerState) -> u64 {
    (state.now().as_nanos() / 1000).unsigned_abs()
}

/// An error as Splunk's clients read it.
pub fn error(error: &ErrorResponse) -> Response {
    let (text, code) = match error.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ("Invalid token", 4),
        StatusCode::BAD_REQUEST => ("Invalid data format", 6),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::INSUFFICIENT_STORAGE => ("Server is busy", 9),
        _ => ("Internal server error", 8),
    };
    let answer = json!({ "text": text, "code": code, "message": error.message });
    (error.status, Json(answer)).into_response()
}
