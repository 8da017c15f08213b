//! Quantiles of measured times.

use std::time::Duration;

/// The time that a share of all times lie below, in milliseconds; 0 without any.
pub(super) fn quantile_ms(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let place = (times.len().saturating_sub(1) as f64 * share).round() as usize;
    times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}
