//! Decides whether a batch may come in now: a bound on the bytes that are on their way to the sinks.
//!
//! Overload is answered, not absorbed: what does not fit is refused at once with a time to come
//! back; only who came back when told may wait here, for a moment. Rates per key and tenant find their place beside this bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use timberyard_model::sink::SinkError;
use tokio::time::Instant;

use crate::drain::{DrainGauge, Entered};

/// Who may wait for room looks again after this time.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(10);

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

    /// Takes room for `bytes`, after waiting for it no longer than `patience`, or says when to come back: when as much has been
    /// stored as is in the way, at the rate of the last seconds.
    ///
    /// # Errors
    /// [`SinkError::Overloaded`], which says how much is in the way.
    pub async fn admit(&self, bytes: usize, patience: Duration) -> Result<Permit, SinkError> {
        let asked_at = Instant::now();
        loop {
            match self.take(bytes) {
                Ok(permit) => return Ok(permit),
                Err(_) if asked_at.elapsed() < patience => tokio::time::sleep(LOOK_AGAIN_AFTER).await,
                Err(now) => return Err(self.refusal(bytes, now)),
            }
        }
    }

    /// Takes room, or gives the bytes that are in flight.
    fn take(&self, bytes: usize) -> Result<Permit, usize> {
        let fits = |now: usize| now == 0 || now.saturating_add(bytes) <= self.in_flight_bytes_max;
        self.in_flight_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
            fits(now).then(|| now.saturating_add(bytes))
        })?;
        Ok(Permit {
            in_flight_bytes: Arc::clone(&self.in_flight_bytes),
            bytes,
            entered: self.gauge.enter(bytes as u64),
        })
    }

    fn refusal(&self, bytes: usize, in_flight: usize) -> SinkError {
        let limit = self.in_flight_bytes_max;
        SinkError::Overloaded {
            reason: format!(
                "{in_flight} bytes are waiting to be stored, {bytes} more would pass the limit of {limit}"
            ),
            retry_after_seconds: self.gauge.retry_after_seconds(bytes as u64, limit as u64),
        }
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

    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_until_room_is_given_back() {
        let admission = Admission::new(100, DrainGauge::default());
        let first = admission.take(60).expect("fits");
        assert!(admission.take(41).is_err());
        let second = admission.take(40).expect("fits exactly");
        drop((first, second));
        assert_eq!(admission.in_flight_bytes(), 0);
        admission.take(1000).expect("a large batch is taken when it is alone");
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_wait_gets_the_room_that_is_given_back_meanwhile() {
        let admission = Admission::new(100, DrainGauge::default());
        let first = admission.take(100).expect("fits");
        let give_back = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            drop(first);
        };
        let (taken, ()) = tokio::join!(admission.admit(50, Duration::from_secs(3)), give_back);
        let _taken = taken.expect("there is room after two seconds");
        let refused = admission.admit(60, Duration::from_secs(3)).await;
        assert!(matches!(refused, Err(SinkError::Overloaded { .. })), "its time is over");
        assert!(admission.admit(60, Duration::ZERO).await.is_err());
    }

    #[test]
    fn after_the_seconds_that_it_was_told_a_batch_is_taken() {
        let clock = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&clock);
        let elapsed = move || Duration::from_millis(told.load(Ordering::Relaxed));
        let admission = Admission::new(1000, DrainGauge::with_clock(Arc::new(elapsed)));
        // A disk that takes a batch of 100 bytes every half second.
        let mut waiting: std::collections::VecDeque<Permit> =
            (0..10).map(|_| admission.take(100).expect("fits")).collect();
        let mut store_one = || {
            clock.fetch_add(500, Ordering::Relaxed);
            waiting.pop_front();
        };
        let mut late = Vec::new();
        for _ in 0..6 {
            store_one();
            late.push(admission.take(100).expect("fits"));
        }
        let now = admission.take(350).expect_err("there is no room");
        let SinkError::Overloaded { retry_after_seconds, .. } = admission.refusal(350, now) else {
            panic!("it is full");
        };
        assert!(
            (2..=3).contains(&retry_after_seconds),
            "{retry_after_seconds} s for 350 bytes at 200 a second"
        );
        for _ in 0..2 * retry_after_seconds {
            store_one();
        }
        admission.take(350).expect("the seconds are over");
    }
}
