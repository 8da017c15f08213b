//! Who was told to come back, and when they do waits a moment for room instead of being told again.
//!
//! A `Retry-After` names a moment at which there should be room (see [`timberyard_pipeline::DrainGauge`]), but senders that come anew in between may
//! take it. So whoever comes back no earlier than told is not refused at once: room is asked for again and again, for at most
//! [`PATIENCE`]. Who comes anew while there is none is still refused at once. What waits holds no memory but that of bodies
//! which the budget has room for.
//!
//! A request is taken for the one that was refused when client, address, tenant, path and announced length are the same:
//! of several alike, all that come at the moment wait.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::auth::Identity;
use crate::state::SharedState;

/// How long somebody who came back when told waits for room.
const PATIENCE: Duration = Duration::from_millis(800);
/// The time between two looks whether there is room.
pub(super) const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(10);
/// Whoever comes so long after the moment comes anew.
const KEPT: Duration = Duration::from_secs(2);
/// Clocks and timers of senders may run ahead by so much.
const EARLY: Duration = Duration::from_millis(100);
/// Promises that are remembered at a time; whoever is refused beyond comes back like somebody new.
const PROMISES_MAX: usize = 4096;

tokio::task_local! {
    /// How long the request that is answered may wait for room.
    static MAY_WAIT: Duration;
}

/// How long the request that is answered may wait for room; no time unless it comes back as it was told.
pub(crate) fn patience() -> Duration {
    MAY_WAIT.try_with(|patience| *patience).unwrap_or_default()
}

/// The requests that were refused for want of room, with the moments at which they were told to come back.
#[derive(Debug, Default)]
pub struct Promises {
    hasher: RandomState,
    made: Mutex<HashMap<u64, Vec<Duration>>>,
}

impl Promises {
    /// Remembers that a request was told to come back at this moment.
    fn make(&self, request: u64, at: Duration, now: Duration) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.values().map(Vec::len).sum::<usize>() >= PROMISES_MAX {
            made.retain(|_, moments| {
                moments.retain(|at| *at + KEPT >= now);
                !moments.is_empty()
            });
            if made.values().map(Vec::len).sum::<usize>() >= PROMISES_MAX {
                return;
            }
        }
        let moments = made.entry(request).or_default();
        if !moments.contains(&at) {
            moments.push(at);
        }
    }

    /// Whether the request was told to come back about now.
    fn is_due(&self, request: u64, now: Duration) -> bool {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = |at: &Duration| *at <= now + EARLY && now <= *at + KEPT;
        made.get(&request).is_some_and(|moments| moments.iter().any(is_due))
    }

    fn key(&self, identity: &Identity, request: &Request) -> u64 {
        let length = request.headers().get(header::CONTENT_LENGTH).map(header::HeaderValue::as_bytes);
        let path = request.uri().path();
        self.hasher.hash_one((&identity.tenant, &identity.client, identity.address, path, length))
    }
}

/// Middleware of what takes logs in: remembers who is told to come back, and lets them wait for room when they do.
pub async fn keep_promises(State(state): State<SharedState>, request: Request, next: Next) -> Response {
    let Some(identity) = request.extensions().get::<Identity>() else { return next.run(request).await };
    let key = state.promises.key(identity, &request);
    let came_back = state.promises.is_due(key, state.elapsed());
    let patience = if came_back { PATIENCE } else { Duration::ZERO };
    let response = MAY_WAIT.scope(patience, next.run(request)).await;
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        let seconds = response.headers().get(header::RETRY_AFTER);
        if let Some(seconds) = seconds.and_then(|value| value.to_str().ok()?.parse().ok()) {
            let now = state.elapsed();
            state.promises.make(key, now + Duration::from_secs(seconds), now);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_was_told_is_known_at_that_time_and_not_before_or_long_after() {
        let promises = Promises::default();
        promises.make(7, at(12), at(10));
        promises.make(7, at(18), at(10));
        assert!(!promises.is_due(7, at(11)), "too early");
        assert!(!promises.is_due(8, at(12)), "somebody else");
        assert!(promises.is_due(7, at(12)) && promises.is_due(7, at(14)));
        assert!(!promises.is_due(7, at(15)), "too late");
        assert!(promises.is_due(7, at(18)));
    }

    #[test]
    fn promises_are_bounded() {
        let promises = Promises::default();
        for request in 0..2 * PROMISES_MAX as u64 {
            promises.make(request, at(50), at(45));
        }
        let made = || promises.made.lock().expect("nobody panicked").len();
        assert_eq!(made(), PROMISES_MAX);
        promises.make(9_999_999, at(101), at(100));
        assert_eq!(made(), 1, "those of long ago make room");
    }
}
