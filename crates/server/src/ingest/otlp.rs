//! OTLP over HTTP: `POST /otlp/v1/logs` as Loki answers it, and OTLP's own answer for `/v1/logs`.
//!
//! Protobuf or JSON, as the content type says. Records that break a limit are refused while their neighbours are
//! stored.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use timberyard_model::Surface;
use timberyard_wire::loki_push::NO_STREAMS;
use timberyard_wire::{DecodeError, Decoded, otlp_answer, otlp_json, otlp_proto};

use super::decode::decode;
use crate::auth::Identity;
use crate::body::RequestBody;
use crate::client_address::ClientAddress;
use crate::content_type::ContentType;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// 204 when everything was stored, 400 when records were refused, as from Loki.
pub async fn post(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    body: RequestBody,
) -> Result<StatusCode, ErrorResponse> {
    let decoder = match body.content_type {
        ContentType::Json => otlp_json::decode,
        ContentType::Protobuf => otlp_proto::decode,
        ContentType::NdJson | ContentType::Form | ContentType::Other | ContentType::Absent => {
            let message = "content type must be application/x-protobuf or application/json";
            return Err(ErrorResponse::unsupported_media_type(message));
        }
    };
    let decoded = decode(&state, &identity, client, body, decoder).await?;
    if decoded.batch.rows.is_empty() && decoded.rejected.is_empty() {
        return Err(DecodeError::Empty(NO_STREAMS).into());
    }
    state.submit(&identity, Surface::Otlp, decoded.batch).await.map_err(told_to_try_again)?;
    if decoded.rejected.is_empty() {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ErrorResponse::bad_request("entries_rejected", decoded.rejected.grouped()))
    }
}

/// Stores what was decoded; then 200 with `ExportLogsServiceResponse` in the encoding of the request, which tells
/// how many records were rejected.
pub async fn store_and_answer(
    state: &SharedState,
    identity: &Identity,
    decoded: Decoded,
    encoding: ContentType,
) -> Result<Response, ErrorResponse> {
    if !decoded.batch.rows.is_empty() {
        state.submit(identity, Surface::Otlp, decoded.batch).await.map_err(told_to_try_again)?;
    }
    let (content_type, body) = match encoding {
        ContentType::Protobuf => ("application/x-protobuf", otlp_answer::response_proto(&decoded.rejected)),
        _ => ("application/json", otlp_answer::response_json(&decoded.rejected)),
    };
    Ok(([(header::CONTENT_TYPE, content_type)], body).into_response())
}

/// OTLP's senders try again after 429, 502, 503 and 504 only: what could not be stored is 503 to them, as from
/// Loki, or they would throw it away.
pub(crate) fn told_to_try_again(mut error: ErrorResponse) -> ErrorResponse {
    if matches!(error.status, StatusCode::INTERNAL_SERVER_ERROR | StatusCode::INSUFFICIENT_STORAGE) {
        error.status = StatusCode::SERVICE_UNAVAILABLE;
    }
    error
}

#[cfg(test)]
mod tests {
    use timberyard_model::sink::SinkError;

    use super::*;

    #[test]
    fn a_full_disk_is_something_that_senders_try_again() {
        let full = told_to_try_again(SinkError::Full("3 bytes left".to_owned()).into());
        assert_eq!((full.status.as_u16(), full.message.contains("3 bytes left")), (503, true));
        let refused = told_to_try_again(ErrorResponse::bad_request("x", "y"));
        assert_eq!(refused.status.as_u16(), 400);
    }
}
