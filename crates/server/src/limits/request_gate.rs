//! A bound on the requests being answered, shared fairly between the addresses they come from, and on the seconds that a write
//! may take.
//!
//! One connection of HTTP/2 can begin a hundred requests and leave them lying, so that a few of them could hold every place. An
//! address may take places while what it has is at most [`SHARES`] times what is still free, as tenants may with the
//! [budget for bodies](super::BodyBudget): alone it gets three quarters, and there is room for one that comes anew.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use timberyard_pipeline::{DrainGauge, Entered};

use crate::auth::Identity;
use crate::client_address::ClientAddress;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// How many times what is free an address may have.
const SHARES: usize = 3;

/// A bound on the requests being answered.
#[derive(Clone, Debug)]
pub struct RequestGate {
    places: Arc<Mutex<Places>>,
    requests_max: usize,
    gauge: DrainGauge,
}

/// Who has how many. Addresses that have none are not there.
#[derive(Debug, Default)]
struct Places {
    taken: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place among the requests being answered; given back when dropped.
#[derive(Debug)]
pub(crate) struct RequestPlace {
    places: Arc<Mutex<Places>>,
    address: Option<IpAddr>,
    _entered: Entered,
}

impl RequestGate {
    /// At most `requests_max` at a time.
    pub fn new(requests_max: usize) -> Self {
        Self { places: Arc::default(), requests_max, gauge: DrainGauge::default() }
    }

    /// A place for one more.
    ///
    /// # Errors
    /// 503 when as many as are allowed are being answered, or the rest is for other addresses.
    pub(crate) fn enter(&self, client: ClientAddress) -> Result<RequestPlace, ErrorResponse> {
        let mut places = locked(&self.places);
        let own = client.0.and_then(|address| places.by_address.get(&address).copied()).unwrap_or(0);
        let free_after = self.requests_max.saturating_sub(places.taken + 1);
        if places.taken >= self.requests_max {
            let message = format!("{} requests are being answered, which is the limit", self.requests_max);
            return Err(self.refusal(message));
        }
        if own > 0 && own + 1 > SHARES.saturating_mul(free_after) {
            let message = format!(
                "{own} of {} requests that may be answered are of this address; the rest is for others",
                self.requests_max
            );
            return Err(self.refusal(message));
        }
        places.taken += 1;
        if let Some(address) = client.0 {
            places.by_address.insert(address, own + 1);
        }
        drop(places);
        let places = Arc::clone(&self.places);
        Ok(RequestPlace { places, address: client.0, _entered: self.gauge.enter(1) })
    }

    fn refusal(&self, message: String) -> ErrorResponse {
        ErrorResponse::unavailable(message)
            .with_header(header::RETRY_AFTER, self.gauge.retry_after_leaving_seconds(1, 1).into())
    }

    /// Requests being answered now.
    pub fn in_flight(&self) -> usize {
        locked(&self.places).taken
    }
}

fn locked(places: &Mutex<Places>) -> MutexGuard<'_, Places> {
    // Numbers are whole whoever panicked.
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for RequestPlace {
    fn drop(&mut self) {
        let mut places = locked(&self.places);
        places.taken -= 1;
        let Some(address) = self.address else { return };
        if let Some(own) = places.by_address.get_mut(&address) {
            *own -= 1;
            if *own == 0 {
                places.by_address.remove(&address);
            }
        }
    }
}

/// Middleware: answers 503 when as many requests as are allowed are being answered.
pub async fn bound_requests(
    State(state): State<SharedState>,
    client: ClientAddress,
    request: Request,
    next: Next,
) -> Response {
    match state.request_gate.enter(client) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes as many places as an address gets.
    fn fill(gate: &RequestGate, address: [u8; 4]) -> Vec<RequestPlace> {
        std::iter::from_fn(|| gate.enter(ClientAddress(Some(address.into()))).ok()).collect()
    }

    #[test]
    fn no_address_can_take_all_places() {
        let gate = RequestGate::new(100);
        let first = fill(&gate, [192, 0, 2, 1]);
        assert_eq!(first.len(), 75);
        let second = fill(&gate, [192, 0, 2, 2]);
        assert!(second.len() > 15, "{}", second.len());
        assert!(!fill(&gate, [192, 0, 2, 3]).is_empty());
        drop(first);
        assert!(fill(&gate, [192, 0, 2, 2]).len() > 20);
        drop(second);
        assert_eq!((gate.in_flight(), locked(&gate.places).by_address.len()), (0, 0));
    }

    #[test]
    fn the_limit_holds_for_all_together() {
        let gate = RequestGate::new(2);
        let one = gate.enter(ClientAddress(Some([192, 0, 2, 1].into()))).expect("a place");
        let other = gate.enter(ClientAddress(None)).expect("a place");
        let refused = gate.enter(ClientAddress(Some([192, 0, 2, 2].into()))).expect_err("full");
        assert!(refused.status == 503 && refused.message.contains("2 requests"), "{}", refused.message);
        drop((one, other));
        assert!(gate.enter(ClientAddress(None)).is_ok());
    }
}
