//! How long to wait before the next try: exponential, with jitter, never less than the server asked for.

use std::time::Duration;

/// The longest wait that a server's `Retry-After` is followed for.
const ASKED_MAX: Duration = Duration::from_secs(60);

/// The waits of one request.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Backoff {
    /// Begins with 100 ms and doubles up to 10 s.
    pub fn new() -> Self {
        Self { next: Duration::from_millis(100), max: Duration::from_secs(10) }
    }

    /// The next wait. `random` from 0 to 1 spreads clients that failed together over its upper half; `asked` is
    /// the server's `Retry-After`.
    pub fn next(&mut self, random: f64, asked: Option<Duration>) -> Duration {
        let wait = self.next.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        self.next = (self.next * 2).min(self.max);
        asked.map_or(wait, |asked| wait.max(asked.min(ASKED_MAX)))
    }

    /// The next wait, with randomness of its own.
    pub fn next_random(&mut self, asked: Option<Duration>) -> Duration {
        self.next(fastrand::f64(), asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_heed_the_server() {
        let mut backoff = Backoff::new();
        let waits: Vec<u128> = (0..9).map(|_| backoff.next(1.0, None).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        let mut backoff = Backoff::new();
        assert_eq!(backoff.next(0.0, None).as_millis(), 50);
        assert_eq!(backoff.next(0.0, Some(Duration::from_secs(3))).as_secs(), 3);
        assert_eq!(backoff.next(0.0, Some(Duration::from_secs(3600))).as_secs(), 60);
    }
}
