//! How calls are answered: messages in frames, and the status in the trailers; or the status alone, in the head.
//!
//! Errors become codes as the OTLP specification has them, so that its senders try again exactly what may do better then:
//! `UNAVAILABLE` while the server cannot, `RESOURCE_EXHAUSTED` with `RetryInfo` for who has used up a rate, and without it for
//! what is too large. <https://opentelemetry.io/docs/specs/otlp/#failures>

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::StreamBody;
use hyper::body::Frame;
use timberyard_wire::grpc_frame;
use timberyard_wire::rpc_status::{self, Code};

use crate::error_response::ErrorResponse;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The longest message in a header, in bytes before its encoding: clients have limits of 8 KiB for all headers together.
const MESSAGE_BYTES_MAX: usize = 1024;

const CONTENT_TYPE: (HeaderName, HeaderValue) =
    (header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
const ENCODINGS: (HeaderName, HeaderValue) = (
    HeaderName::from_static("grpc-accept-encoding"),
    HeaderValue::from_static("identity,gzip,zstd,deflate,snappy"),
);

/// A piece of an answer.
type Piece = Result<Frame<Bytes>, Infallible>;

/// The answer to a call that went well and has one message.
pub(crate) fn answer(message: &[u8]) -> Result<Response, ErrorResponse> {
    let message = framed(message)?;
    Ok(answers(futures_util::stream::iter([Ok(message)])))
}

/// A message in its frame.
pub(crate) fn framed(message: &[u8]) -> Result<Bytes, ErrorResponse> {
    let frame = grpc_frame::encode(message).map(Bytes::from);
    frame.ok_or_else(|| ErrorResponse::internal(&"an answer is over 4 GiB"))
}

/// The answer to a call that goes on: frames as they come, and at the end, or at the first error, how it went.
pub(crate) fn answers(frames: impl Stream<Item = Result<Bytes, ErrorResponse>> + Send + 'static) -> Response {
    let pieces = futures_util::stream::unfold(Some(Box::pin(frames)), |frames| async move {
        let mut frames = frames?;
        let (piece, rest) = match frames.next().await {
            Some(Ok(frame)) => (Frame::data(frame), Some(frames)),
            Some(Err(error)) => (Frame::trailers(headers_of(&error)), None),
            None => (Frame::trailers(HeaderMap::from_iter([(STATUS, HeaderValue::from(0))])), None),
        };
        Some((Piece::Ok(piece), rest))
    });
    ([CONTENT_TYPE, ENCODINGS], Body::new(StreamBody::new(pieces))).into_response()
}

/// The answer to a call that was refused before it had any answer.
pub(crate) fn refused(error: &ErrorResponse) -> Response {
    ([CONTENT_TYPE, ENCODINGS], headers_of(error)).into_response()
}

/// The code for an error.
pub(crate) fn code_of(error: &ErrorResponse) -> Code {
    match error.status {
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Code::Unimplemented
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Code::DeadlineExceeded,
        StatusCode::CONFLICT if error.error == "already_stored" => Code::Aborted,
        StatusCode::CONFLICT => Code::AlreadyExists,
        StatusCode::PAYLOAD_TOO_LARGE => Code::ResourceExhausted,
        // Who sends too much has to slow down; a server that is behind catches up.
        StatusCode::TOO_MANY_REQUESTS if error.error == "overloaded" => Code::Unavailable,
        StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE => Code::Unavailable,
        status if status.is_client_error() => Code::InvalidArgument,
        _ => Code::Internal,
    }
}

fn headers_of(error: &ErrorResponse) -> HeaderMap {
    let code = code_of(error);
    let message = beginning(&error.message);
    let details = rpc_status::encode(code, message, error.retry_after_seconds());
    let mut headers = HeaderMap::from_iter([(STATUS, HeaderValue::from(u16::from(code.number())))]);
    for (name, text) in
        [(MESSAGE, rpc_status::header_text(message)), (DETAILS, STANDARD_NO_PAD.encode(details))]
    {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
    headers
}

/// As much of a message as a header should have.
fn beginning(message: &str) -> &str {
    let end = MESSAGE_BYTES_MAX.min(message.len());
    let cut = (0..=end).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    message.get(..cut).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use timberyard_model::sink::SinkError;

    use super::*;

    #[test]
    fn senders_are_told_to_try_again_what_may_do_better_then() {
        let rate = ErrorResponse::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", "slowly");
        let overloaded = SinkError::Overloaded { reason: "queue".to_owned(), retry_after_seconds: 7 };
        for (error, code, seconds) in [
            (ErrorResponse::bad_request("x", "y"), Code::InvalidArgument, None),
            (ErrorResponse::new(StatusCode::UNPROCESSABLE_ENTITY, "empty", "y"), Code::InvalidArgument, None),
            (ErrorResponse::unsupported_media_type("y"), Code::Unimplemented, None),
            (ErrorResponse::internal(&"y"), Code::Internal, None),
            (ErrorResponse::unavailable("y"), Code::Unavailable, None),
            (rate.with_header(header::RETRY_AFTER, 9.into()), Code::ResourceExhausted, Some(9)),
            (overloaded.into(), Code::Unavailable, Some(7)),
            (SinkError::Full("disk".to_owned()).into(), Code::Unavailable, None),
            (SinkError::TooLarge("5 GiB".to_owned()).into(), Code::ResourceExhausted, None),
        ] {
            assert_eq!((code_of(&error), error.retry_after_seconds()), (code, seconds), "{error:?}");
        }
    }

    #[test]
    fn a_refusal_stands_in_the_head_and_its_message_is_short_enough_for_one() {
        let error = ErrorResponse::bad_request("x", "é".repeat(4000));
        let response = refused(&error);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[STATUS], "3");
        assert_eq!(response.headers()[MESSAGE].len(), MESSAGE_BYTES_MAX * 3);
        assert!(hyper::body::Body::is_end_stream(response.body()));
    }
}
