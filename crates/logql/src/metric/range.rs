//! Range aggregations: from rows to the values of series at each step.
//!
//! One scan each. Of most functions an accumulator a series and stretch of time is kept, of quantiles
//! and counters the samples; lines are never kept.

use timberyard_model::scan::{Columns, Direction, ScanRequest};
use timberyard_model::{Labels, RowRef, TimeRange};

use super::Evaluation;
use super::accumulator::{Accumulator, Count, First, Last, Maximum, Mean, Minimum, Sum, Variance};
use super::grid::{WindowSpan, Windows};
use super::known_series::KnownSeries;
use super::samples::{SampleKeeper, counter_rate, quantile};
use super::series::{StepPoint, StepSeries, charge};
use super::series_labels::{SeriesIndex, SeriesLabels};
use super::sliding::{Stretch, for_each_window};
use super::unwrap::Unwrapping;
use crate::budget::Budget;
use crate::error::QueryError;
use crate::plan::compile::has_streams;
use crate::plan::pushdown::LogPlan;
use crate::stage::{Verdict, WorkingRow};
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
    let windows = Windows::new(&evaluation.grid, range_ns, range.offset_nanos);
    let seconds = windows.range_seconds();
    let number = |value: f64| value;
    let rate = |value: f64| value / seconds;
    let leaf = Leaf { series_max, ..Leaf::for_streams(evaluation, aggregation, pushed, windows)? };
    match aggregation.operation {
        RangeOperation::Count => leaf.accumulate::<Count>(evaluation, number),
        RangeOperation::Rate if range.unwrap.is_none() => leaf.accumulate::<Count>(evaluation, rate),
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

/// Where samples go.
trait SampleSink {
    /// Takes a sample of the series of that number, which lies in the windows of `span`.
    fn add(
        &mut self,
        series: u32,
        span: WindowSpan,
        nanos: i64,
        value: f64,
        budget: &mut Budget,
    ) -> Result<(), QueryError>;
}

/// A range aggregation, ready to read rows.
struct Leaf<'a> {
    aggregation: &'a RangeAggregation,
    plan: LogPlan,
    sample: SampleValue,
    wanted: SeriesLabels,
    series_max: usize,
    windows: Windows,
}

/// What of a row is the sample.
enum SampleValue {
    /// 1.
    Entry,
    /// The length of the line in bytes.
    Bytes,
    /// The number in a label.
    Unwrapped(Unwrapping),
}

impl<'a> Leaf<'a> {
    fn new(
        aggregation: &'a RangeAggregation,
        pushed: Option<&Grouping>,
        windows: Windows,
    ) -> Result<Self, QueryError> {
        let range = &aggregation.range;
        let sample = match (&range.unwrap, aggregation.operation) {
            (Some(unwrap), _) => SampleValue::Unwrapped(Unwrapping::new(unwrap)?),
            (None, RangeOperation::Bytes | RangeOperation::BytesRate) => SampleValue::Bytes,
            (None, _) => SampleValue::Entry,
        };
        let unwrapped = range.unwrap.as_ref().map(|unwrap| unwrap.label.as_str());
        let wanted = if aggregation.operation == RangeOperation::Absent {
            SeriesLabels::None
        } else {
            SeriesLabels::new(aggregation.grouping.as_ref().or(pushed), unwrapped)
        };
        Ok(Self {
            aggregation,
            plan: LogPlan::new(&range.logs)?,
            sample,
            wanted,
            series_max: usize::MAX,
            windows,
        })
    }

    /// As [`Leaf::new`]; what does not compile finds nothing when no stream would meet it.
    fn for_streams(
        evaluation: &Evaluation<'_>,
        aggregation: &'a RangeAggregation,
        pushed: Option<&Grouping>,
        windows: Windows,
    ) -> Result<Self, QueryError> {
        let nothing = |windows| Self {
            aggregation,
            plan: LogPlan::of_nothing(),
            sample: SampleValue::Entry,
            wanted: SeriesLabels::None,
            series_max: usize::MAX,
            windows,
        };
        let (tenant, logs) = (&evaluation.request.tenant, &aggregation.range.logs);
        match Self::new(aggregation, pushed, windows.clone()) {
            Err(QueryError::Stage(error)) => match windows.time_range() {
                Some(range) if has_streams(evaluation.source, tenant, range, logs)? => Err(error.into()),
                _ => Ok(nothing(windows)),
            },
            leaf => leaf,
        }
    }

    /// What the store is asked for.
    fn request(&self, evaluation: &Evaluation<'_>, range: TimeRange) -> ScanRequest {
        let matchers = &self.aggregation.range.logs.selector.matchers;
        let unwraps = matches!(self.sample, SampleValue::Unwrapped(_));
        let columns = Columns {
            line: self.plan.reads_line || matches!(self.sample, SampleValue::Bytes),
            metadata: self.plan.reads_labels || unwraps || self.wanted.sees_metadata(matchers),
        };
        ScanRequest {
            tenant: evaluation.request.tenant.clone(),
            range,
            matchers: matchers.clone(),
            line_filters: self.plan.line_filters.clone(),
            direction: Direction::Forward,
            columns,
            metadata_names: None,
            fields: None,
            cancellation: evaluation.request.cancellation.clone(),
        }
    }

    /// Reads all rows into `sink`; gives the labels of the series.
    fn read(
        &self,
        evaluation: &mut Evaluation<'_>,
        sink: &mut impl SampleSink,
    ) -> Result<Vec<Labels>, QueryError> {
        let mut windows = self.windows.clone();
        let Some(range) = windows.time_range().filter(|range| !range.is_empty()) else {
            return Ok(Vec::new());
        };
        let request = self.request(evaluation, range);
        let mut index = SeriesIndex::new(self.wanted.clone(), self.series_max);
        let mut scan = evaluation.source.scan(&request)?;
        while let Some(block) = scan.next_block()? {
            let Some(first) = block.rows.streams().first() else { continue };
            let mut working = WorkingRow::new(first);
            working.set_now(evaluation.request.now);
            let mut known = KnownSeries::new(block.rows.streams().len());
            for row in block.rows.iter() {
                evaluation.statistics.rows_processed += 1;
                evaluation.statistics.bytes_processed += row.line().len() as u64;
                let Some(span) = windows.span_of(row.timestamp()) else { continue };
                let budget = &mut evaluation.budget;
                let series_of = |working: &WorkingRow<'_>| index.number_of(working, budget);
                let sample = if self.takes_rows_as_they_are() {
                    Some(self.sample_of_untouched(row, &mut working, &mut known, series_of)?)
                } else {
                    self.sample_of_processed(row, &mut working, &mut known, series_of)?
                };
                if let Some((series, value)) = sample {
                    sink.add(series, span, row.timestamp().as_nanos(), value, &mut evaluation.budget)?;
                }
            }
        }
        evaluation.statistics.add_scan(scan.statistics());
        Ok(index.into_labels(&mut evaluation.budget))
    }

    /// Whether no stage looks at rows, so that stream and metadata alone make their series.
    fn takes_rows_as_they_are(&self) -> bool {
        self.plan.pipeline.is_empty() && !matches!(self.sample, SampleValue::Unwrapped(_))
    }

    fn sample_of_untouched<'r>(
        &self,
        row: RowRef<'r>,
        working: &mut WorkingRow<'r>,
        known: &mut KnownSeries<'r>,
        series_of: impl FnOnce(&WorkingRow<'_>) -> Result<u32, QueryError>,
    ) -> Result<(u32, f64), QueryError> {
        let series = known.of_alike(row, || {
            working.reset(row.timestamp(), row.line(), row.labels(), row.metadata());
            series_of(working)
        })?;
        let value = match self.sample {
            SampleValue::Bytes => row.line().len() as f64,
            SampleValue::Entry | SampleValue::Unwrapped(_) => 1.0,
        };
        Ok((series, value))
    }

    fn sample_of_processed<'r>(
        &self,
        row: RowRef<'r>,
        working: &mut WorkingRow<'r>,
        known: &mut KnownSeries<'r>,
        series_of: impl FnOnce(&WorkingRow<'_>) -> Result<u32, QueryError>,
    ) -> Result<Option<(u32, f64)>, QueryError> {
        working.reset(row.timestamp(), row.line(), row.labels(), row.metadata());
        let Some(value) = self.sample_of(working) else { return Ok(None) };
        let series = if working.is_changed() {
            series_of(working)?
        } else {
            known.of_unchanged(row, || series_of(working))?
        };
        Ok(Some((series, value)))
    }

    /// Runs the stages over a row and takes the sample from what they leave.
    fn sample_of(&self, working: &mut WorkingRow<'_>) -> Option<f64> {
        if self.plan.pipeline.process(working) == Verdict::Drop {
            return None;
        }
        match &self.sample {
            SampleValue::Entry => Some(1.0),
            SampleValue::Bytes => Some(working.line().len() as f64),
            SampleValue::Unwrapped(unwrapping) => unwrapping.sample_of(working),
        }
    }

    /// Keeps an accumulator a series and stretch of time.
    fn accumulate<A: Accumulator>(
        self,
        evaluation: &mut Evaluation<'_>,
        finish: impl Fn(f64) -> f64,
    ) -> Result<Vec<StepSeries>, QueryError> {
        let mut stretches = Stretches::<A> { by_series: Vec::new() };
        let labels = self.read(evaluation, &mut stretches)?;
        let held: usize =
            stretches.by_series.iter().map(|series| series.len() * size_of::<Stretch<A>>()).sum();
        let series = labels.into_iter().zip(stretches.by_series).map(|(labels, stretches)| {
            let mut points = Vec::new();
            for_each_window(&stretches, |step, samples| {
                points.push(StepPoint { step, value: finish(samples.value()) });
            });
            StepSeries { labels, points }
        });
        let series = sorted(series.collect());
        evaluation.budget.give_back(held);
        charge(&series, &mut evaluation.budget)?;
        Ok(series)
    }

    /// Keeps the samples and computes each window from them and its end.
    fn keep_samples(
        self,
        evaluation: &mut Evaluation<'_>,
        mut value: impl FnMut(&[super::samples::TimedSample], i64) -> f64,
    ) -> Result<Vec<StepSeries>, QueryError> {
        let mut keeper = SampleKeeper::default();
        let windows = self.windows.clone();
        let labels = self.read(evaluation, &mut keeper)?;
        let held = keeper.bytes();
        let series = labels.into_iter().enumerate().map(|(number, labels)| {
            let mut points = Vec::new();
            keeper.for_each_window(number, |step, samples| {
                let end = i64::try_from(windows.end_of(step)).unwrap_or(i64::MAX);
                points.push(StepPoint { step, value: value(samples, end) });
            });
            StepSeries { labels, points }
        });
        let series = sorted(series.collect());
        evaluation.budget.give_back(held);
        charge(&series, &mut evaluation.budget)?;
        Ok(series)
    }
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

impl<A: Accumulator> SampleSink for Stretches<A> {
    fn add(
        &mut self,
        series: u32,
        span: WindowSpan,
        nanos: i64,
        value: f64,
        budget: &mut Budget,
    ) -> Result<(), QueryError> {
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
    fn add(
        &mut self,
        series: u32,
        span: WindowSpan,
        nanos: i64,
        value: f64,
        budget: &mut Budget,
    ) -> Result<(), QueryError> {
        self.keep(series as usize, span, nanos, value, budget)
    }
}
