//! Range aggregations: from rows to the values of series at each step.
//!
//! One scan each, read by [`super::row_reader`]. Of most functions an accumulator a series and stretch of time is kept, of quantiles
//! and counters the samples; lines are never kept.

use timberyard_model::Labels;
use timberyard_model::scan::ScanRequest;

use super::Evaluation;
use super::accumulator::{Accumulator, Count, First, Last, Maximum, Mean, Minimum, Sum, Variance};
use super::grid::{WindowSpan, Windows, windows_covered};
use super::row_reader::{RowReader, SampleSink};
use super::samples::{SampleKeeper, TimedSample, counter_rate, quantile};
use super::series::{StepPoint, StepSeries};
use super::sliding::{Stretch, for_each_window};
use crate::budget::Budget;
use crate::error::QueryError;
use crate::syntax::ast::{Grouping, RangeAggregation, RangeOperation};

/// Evaluates a range aggregation. `pushed` is the grouping of a `sum` around it, which may as well be
/// done on the way: sums of sums are sums. More than `series_max` series are refused at once.
pub(super) fn evaluate(
    evaluation: &mut Evaluation<'_>,
    aggregation: &RangeAggregation,
    pushed: Option<&Grouping>,
    series_max: usize,
) -> Result<Vec<StepSeries>, QueryError> {
    let range = &aggregation.range;
    let range_ns = i64::try_from(range.interval.as_nanos()).unwrap_or(i64::MAX);
    let windows = windows(evaluation, aggregation);
    let seconds = windows.range_seconds();
    let number = |value: f64| value;
    let rate = |value: f64| value / seconds;
    let rows = RowReader::for_streams(evaluation, aggregation, pushed, windows.clone(), series_max)?;
    let leaf = Leaf { rows, windows };
    match aggregation.operation {
        // An entry is a sample of 1, and those that were counted a sample of their number.
        RangeOperation::Count if range.unwrap.is_none() => leaf.accumulate::<Sum>(evaluation, number),
        RangeOperation::Count => leaf.accumulate::<Count>(evaluation, number),
        RangeOperation::Rate | RangeOperation::BytesRate => leaf.accumulate::<Sum>(evaluation, rate),
        RangeOperation::Bytes | RangeOperation::Sum => leaf.accumulate::<Sum>(evaluation, number),
        RangeOperation::Average => leaf.accumulate::<Mean>(evaluation, number),
        RangeOperation::Minimum => leaf.accumulate::<Minimum>(evaluation, number),
        RangeOperation::Maximum => leaf.accumulate::<Maximum>(evaluation, number),
        RangeOperation::Variance => leaf.accumulate::<Variance>(evaluation, number),
        RangeOperation::StandardDeviation => leaf.accumulate::<Variance>(evaluation, f64::sqrt),
        RangeOperation::First => leaf.accumulate::<First>(evaluation, number),
        RangeOperation::Last => leaf.accumulate::<Last>(evaluation, number),
        RangeOperation::Quantile => {
            let wanted = aggregation.parameter.unwrap_or(f64::NAN);
            let mut values = Vec::new();
            leaf.keep_samples(evaluation, |samples, _| {
                values.clear();
                values.extend(samples.iter().map(|sample| sample.value));
                quantile(wanted, &mut values)
            })
        }
        RangeOperation::RateCounter => {
            leaf.keep_samples(evaluation, |samples, end| counter_rate(samples, range_ns, end))
        }
        RangeOperation::Absent => {
            let present = leaf.accumulate::<Count>(evaluation, number)?;
            Ok(super::absent::absent(evaluation.grid.count(), &present, &range.logs.selector.matchers))
        }
    }
}

/// What the store would be asked for; `None` when there is no window.
pub(super) fn scan_request(
    evaluation: &Evaluation<'_>,
    aggregation: &RangeAggregation,
    pushed: Option<&Grouping>,
) -> Result<Option<ScanRequest>, QueryError> {
    let windows = windows(evaluation, aggregation);
    let rows = RowReader::for_streams(evaluation, aggregation, pushed, windows, usize::MAX)?;
    Ok(rows.first_request(evaluation))
}

fn windows(evaluation: &Evaluation<'_>, aggregation: &RangeAggregation) -> Windows {
    let range = &aggregation.range;
    let range_ns = i64::try_from(range.interval.as_nanos()).unwrap_or(i64::MAX);
    Windows::new(&evaluation.grid, range_ns, range.offset_nanos)
}

/// A range aggregation, ready to read rows.
struct Leaf<'a> {
    rows: RowReader<'a>,
    windows: Windows,
}

impl Leaf<'_> {
    /// Keeps an accumulator a series and stretch of time.
    fn accumulate<A: Accumulator>(
        self,
        evaluation: &mut Evaluation<'_>,
        finish: impl Fn(f64) -> f64,
    ) -> Result<Vec<StepSeries>, QueryError> {
        let (stretches, labels) = self.rows.read(evaluation, Stretches::<A>::default)?;
        let mut series = Vec::with_capacity(labels.len());
        for (labels, stretches) in labels.into_iter().zip(stretches.by_series) {
            let spans = stretches.iter().map(|stretch| stretch.span);
            let mut one = empty_series(labels, spans, &mut evaluation.budget)?;
            for_each_window(&stretches, |step, samples| {
                one.points.push(StepPoint { step, value: finish(samples.value()) });
            });
            evaluation.budget.give_back(stretches.len() * size_of::<Stretch<A>>());
            series.push(one);
        }
        Ok(sorted(series))
    }

    /// Keeps the samples and computes each window from them and its end.
    fn keep_samples(
        self,
        evaluation: &mut Evaluation<'_>,
        mut value: impl FnMut(&[TimedSample], i64) -> f64,
    ) -> Result<Vec<StepSeries>, QueryError> {
        let windows = self.windows.clone();
        let (mut keeper, labels) = self.rows.read(evaluation, SampleKeeper::default)?;
        keeper.sort_by_time();
        let mut series = Vec::with_capacity(labels.len());
        for (number, labels) in labels.into_iter().enumerate() {
            let mut one = empty_series(labels, keeper.spans(number), &mut evaluation.budget)?;
            keeper.for_each_window(number, |step, samples| {
                let end = i64::try_from(windows.end_of(step)).unwrap_or(i64::MAX);
                one.points.push(StepPoint { step, value: value(samples, end) });
            });
            series.push(one);
        }
        evaluation.budget.give_back(keeper.bytes());
        Ok(sorted(series))
    }
}

/// A series with room for a value in each window that one of `spans`, which are in the order of time, is about. Takes its memory
/// from the budget before there is any: few rows may lie in many windows.
fn empty_series(
    labels: Labels,
    spans: impl Iterator<Item = WindowSpan>,
    budget: &mut Budget,
) -> Result<StepSeries, QueryError> {
    let windows = windows_covered(spans);
    let mut series = StepSeries { labels, points: Vec::new() };
    budget.take(series.bytes() + windows * size_of::<StepPoint>())?;
    series.points.reserve_exact(windows);
    Ok(series)
}

fn sorted(mut series: Vec<StepSeries>) -> Vec<StepSeries> {
    series.retain(|series| !series.points.is_empty());
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    series
}

/// The stretches of each series, sorted by span.
struct Stretches<A> {
    by_series: Vec<Vec<Stretch<A>>>,
}

impl<A> Default for Stretches<A> {
    fn default() -> Self {
        Self { by_series: Vec::new() }
    }
}

impl<A: Accumulator> SampleSink for Stretches<A> {
    fn add(&mut self, series: u32, sample: TimedSample, budget: &mut Budget) -> Result<(), QueryError> {
        let TimedSample { nanos, value, span } = sample;
        let series = series as usize;
        if series >= self.by_series.len() {
            self.by_series.resize_with(series + 1, Vec::new);
        }
        let Some(stretches) = self.by_series.get_mut(series) else { return Ok(()) };
        // Scans run forward: nearly every row belongs to the last stretch or to a new one.
        let place = match stretches.last() {
            Some(last) if last.span == span => Ok(stretches.len() - 1),
            Some(last) if last.span > span => stretches.binary_search_by_key(&span, |stretch| stretch.span),
            _ => Err(stretches.len()),
        };
        match place {
            Ok(place) => {
                if let Some(stretch) = stretches.get_mut(place) {
                    stretch.samples.add(nanos, value);
                }
            }
            Err(place) => {
                budget.take(size_of::<Stretch<A>>())?;
                stretches.insert(place, Stretch { span, samples: A::of(nanos, value) });
            }
        }
        Ok(())
    }
}

impl SampleSink for SampleKeeper {
    fn add(&mut self, series: u32, sample: TimedSample, budget: &mut Budget) -> Result<(), QueryError> {
        self.keep(series as usize, sample, budget)
    }
}
