//! Decides whether a batch may come in now: a bound on the bytes that are on their way to the sinks.
//!
//! Overload is answered, not absorbed: what does not fit is refused at once with a time to come
//! back, and a batch never waits here. Rates per key and tenant find their place beside this bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use timberyard_model::sink::SinkError;

/// Seconds after which a sender refused here is told to come back: the sinks drain within one sync.
const RETRY_AFTER_SECONDS: u64 = 1;

/// A bound on the bytes in flight between door and sinks.
#[derive(Debug)]
pub struct Admission {
    in_flight_bytes: Arc<AtomicUsize>,
    in_flight_bytes_max: usize,
}

/// Room taken by one batch; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    in_flight_bytes: Arc<AtomicUsize>,
    bytes: usize,
}

impl Admission {
    /// At most `in_flight_bytes_max` bytes of batches at a time. A single batch larger than that is taken
    /// when nothing else is in flight, since the request limits bound it already.
    pub fn new(in_flight_bytes_max: usize) -> Self {
        Self { in_flight_bytes: Arc::default(), in_flight_bytes_max }
    }

    /// Takes room for `bytes`, or says when to come back.
    pub fn admit(&self, bytes: usize) -> Result<Permit, SinkError> {
        let fits = |now: usize| now == 0 || now.saturating_add(bytes) <= self.in_flight_bytes_max;
        self.in_flight_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                fits(now).then(|| now.saturating_add(bytes))
            })
            .map(|_| Permit { in_flight_bytes: Arc::clone(&self.in_flight_bytes), bytes })
            .map_err(|now| SinkError::Overloaded {
                reason: format!(
                    "{now} bytes are waiting to be stored, {bytes} more would pass the limit of {}",
                    self.in_flight_bytes_max
                ),
                retry_after_seconds: RETRY_AFTER_SECONDS,
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
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_until_room_is_given_back() {
        let admission = Admission::new(100);
        let first = admission.admit(60).expect("fits");
        assert!(matches!(admission.admit(41), Err(SinkError::Overloaded { .. })));
        let second = admission.admit(40).expect("fits exactly");
        drop((first, second));
        assert_eq!(admission.in_flight_bytes(), 0);
        admission.admit(1000).expect("a large batch is taken when it is alone");
    }
}
