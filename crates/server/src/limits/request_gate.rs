//! A bound on the requests being answered, and on the seconds that a write may take.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use timberyard_pipeline::{DrainGauge, Entered};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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

/// A place among the requests being answered; given back when dropped.
#[derive(Debug)]
pub(crate) struct RequestPlace {
    _place: OwnedSemaphorePermit,
    _entered: Entered,
}

impl RequestGate {
    /// At most `requests_max` at a time.
    pub fn new(requests_max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(requests_max)), requests_max, gauge: DrainGauge::default() }
    }

    /// A place for one more.
    ///
    /// # Errors
    /// 503 when as many as are allowed are being answered.
    pub(crate) fn enter(&self) -> Result<RequestPlace, ErrorResponse> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Ok(RequestPlace { _place: place, _entered: self.gauge.enter(1) }),
            Err(_) => {
                let message =
                    format!("{} requests are being answered, which is the limit", self.requests_max);
                Err(ErrorResponse::unavailable(message)
                    .with_header(header::RETRY_AFTER, self.gauge.retry_after_leaving_seconds(1, 1).into()))
            }
        }
    }

    /// Requests being answered now.
    pub fn in_flight(&self) -> usize {
        self.requests_max.saturating_sub(self.places.available_permits())
    }
}

/// Middleware: answers 503 when as many requests as are allowed are being answered.
pub async fn bound_requests(State(state): State<SharedState>, request: Request, next: Next) -> Response {
    let gate = &state.request_gate;
    match gate.enter() {
        Ok(_place) => next.run(request).await,
        Err(refused) => refused.into_response(),
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
