//! Runs queries on threads of their own: some at a time, some waiting, the rest refused.

use std::time::Duration;

use axum::http::StatusCode;
use timberyard_model::cancellation::CancelReason;
use timberyard_model::{Cancellation, TenantId};
use timberyard_pipeline::DrainGauge;

use super::fair_places::{Asked, FairPlaces, Place, TooManyWait};
use crate::error_response::ErrorResponse;

/// Runs queries on threads of their own: some at a time, some waiting, the rest refused. Tenants take turns.
#[derive(Debug)]
pub struct QueryGate {
    places: FairPlaces,
    waiting_max: usize,
    /// Queries that run or wait.
    gauge: DrainGauge,
}

/// Raises the flag when the future that waits for the work is dropped: its client is gone.
struct CancelWhenDropped(Cancellation);

impl Drop for CancelWhenDropped {
    fn drop(&mut self) {
        self.0.cancel(CancelReason::ClientGone);
    }
}

impl QueryGate {
    /// At most `running_max` at a time and `waiting_max` waiting.
    pub fn new(running_max: usize, waiting_max: usize) -> Self {
        let places = FairPlaces::new(running_max.max(1), waiting_max);
        Self { places, waiting_max, gauge: DrainGauge::default() }
    }

    /// Runs blocking work and waits for it, for at most `timeout_seconds` with the time it waits for a place. The work is handed a flag that goes up when the client leaves
    /// or the time is over; it must look at it between blocks and return soon after.
    ///
    /// 429 when too many wait already, 504 when the time is over, 500 when the work panics.
    pub async fn run<T, W>(
        &self,
        tenant: &TenantId,
        timeout_seconds: u64,
        work: W,
    ) -> Result<T, ErrorResponse>
    where
        T: Send + 'static,
        W: FnOnce(Cancellation) -> Result<T, ErrorResponse> + Send + 'static,
    {
        let cancellation = Cancellation::default();
        let guard = CancelWhenDropped(cancellation.clone());
        let deadline = tokio::time::Instant::now() + Duration::from_secs(timeout_seconds);
        let mut entered = self.gauge.enter(1);
        // One that never gets a place says nothing about how long queries take.
        entered.give_up();
        let place = self.place(tenant, deadline).await?.ok_or_else(|| timed_out(timeout_seconds))?;
        let mut task = tokio::task::spawn_blocking(move || {
            let outcome = work(cancellation);
            entered.done();
            drop((place, entered));
            outcome
        });
        let joined = match tokio::time::timeout_at(deadline, &mut task).await {
            Ok(joined) => joined,
            Err(_) => {
                guard.0.cancel(CancelReason::TimedOut);
                return Err(timed_out(timeout_seconds));
            }
        };
        joined.unwrap_or_else(|error| Err(ErrorResponse::internal(&error)))
    }

    /// Queries running now.
    pub fn running(&self) -> usize {
        self.places.taken()
    }

    /// Queries waiting for others to end.
    pub fn waiting(&self) -> usize {
        self.places.waiting()
    }

    /// A place; `None` when the deadline comes first.
    async fn place(
        &self,
        tenant: &TenantId,
        deadline: tokio::time::Instant,
    ) -> Result<Option<Place>, ErrorResponse> {
        match self.places.ask(tenant) {
            Ok(Asked::Taken(place)) => Ok(Some(place)),
            Ok(Asked::Waiting(place)) => match tokio::time::timeout_at(deadline, place).await {
                Ok(Ok(place)) => Ok(Some(place)),
                Ok(Err(_)) => Err(ErrorResponse::unavailable("server is stopping")),
                Err(_) => Ok(None),
            },
            Err(TooManyWait) => {
                let message = format!(
                    "too many queries of this tenant wait already; {} may wait in all",
                    self.waiting_max
                );
                Err(ErrorResponse::overloaded(message, self.gauge.retry_after_leaving_seconds(1, 1)))
            }
        }
    }
}

fn timed_out(timeout_seconds: u64) -> ErrorResponse {
    ErrorResponse::new(
        StatusCode::GATEWAY_TIMEOUT,
        "query_timeout",
        format!("query took longer than the limit of {timeout_seconds} s"),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::http::header;

    use super::*;

    #[tokio::test]
    async fn a_query_over_the_time_limit_is_called_off_and_answered() {
        let gate = QueryGate::new(1, 1);
        let (told, seen) = tokio::sync::oneshot::channel();
        let answer = gate
            .run(&TenantId::default(), 0, move |cancellation| {
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
        let gate = Arc::new(QueryGate::new(1, 0));
        let (started, running) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move {
                gate.run(&TenantId::default(), 60, move |cancellation| {
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
        let refused = gate.run(&TenantId::default(), 60, |_| Ok(())).await.expect_err("no place");
        assert_eq!(refused.status, 429);
        assert!(refused.header().is_some_and(|(name, _)| name == header::RETRY_AFTER));
        // The client leaves, and the place is free again.
        first.abort();
        while gate.running() > 0 {
            tokio::task::yield_now().await;
        }
        gate.run(&TenantId::default(), 60, |_| Ok(())).await.expect("a free place");
    }
}
