//! When lines come: bursts of nanosecond jitter under a slow curve, as many as are wanted within six hours.
//!
//! Gaps are exponential, like arrivals that do not know of each other. They are scaled block by block, so that
//! the stream of timestamps ends where it should without knowing all of it. No timestamp is on a whole second:
//! windows that are open at one end and closed at the other hold the same lines as those the other way round.

use fastrand::Rng;

/// The first timestamp, in nanoseconds: 2026-11-01T00:00:00Z.
pub(crate) const START_NS: i64 = 1_793_491_200_000_000_000;
/// How long the lines span, in nanoseconds: six hours.
pub(crate) const SPAN_NS: i64 = 6 * 3600 * 1_000_000_000;

/// Lines whose gaps are scaled together.
const BLOCK_LINES: usize = 1_000;
/// How far the load swings about its mean.
const SWING: f64 = 0.4;

/// Strictly growing timestamps.
pub(super) struct Arrivals {
    rng: Rng,
    count: usize,
    given: usize,
    last_ns: i64,
    /// Timestamps of the current block, the next one last.
    block: Vec<i64>,
}

impl Arrivals {
    pub(super) fn new(count: usize, rng: Rng) -> Self {
        Self { rng, count, given: 0, last_ns: START_NS, block: Vec::with_capacity(BLOCK_LINES) }
    }

    /// The moment at which this share of all lines has come, in nanoseconds after the start.
    fn moment(share: f64) -> f64 {
        let turn = std::f64::consts::TAU;
        // The integral of a swinging gap, from 0 to 1.
        let swung = share + SWING / turn * (1.0 - (turn * share).cos());
        // The last second stays empty, so that bumps past collisions never leave the span.
        swung * (SPAN_NS - 1_000_000_000) as f64
    }

    fn fill(&mut self) {
        let lines = BLOCK_LINES.min(self.count - self.given);
        let share = |lines: usize| lines as f64 / self.count as f64;
        let (from, to) = (Self::moment(share(self.given)), Self::moment(share(self.given + lines)));
        let mut sum = 0.0;
        let sums: Vec<f64> = (0..lines)
            .map(|_| {
                sum -= (1.0 - self.rng.f64()).ln();
                sum
            })
            .collect();
        for reached in sums {
            let wanted = START_NS + (from + (to - from) * reached / sum) as i64;
            let mut next = wanted.max(self.last_ns + 1);
            next += i64::from(next % 1_000_000_000 == 0);
            self.last_ns = next;
            self.block.push(next);
        }
        self.block.reverse();
        self.given += lines;
    }
}

impl Iterator for Arrivals {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        if self.block.is_empty() && self.given < self.count {
            self.fill();
        }
        self.block.pop()
    }
}
