//! Middleware around everything: the request's id, its span in the log, and its place in the metrics.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use crate::error_response::Outcome;
use crate::state::SharedState;

/// The id of a request: the client's `X-Request-Id` when it is sane, else a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub HeaderValue);

const HEADER: &str = "x-request-id";

/// The longest id that is taken from a client, in bytes.
const ID_BYTES_MAX: usize = 128;

/// Gives the request its id, and counts and logs its answer.
pub async fn observe(State(state): State<SharedState>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let method = method_name(request.method());
    let endpoint = request.extensions().get::<MatchedPath>().cloned();
    let endpoint = endpoint.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!("request", id = id.0.to_str().unwrap_or(""), method, endpoint);
    request.extensions_mut().insert(id.clone());
    let started = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let took = started.elapsed();
    let outcome = response.extensions().get::<Outcome>().map(|outcome| outcome.0);
    let status = outcome.unwrap_or(response.status()).as_u16();
    state.metrics.count_answer(method, endpoint, status, took);
    span.in_scope(|| {
        let took_us = took.as_micros() as u64;
        // Whoever waits for the start asks again and again; "not yet" is no failure.
        let waits = status == 503 && matches!(endpoint, "/ready" | "/readiness");
        if status >= 500 && !waits {
            tracing::warn!(status, took_us, "request failed");
        } else {
            tracing::debug!(status, took_us, "request answered");
        }
    });
    response.headers_mut().insert(HEADER, id.0);
    response
}

impl RequestId {
    fn of(headers: &HeaderMap) -> Self {
        let sane = |value: &&HeaderValue| {
            (1..=ID_BYTES_MAX).contains(&value.len())
                && value
                    .as_bytes()
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte))
        };
        let made = || {
            let text = uuid::Uuid::new_v4().to_string();
            HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("none"))
        };
        Self(headers.get(HEADER).filter(sane).cloned().unwrap_or_else(made))
    }
}

/// Methods as a closed list, so that a client cannot make up label values.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
