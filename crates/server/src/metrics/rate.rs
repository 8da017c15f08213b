//! Rows a second over the last minute.

use std::sync::{Mutex, PoisonError};

const SECONDS: usize = 60;

/// One count for each of the last sixty seconds.
#[derive(Debug)]
pub struct RowRate {
    slots: Mutex<[(i64, u64); SECONDS]>,
}

impl Default for RowRate {
    fn default() -> Self {
        Self { slots: Mutex::new([(i64::MIN, 0); SECONDS]) }
    }
}

impl RowRate {
    /// Counts rows at a second since 1970.
    pub fn add(&self, second: i64, rows: u64) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(second.rem_euclid(SECONDS as i64) as usize) {
            let before = if slot.0 == second { slot.1 } else { 0 };
            *slot = (second, before + rows);
        }
    }

    /// The mean over the sixty seconds before and with `now`.
    pub fn per_second(&self, now: i64) -> f64 {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = slots.iter().filter(|slot| slot.0 > now.saturating_sub(SECONDS as i64) && slot.0 <= now);
        recent.map(|slot| slot.1).sum::<u64>() as f64 / SECONDS as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_later_nothing_is_left() {
        let rate = RowRate::default();
        rate.add(1000, 30);
        rate.add(1000, 30);
        rate.add(1059, 60);
        assert_eq!(rate.per_second(1059), 2.0);
        assert_eq!(rate.per_second(1060), 1.0);
        rate.add(1060, 6);
        assert_eq!(rate.per_second(1060), 1.1);
        assert_eq!(rate.per_second(5000), 0.0);
    }
}
