//! A bound on the requests being answered, and on the seconds that a write may take.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use timberyard_pipeline::DrainGauge;
use tokio::sync::Semaphore;

use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// A bound on the requests being answered.
#[derive(Clone, Debug)]
pub struct RequestGate {
    places: Arc<Semaphore>,
    requests_max: usize,
    gauge: DrainGauge,
}

impl RequestGate {
    /// At most `requests_max` at a time.
    pub fn new(requests_max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(requests_max)), requests_max, gauge: DrainGauge::default() }
    }

    /// Requests being answered now.
    pub fn in_flight(&self) -> usize {
        self.requests_max.saturating_sub(self.places.available_permits())
    }
}

/// Middleware: answers 503 when as many requests as are allowed are being answered.
pub async fn bound_requests(State(state): State<SharedState>, request: Request, next: Next) -> Response {
    let gate = &state.request_gate;
    match gate.places.try_acquire() {
        Ok(_place) => {
            let _entered = gate.gauge.enter(1);
            next.run(request).await
        }
        Err(_) => {
            let message = format!("{} requests are being answered, which is the limit", gate.requests_max);
            ErrorResponse::unavailable(message)
                .with_header(header::RETRY_AFTER, gate.gauge.retry_after_leaving_seconds(1, 1).into())
                .into_response()
        }
    }
}

/// Middleware: answers 503 when a write takes twice as long as its body may take to arrive.
pub async fn bound_seconds(State(state): State<SharedState>, request: Request, next: Next) -> Response {
    let limits =
        request.extensions().get::<Identity>().map(|identity| identity.limits.request.timeout_seconds);
    let everybodys = || state.limits.load().everybody().request.timeout_seconds;
    let seconds = limits.unwrap_or_else(everybodys).saturating_mul(2);
    match tokio::time::timeout(Duration::from_secs(seconds), next.run(request)).await {
        Ok(response) => response,
        Err(_) => ErrorResponse::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timeout",
            format!("request took longer than {seconds} s; it may or may not have been carried out"),
        )
        .into_response(),
    }
}
