//! How often and how much one client, address or tenant may ask: requests a minute, bytes a second, requests at a time.
//!
//! The rates stand in the limits of the request's tenant; what is without a rate costs nothing here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use timberyard_model::limits::RateLimits;
use timberyard_model::{Limits, TenantId};
use timberyard_pipeline::{DrainGauge, Entered};

use super::buckets::{Buckets, Rate, Standing};
use crate::auth::{Identity, network_of};
use crate::error_response::ErrorResponse;
use crate::state::{ServerState, SharedState};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What everybody has used of their rates.
#[derive(Debug, Default)]
pub struct RateGate {
    clients: Buckets<Client>,
    addresses: Buckets<IpAddr>,
    bytes: Buckets<TenantId>,
    in_flight: Arc<Mutex<HashMap<TenantId, usize>>>,
    /// The requests of tenants with a bound on them, of all such tenants together.
    bounded: DrainGauge,
}

/// Who has a rate of requests: a key by its name, so that a rotated key and its successor share one, or an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Client {
    Key(Arc<str>),
    Address(IpAddr),
}

/// A place among the requests of a tenant; given back when dropped.
struct Place {
    in_flight: Arc<Mutex<HashMap<TenantId, usize>>>,
    tenant: TenantId,
    _entered: Entered,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = in_flight.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                in_flight.remove(&self.tenant);
            }
        }
    }
}

impl RateGate {
    /// How the request's client and address stand after it: the one that has less left; `None` without a rate.
    fn take_request(&self, identity: &Identity, now: Duration) -> Option<Standing> {
        let rates = &identity.limits.rate;
        let address = identity.address.map(network_of);
        let by_address = rates.address_requests_per_minute.zip(address).map(|(tokens, address)| {
            self.addresses.take(address, 1.0, Rate::per_minute(tokens, rates.burst), now)
        });
        // An address that is refused takes nothing from the key.
        if by_address.is_some_and(|standing| !standing.wait.is_zero()) {
            return by_address;
        }
        let client = match (&identity.client, address) {
            (Some(name), _) => Some(Client::Key(Arc::clone(name))),
            (None, address) => address.map(Client::Address),
        };
        let by_client = rates.requests_per_minute.zip(client).map(|(tokens, client)| {
            self.clients.take(client, 1.0, Rate::per_minute(tokens, rates.burst), now)
        });
        match (by_address, by_client) {
            (Some(address), Some(client))
                if client.wait.is_zero() && address.remaining < client.remaining =>
            {
                Some(address)
            }
            (_, Some(client)) => Some(client),
            (address, None) => address,
        }
    }

    /// Takes one from the rates of requests, and gives how the client stands then.
    ///
    /// # Errors
    /// That its rate, or its address's, is used up.
    pub(crate) fn check_request(
        &self,
        identity: &Identity,
        now: Duration,
    ) -> Result<Option<Standing>, ErrorResponse> {
        let standing = self.take_request(identity, now);
        match standing.filter(|standing| !standing.wait.is_zero()) {
            Some(refused) => {
                let message = format!("too many requests: {} at once and then at a rate", refused.limit);
                Err(refusal(message, &refused))
            }
            None => Ok(standing),
        }
    }

    /// A place among the requests of a tenant that go on at the same time.
    fn place(&self, identity: &Identity) -> Result<Option<Place>, ErrorResponse> {
        let Some(limit) = identity.limits.rate.requests_max else { return Ok(None) };
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let count = in_flight.entry(identity.tenant.clone()).or_default();
        if *count >= limit {
            let message = format!("{count} requests of this tenant are being answered, the limit is {limit}");
            // One of its own has to end, which takes as long as it takes as many of all as there are for each of its own.
            let all: usize = in_flight.values().sum();
            let leaving = all.div_ceil(limit.max(1)) as u64;
            let seconds = self.bounded.retry_after_leaving_seconds(leaving, 1);
            return Err(ErrorResponse::overloaded(message, seconds));
        }
        *count += 1;
        let in_flight = Arc::clone(&self.in_flight);
        Ok(Some(Place { in_flight, tenant: identity.tenant.clone(), _entered: self.bounded.enter(1) }))
    }

    /// Refuses while a tenant still pays for bytes that it sent before. Asked before a body is read.
    pub fn check_bytes(
        &self,
        tenant: &TenantId,
        limits: &Limits,
        now: Duration,
    ) -> Result<(), ErrorResponse> {
        let Some(rate) = byte_rate(&limits.rate) else { return Ok(()) };
        let standing = self.bytes.look(tenant.clone(), rate, now);
        if standing.wait.is_zero() {
            return Ok(());
        }
        let message = format!("tenant `{tenant}` sends more than {} bytes a second", rate.per_second);
        Err(refusal(message, &standing))
    }

    /// Counts bytes that a tenant sent. One batch may be larger than what is left: the next one waits the longer.
    pub fn count_bytes(&self, tenant: &TenantId, limits: &Limits, bytes: usize, now: Duration) {
        if let Some(rate) = byte_rate(&limits.rate) {
            self.bytes.charge(tenant.clone(), bytes as f64, rate, now);
        }
    }
}

/// A second's worth may come at once.
fn byte_rate(rates: &RateLimits) -> Option<Rate> {
    let bytes = rates.bytes_per_second?;
    Some(Rate { per_second: bytes as f64, burst: bytes as f64 })
}

/// Middleware: 429 when the client, its address or its tenant asks for too much; tells every client how it stands.
pub async fn bound_rates(State(state): State<SharedState>, request: Request, next: Next) -> Response {
    match admit(&state, &request) {
        Ok((standing, place)) => {
            let mut response = next.run(request).await;
            drop(place);
            if let Some(standing) = standing {
                tell(response.headers_mut(), &standing);
            }
            response
        }
        Err(refused) => refused.into_response(),
    }
}

fn admit(state: &ServerState, request: &Request) -> Result<(Option<Standing>, Option<Place>), ErrorResponse> {
    // Probes have no identity and no limit.
    let Some(identity) = request.extensions().get::<Identity>() else { return Ok((None, None)) };
    let standing = state.rate_gate.check_request(identity, state.elapsed())?;
    Ok((standing, state.rate_gate.place(identity)?))
}

fn refusal(message: String, standing: &Standing) -> ErrorResponse {
    let refused = ErrorResponse::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message)
        .with_header(header::RETRY_AFTER, seconds(standing.wait).max(1).into());
    let mut headers = HeaderMap::new();
    tell(&mut headers, standing);
    let named = headers.into_iter().filter_map(|(name, value)| Some((name?, value)));
    named.fold(refused, |refused, (name, value)| refused.with_header(name, value))
}

fn tell(headers: &mut HeaderMap, standing: &Standing) {
    headers.insert(LIMIT, HeaderValue::from(standing.limit));
    headers.insert(REMAINING, HeaderValue::from(standing.remaining));
    headers.insert(RESET, HeaderValue::from(seconds(standing.full_in)));
}

/// Whole seconds, rounded up: after them, what was waited for is there.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
