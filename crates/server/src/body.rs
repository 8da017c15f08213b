//! The body of a request: read with a cap and a time limit, inflated with a cap.
//!
//! Its bytes count against the server's budget for bodies until the handler drops it.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::content_type::ContentType;
use crate::error_response::ErrorResponse;
use crate::limits::HeldBytes;
use crate::state::SharedState;

/// A body as the decoders want it: whole, and no longer compressed.
#[derive(Debug)]
pub struct RequestBody {
    /// The bytes.
    pub bytes: Bytes,
    /// What the request says they are.
    pub content_type: ContentType,
    /// Bytes as they came over the wire.
    pub wire_bytes: usize,
    _held: HeldBytes,
}

impl FromRequest<SharedState> for RequestBody {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, state: &SharedState) -> Result<Self, Self::Rejection> {
        let limits = &state.settings.limits.request;
        let (parts, body) = request.into_parts();
        refuse_announced_size(&parts.headers, limits.body_bytes_max)?;
        let mut held = state.body_budget.share();
        let reading = read(body, limits.body_bytes_max, &mut held);
        let bytes = tokio::time::timeout(Duration::from_secs(limits.timeout_seconds), reading)
            .await
            .map_err(|_| {
                ErrorResponse::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "request_timeout",
                    format!("body did not arrive within {} s", limits.timeout_seconds),
                )
            })??;
        Ok(Self {
            wire_bytes: bytes.len(),
            bytes,
            content_type: ContentType::of(&parts.headers),
            _held: held,
        })
    }
}

impl RequestBody {
    /// The bytes, if the request may mean them as JSON: it says so, says nothing, or is curl's `-d`.
    pub fn json(&self) -> Result<&Bytes, ErrorResponse> {
        let looks_like_json = || {
            let first = self.bytes.iter().find(|byte| !byte.is_ascii_whitespace());
            matches!(first, Some(b'{' | b'['))
        };
        match self.content_type {
            ContentType::Json | ContentType::Absent => Ok(&self.bytes),
            ContentType::Form if looks_like_json() => Ok(&self.bytes),
            _ => Err(ErrorResponse::unsupported_media_type("content type must be application/json")),
        }
    }
}

/// Refuses at once what says itself that it is too large.
fn refuse_announced_size(headers: &HeaderMap, limit: usize) -> Result<(), ErrorResponse> {
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match announced {
        Some(bytes) if bytes > limit as u64 => Err(too_large(&format!("body is {bytes} bytes"), limit)),
        _ => Ok(()),
    }
}

/// Reads the whole body unless it is larger than `limit` bytes.
async fn read(
    mut body: axum::body::Body,
    limit: usize,
    held: &mut HeldBytes,
) -> Result<Bytes, ErrorResponse> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            ErrorResponse::bad_request("incomplete_body", format!("body ended before its end: {error}"))
        })?;
        if let Ok(chunk) = frame.into_data() {
            if bytes.len() + chunk.len() > limit {
                return Err(too_large("body is longer", limit));
            }
            held.grow(chunk.len())?;
            bytes.extend_from_slice(&chunk);
        }
    }
    Ok(bytes.freeze())
}

fn too_large(what: &str, limit: usize) -> ErrorResponse {
    let message = format!("{what}, limit is {limit} bytes");
    ErrorResponse::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
}
