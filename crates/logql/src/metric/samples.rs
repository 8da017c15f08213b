//! Functions of a window that need every sample in it: quantiles and the rate of a counter.

use super::grid::WindowSpan;
use crate::budget::Budget;
use crate::error::QueryError;

/// A sample with its time in nanoseconds, and the windows that it lies in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TimedSample {
    pub(super) nanos: i64,
    pub(super) value: f64,
    pub(super) span: WindowSpan,
}

/// Keeps all samples of all series.
#[derive(Debug, Default)]
pub(super) struct SampleKeeper {
    by_series: Vec<Vec<TimedSample>>,
    count: usize,
}

impl SampleKeeper {
    /// Keeps a sample of the series of that number.
    pub(super) fn keep(
        &mut self,
        series: usize,
        sample: TimedSample,
        budget: &mut Budget,
    ) -> Result<(), QueryError> {
        budget.take(size_of::<TimedSample>())?;
        if series >= self.by_series.len() {
            self.by_series.resize_with(series + 1, Vec::new);
        }
        if let Some(samples) = self.by_series.get_mut(series) {
            samples.push(sample);
            self.count += 1;
        }
        Ok(())
    }

    /// Bytes that were taken from the budget.
    pub(super) fn bytes(&self) -> usize {
        self.count * size_of::<TimedSample>()
    }

    /// Puts the samples of each series into the order of time; of equal times, of arrival.
    pub(super) fn sort_by_time(&mut self) {
        self.by_series.iter_mut().for_each(|samples| samples.sort_by_key(|sample| sample.nanos));
    }

    /// The windows of each sample of a series, in their order.
    pub(super) fn spans(&self, series: usize) -> impl Iterator<Item = WindowSpan> {
        self.by_series.get(series).into_iter().flatten().map(|sample| sample.span)
    }

    /// Calls `emit` with each window of a series that holds samples, and these. The samples are sorted.
    pub(super) fn for_each_window(&self, series: usize, mut emit: impl FnMut(u32, &[TimedSample])) {
        let Some(samples) = self.by_series.get(series) else { return };
        let (mut begin, mut end) = (0, 0);
        let Some(mut step) = samples.first().map(|sample| sample.span.first) else { return };
        loop {
            end += samples[end..].iter().take_while(|sample| sample.span.first <= step).count();
            begin += samples[begin..end].iter().take_while(|sample| sample.span.last < step).count();
            if begin < end {
                emit(step, &samples[begin..end]);
                step += 1;
            } else {
                match samples.get(end) {
                    Some(next) => step = next.span.first,
                    None => return,
                }
            }
        }
    }
}

/// The quantile of values, between the two nearest in proportion, as Prometheus and Loki compute it: below 0 it
/// is -Inf, above 1 +Inf. Sorts the values.
pub(super) fn quantile(wanted: f64, values: &mut [f64]) -> f64 {
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    if wanted.is_nan() {
        return f64::NAN;
    }
    if wanted < 0.0 {
        return f64::NEG_INFINITY;
    }
    if wanted > 1.0 {
        return f64::INFINITY;
    }
    // What is not a number counts as less than all numbers.
    values.sort_unstable_by(|a, b| {
        b.is_nan().cmp(&a.is_nan()).then_with(|| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))
    });
    let rank = wanted * last as f64;
    let lower = rank.floor();
    let weight = rank - lower;
    let lower_index = (lower as usize).min(last);
    let upper_index = (lower_index + 1).min(last);
    match (values.get(lower_index), values.get(upper_index)) {
        (Some(low), Some(high)) => low * (1.0 - weight) + high * weight,
        _ => f64::NAN,
    }
}

/// Growth a second of a counter over the window of `range_ns` that ends at `end`, extrapolated to the
/// window's ends as Prometheus does; 0 with fewer than two samples. A fall is a restart from zero.
pub(super) fn counter_rate(samples: &[TimedSample], range_ns: i64, end: i64) -> f64 {
    let ([first, ..], [.., last]) = (samples, samples) else { return 0.0 };
    if samples.len() < 2 {
        return 0.0;
    }
    let mut growth = last.value - first.value;
    let mut before = 0.0;
    for sample in samples {
        if sample.value < before {
            growth += before;
        }
        before = sample.value;
    }
    let seconds = |nanos: i128| nanos as f64 / 1e9;
    let start = i128::from(end) - i128::from(range_ns);
    let mut to_start = seconds(i128::from(first.nanos) - start);
    let mut to_end = seconds(i128::from(end) - i128::from(last.nanos));
    let sampled = seconds(i128::from(last.nanos) - i128::from(first.nanos));
    let between = sampled / (samples.len() - 1) as f64;
    let threshold = between * 1.1;
    if to_start >= threshold {
        to_start = between / 2.0;
    }
    if growth > 0.0 && first.value >= 0.0 {
        // A counter was never below zero: it does not reach further back than where it was zero.
        let to_zero = sampled * (first.value / growth);
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    if to_end >= threshold {
        to_end = between / 2.0;
    }
    growth * ((sampled + to_start + to_end) / sampled) / seconds(i128::from(range_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_the_nearest_values() {
        for (wanted, expected) in [
            (0.0, 1.0),
            (0.5, 2.5),
            (0.25, 1.75),
            (1.0, 4.0),
            (-0.1, f64::NEG_INFINITY),
            (1.1, f64::INFINITY),
        ] {
            assert_eq!(quantile(wanted, &mut [4.0, 1.0, 3.0, 2.0]), expected, "{wanted}");
        }
        assert_eq!(quantile(0.9, &mut [7.0]), 7.0);
        assert!(quantile(0.5, &mut []).is_nan());
    }

    fn samples(pairs: &[(i64, f64)]) -> Vec<TimedSample> {
        let span = WindowSpan { first: 0, last: 0 };
        pairs
            .iter()
            .map(|(second, value)| TimedSample { nanos: second * 1_000_000_000, value: *value, span })
            .collect()
    }

    #[test]
    fn a_counter_that_restarts_goes_on_growing() {
        let minute = 60_000_000_000;
        // Every 10 s by 10, from 5 s to 55 s of a minute: reaches both ends, so 60 in 60 s.
        let steady = samples(&[(5, 100.0), (15, 110.0), (25, 120.0), (35, 130.0), (45, 140.0), (55, 150.0)]);
        assert!((counter_rate(&steady, minute, minute) - 1.0).abs() < 1e-12);
        // 20 to 30, then restarted and at 10: grew by 20 in 20 s; half an interval on either end.
        let restarted = samples(&[(20, 20.0), (30, 30.0), (40, 10.0)]);
        assert!((counter_rate(&restarted, minute, minute) - 20.0 * (30.0 / 20.0) / 60.0).abs() < 1e-12);
        assert_eq!(counter_rate(&steady[..1], minute, minute), 0.0);
    }
}
