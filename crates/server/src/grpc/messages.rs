//! The messages of a call, one after the other: taken out of their frames, each within the limits of a body of its own.
//!
//! Its bytes count against the budget for bodies from when they come until the handler drops them; of a call at most one
//! message is on its way here.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Version, header};
use bytes::BytesMut;
use http_body_util::BodyExt;
use timberyard_wire::compression::Compression;
use timberyard_wire::grpc_frame::Prefix;

use super::format_of;
use crate::auth::Identity;
use crate::body::{self, WireBody};
use crate::error_response::ErrorResponse;
use crate::limits::HeldBytes;
use crate::state::SharedState;

/// The messages that a client sends in one call.
#[derive(Debug)]
pub(crate) struct Messages {
    body: Body,
    /// What has come and was not handed on.
    buffer: BytesMut,
    /// That of messages which say that they are compressed.
    compression: Compression,
}

impl Messages {
    /// Those of a request.
    ///
    /// # Errors
    /// A request that is not gRPC in protobuf over HTTP/2, or names an encoding that is not known.
    pub(crate) fn of(request: Request) -> Result<Self, ErrorResponse> {
        let (parts, body) = request.into_parts();
        let content_type = parts.headers.get(header::CONTENT_TYPE);
        if content_type.and_then(|value| format_of(value.to_str().ok()?)) != Some("proto") {
            let message = "content type must be application/grpc or application/grpc+proto";
            return Err(ErrorResponse::unsupported_media_type(message));
        }
        if parts.version != Version::HTTP_2 {
            let message = "gRPC is spoken over HTTP/2 only";
            return Err(ErrorResponse::bad_request("wrong_protocol", message));
        }
        let compression = compression_of(&parts.headers)?;
        Ok(Self { body, buffer: BytesMut::new(), compression })
    }

    /// Whether there is another message: waits for its first byte, or for the end of the call, as long as it takes.
    ///
    /// # Errors
    /// A call that breaks off.
    pub(crate) async fn has_next(&mut self) -> Result<bool, ErrorResponse> {
        Ok(!self.buffer.is_empty() || self.read_more().await?)
    }

    /// The next message, in the time for a body.
    ///
    /// # Errors
    /// A message over a limit, or the call's end in the middle of one.
    pub(crate) async fn next(
        &mut self,
        state: &SharedState,
        identity: &Identity,
    ) -> Result<WireBody, ErrorResponse> {
        state.rate_gate.check_bytes(&identity.tenant, &identity.limits, state.elapsed())?;
        let held = state.body_budget.share(&identity.tenant, 0);
        let seconds = identity.limits.request.timeout_seconds;
        let reading = self.rest_of_message(held, identity);
        let message = tokio::time::timeout(Duration::from_secs(seconds), reading).await;
        message.map_err(|_| body::late(seconds))?
    }

    /// The one message of a call that has one.
    ///
    /// # Errors
    /// As of [`Messages::next`]; also a call with none, with more, or one that does not come in the time for a body.
    pub(crate) async fn only(
        mut self,
        state: &SharedState,
        identity: &Identity,
    ) -> Result<WireBody, ErrorResponse> {
        let seconds = identity.limits.request.timeout_seconds;
        let wrong = |message| ErrorResponse::bad_request("invalid_call", message);
        let reading = async {
            if !self.has_next().await? {
                return Err(wrong("the call has no message; it takes one"));
            }
            let message = self.next(state, identity).await?;
            match self.has_next().await? {
                false => Ok(message),
                true => Err(wrong("the call has more than one message; it takes one")),
            }
        };
        let message = tokio::time::timeout(Duration::from_secs(seconds), reading).await;
        message.map_err(|_| body::late(seconds))?
    }

    async fn rest_of_message(
        &mut self,
        mut held: HeldBytes,
        identity: &Identity,
    ) -> Result<WireBody, ErrorResponse> {
        let limits = &identity.limits.request;
        let mut counted = 0;
        loop {
            held.grow(self.buffer.len() - counted)?;
            counted = self.buffer.len();
            let prefix = Prefix::read(&self.buffer, limits.body_bytes_max)?;
            if let Some(prefix) = prefix.filter(|prefix| counted >= Prefix::BYTES + prefix.message_bytes) {
                let mut bytes = self.buffer.split_to(Prefix::BYTES + prefix.message_bytes).freeze();
                let compression = match (prefix.is_compressed, self.compression) {
                    (false, _) => Compression::Identity,
                    (true, Compression::Identity) => {
                        let message = "a message is compressed, and grpc-encoding does not say how";
                        return Err(ErrorResponse::bad_request("invalid_call", message));
                    }
                    (true, compression) => compression,
                };
                let message = bytes.split_off(Prefix::BYTES);
                return Ok(WireBody::of_message(message, compression, held, limits.inflated_bytes_max));
            }
            if !self.read_more().await? {
                let message = format!("the call ended {counted} bytes into a message");
                return Err(ErrorResponse::bad_request("incomplete_body", message));
            }
        }
    }

    /// Whether more has come; `false` at the end of the call.
    async fn read_more(&mut self) -> Result<bool, ErrorResponse> {
        while let Some(frame) = self.body.frame().await {
            let data = frame.map_err(|error| body::broken_off(&error))?.into_data();
            if let Some(data) = data.ok().filter(|data| !data.is_empty()) {
                self.buffer.extend_from_slice(&data);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn compression_of(headers: &HeaderMap) -> Result<Compression, ErrorResponse> {
    let encoding = headers.get("grpc-encoding").map_or("", |value| value.to_str().unwrap_or("?"));
    Compression::from_content_encoding(encoding).map_err(|_| {
        let message = format!("grpc-encoding {encoding:?} is not supported");
        ErrorResponse::unsupported_media_type(message)
    })
}
