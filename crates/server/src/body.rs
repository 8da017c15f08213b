//! The body of a request: read with a cap and a time limit, inflated with a cap.
//!
//! Its bytes count against the server's budget for bodies until the handler drops it.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use timberyard_wire::compression::{Compression, inflate};

use crate::auth::Identity;
use crate::content_type::ContentType;
use crate::error_response::ErrorResponse;
use crate::limits::HeldBytes;
use crate::state::SharedState;

/// Bodies of more bytes than this are inflated and decoded on a thread of their own, so that they do
/// not hold up other requests.
pub(crate) const INLINE_BYTES_MAX: usize = 128 << 10;

/// Of an announced length so much memory is reserved before anything of it has come.
const ANNOUNCED_BYTES_MAX: usize = 1 << 20;

/// A body as it came over the wire: whole, perhaps compressed.
#[derive(Debug)]
pub struct WireBody {
    /// The bytes.
    pub bytes: Bytes,
    /// What the request says they are.
    pub content_type: ContentType,
    /// How the request says they are compressed.
    pub compression: Compression,
    held: HeldBytes,
    inflated_bytes_max: usize,
}

/// A body as the decoders want it: whole, and no longer compressed.
#[derive(Debug)]
pub struct RequestBody {
    /// The bytes.
    pub bytes: Bytes,
    /// What the request says they are.
    pub content_type: ContentType,
    _held: HeldBytes,
}

impl FromRequest<SharedState> for WireBody {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, state: &SharedState) -> Result<Self, Self::Rejection> {
        let (mut parts, body) = request.into_parts();
        let identity = Identity::from_request_parts(&mut parts, state).await?;
        state.rate_gate.check_bytes(&identity.tenant, &identity.limits, state.elapsed())?;
        let limits = &identity.limits.request;
        let compression = compression_of(&parts.headers)?;
        let announced = announced_bytes(&parts.headers);
        refuse_announced_size(announced, limits.body_bytes_max)?;
        let announced = announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
        let mut held = state.body_budget.share(&identity.tenant, announced);
        held.wait_for_whole().await?;
        let reading = read(body, limits.body_bytes_max, &mut held);
        let bytes = tokio::time::timeout(Duration::from_secs(limits.timeout_seconds), reading)
            .await
            .map_err(|_| late(limits.timeout_seconds))??;
        Ok(Self {
            bytes,
            content_type: ContentType::of(&parts.headers),
            compression,
            held,
            inflated_bytes_max: limits.inflated_bytes_max,
        })
    }
}

impl WireBody {
    /// One that is a message of gRPC, in protobuf.
    pub(crate) fn of_message(
        bytes: Bytes,
        compression: Compression,
        held: HeldBytes,
        inflated_bytes_max: usize,
    ) -> Self {
        Self { bytes, content_type: ContentType::Protobuf, compression, held, inflated_bytes_max }
    }

    /// The same without its compression.
    pub async fn inflated(self) -> Result<RequestBody, ErrorResponse> {
        let Self { bytes, content_type, compression, mut held, inflated_bytes_max } = self;
        let bytes = match compression {
            Compression::Identity => bytes,
            _ if bytes.len() <= INLINE_BYTES_MAX => {
                inflate_held(&bytes, compression, inflated_bytes_max, &mut held)?
            }
            _ => {
                let inflating = tokio::task::spawn_blocking(move || {
                    inflate_held(&bytes, compression, inflated_bytes_max, &mut held)
                        .map(|bytes| RequestBody { bytes, content_type, _held: held })
                });
                return inflating.await.unwrap_or_else(|error| Err(ErrorResponse::internal(&error)));
            }
        };
        Ok(RequestBody { bytes, content_type, _held: held })
    }

    /// The same, taken as it is: its format has compression of its own.
    pub fn as_is(self) -> RequestBody {
        RequestBody { bytes: self.bytes, content_type: self.content_type, _held: self.held }
    }
}

impl FromRequest<SharedState> for RequestBody {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, state: &SharedState) -> Result<Self, Self::Rejection> {
        WireBody::from_request(request, state).await?.inflated().await
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

fn compression_of(headers: &HeaderMap) -> Result<Compression, ErrorResponse> {
    let value = headers.get(header::CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap_or("?"));
    Ok(Compression::from_content_encoding(value)?)
}

fn inflate_held(
    bytes: &Bytes,
    compression: Compression,
    bytes_max: usize,
    held: &mut HeldBytes,
) -> Result<Bytes, ErrorResponse> {
    let inflated = match inflate(bytes, compression, bytes_max)? {
        Cow::Borrowed(_) => bytes.clone(),
        Cow::Owned(inflated) => Bytes::from(inflated),
    };
    held.grow(inflated.len())?;
    Ok(inflated)
}

/// How long the body says that it is.
fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Refuses at once what says itself that it is too large.
fn refuse_announced_size(announced: Option<u64>, limit: usize) -> Result<(), ErrorResponse> {
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
    // As much as is announced, but no more than a sender who only announces it may be given.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::with_capacity(announced.min(limit).min(ANNOUNCED_BYTES_MAX));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken_off(&error))?;
        if let Ok(chunk) = frame.into_data() {
            if bytes.len() + chunk.len() > limit {
                return Err(too_large("body is longer", limit));
            }
            held.hold(bytes.len() + chunk.len())?;
            bytes.extend_from_slice(&chunk);
        }
    }
    Ok(bytes.freeze())
}

/// A body that did not arrive in its time.
pub(crate) fn late(timeout_seconds: u64) -> ErrorResponse {
    let message = format!("body did not arrive within {timeout_seconds} s");
    ErrorResponse::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
}

/// A body that the connection did not bring whole.
pub(crate) fn broken_off(error: &dyn std::fmt::Display) -> ErrorResponse {
    ErrorResponse::bad_request("incomplete_body", format!("body ended before its end: {error}"))
}

fn too_large(what: &str, limit: usize) -> ErrorResponse {
    let message = format!("{what}, limit is {limit} bytes");
    ErrorResponse::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
}
