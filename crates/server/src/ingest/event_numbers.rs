//! The numbers that analytics events get: unique, increasing, and the microsecond in which the event was
//! taken.
//!
//! A hybrid clock: the time when that is ahead of the last number, else the next number. It runs ahead of the
//! time only while more than a million events a second come in, so numbers stay unique across restarts as
//! long as the clock is not set back. They fit 53 bits until the year 2255, so that JavaScript reads them
//! exactly.

use std::sync::atomic::{AtomicI64, Ordering};

use timberyard_model::Timestamp;

/// Gives out numbers.
#[derive(Debug)]
pub struct EventNumbers {
    next: AtomicI64,
}

impl Default for EventNumbers {
    fn default() -> Self {
        Self { next: AtomicI64::new(1) }
    }
}

impl EventNumbers {
    /// The first of `count` consecutive numbers that nobody else gets.
    pub fn take(&self, count: usize, now: Timestamp) -> i64 {
        let micros = now.as_nanos().div_euclid(1000);
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let first = |next: i64| next.max(micros);
        let before = self.next.fetch_update(Ordering::AcqRel, Ordering::Acquire, |next| {
            Some(first(next).saturating_add(count))
        });
        match before {
            Ok(next) | Err(next) => first(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_clock_but_never_come_twice() {
        let numbers = EventNumbers::default();
        let at = |micros: i64| Timestamp::from_nanos(micros * 1000);
        assert_eq!(numbers.take(1, at(500)), 500);
        assert_eq!(numbers.take(3, at(500)), 501);
        assert_eq!(numbers.take(1, at(400)), 504);
        assert_eq!(numbers.take(1, at(900)), 900);
    }
}
