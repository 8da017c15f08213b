//! `POST /loki/api/v1/push` and its old name `/api/prom/push`.
//!
//! JSON when the content type says so, else Snappy and protobuf, which is what Loki takes a body for
//! that says nothing. Entries that break a limit are refused with 400 while their neighbours are stored.
//!
//! A push may say what it was read from ([`super::origins`]); then it is stored once, however often it comes.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use timberyard_model::{IngestRecord, Surface};
use timberyard_wire::compression::Compression;
use timberyard_wire::context::Rejections;
use timberyard_wire::error::DecodeError;
use timberyard_wire::{DecodeContext, loki_push_json, loki_push_proto};

use super::decode::decode;
use super::origins::Origins;
use crate::auth::Identity;
use crate::body::WireBody;
use crate::client_address::ClientAddress;
use crate::content_type::ContentType;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

type Taken = Result<(IngestRecord, Rejections), DecodeError>;
type Decode = fn(&[u8], &DecodeContext<'_>) -> Taken;

/// 204 when everything was stored.
pub async fn post(
    State(state): State<SharedState>,
    identity: Identity,
    client: ClientAddress,
    headers: HeaderMap,
    body: WireBody,
) -> Result<Response, ErrorResponse> {
    let origins = Origins::of(&headers)?;
    let decoder: Decode = match body.content_type {
        ContentType::Json => decode_json,
        ContentType::Protobuf | ContentType::Absent => decode_proto,
        ContentType::NdJson | ContentType::Form | ContentType::Other => {
            let message = "content type must be application/json or application/x-protobuf";
            return Err(ErrorResponse::unsupported_media_type(message));
        }
    };
    // The protobuf form is Snappy in itself; some clients say so in a header, some do not.
    let body = match (body.content_type, body.compression) {
        (ContentType::Protobuf | ContentType::Absent, Compression::Snappy) => body.as_is(),
        _ => body.inflated().await?,
    };
    let (record, rejected) = decode(&state, &identity, client, body, decoder).await?;
    let submitted = state.submit_for_outcome(&identity, Surface::Loki, origins.put_into(record)).await?;
    origins.answer(submitted, &rejected)
}

fn decode_json(body: &[u8], context: &DecodeContext<'_>) -> Taken {
    let decoded = loki_push_json::decode(body, context)?;
    Ok((decoded.batch.into(), decoded.rejected))
}

/// Keeps the body, which is compressed already, for the write-ahead log; but not when something in it was refused, so that
/// replay never judges a record again.
fn decode_proto(body: &[u8], context: &DecodeContext<'_>) -> Taken {
    let decoded = loki_push_proto::decode(body, context)?;
    if !decoded.rejected.is_empty() {
        return Ok((decoded.batch.into(), decoded.rejected));
    }
    let received = loki_push_proto::received(body, context);
    Ok(((decoded.batch, received).into(), decoded.rejected))
}
