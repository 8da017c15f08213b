//! The one place where an error becomes a status and a body.
//!
//! Handlers return an [`ErrorResponse`]; how it looks depends on the surface the path belongs to:
//! plain text where Loki answers so, a protobuf `Status` for OTLP in protobuf, a status of its own for gRPC, JSON with `error`, `message` and
//! `status` everywhere else.

use std::borrow::Cow;

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use timberyard_logql::QueryError;
use timberyard_logql::syntax::SyntaxError;
use timberyard_model::scan::ScanError;
use timberyard_model::sink::SinkError;
use timberyard_wire::DecodeError;
use timberyard_wire::loki_query_params::ParameterError;
use timberyard_wire::origin_header;
use timberyard_wire::rpc_status::{self, Code};

use crate::content_type::ContentType;
use crate::grpc;
use crate::ingest::{elasticsearch, firehose, splunk_hec};
use crate::operations::OperationError;

/// The word for a query that ran into one of its limits.
pub const QUERY_LIMIT: &str = "query_limit";

/// The longest message sent, in bytes: messages quote input.
const MESSAGE_BYTES_MAX: usize = 8192;

/// The most single faults that are listed.
const DETAILS_MAX: usize = 100;

/// An error on its way to the client.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorResponse {
    /// The HTTP status.
    pub status: StatusCode,
    /// What kind it is: a stable word that programs compare (`validation_error`).
    pub error: Cow<'static, str>,
    /// What is wrong, where, and what the limit is.
    pub message: String,
    // Boxed, so that a `Result` with it stays small.
    details: Option<Box<Value>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ErrorResponse {
    /// An error with a status, a stable word and a message.
    pub fn new(status: StatusCode, error: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > MESSAGE_BYTES_MAX {
            let cut = (0..=MESSAGE_BYTES_MAX).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
            message.truncate(cut);
            message.push('…');
        }
        Self { status, error: error.into(), message, details: None, headers: Vec::new() }
    }

    /// 400: the request is wrong.
    pub fn bad_request(error: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, message)
    }

    /// 503: cannot be done now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// 429 with `Retry-After`.
    pub fn overloaded(message: impl Into<String>, retry_after_seconds: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", message)
            .with_header(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds))
    }

    /// 500: a fault of the server, whose log says more.
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed inside the server");
        let message = "the request failed inside the server; its log says more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// 415, naming what is taken.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    }

    /// With a list of single faults.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// With a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The first header that goes with it, if there is one.
    pub fn header(&self) -> Option<(&HeaderName, &HeaderValue)> {
        self.headers.first().map(|(name, value)| (name, value))
    }

    /// After how many seconds to try again, where that is known.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let (_, value) = self.headers.iter().find(|(name, _)| name == header::RETRY_AFTER)?;
        value.to_str().ok()?.parse().ok()
    }

    fn into_json(self) -> Response {
        let mut body = json!({ "error": self.error, "message": self.message, "status": "error" });
        if let (Some(details), Value::Object(fields)) = (self.details, &mut body) {
            fields.insert("details".to_owned(), *details);
        }
        (self.status, Json(body)).into_response()
    }

    fn into_protobuf(self) -> Response {
        let content_type = [(header::CONTENT_TYPE, "application/x-protobuf")];
        let status = rpc_status::encode(Code::Ok, &self.message, None);
        (self.status, content_type, status).into_response()
    }

    fn into_text(self) -> Response {
        (self.status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{}\n", self.message))
            .into_response()
    }
}

/// JSON; [`render`] turns it into what the surface wants.
impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let carried = self.clone();
        let mut response = self.into_json();
        for (name, value) in &carried.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response.extensions_mut().insert(carried);
        response
    }
}

/// How a request ended, where its answer's status does not say it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome(pub(crate) StatusCode);

/// Middleware: gives errors of Loki's surface Loki's form, which is plain text, and those of OTLP in protobuf
/// OTLP's.
///
/// Where Loki answers, a key that is missing and a path that does not exist are answered as on every surface.
pub async fn render(request: Request, next: Next) -> Response {
    let form = ErrorForm::of(&request);
    let mut response = next.run(request).await;
    if form == ErrorForm::Json {
        return response;
    }
    let Some(error) = response.extensions_mut().remove::<ErrorResponse>() else { return response };
    let status = error.status;
    let mut rendered = match form {
        ErrorForm::Grpc => grpc::status::refused(&error),
        ErrorForm::Protobuf => error.into_protobuf(),
        ErrorForm::Elasticsearch => elasticsearch::error(&error),
        ErrorForm::Splunk => splunk_hec::error(&error),
        ErrorForm::Firehose(request_id) => firehose::error(&error, request_id.as_deref()),
        _ if matches!(
            error.status,
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::NOT_FOUND
                | StatusCode::METHOD_NOT_ALLOWED
        ) =>
        {
            return response;
        }
        _ => error.into_text(),
    };
    // Headers such as `Retry-After` and the request id stay; the body's own are replaced.
    for (name, value) in response.headers() {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            rendered.headers_mut().append(name.clone(), value.clone());
        }
    }
    rendered.extensions_mut().insert(Outcome(status));
    rendered
}

/// How an error looks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ErrorForm {
    Json,
    /// As Loki's.
    Text,
    /// As OTLP's, for what was sent in protobuf.
    Protobuf,
    Elasticsearch,
    Splunk,
    /// As a status in the head; what it would be elsewhere is for the metrics.
    Grpc,
    /// With the id of the request.
    Firehose(Option<String>),
}

impl ErrorForm {
    fn of(request: &Request) -> Self {
        match request.uri().path() {
            _ if grpc::is_grpc(request.headers()) => Self::Grpc,
            "/v1/logs" | "/otlp/v1/logs" => match ContentType::of(request.headers()) {
                ContentType::Protobuf => Self::Protobuf,
                _ => Self::Json,
            },
            "/aws/firehose" => {
                let id = request.headers().get("x-amz-firehose-request-id");
                Self::Firehose(id.and_then(|id| id.to_str().ok()).map(str::to_owned))
            }
            path if path.starts_with("/services/collector") => Self::Splunk,
            path if path.split('/').any(|part| part.len() > 1 && part.starts_with('_')) => {
                Self::Elasticsearch
            }
            path if path.starts_with("/loki/") || path.starts_with("/api/prom/") => Self::Text,
            _ => Self::Json,
        }
    }
}

/// A write that was not acknowledged.
impl From<SinkError> for ErrorResponse {
    fn from(error: SinkError) -> Self {
        let message = error.to_string();
        match error {
            SinkError::Duplicate { .. } => Self::new(StatusCode::CONFLICT, "duplicate_event", message),
            SinkError::AlreadyStored(stored) => {
                let ends = HeaderValue::try_from(origin_header::write_ends(&stored.ends));
                let error = Self::new(StatusCode::CONFLICT, "already_stored", message);
                // Names of origins are plain text, so that there always is such a header.
                match ends {
                    Ok(ends) => error.with_header(HeaderName::from_static(origin_header::STORED), ends),
                    Err(_) => error,
                }
            }
            SinkError::Full(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", message),
            SinkError::Overloaded { retry_after_seconds, .. } => {
                Self::overloaded(message, retry_after_seconds)
            }
            SinkError::TooLarge(_) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message),
            SinkError::Unavailable(_) => Self::unavailable(message),
        }
    }
}

/// A parameter that cannot be read.
impl From<ParameterError> for ErrorResponse {
    fn from(error: ParameterError) -> Self {
        Self::bad_request("invalid_parameter", error.to_string())
    }
}

/// A text that is no query.
impl From<SyntaxError> for ErrorResponse {
    fn from(error: SyntaxError) -> Self {
        Self::bad_request("invalid_query", error.to_string())
    }
}

/// A query without a result.
impl From<QueryError> for ErrorResponse {
    fn from(error: QueryError) -> Self {
        let message = error.to_string();
        match error {
            QueryError::Invalid(_) | QueryError::Syntax(_) | QueryError::Stage(_) => {
                Self::bad_request("invalid_query", message)
            }
            QueryError::Limit(_) => Self::bad_request(QUERY_LIMIT, message),
            QueryError::Pipeline { .. } | QueryError::Execution(_) => {
                Self::bad_request("query_failed", message)
            }
            QueryError::Cancelled(reason) => ScanError::Cancelled(reason).into(),
            QueryError::Source(error) => error.into(),
        }
    }
}

/// A read that was not answered.
impl From<ScanError> for ErrorResponse {
    fn from(error: ScanError) -> Self {
        use timberyard_model::cancellation::CancelReason;
        let message = error.to_string();
        match error {
            ScanError::Cancelled(CancelReason::TimedOut) => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "query_timeout", message)
            }
            // Loki's 499: nobody reads it.
            ScanError::Cancelled(CancelReason::ClientGone) => {
                let status = StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST);
                Self::new(status, "client_gone", message)
            }
            ScanError::Cancelled(CancelReason::Stopping) | ScanError::Unavailable(_) => {
                Self::unavailable(message)
            }
            ScanError::Memory { .. } => Self::bad_request("query_limit", message),
            ScanError::Failed(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store_error", message),
        }
    }
}

impl From<OperationError> for ErrorResponse {
    fn from(error: OperationError) -> Self {
        let message = error.to_string();
        match error {
            OperationError::Unavailable(_) => Self::unavailable(message),
            OperationError::Failed(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store_error", message),
        }
    }
}

/// A body that could not be read. `details` lists the fields, where fields are what is wrong.
impl From<DecodeError> for ErrorResponse {
    fn from(error: DecodeError) -> Self {
        let message = error.to_string();
        match error {
            DecodeError::Malformed(_) => Self::bad_request("invalid_body", message),
            DecodeError::Rejected(fields) => {
                let fields = fields.into_iter().take(DETAILS_MAX);
                let details =
                    fields.map(|field| json!({ "field": field.field, "message": field.message })).collect();
                Self::bad_request("validation_error", message).with_details(details)
            }
            DecodeError::Empty(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "empty", message),
            DecodeError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message)
            }
            DecodeError::Unsupported(_) => Self::unsupported_media_type(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_why_a_write_fails_has_its_status() {
        let duplicate = SinkError::Duplicate { key: "e-1".into(), row: 3 };
        let overloaded = SinkError::Overloaded { reason: "queue".to_owned(), retry_after_seconds: 7 };
        for (error, status, word, quoted) in [
            (duplicate, 409, "duplicate_event", "e-1"),
            (SinkError::Full("3 bytes left".to_owned()), 507, "storage_full", "3 bytes left"),
            (overloaded, 429, "overloaded", "7 s"),
            (SinkError::TooLarge("5 GiB".to_owned()), 413, "request_too_large", "5 GiB"),
            (SinkError::Unavailable("starting".to_owned()), 503, "unavailable", "starting"),
        ] {
            let response = ErrorResponse::from(error);
            assert_eq!((response.status.as_u16(), &*response.error), (status, word));
            assert!(response.message.contains(quoted), "{}", response.message);
            let retry_after = response.header().map(|(name, value)| (name.as_str(), value.as_bytes()));
            assert_eq!(retry_after, (status == 429).then_some(("retry-after", &b"7"[..])));
        }
    }

    #[test]
    fn messages_that_quote_input_are_cut_between_characters() {
        let response = ErrorResponse::bad_request("x", "ä".repeat(MESSAGE_BYTES_MAX));
        assert!(response.message.len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
        assert!(response.message.ends_with("ä…"));
    }
}
