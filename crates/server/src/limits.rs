//! Bounds on what goes on at the same time: bytes of bodies, requests, queries.
//!
//! What passes a bound is answered with 429 or 503 and a time to come back; nothing waits without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use timberyard_model::Cancellation;
use timberyard_model::cancellation::CancelReason;
use tokio::sync::Semaphore;

use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// Seconds after which a client refused here is told to come back.
const RETRY_AFTER_SECONDS: u64 = 1;

/// A bound on the bytes of request bodies that are in memory.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    held_bytes: Arc<AtomicUsize>,
    held_bytes_max: usize,
}

/// Bytes taken from a [`BodyBudget`]; given back when dropped.
#[derive(Debug)]
pub struct HeldBytes {
    budget: BodyBudget,
    bytes: usize,
}

impl BodyBudget {
    /// At most `held_bytes_max` bytes at a time.
    pub fn new(held_bytes_max: usize) -> Self {
        Self { held_bytes: Arc::default(), held_bytes_max }
    }

    /// An empty share of the budget.
    pub fn share(&self) -> HeldBytes {
        HeldBytes { budget: self.clone(), bytes: 0 }
    }

    /// Bytes held now.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }
}

impl HeldBytes {
    /// Takes `bytes` more, or answers that there is no room now.
    pub fn grow(&mut self, bytes: usize) -> Result<(), ErrorResponse> {
        let limit = self.budget.held_bytes_max;
        let grown = self.budget.held_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
            held.checked_add(bytes).filter(|held| *held <= limit)
        });
        match grown {
            Ok(_) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(held) => Err(ErrorResponse::overloaded(
                format!(
                    "request bodies hold {held} bytes of memory, {bytes} more would pass the limit of {limit}"
                ),
                RETRY_AFTER_SECONDS,
            )),
        }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.budget.held_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// A bound on the requests being answered.
#[derive(Clone, Debug)]
pub struct RequestGate {
    places: Arc<Semaphore>,
    requests_max: usize,
}

impl RequestGate {
    /// At most `requests_max` at a time.
    pub fn new(requests_max: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(requests_max)), requests_max }
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
        Ok(_place) => next.run(request).await,
        Err(_) => {
            let message = format!("{} requests are being answered, which is the limit", gate.requests_max);
            ErrorResponse::unavailable(message)
                .with_header(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into())
                .into_response()
        }
    }
}

/// Middleware: answers 503 when a write takes twice as long as its body may take to arrive.
pub async fn bound_seconds(State(state): State<SharedState>, request: Request, next: Next) -> Response {
    let seconds = state.settings.limits.request.timeout_seconds.saturating_mul(2);
    match tokio::time::timeout(Duration::from_secs(seconds), next.run(request)).await {
        Ok(response) => response,
        Err(_) => ErrorResponse::new(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            "timeout",
            format!("request took longer than {seconds} s; it may or may not have been carried out"),
        )
        .into_response(),
    }
}

/// Runs queries on threads of their own: some at a time, some waiting, the rest refused.
#[derive(Debug)]
pub struct QueryGate {
    places: Arc<Semaphore>,
    running_max: usize,
    waiting: AtomicUsize,
    waiting_max: usize,
    timeout_seconds: u64,
}

/// Raises the flag when the future that waits for the work is dropped: its client is gone.
struct CancelWhenDropped(Cancellation);

impl Drop for CancelWhenDropped {
    fn drop(&mut self) {
        self.0.cancel(CancelReason::ClientGone);
    }
}

/// One of those that wait; leaves the count when dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl QueryGate {
    /// At most `running_max` at a time and `waiting_max` waiting, each for at most `timeout_seconds`.
    pub fn new(running_max: usize, waiting_max: usize, timeout_seconds: u64) -> Self {
        Self {
            places: Arc::new(Semaphore::new(running_max.max(1))),
            running_max: running_max.max(1),
            waiting: AtomicUsize::new(0),
            waiting_max,
            timeout_seconds,
        }
    }

    /// Runs blocking work and waits for it. The work is handed a flag that goes up when the client leaves
    /// or the time is over; it must look at it between blocks and return soon after.
    ///
    /// 429 when too many wait already, 504 when the time is over, 500 when the work panics.
    pub async fn run<T, W>(&self, work: W) -> Result<T, ErrorResponse>
    where
        T: Send + 'static,
        W: FnOnce(Cancellation) -> Result<T, ErrorResponse> + Send + 'static,
    {
        let cancellation = Cancellation::default();
        let guard = CancelWhenDropped(cancellation.clone());
        let deadline = tokio::time::Instant::now() + Duration::from_secs(self.timeout_seconds);
        let place = self.place(deadline).await?;
        let mut task = tokio::task::spawn_blocking(move || {
            let outcome = work(cancellation);
            drop(place);
            outcome
        });
        let joined = match tokio::time::timeout_at(deadline, &mut task).await {
            Ok(joined) => joined,
            Err(_) => {
                guard.0.cancel(CancelReason::TimedOut);
                return Err(self.timed_out());
            }
        };
        joined.unwrap_or_else(|error| Err(ErrorResponse::internal(&error)))
    }

    /// Queries running now.
    pub fn running(&self) -> usize {
        self.running_max.saturating_sub(self.places.available_permits())
    }

    /// Queries waiting for others to end.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    async fn place(
        &self,
        deadline: tokio::time::Instant,
    ) -> Result<tokio::sync::OwnedSemaphorePermit, ErrorResponse> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(&self.waiting);
        if before >= self.waiting_max {
            let message = format!("{} queries wait already, which is the limit", self.waiting_max);
            return Err(ErrorResponse::overloaded(message, RETRY_AFTER_SECONDS));
        }
        match tokio::time::timeout_at(deadline, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) => Err(ErrorResponse::unavailable("server is stopping")),
            Err(_) => Err(self.timed_out()),
        }
    }

    fn timed_out(&self) -> ErrorResponse {
        ErrorResponse::new(
            axum::http::StatusCode::GATEWAY_TIMEOUT,
            "query_timeout",
            format!("query took longer than the limit of {} s", self.timeout_seconds),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_query_over_the_time_limit_is_called_off_and_answered() {
        let gate = QueryGate::new(1, 1, 0);
        let (told, seen) = tokio::sync::oneshot::channel();
        let answer = gate
            .run(move |cancellation| {
                while cancellation.reason().is_none() {
                    std::thread::yield_now();
                }
                told.send(cancellation.reason()).ok();
                Ok(())
            })
            .await;
        assert_eq!(answer.expect_err("too slow").status, 504);
        assert_eq!(seen.await.expect("told"), Some(CancelReason::TimedOut));
    }

    #[tokio::test]
    async fn queries_beyond_those_that_may_wait_are_refused() {
        let gate = Arc::new(QueryGate::new(1, 0, 60));
        let (started, running) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move {
                gate.run(move |cancellation| {
                    started.send(()).ok();
                    while cancellation.reason().is_none() {
                        std::thread::yield_now();
                    }
                    Ok(())
                })
                .await
            }
        });
        running.await.expect("started");
        let refused = gate.run(|_| Ok(())).await.expect_err("no place");
        assert_eq!(refused.status, 429);
        assert!(refused.header().is_some_and(|(name, _)| name == header::RETRY_AFTER));
        // The client leaves, and the place is free again.
        first.abort();
        while gate.places.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        gate.run(|_| Ok(())).await.expect("a free place");
    }

    #[test]
    fn the_budget_for_bodies_is_given_back() {
        let budget = BodyBudget::new(10);
        let mut held = budget.share();
        held.grow(6).expect("fits");
        assert_eq!(budget.share().grow(5).expect_err("full").status, 429);
        drop(held);
        assert_eq!(budget.held_bytes(), 0);
    }
}
