//! `POST /aws/firehose`: Amazon Data Firehose with an HTTP endpoint as its destination.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use timberyard_model::Surface;
use timberyard_wire::{DecodeContext, firehose};

use super::decode::decode;
use crate::auth::Identity;
use crate::body::RequestBody;
use crate::client_address::ClientAddress;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// 200 with the request's id when all of it is stored. Of a request with an event that breaks a limit nothing is: Firehose
/// sends all of it again, and at last backs it up, so that nothing is stored twice and nothing lost.
pub async fn post(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    headers: HeaderMap,
    body: RequestBody,
) -> Result<Json<Value>, ErrorResponse> {
    let attributes = headers.get("x-amz-firehose-common-attributes").map(|value| value.as_bytes().to_vec());
    // Records are compressed one by one: what they come to counts beside the body, until it is stored.
    let mut held = state.body_budget.share(&identity.tenant, 0);
    let decoder = move |body: &[u8], context: &DecodeContext<'_>| {
        let request = firehose::decode(body, attributes.as_deref(), context, |bytes| held.grow(bytes))?;
        Ok::<_, ErrorResponse>((request, held))
    };
    let (request, _held) = decode(&state, &identity, client, body, decoder).await?;
    if !request.rejected.is_empty() {
        return Err(ErrorResponse::bad_request("entries_rejected", request.rejected.grouped()));
    }
    if !request.batch.rows.is_empty() {
        state.submit(&identity, Surface::Firehose, request.batch).await?;
    }
    Ok(Json(json!({ "requestId": request.id, "timestamp": state.now().as_nanos() / 1_000_000 })))
}

/// An error as Firehose reads it.
pub fn error(error: &ErrorResponse, request_id: Option<&str>) -> Response {
    let body = json!({ "requestId": request_id, "timestamp": 0, "errorMessage": error.message });
    (error.status, Json(body)).into_response()
}
