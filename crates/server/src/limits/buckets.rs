//! Token buckets, one for each of many names, in bounded memory.
//!
//! A bucket fills at a rate up to a size, and what is asked for is taken from it. Time is handed in, as the time since
//! some start, so that a clock that goes backwards moves nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The most names that are told apart; further ones share one bucket.
const NAMES_MAX: usize = 65_536;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens a second.
    pub per_second: f64,
    /// Tokens of a full bucket.
    pub burst: f64,
}

impl Rate {
    /// So many a minute, and so many at once; as many as in a minute when `None`. At least one is held.
    pub fn per_minute(tokens: u64, burst: Option<u64>) -> Self {
        Self { per_second: tokens as f64 / 60.0, burst: burst.unwrap_or(tokens).max(1) as f64 }
    }

    fn seconds_for(self, tokens: f64) -> f64 {
        if tokens <= 0.0 { 0.0 } else { tokens / self.per_second.max(f64::MIN_POSITIVE) }
    }
}

/// How a bucket stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Tokens of a full bucket.
    pub limit: u64,
    /// Whole tokens left.
    pub remaining: u64,
    /// Time until it is full again.
    pub full_in: Duration,
    /// Time until what was asked for is there; zero when it was taken.
    pub wait: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Duration,
}

impl Bucket {
    fn refill(&mut self, rate: Rate, now: Duration) {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + seconds * rate.per_second).min(rate.burst);
        self.at = now.max(self.at);
    }

    fn standing(&self, rate: Rate, missing: f64) -> Standing {
        let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Standing {
            limit: rate.burst as u64,
            remaining: self.tokens.max(0.0) as u64,
            full_in: seconds(rate.seconds_for(rate.burst - self.tokens)),
            wait: seconds(rate.seconds_for(missing)),
        }
    }
}

/// One bucket a name.
#[derive(Debug)]
pub struct Buckets<K>(Mutex<Held<K>>);

#[derive(Debug)]
struct Held<K> {
    named: HashMap<K, Bucket>,
    /// For those that found no place.
    others: Option<Bucket>,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(Mutex::new(Held { named: HashMap::new(), others: None }))
    }
}

impl<K: Eq + Hash> Buckets<K> {
    /// Takes `tokens` if all of them are there.
    pub fn take(&self, name: K, tokens: f64, rate: Rate, now: Duration) -> Standing {
        self.with(name, rate, now, |bucket| {
            let missing = (tokens - bucket.tokens).max(0.0);
            if missing == 0.0 {
                bucket.tokens -= tokens;
            }
            bucket.standing(rate, missing)
        })
    }

    /// Takes `tokens`, also those that are not there yet: what comes next waits the longer.
    pub fn charge(&self, name: K, tokens: f64, rate: Rate, now: Duration) {
        self.with(name, rate, now, |bucket| bucket.tokens -= tokens);
    }

    /// How the bucket stands for one who asks for a single token; takes nothing.
    pub fn look(&self, name: K, rate: Rate, now: Duration) -> Standing {
        self.with(name, rate, now, |bucket| bucket.standing(rate, (1.0 - bucket.tokens).max(0.0)))
    }

    /// How many names have a bucket now.
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).named.len()
    }

    /// Whether no name has a bucket.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn with<T>(&self, name: K, rate: Rate, now: Duration, act: impl FnOnce(&mut Bucket) -> T) -> T {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Bucket { tokens: rate.burst, at: now };
        if !held.named.contains_key(&name) && held.named.len() >= NAMES_MAX {
            // Those that are full again need no place.
            held.named.retain(|_, bucket| {
                bucket.refill(rate, now);
                bucket.tokens < rate.burst
            });
        }
        let is_full = held.named.len() >= NAMES_MAX;
        let bucket = match held.named.contains_key(&name) || !is_full {
            true => held.named.entry(name).or_insert(new),
            false => held.others.get_or_insert(new),
        };
        bucket.refill(rate, now);
        act(bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 2.0, burst: 4.0 };

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_is_let_in_and_then_the_rate() {
        let buckets = Buckets::default();
        for left in [3, 2, 1, 0] {
            let standing = buckets.take("a", 1.0, RATE, at(0));
            assert_eq!((standing.wait, standing.remaining), (Duration::ZERO, left));
        }
        let refused = buckets.take("a", 1.0, RATE, at(0));
        assert_eq!((refused.wait, refused.limit, refused.full_in), (at(500), 4, at(2000)));
        assert_eq!(buckets.take("a", 1.0, RATE, at(499)).wait, at(1));
        assert_eq!(buckets.take("a", 1.0, RATE, at(500)).wait, Duration::ZERO, "after the wait it is let in");
        assert_eq!(buckets.take("b", 1.0, RATE, at(500)).wait, Duration::ZERO, "another name has its own");
        assert_eq!(buckets.take("a", 1.0, RATE, at(100)).wait, at(500), "a clock cannot go backwards");
    }

    #[test]
    fn what_is_larger_than_the_bucket_is_let_in_and_paid_for_afterwards() {
        let buckets = Buckets::default();
        assert_eq!(buckets.look("a", RATE, at(0)).wait, Duration::ZERO);
        buckets.charge("a", 10.0, RATE, at(0));
        assert_eq!(buckets.look("a", RATE, at(0)).wait, at(3500));
        assert_eq!(buckets.look("a", RATE, at(3500)).wait, Duration::ZERO);
    }

    #[test]
    fn names_that_find_no_place_share_a_bucket_and_full_ones_make_room() {
        let buckets = Buckets::default();
        for name in 0..NAMES_MAX {
            buckets.take(name, 1.0, RATE, at(0));
        }
        for name in 0..4 {
            assert_eq!(buckets.take(NAMES_MAX + name, 1.0, RATE, at(0)).wait, Duration::ZERO);
        }
        assert!(buckets.take(NAMES_MAX + 9, 1.0, RATE, at(0)).wait > Duration::ZERO);
        assert_eq!(buckets.len(), NAMES_MAX);
        buckets.take(NAMES_MAX + 9, 1.0, RATE, at(60_000));
        assert_eq!(buckets.len(), 1);
    }
}
