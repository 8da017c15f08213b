//! Metric queries: a tree of functions over series, evaluated from its leaves.
//!
//! Each part of the tree gives the values of its series at all steps at once. That needs one scan a
//! range aggregation whatever the number of steps, and memory for the series in between, which counts
//! against the query's limit.

mod absent;
mod accumulator;
mod binary;
mod counted;
mod grid;
mod known_series;
mod label_replace;
mod matching;
mod range;
mod row_reader;
mod samples;
mod series;
mod series_labels;
mod sliding;
mod unwrap;
mod vector;

use timberyard_model::Labels;
use timberyard_model::limits::QueryLimits;
use timberyard_model::scan::{LogSource, ScanRequest};

use self::grid::StepGrid;
use self::series::{StepPoint, StepSeries, charge, join_equal};
use crate::budget::Budget;
use crate::error::{LimitError, QueryError};
use crate::query_request::QueryRequest;
use crate::result::{Point, QueryResult, QueryStatistics, QueryValue, Sample, Series};
use crate::syntax::ast::{Grouping, MetricExpression, RangeAggregation, VectorAggregation, VectorOperation};

/// A metric query on its way.
struct Evaluation<'a> {
    source: &'a dyn LogSource,
    request: &'a QueryRequest,
    grid: StepGrid,
    budget: Budget,
    statistics: QueryStatistics,
}

/// What a part of the tree comes to.
enum Value {
    /// A number that is the same at every step and has no labels to match.
    Scalar(f64),
    /// Series. None of them is without values.
    Series(Vec<StepSeries>),
}

/// Answers a metric query.
pub(crate) fn run(
    source: &dyn LogSource,
    request: &QueryRequest,
    expression: &MetricExpression,
    limits: &QueryLimits,
) -> Result<QueryResult, QueryError> {
    let mut evaluation = Evaluation {
        source,
        request,
        grid: StepGrid::new(request, limits.points_max)?,
        budget: Budget::new(limits.memory_bytes_max),
        statistics: QueryStatistics::default(),
    };
    let truncates = request.extras.truncates_series;
    let mut bound = SeriesBound { series_max: limits.series_max, truncates, warning: None };
    let value = evaluation.answer(expression, if truncates { usize::MAX } else { limits.series_max })?;
    let grid = evaluation.grid;
    let is_instant = request.step_ns == 0;
    let value = match value {
        Value::Scalar(value) if is_instant => QueryValue::Scalar { timestamp: grid.at(0), value },
        Value::Scalar(value) => matrix(vec![constant(&grid, value)], &grid, &mut bound)?,
        Value::Series(series) if is_instant => {
            vector(series, &grid, orders_by_value(expression), &mut bound)?
        }
        Value::Series(series) => matrix(series, &grid, &mut bound)?,
    };
    let mut statistics = evaluation.statistics;
    statistics.entries_returned = match &value {
        QueryValue::Matrix(series) => series.iter().map(|series| series.points.len() as u64).sum(),
        QueryValue::Vector(samples) => samples.len() as u64,
        QueryValue::Scalar { .. } => 1,
        QueryValue::Streams(_) => 0,
    };
    let mut warnings = statistics.warnings();
    warnings.extend(bound.warning);
    Ok(QueryResult { value, warnings, last: None, statistics })
}

/// What the store would be asked for, with the range aggregation that each scan is for.
pub(crate) fn scans<'q>(
    source: &dyn LogSource,
    request: &QueryRequest,
    expression: &'q MetricExpression,
    limits: &QueryLimits,
) -> Result<Vec<(&'q RangeAggregation, ScanRequest)>, QueryError> {
    let evaluation = Evaluation {
        source,
        request,
        grid: StepGrid::new(request, limits.points_max)?,
        budget: Budget::new(limits.memory_bytes_max),
        statistics: QueryStatistics::default(),
    };
    let mut scans = Vec::new();
    evaluation.add_scans(expression, None, &mut scans)?;
    Ok(scans)
}

/// How many series an answer may have, and what becomes of more.
struct SeriesBound {
    series_max: usize,
    truncates: bool,
    warning: Option<String>,
}

impl SeriesBound {
    /// Leaves out what is too many, or refuses it.
    fn apply(&mut self, series: &mut Vec<StepSeries>) -> Result<(), QueryError> {
        let limit = self.series_max;
        if series.len() <= limit {
            return Ok(());
        }
        if !self.truncates {
            return Err(LimitError::Series { limit }.into());
        }
        self.warning =
            Some(format!("the query has {} series, of which these are the first {limit}", series.len()));
        series.truncate(limit);
        Ok(())
    }
}

impl Evaluation<'_> {
    fn add_scans<'q>(
        &self,
        expression: &'q MetricExpression,
        pushed: Option<&Grouping>,
        scans: &mut Vec<(&'q RangeAggregation, ScanRequest)>,
    ) -> Result<(), QueryError> {
        match expression {
            MetricExpression::Literal(_) | MetricExpression::Constant(_) => Ok(()),
            MetricExpression::Range(aggregation) => {
                let scan = range::scan_request(self, aggregation, pushed)?;
                scans.extend(scan.map(|scan| (&**aggregation, scan)));
                Ok(())
            }
            MetricExpression::Vector(aggregation) => {
                let grouping = vector::pushed_grouping(aggregation);
                self.add_scans(&aggregation.inner, grouping.as_ref(), scans)
            }
            MetricExpression::Binary(operation) => {
                self.add_scans(&operation.left, None, scans)?;
                self.add_scans(&operation.right, None, scans)
            }
            MetricExpression::LabelReplace(replace) => self.add_scans(&replace.inner, None, scans),
        }
    }

    /// Evaluates a whole query. When its series come straight from rows, the first that is too many ends it.
    fn answer(&mut self, expression: &MetricExpression, series_max: usize) -> Result<Value, QueryError> {
        match expression {
            MetricExpression::Range(aggregation) => {
                Ok(Value::Series(range::evaluate(self, aggregation, None, series_max)?))
            }
            MetricExpression::Vector(aggregation) => self.aggregation(aggregation, series_max),
            _ => self.evaluate(expression),
        }
    }

    fn aggregation(
        &mut self,
        aggregation: &VectorAggregation,
        series_max: usize,
    ) -> Result<Value, QueryError> {
        let inner = match (&aggregation.inner, vector::pushed_grouping(aggregation)) {
            (MetricExpression::Range(inner), Some(grouping)) => {
                range::evaluate(self, inner, Some(&grouping), series_max)?
            }
            (inner, _) => self.series(inner)?,
        };
        if aggregation.operation == VectorOperation::ApproximateTopK && self.request.step_ns != 0 {
            return Err(QueryError::Invalid("approx_topk is only supported on instant queries".to_owned()));
        }
        Ok(Value::Series(self.replaced(inner, |inner| vector::aggregate(aggregation, inner))?))
    }

    fn evaluate(&mut self, expression: &MetricExpression) -> Result<Value, QueryError> {
        self.request.check_wanted()?;
        Ok(match expression {
            MetricExpression::Literal(value) => Value::Scalar(*value),
            MetricExpression::Constant(value) => Value::Series(match self.grid.count() {
                0 => Vec::new(),
                _ => vec![constant(&self.grid, *value)],
            }),
            MetricExpression::Range(aggregation) => {
                Value::Series(range::evaluate(self, aggregation, None, usize::MAX)?)
            }
            MetricExpression::Vector(aggregation) => self.aggregation(aggregation, usize::MAX)?,
            MetricExpression::Binary(operation) => {
                let left = self.evaluate(&operation.left)?;
                let right = self.evaluate(&operation.right)?;
                match (left, right) {
                    (Value::Scalar(left), Value::Scalar(right)) => {
                        Value::Scalar(operation.operator.compute(left, right).unwrap_or(f64::NAN))
                    }
                    (Value::Scalar(left), Value::Series(right)) => {
                        Value::Series(binary::with_scalar(operation, right, |value| (left, value)))
                    }
                    (Value::Series(left), Value::Scalar(right)) => {
                        Value::Series(binary::with_scalar(operation, left, |value| (value, right)))
                    }
                    (Value::Series(left), Value::Series(right)) => {
                        let held: usize = left.iter().chain(&right).map(StepSeries::bytes).sum();
                        let result = binary::of_series(operation, left, right, self.grid.count())?;
                        charge(&result, &mut self.budget)?;
                        self.budget.give_back(held);
                        Value::Series(result)
                    }
                }
            }
            MetricExpression::LabelReplace(replace) => {
                let inner = self.series(&replace.inner)?;
                Value::Series(self.replaced(inner, |inner| label_replace::apply(replace, inner))?)
            }
        })
    }

    /// The series that an expression comes to; a number alone counts as one without labels.
    fn series(&mut self, expression: &MetricExpression) -> Result<Vec<StepSeries>, QueryError> {
        match self.evaluate(expression)? {
            Value::Series(series) => Ok(series),
            Value::Scalar(_) if self.grid.count() == 0 => Ok(Vec::new()),
            Value::Scalar(value) => Ok(vec![constant(&self.grid, value)]),
        }
    }

    /// Puts other series in the place of some, in the budget too.
    fn replaced(
        &mut self,
        inner: Vec<StepSeries>,
        change: impl FnOnce(Vec<StepSeries>) -> Vec<StepSeries>,
    ) -> Result<Vec<StepSeries>, QueryError> {
        series::release(&inner, &mut self.budget);
        let changed = change(inner);
        charge(&changed, &mut self.budget)?;
        Ok(changed)
    }
}

/// The same value at each step, without labels.
fn constant(grid: &StepGrid, value: f64) -> StepSeries {
    let points = (0..grid.count()).map(|step| StepPoint { step, value }).collect();
    StepSeries { labels: Labels::default(), points }
}

fn matrix(
    series: Vec<StepSeries>,
    grid: &StepGrid,
    bound: &mut SeriesBound,
) -> Result<QueryValue, QueryError> {
    let mut series = join_equal(series);
    series.retain(|series| !series.points.is_empty());
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    bound.apply(&mut series)?;
    let with_times = |series: StepSeries| Series {
        labels: series.labels,
        points: series
            .points
            .iter()
            .map(|point| Point { timestamp: grid.at(point.step), value: point.value })
            .collect(),
    };
    Ok(QueryValue::Matrix(series.into_iter().map(with_times).collect()))
}

fn vector(
    mut series: Vec<StepSeries>,
    grid: &StepGrid,
    keep_order: bool,
    bound: &mut SeriesBound,
) -> Result<QueryValue, QueryError> {
    if !keep_order {
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
    }
    bound.apply(&mut series)?;
    let timestamp = grid.at(0);
    let samples = series.into_iter().flat_map(|StepSeries { labels, points }| {
        points.into_iter().map(move |point| Sample {
            labels: labels.clone(),
            point: Point { timestamp, value: point.value },
        })
    });
    Ok(QueryValue::Vector(samples.collect()))
}

/// Whether the query asks for an order by value.
fn orders_by_value(expression: &MetricExpression) -> bool {
    match expression {
        MetricExpression::Vector(aggregation) => {
            matches!(aggregation.operation, VectorOperation::Sort | VectorOperation::SortDescending)
                || orders_by_value(&aggregation.inner)
        }
        MetricExpression::Binary(operation) => {
            orders_by_value(&operation.left) || orders_by_value(&operation.right)
        }
        MetricExpression::LabelReplace(replace) => orders_by_value(&replace.inner),
        MetricExpression::Range(_) | MetricExpression::Literal(_) | MetricExpression::Constant(_) => false,
    }
}
