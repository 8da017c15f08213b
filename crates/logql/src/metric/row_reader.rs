//! Reads the rows of a range aggregation: from blocks of a scan to samples of numbered series.
//!
//! Where the query looks at certain labels only, the source is asked for no more than these, and rows may come
//! with fields instead of lines. Such rows lack what an error would have to show, so that when one has an
//! error, everything is read again in full.

use timberyard_model::counting::CountedCell;
use timberyard_model::scan::{Columns, Direction, ScanRequest};
use timberyard_model::{Labels, RowRef, TimeRange};

use super::Evaluation;
use super::counted::{add_counted, only_counts};
use super::grid::Windows;
use super::known_series::{KnownFields, KnownSeries};
use super::samples::TimedSample;
use super::series_labels::{SeriesIndex, SeriesLabels};
use super::unwrap::Unwrapping;
use crate::budget::Budget;
use crate::error::QueryError;
use crate::plan::compile::has_streams;
use crate::plan::fields::{LabelUse, NarrowPlan, tests_of_lines};
use crate::plan::pushdown::LogPlan;
use crate::stage::{Pipeline, Verdict, WorkingRow};
use crate::syntax::ast::{Grouping, RangeAggregation, RangeOperation};

/// Where samples go.
pub(super) trait SampleSink {
    /// Takes a sample of the series of that number.
    fn add(&mut self, series: u32, sample: TimedSample, budget: &mut Budget) -> Result<(), QueryError>;
}

/// The rows of a range aggregation.
pub(super) struct RowReader<'a> {
    aggregation: &'a RangeAggregation,
    plan: LogPlan,
    narrow: Option<NarrowPlan>,
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

/// One way to read all rows.
struct Reading<'a> {
    pipeline: &'a Pipeline,
    sample: &'a SampleValue,
    /// The field that is the sample, and nothing but that.
    sample_field: Option<usize>,
    request: ScanRequest,
    is_narrow: bool,
}

impl<'a> RowReader<'a> {
    /// Compiles what is to be done with each row. `pushed` is the grouping of a `sum` around the aggregation; more than
    /// `series_max` series are refused.
    fn new(
        aggregation: &'a RangeAggregation,
        pushed: Option<&Grouping>,
        windows: Windows,
        series_max: usize,
    ) -> Result<Self, QueryError> {
        let range = &aggregation.range;
        let sample = match (&range.unwrap, aggregation.operation) {
            (Some(unwrap), _) => SampleValue::Unwrapped(Unwrapping::new(unwrap)?),
            (None, RangeOperation::Bytes | RangeOperation::BytesRate) => SampleValue::Bytes,
            (None, _) => SampleValue::Entry,
        };
        let unwrapped = range.unwrap.as_ref().map(|unwrap| unwrap.label.as_str());
        let wanted = if aggregation.operation == RangeOperation::Absent {
            SeriesLabels::Presence
        } else {
            SeriesLabels::new(aggregation.grouping.as_ref().or(pushed), unwrapped)
        };
        let plan = LogPlan::new(&range.logs)?;
        let use_of_labels = LabelUse {
            grouping: wanted.names(),
            unwrap: range.unwrap.as_ref(),
            measures_line: matches!(sample, SampleValue::Bytes),
        };
        let narrow = NarrowPlan::new(&plan.stages, use_of_labels)?;
        Ok(Self { aggregation, plan, narrow, sample, wanted, series_max, windows })
    }

    /// As [`RowReader::new`]; what does not compile finds nothing when no stream would meet it.
    pub(super) fn for_streams(
        evaluation: &Evaluation<'_>,
        aggregation: &'a RangeAggregation,
        pushed: Option<&Grouping>,
        windows: Windows,
        series_max: usize,
    ) -> Result<Self, QueryError> {
        let (tenant, logs) = (&evaluation.request.tenant, &aggregation.range.logs);
        match Self::new(aggregation, pushed, windows.clone(), series_max) {
            Err(QueryError::Stage(error)) => match windows.time_range() {
                Some(range) if has_streams(evaluation.source, tenant, range, logs)? => Err(error.into()),
                _ => Ok(Self {
                    aggregation,
                    plan: LogPlan::of_nothing(),
                    narrow: None,
                    sample: SampleValue::Entry,
                    wanted: SeriesLabels::None,
                    series_max,
                    windows,
                }),
            },
            reader => reader,
        }
    }

    /// Reads all rows into a sink; gives it with the labels of its series.
    pub(super) fn read<S: SampleSink>(
        &self,
        evaluation: &mut Evaluation<'_>,
        sink: impl Fn() -> S,
    ) -> Result<(S, Vec<Labels>), QueryError> {
        let Some(range) = self.windows.time_range().filter(|range| !range.is_empty()) else {
            return Ok((sink(), Vec::new()));
        };
        let (held, statistics) = (evaluation.budget.used(), evaluation.statistics);
        let narrow = self.narrow.as_ref().map(|narrow| self.narrow_reading(narrow, evaluation, range));
        if let Some(reading) = narrow {
            let mut sink = sink();
            match self.read_all(&reading, evaluation, &mut sink) {
                Ok(labels) => return Ok((sink, labels)),
                Err(QueryError::Pipeline { .. }) => {}
                Err(error) => return Err(error),
            }
            evaluation.budget.give_back_to(held);
            evaluation.statistics = statistics;
        }
        let mut sink = sink();
        let labels = self.read_all(&self.full_reading(evaluation, range), evaluation, &mut sink)?;
        Ok((sink, labels))
    }

    /// What the store is asked for first; `None` when there is no time to look at.
    pub(super) fn first_request(&self, evaluation: &Evaluation<'_>) -> Option<ScanRequest> {
        let range = self.windows.time_range().filter(|range| !range.is_empty())?;
        let reading = match &self.narrow {
            Some(narrow) => self.narrow_reading(narrow, evaluation, range),
            None => self.full_reading(evaluation, range),
        };
        Some(reading.request)
    }

    fn full_reading<'s>(&'s self, evaluation: &Evaluation<'_>, range: TimeRange) -> Reading<'s> {
        let matchers = &self.aggregation.range.logs.selector.matchers;
        let unwraps = matches!(self.sample, SampleValue::Unwrapped(_));
        let columns = Columns {
            line: self.plan.reads_line || matches!(self.sample, SampleValue::Bytes),
            metadata: self.plan.reads_labels || unwraps || self.wanted.sees_metadata(matchers),
        };
        let request = ScanRequest {
            tenant: evaluation.request.tenant.clone(),
            range,
            matchers: matchers.clone(),
            line_filters: self.plan.line_filters.clone(),
            direction: Direction::Forward,
            columns,
            metadata_names: None,
            label_names: None,
            rows_wanted: Some(usize::MAX),
            fields: tests_of_lines(&self.plan.stages),
            counting: only_counts(self.aggregation, &self.plan.stages).then(|| self.windows.cuts()),
            read_ahead_bytes_max: evaluation.budget.read_ahead_bytes_max(),
            cancellation: evaluation.request.cancellation.clone(),
        };
        let pipeline = &self.plan.pipeline;
        Reading { pipeline, sample: &self.sample, sample_field: None, request, is_narrow: false }
    }

    fn narrow_reading<'s>(
        &'s self,
        narrow: &'s NarrowPlan,
        evaluation: &Evaluation<'_>,
        range: TimeRange,
    ) -> Reading<'s> {
        let mut reading = self.full_reading(evaluation, range);
        reading.request.metadata_names = Some(narrow.metadata_names.clone());
        reading.request.label_names = Some(narrow.label_names.clone());
        if let Some(fields) = &narrow.fields {
            reading.request.fields = Some(fields.clone());
        }
        let Reading { sample, request, .. } = reading;
        let sample_field = narrow.sample_field;
        Reading { pipeline: &narrow.pipeline, sample, sample_field, request, is_narrow: true }
    }

    fn read_all(
        &self,
        reading: &Reading<'_>,
        evaluation: &mut Evaluation<'_>,
        sink: &mut impl SampleSink,
    ) -> Result<Vec<Labels>, QueryError> {
        let mut windows = self.windows.clone();
        let mut index = SeriesIndex::new(self.wanted.clone(), self.series_max, reading.is_narrow);
        let mut scan = evaluation.source.scan(&reading.request)?;
        while let Some(block) = scan.next_block()? {
            for counted in &block.counted {
                let series = (&mut index, &mut evaluation.budget);
                let value = |cell: &CountedCell| reading.value_of_counted(cell);
                add_counted(counted, reading.pipeline, value, &mut windows, series, sink)?;
            }
            let Some(first) = block.rows.streams().first() else { continue };
            let mut working = WorkingRow::new(first);
            working.set_now(evaluation.request.now);
            let mut known = Known {
                series: KnownSeries::new(block.rows.streams().len()),
                fields: KnownFields::new(&block.rows, &reading.request, reading.sample_field),
            };
            for row in block.rows.iter() {
                if !reading.pipeline.is_empty() {
                    evaluation.request.check_wanted()?;
                }
                evaluation.statistics.rows_processed += 1;
                evaluation.statistics.bytes_processed += row.line().len() as u64;
                let Some(span) = windows.span_of(row.timestamp()) else { continue };
                let budget = &mut evaluation.budget;
                let series_of = |working: &WorkingRow<'_>| index.number_of(working, budget);
                if let Some((series, value)) = reading.sample_of(row, &mut working, &mut known, series_of)? {
                    let sample = TimedSample { nanos: row.timestamp().as_nanos(), value, span };
                    sink.add(series, sample, &mut evaluation.budget)?;
                }
            }
        }
        evaluation.statistics.add_scan(scan.statistics());
        Ok(index.into_labels(&mut evaluation.budget))
    }
}

/// What is known in a block about the series of its rows.
struct Known<'b> {
    series: KnownSeries<'b>,
    fields: KnownFields,
}

impl Reading<'_> {
    /// The sample of a row and the number of its series; `None` when the row has none.
    fn sample_of<'b>(
        &self,
        row: RowRef<'b>,
        working: &mut WorkingRow<'b>,
        known: &mut Known<'b>,
        series_of: impl FnOnce(&WorkingRow<'_>) -> Result<u32, QueryError>,
    ) -> Result<Option<(u32, f64)>, QueryError> {
        if self.takes_rows_as_they_are() {
            let series = known.series.of_alike(row, || {
                working.begin(row);
                series_of(working)
            })?;
            return Ok(Some((series, self.value_of_untouched(row))));
        }
        if let Some((place, sample)) = known.fields.place_of(row).zip(self.sample_of_fields(row)) {
            let series =
                known.fields.series_at(place, || self.series_of_processed(row, working, series_of))?;
            return Ok(series.map(|series| (series, sample)));
        }
        working.begin(row);
        let Some(value) = self.process(working) else { return Ok(None) };
        let series = if working.is_changed() {
            series_of(working)?
        } else {
            known.series.of_unchanged(row, || series_of(working))?
        };
        Ok(Some((series, value)))
    }

    /// Whether no stage looks at rows, so that stream and metadata alone make their series.
    fn takes_rows_as_they_are(&self) -> bool {
        self.pipeline.is_empty() && !matches!(self.sample, SampleValue::Unwrapped(_))
    }

    fn value_of_untouched(&self, row: RowRef<'_>) -> f64 {
        match self.sample {
            SampleValue::Bytes => row.line().len() as f64,
            SampleValue::Entry | SampleValue::Unwrapped(_) => 1.0,
        }
    }

    /// The samples of rows that were counted, added up.
    fn value_of_counted(&self, cell: &CountedCell) -> f64 {
        match self.sample {
            SampleValue::Bytes => cell.line_bytes as f64,
            SampleValue::Entry | SampleValue::Unwrapped(_) => cell.rows as f64,
        }
    }

    /// The sample of a row, when its fields say it without the stages.
    fn sample_of_fields(&self, row: RowRef<'_>) -> Option<f64> {
        match self.sample {
            SampleValue::Entry => Some(1.0),
            SampleValue::Bytes => None,
            SampleValue::Unwrapped(unwrapping) => {
                unwrapping.sample_of_text(row.fields()?.get(self.sample_field?)?)
            }
        }
    }

    fn series_of_processed<'b>(
        &self,
        row: RowRef<'b>,
        working: &mut WorkingRow<'b>,
        series_of: impl FnOnce(&WorkingRow<'_>) -> Result<u32, QueryError>,
    ) -> Result<Option<u32>, QueryError> {
        working.begin(row);
        self.process(working).map(|_| series_of(working)).transpose()
    }

    /// Runs the stages over a row and takes the sample from what they leave.
    fn process(&self, working: &mut WorkingRow<'_>) -> Option<f64> {
        if self.pipeline.process(working) == Verdict::Drop {
            return None;
        }
        match self.sample {
            SampleValue::Entry => Some(1.0),
            SampleValue::Bytes => Some(working.line().len() as f64),
            SampleValue::Unwrapped(unwrapping) => unwrapping.sample_of(working),
        }
    }
}
