//! Bounds how fast one address can try keys.
//!
//! Each key that is not good costs its address a token; an address that has none left is refused before its keys are
//! looked at, good ones too. A client that goes on sending one old key pays once: what was wrong a moment ago is known,
//! and says nothing new to one who guesses.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::limits::{Buckets, Rate};

/// Wrong keys that are remembered.
const REMEMBERED_MAX: usize = 4096;

/// What addresses have tried.
pub(crate) struct FailedAttempts {
    rate: Option<Rate>,
    buckets: Buckets<IpAddr>,
    remembered: Mutex<Remembered>,
    /// Addresses that may be out of tokens; while there is none, nobody needs to look.
    refused: AtomicUsize,
    seed: u64,
}

#[derive(Default)]
struct Remembered {
    order: VecDeque<u64>,
    known: HashMap<u64, ()>,
}

impl FailedAttempts {
    /// So many a minute; without a bound when `None`. `seed` keeps strangers from making equal hashes.
    pub(crate) fn new(per_minute: Option<u64>, seed: u64) -> Self {
        Self {
            rate: per_minute.map(|tokens| Rate::per_minute(tokens, None)),
            buckets: Buckets::default(),
            remembered: Mutex::default(),
            refused: AtomicUsize::new(0),
            seed,
        }
    }

    /// How long this address must wait before it may try again, if it must.
    pub(super) fn wait(&self, address: Option<IpAddr>, now: Duration) -> Option<Duration> {
        let rate = self.rate?;
        if self.refused.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let wait = self.buckets.look(network_of(address?), rate, now).wait;
        (!wait.is_zero()).then_some(wait)
    }

    /// Counts a key that was not good. Returns whether it is news.
    pub(super) fn count(&self, address: Option<IpAddr>, key: &str, now: Duration) -> bool {
        let (Some(rate), Some(address)) = (self.rate, address) else { return true };
        let network = network_of(address);
        let hash = xxh3_64_with_seed(format!("{network} {key}").as_bytes(), self.seed);
        if !self.remembered.lock().unwrap_or_else(PoisonError::into_inner).is_new(hash) {
            return false;
        }
        self.buckets.charge(network, 1.0, rate, now);
        if !self.buckets.look(network, rate, now).wait.is_zero() {
            self.refused.store(1, Ordering::Relaxed);
        }
        true
    }
}

impl Remembered {
    fn is_new(&mut self, hash: u64) -> bool {
        if self.known.insert(hash, ()).is_some() {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// The part of an address that one client has to itself: all of IPv4, the first 64 bits of IPv6.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_address_that_guesses_is_refused_for_a_while_and_others_are_not() {
        let attempts = FailedAttempts::new(Some(6), 0);
        let (one, other) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
        for guess in 0..6 {
            assert_eq!(attempts.wait(one, at(0)), None);
            assert!(attempts.count(one, &guess.to_string(), at(0)));
        }
        assert_eq!(attempts.wait(one, at(0)), Some(at(10)));
        assert_eq!(attempts.wait(other, at(0)), None);
        assert_eq!(attempts.wait(one, at(10)), None);
    }

    #[test]
    fn an_old_key_sent_again_and_again_costs_once() {
        let attempts = FailedAttempts::new(Some(2), 0);
        let address = "2001:db8::1".parse().ok();
        assert!(attempts.count(address, "old", at(0)));
        assert!((0..100).all(|_| !attempts.count(address, "old", at(0))));
        assert_eq!(attempts.wait(address, at(0)), None);
        assert!(attempts.count("2001:db8::2".parse().ok(), "guess", at(0)), "a network of one client");
        assert!(attempts.wait(address, at(0)).is_some());
    }
}
