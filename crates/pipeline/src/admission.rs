//! Decides whether a batch may come in now: a bound on the bytes that are on their way to the sinks.
//!
//! Overload is answered, not absorbed: what does not fit is refused at once with a time to come
//! back, and a batch never waits here. Rates per key and tenant find their place beside this bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use timberyard_model::sink::SinkError;

use crate::drain::{DrainGauge, Entered};

/// A bound on the bytes in flight between door and sinks.
#[derive(Debug)]
pub struct Admission {
    in_flight_bytes: Arc<AtomicUsize>,
    in_flight_bytes_max: usize,
    gauge: DrainGauge,
}

/// Room taken by one batch; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    in_flight_bytes: Arc<AtomicUsize>,
    bytes: usize,
    entered: Entered,
}

impl Permit {
    /// The batch was not stored: how soon it left says nothing about how fast others are.
    pub fn give_up(&mut self) {
        self.entered.give_up();
    }
}

impl Admission {
    /// At most `in_flight_bytes_max` bytes of batches at a time. A single batch larger than that is taken
    /// when nothing else is in flight, since the request limits bound it already.
    pub fn new(in_flight_bytes_max: usize, gauge: DrainGauge) -> Self {
        Self { in_flight_bytes: Arc::default(), in_flight_bytes_max, gauge }
    }

    /// Takes room for `bytes`, or says when to come back: when as much has been stored as is in the way, at the rate of
    /// the last seconds.
    pub fn admit(&self, bytes: usize) -> Result<Permit, SinkError> {
        let fits = |now: usize| now == 0 || now.saturating_add(bytes) <= self.in_flight_bytes_max;
        self.in_flight_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                fits(now).then(|| now.saturating_add(bytes))
            })
            .map(|_| Permit {
                in_flight_bytes: Arc::clone(&self.in_flight_bytes),
                bytes,
                entered: self.gauge.enter(bytes as u64),
            })
            .map_err(|now| SinkError::Overloaded {
                reason: format!(
                    "{now} bytes are waiting to be stored, {bytes} more would pass the limit of {}",
                    self.in_flight_bytes_max
                ),
                retry_after_seconds: self
                    .gauge
                    .retry_after_seconds(bytes as u64, self.in_flight_bytes_max as u64),
            })
    }

    /// Bytes admitted and not yet durable.
    pub fn in_flight_bytes(&self) -> usize {
        self.in_flight_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.in_flight_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_until_room_is_given_back() {
        let admission = Admission::new(100, DrainGauge::default());
        let first = admission.admit(60).expect("fits");
        assert!(matches!(admission.admit(41), Err(SinkError::Overloaded { .. })));
        let second = admission.admit(40).expect("fits exactly");
        drop((first, second));
        assert_eq!(admission.in_flight_bytes(), 0);
        admission.admit(1000).expect("a large batch is taken when it is alone");
    }

    #[test]
    fn after_the_seconds_that_it_was_told_a_batch_is_taken() {
        let clock = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&clock);
        let elapsed = move || Duration::from_millis(told.load(Ordering::Relaxed));
        let admission = Admission::new(1000, DrainGauge::with_clock(Arc::new(elapsed)));
        // A disk that takes a batch of 100 bytes every half second.
        let mut waiting: std::collections::VecDeque<Permit> =
            (0..10).map(|_| admission.admit(100).expect("fits")).collect();
        let mut store_one = || {
            clock.fetch_add(500, Ordering::Relaxed);
            waiting.pop_front();
        };
        let mut late = Vec::new();
        for _ in 0..6 {
            store_one();
            late.push(admission.admit(100).expect("fits"));
        }
        let Err(SinkError::Overloaded { retry_after_seconds, .. }) = admission.admit(350) else {
            panic!("there is no room");
        };
        assert!(
            (2..=3).contains(&retry_after_seconds),
            "{retry_after_seconds} s for 350 bytes at 200 a second"
        );
        for _ in 0..2 * retry_after_seconds {
            store_one();
        }
        admission.admit(350).expect("the seconds are over");
    }
}
