//! How fast something bounded empties, and so when there is room again: the figure of every `Retry-After`.
//!
//! Measured is what leaves per second of the time in which there was anything inside, the last seconds counting most:
//! pauses say nothing about how fast things go. Whoever is refused is promised a moment, and the next one a moment at which
//! there is room beside what was promised before. So those who come back when they were told find room, all of them, as
//! long as the rate stays and nobody new comes; no room is kept for them here. [`Drain`] is pure; [`DrainGauge`] is one with
//! a clock, to be shared.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After this much busy time, in seconds, a measurement counts half.
const HALF_LIFE_SECONDS: f64 = 3.0;
/// What of the measured rate is counted on.
const CAUTION: f64 = 0.9;
/// The most promises that are told apart; further ones count as if they came with the one before.
const PROMISES_MAX: usize = 1000;
/// The longest that anybody is told to wait, in seconds.
pub const RETRY_AFTER_SECONDS_MAX: u64 = 60;

/// What is inside, and how fast it leaves. Units are bytes, requests, or whatever else the bound counts.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    inside: u64,
    /// Up to when everything below has been counted.
    counted_to: Duration,
    /// When something was last done, or came in where nothing was.
    moved_at: Duration,
    /// Units that left, and the seconds in which anything was inside, both with the older ones counting less.
    left_units: f64,
    busy_seconds: f64,
    /// Who was told to come back when, with how many units: sorted by time.
    promised: Vec<(Duration, f64)>,
}

impl Drain {
    /// Units came in.
    pub fn enter(&mut self, units: u64, now: Duration) {
        self.count_to(now);
        if self.inside == 0 {
            self.moved_at = now;
        }
        self.inside = self.inside.saturating_add(units);
    }

    /// Units left because they were done.
    pub fn leave(&mut self, units: u64, now: Duration) {
        self.give_up(units, now);
        self.moved_at = now;
        self.left_units += units as f64;
    }

    /// Units left that were not done: what was refused half way says nothing about the rate.
    pub fn give_up(&mut self, units: u64, now: Duration) {
        self.count_to(now);
        self.inside = self.inside.saturating_sub(units);
    }

    /// Units inside.
    pub fn inside(&self) -> u64 {
        self.inside
    }

    /// The whole seconds after which `units` find room where `capacity` is the bound; from 1 to
    /// [`RETRY_AFTER_SECONDS_MAX`]. A step for each who waits and second to wait. What is larger than the bound
    /// finds room when nothing else is inside.
    pub fn retry_after_seconds(&mut self, units: u64, capacity: u64, now: Duration) -> u64 {
        self.count_to(now);
        if self.left_units < 1.0 {
            // Nothing is known, or nothing has moved for long: as long again.
            return now.saturating_sub(self.moved_at).as_secs().clamp(1, RETRY_AFTER_SECONDS_MAX);
        }
        let rate = CAUTION * self.left_units / self.busy_seconds.max(0.001);
        let come_back = self.promised.iter().take_while(|(at, _)| *at <= now).count();
        self.promised.drain(..come_back);
        let fits = |wait: &u64| self.fits(units, now + Duration::from_secs(*wait), capacity, rate, now);
        let wait = (1..RETRY_AFTER_SECONDS_MAX).find(fits).unwrap_or(RETRY_AFTER_SECONDS_MAX);
        self.promise(units, now + Duration::from_secs(wait));
        wait
    }

    /// Whether `units` that come in `at` find room, and so does everybody who was told to come later.
    fn fits(&self, units: u64, at: Duration, capacity: u64, rate: f64, now: Duration) -> bool {
        let (before, after) =
            self.promised.split_at(self.promised.partition_point(|(other, _)| *other <= at));
        let (mut level, mut moment) = (self.inside as f64, now);
        let mut come = |at: Duration, units: f64| {
            let left = (level - rate * at.saturating_sub(moment).as_secs_f64()).max(0.0);
            (level, moment) = (left + units, at);
            left == 0.0 || level <= capacity as f64
        };
        for (at, units) in before {
            come(*at, *units);
        }
        come(at, units as f64) && after.iter().all(|(at, units)| come(*at, *units))
    }

    fn promise(&mut self, units: u64, at: Duration) {
        let next = self.promised.partition_point(|(other, _)| *other <= at);
        let is_full = self.promised.len() >= PROMISES_MAX;
        let before = next.checked_sub(1).and_then(|before| self.promised.get_mut(before));
        match before.filter(|_| is_full) {
            Some((_, promised)) => *promised += units as f64,
            None => self.promised.insert(next, (at, units as f64)),
        }
    }

    fn count_to(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.counted_to).as_secs_f64();
        self.counted_to = self.counted_to.max(now);
        if self.inside > 0 {
            let kept = (-seconds * std::f64::consts::LN_2 / HALF_LIFE_SECONDS).exp();
            self.left_units *= kept;
            // The integral of what each moment of these seconds still counts.
            self.busy_seconds =
                self.busy_seconds * kept + (1.0 - kept) * HALF_LIFE_SECONDS / std::f64::consts::LN_2;
        }
    }
}

/// Tells the time since some moment, by a clock that never goes backwards.
pub type Elapsed = Arc<dyn Fn() -> Duration + Send + Sync>;

/// A [`Drain`] with a clock, shared by who comes in and who goes out.
#[derive(Clone)]
pub struct DrainGauge {
    drain: Arc<Mutex<Drain>>,
    elapsed: Elapsed,
}

impl Default for DrainGauge {
    fn default() -> Self {
        let started = Instant::now();
        Self::with_clock(Arc::new(move || started.elapsed()))
    }
}

impl fmt::Debug for DrainGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DrainGauge").field(&*self.drain()).finish()
    }
}

impl DrainGauge {
    /// One that has measured nothing yet, with a clock of its own.
    pub fn with_clock(elapsed: Elapsed) -> Self {
        Self { drain: Arc::default(), elapsed }
    }

    /// [`Drain::enter`]; they leave when what is returned is dropped.
    pub fn enter(&self, units: u64) -> Entered {
        self.drain().enter(units, (self.elapsed)());
        Entered { gauge: self.clone(), units, is_done: true }
    }

    /// [`Drain::retry_after_seconds`]
    pub fn retry_after_seconds(&self, units: u64, capacity: u64) -> u64 {
        self.drain().retry_after_seconds(units, capacity, (self.elapsed)())
    }

    /// The same for `units` that find room as soon as so many of those inside have left.
    pub fn retry_after_leaving_seconds(&self, leaving: u64, units: u64) -> u64 {
        let mut drain = self.drain();
        let capacity = drain.inside().saturating_sub(leaving).saturating_add(units);
        drain.retry_after_seconds(units, capacity, (self.elapsed)())
    }

    fn drain(&self) -> MutexGuard<'_, Drain> {
        // Numbers are whole whoever panicked.
        self.drain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Units inside; they leave when this is dropped.
#[derive(Debug)]
pub struct Entered {
    gauge: DrainGauge,
    units: u64,
    is_done: bool,
}

impl Entered {
    /// More units of the same.
    pub fn grow(&mut self, units: u64) {
        self.gauge.drain().enter(units, (self.gauge.elapsed)());
        self.units = self.units.saturating_add(units);
    }

    /// What leaves has not been done.
    pub fn give_up(&mut self) {
        self.is_done = false;
    }

    /// What leaves has been done after all.
    pub fn done(&mut self) {
        self.is_done = true;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let now = (self.gauge.elapsed)();
        let mut drain = self.gauge.drain();
        if self.is_done { drain.leave(self.units, now) } else { drain.give_up(self.units, now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: u64 = 1000;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A queue that is full, and has been emptied by `per_tick` every 10 ms for a while.
    fn busy(per_tick: u64) -> (Drain, u64) {
        let mut drain = Drain::default();
        drain.enter(CAPACITY, at(0));
        for tick in 1..=1000 {
            drain.leave(per_tick, at(tick * 10));
            drain.enter(per_tick, at(tick * 10));
        }
        (drain, 10_000)
    }

    #[test]
    fn who_comes_back_when_told_finds_room_and_so_does_everybody_else() {
        for (per_tick, size, senders) in [(1, 100, 30), (5, 90, 60), (50, 300, 100), (1, 2000, 3)] {
            let (mut drain, start) = busy(per_tick);
            let mut told: Vec<u64> = Vec::new();
            let mut came_back = 0;
            // One is refused every tick, while the queue empties as before.
            for tick in start / 10.. {
                let now = tick * 10;
                if tick > start / 10 {
                    drain.leave(per_tick.min(drain.inside()), at(now));
                }
                for _ in told.iter().filter(|moment| **moment == now) {
                    let inside = drain.inside();
                    assert!(
                        inside == 0 || inside + size <= CAPACITY,
                        "{size} at {per_tick} a tick: {inside} are inside after {} ms",
                        now - start
                    );
                    drain.enter(size, at(now));
                    came_back += 1;
                }
                if told.len() < senders {
                    told.push(now + 1000 * drain.retry_after_seconds(size, CAPACITY, at(now)));
                } else if came_back == senders {
                    break;
                }
            }
            let longest = told.iter().max().copied().expect("senders") - start;
            let work = (CAPACITY + size * senders as u64) as f64 / (per_tick * 100) as f64;
            let bound = (1.3 * work + 3.0).min(senders as f64 / 100.0 + RETRY_AFTER_SECONDS_MAX as f64);
            assert!(longest as f64 / 1000.0 <= bound, "{longest} ms, {work} s of work");
        }
    }

    #[test]
    fn a_pause_does_not_make_it_slower_and_a_stall_does() {
        let (mut drain, now) = busy(10);
        drain.leave(CAPACITY, at(now));
        let later = now + 3_600_000;
        drain.enter(CAPACITY, at(later));
        assert_eq!(drain.retry_after_seconds(500, CAPACITY, at(later)), 1, "1000 units a second and more");
        let (mut drain, now) = busy(10);
        let waits: Vec<u64> =
            (0..4).map(|n| drain.clone().retry_after_seconds(500, CAPACITY, at(now + n * 5000))).collect();
        assert!(waits.is_sorted() && waits[3] > 4 * waits[0], "{waits:?}");
        drain.count_to(at(now + 3_600_000));
        assert_eq!(drain.retry_after_seconds(500, CAPACITY, at(now + 3_600_000)), RETRY_AFTER_SECONDS_MAX);
    }

    #[test]
    fn before_anything_is_measured_it_is_a_second_or_as_long_as_it_has_been_stuck() {
        let mut drain = Drain::default();
        drain.enter(CAPACITY, at(0));
        assert_eq!(drain.retry_after_seconds(1, CAPACITY, at(0)), 1);
        assert_eq!(drain.retry_after_seconds(1, CAPACITY, at(30_000)), 30);
    }

    #[test]
    fn what_was_given_up_is_no_measurement() {
        let gauge = DrainGauge::with_clock(Arc::new(|| at(5000)));
        let mut refused = gauge.enter(7);
        refused.grow(3);
        refused.give_up();
        assert_eq!(gauge.drain().inside(), 10);
        drop(refused);
        assert_eq!(gauge.drain().inside(), 0);
        assert_eq!(gauge.drain().left_units, 0.0);
        drop(gauge.enter(5));
        assert_eq!(gauge.drain().left_units, 5.0);
    }
}
