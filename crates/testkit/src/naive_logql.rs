//! The meaning of LogQL, written down in the plainest way: the oracle for the real engine.
//!
//! Every step looks at every row again, every function at every sample of its window; nothing is pushed
//! down, shared between steps or bounded. Stages are the real ones, since they have oracles of their own.
//!
//! What it follows are the semantics of Loki 3.8 (`pkg/logql`). Unlike the engine it has no limits, and of
//! failures it only knows that there is one.

use std::collections::BTreeMap;

use timberyard_logql::QueryRequest;
use timberyard_logql::result::{Entry as Line, Point, QueryValue, Sample, Series, StreamResult, Streams};
use timberyard_logql::stage::{Category, Pipeline, Verdict, WorkingRow};
use timberyard_logql::syntax::ast::{
    BinaryOperation, BinaryOperator, Cardinality, Expression, Grouping, LogExpression, MatchingLabels,
    MetricExpression, PipelineStage, RangeAggregation, RangeOperation, VectorAggregation, VectorOperation,
};
use timberyard_model::matcher::{ValueTest, accepts_all};
use timberyard_model::scan::Direction;
use timberyard_model::{Labels, Timestamp};

use crate::memory_source::Entry;

/// The labels and value of a series at one step.
type Vector = Vec<(Labels, f64)>;

/// Why there is no answer.
pub type Failure = String;

/// Answers a query over rows, of which those of other tenants are left out.
pub fn answer(rows: &[Entry], request: &QueryRequest) -> Result<QueryValue, Failure> {
    let rows: Vec<&Entry> = rows.iter().filter(|row| row.tenant == request.tenant).collect();
    match &request.expression {
        Expression::Logs(logs) => lines(&rows, request, logs),
        Expression::Metric(metric) if request.step_ns == 0 => {
            let step = Step { rows: &rows, time: request.end.as_nanos() };
            Ok(match step.evaluate(metric)? {
                Value::Scalar(value) => QueryValue::Scalar { timestamp: request.end, value },
                Value::Vector(mut vector) => {
                    if !orders(metric) {
                        vector.sort_by(|a, b| a.0.cmp(&b.0));
                    }
                    let sample =
                        |(labels, value)| Sample { labels, point: Point { timestamp: request.end, value } };
                    QueryValue::Vector(vector.into_iter().map(sample).collect())
                }
            })
        }
        Expression::Metric(metric) => {
            let mut series: BTreeMap<Labels, Vec<Point>> = BTreeMap::new();
            let step_ns = request.step_ns;
            let mut time = request.start.as_nanos().div_euclid(step_ns) * step_ns;
            while time < request.end.as_nanos() + step_ns {
                let vector = match (Step { rows: &rows, time }).evaluate(metric)? {
                    Value::Scalar(value) => vec![(Labels::default(), value)],
                    Value::Vector(vector) => vector,
                };
                for (labels, value) in vector {
                    let timestamp = Timestamp::from_nanos(time);
                    series.entry(labels).or_default().push(Point { timestamp, value });
                }
                time += step_ns;
            }
            let series = series.into_iter().map(|(labels, points)| Series { labels, points });
            Ok(QueryValue::Matrix(series.collect()))
        }
    }
}

fn lines(rows: &[&Entry], request: &QueryRequest, logs: &LogExpression) -> Result<QueryValue, Failure> {
    let pipeline = Pipeline::new(&logs.stages).map_err(|error| error.to_string())?;
    let mut sorted: Vec<&&Entry> = rows
        .iter()
        .filter(|row| accepts_all(&logs.selector.matchers, &row.labels))
        .filter(|row| {
            let inside = request.start <= row.timestamp && row.timestamp < request.end;
            inside || row.timestamp == request.start && request.start == request.end
        })
        .collect();
    sorted.sort_by_key(|row| row.timestamp);
    if request.direction == Direction::Backward {
        sorted.reverse();
    }
    let mut streams: BTreeMap<Labels, Vec<Line>> = BTreeMap::new();
    let mut taken = 0;
    let mut before: Option<Timestamp> = None;
    for row in sorted {
        let mut working = WorkingRow::new(&row.labels);
        fill(&mut working, row);
        if taken >= request.limit || pipeline.process(&mut working) == Verdict::Drop {
            continue;
        }
        if let Some(before) = before
            && row.timestamp.as_nanos().abs_diff(before.as_nanos()) < request.interval_ns as u64
        {
            continue;
        }
        before = Some(row.timestamp);
        taken += 1;
        streams.entry(working.labels_of(Category::Stream)).or_default().push(Line {
            timestamp: row.timestamp,
            line: working.line().into(),
            metadata: working.labels_of(Category::Metadata),
            parsed: working.labels_of(Category::Parsed),
        });
    }
    let streams = streams.into_iter().map(|(stream, entries)| StreamResult { stream, entries });
    Ok(QueryValue::Streams(Streams { direction: request.direction, streams: streams.collect() }))
}

fn fill<'a>(working: &mut WorkingRow<'a>, row: &'a Entry) {
    let metadata = row.metadata.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    working.reset(row.timestamp, &row.line, &row.labels, metadata);
}

fn orders(expression: &MetricExpression) -> bool {
    match expression {
        MetricExpression::Vector(vector) => {
            matches!(vector.operation, VectorOperation::Sort | VectorOperation::SortDescending)
                || orders(&vector.inner)
        }
        MetricExpression::Binary(binary) => orders(&binary.left) || orders(&binary.right),
        MetricExpression::LabelReplace(replace) => orders(&replace.inner),
        _ => false,
    }
}

enum Value {
    Scalar(f64),
    Vector(Vector),
}

/// All rows, and the time that is looked at.
struct Step<'a> {
    rows: &'a [&'a Entry],
    time: i64,
}

impl Step<'_> {
    fn evaluate(&self, expression: &MetricExpression) -> Result<Value, Failure> {
        Ok(match expression {
            MetricExpression::Literal(value) => Value::Scalar(*value),
            MetricExpression::Constant(value) => Value::Vector(vec![(Labels::default(), *value)]),
            MetricExpression::Range(range) => Value::Vector(self.range(range)?),
            MetricExpression::Vector(aggregation) => {
                Value::Vector(aggregate(aggregation, self.vector(&aggregation.inner)?))
            }
            MetricExpression::Binary(operation) => {
                match (self.evaluate(&operation.left)?, self.evaluate(&operation.right)?) {
                    (Value::Scalar(left), Value::Scalar(right)) => {
                        Value::Scalar(operation.operator.compute(left, right).ok_or("sets of numbers")?)
                    }
                    (Value::Vector(left), Value::Scalar(right)) => Value::Vector(
                        left.into_iter()
                            .filter_map(|(labels, left)| {
                                Some((labels, outcome(operation, left, right, left)?))
                            })
                            .collect(),
                    ),
                    (Value::Scalar(left), Value::Vector(right)) => Value::Vector(
                        right
                            .into_iter()
                            .filter_map(|(labels, right)| {
                                Some((labels, outcome(operation, left, right, right)?))
                            })
                            .collect(),
                    ),
                    (Value::Vector(left), Value::Vector(right)) => {
                        Value::Vector(combine(operation, &left, &right)?)
                    }
                }
            }
            MetricExpression::LabelReplace(replace) => {
                let mut vector = self.vector(&replace.inner)?;
                for (labels, _) in &mut vector {
                    let source = labels.get(&replace.source).unwrap_or("").as_bytes();
                    if let Some(captures) = replace.pattern.regex().captures(source) {
                        let mut value = Vec::new();
                        captures.expand(replace.replacement.as_bytes(), &mut value);
                        *labels = labels.with(&replace.target, &String::from_utf8_lossy(&value));
                    }
                }
                Value::Vector(vector)
            }
        })
    }

    fn vector(&self, expression: &MetricExpression) -> Result<Vector, Failure> {
        Ok(match self.evaluate(expression)? {
            Value::Scalar(value) => vec![(Labels::default(), value)],
            Value::Vector(vector) => vector,
        })
    }

    fn range(&self, aggregation: &RangeAggregation) -> Result<Vector, Failure> {
        let range = &aggregation.range;
        let pipeline = Pipeline::new(&range.logs.stages).map_err(|error| error.to_string())?;
        let end = self.time - range.offset_nanos;
        let width = range.interval.as_nanos() as i64;
        let mut rows: Vec<&&Entry> = self
            .rows
            .iter()
            .filter(|row| accepts_all(&range.logs.selector.matchers, &row.labels))
            .filter(|row| end - width < row.timestamp.as_nanos() && row.timestamp.as_nanos() <= end)
            .collect();
        rows.sort_by_key(|row| row.timestamp);
        let mut windows: BTreeMap<Labels, Vec<(i64, f64)>> = BTreeMap::new();
        for row in rows {
            let mut working = WorkingRow::new(&row.labels);
            fill(&mut working, row);
            if pipeline.process(&mut working) == Verdict::Drop {
                continue;
            }
            let Some(value) = sample(aggregation, &mut working)? else { continue };
            let labels = working.labels();
            let is_counted = aggregation.operation != RangeOperation::Absent;
            if is_counted
                && labels.get("__error__").is_some()
                && labels.get("__preserve_error__") != Some("true")
            {
                return Err(format!("error in series {labels}"));
            }
            let unwrapped = range.unwrap.as_ref().map(|unwrap| unwrap.label.clone());
            let grouping = match (&aggregation.grouping, unwrapped) {
                _ if labels.get("__error__").is_some() => Grouping { without: true, labels: Vec::new() },
                (Some(grouping), _) if !grouping.without => grouping.clone(),
                (grouping, unwrapped) => {
                    let mut names = grouping.clone().unwrap_or_default().labels;
                    names.extend(unwrapped);
                    Grouping { without: true, labels: names }
                }
            };
            let series = restricted(&grouping, &labels);
            windows.entry(series).or_default().push((row.timestamp.as_nanos(), value));
        }
        if aggregation.operation == RangeOperation::Absent {
            let mut labels = Vec::new();
            for matcher in &range.logs.selector.matchers {
                let same = range.logs.selector.matchers.iter().filter(|other| other.name == matcher.name);
                if let (ValueTest::Equal(value), 1) = (&matcher.test, same.count()) {
                    labels.push((matcher.name.clone(), value.clone()));
                }
            }
            let absent = vec![(Labels::from_pairs(labels), 1.0)];
            return Ok(if windows.is_empty() { absent } else { Vec::new() });
        }
        let value = |samples: &Vec<(i64, f64)>| window_value(aggregation, samples, end, width);
        Ok(windows.into_iter().map(|(labels, samples)| (labels, value(&samples))).collect())
    }
}

/// What of a row that passed the stages is the sample, if it has one.
fn sample(aggregation: &RangeAggregation, working: &mut WorkingRow<'_>) -> Result<Option<f64>, Failure> {
    let Some(unwrap) = &aggregation.range.unwrap else {
        let bytes = matches!(aggregation.operation, RangeOperation::Bytes | RangeOperation::BytesRate);
        return Ok(Some(if bytes { working.line().len() as f64 } else { 1.0 }));
    };
    let text = working.value(&unwrap.label).to_owned();
    if text.is_empty() {
        return Ok(None);
    }
    // Only plain numbers, so that the engine's conversions are not tested against themselves.
    let value = text.parse().unwrap_or_else(|_| {
        working.set_error("SampleExtractionErr");
        0.0
    });
    let filters: Vec<PipelineStage> =
        unwrap.post_filters.iter().cloned().map(PipelineStage::LabelFilter).collect();
    let filters = Pipeline::new(&filters).map_err(|error| error.to_string())?;
    Ok((filters.process(working) == Verdict::Keep).then_some(value))
}

/// The labels that a grouping leaves, empty ones too.
fn restricted(grouping: &Grouping, labels: &Labels) -> Labels {
    Labels::keeping_empty(
        labels.iter().filter(|(name, _)| grouping.labels.iter().any(|n| n == name) != grouping.without),
    )
}

fn without_empty(labels: &Labels) -> Labels {
    Labels::from_pairs(labels.iter())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64
}

fn window_value(aggregation: &RangeAggregation, samples: &[(i64, f64)], end: i64, width: i64) -> f64 {
    let values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
    let seconds = width as f64 / 1e9;
    let sum: f64 = values.iter().sum();
    match aggregation.operation {
        RangeOperation::Count => values.len() as f64,
        RangeOperation::Rate | RangeOperation::BytesRate => sum / seconds,
        RangeOperation::Bytes | RangeOperation::Sum => sum,
        RangeOperation::Average => mean(&values),
        RangeOperation::Minimum => values.iter().copied().fold(f64::NAN, f64::min),
        RangeOperation::Maximum => values.iter().copied().fold(f64::NAN, f64::max),
        RangeOperation::Variance => variance(&values),
        RangeOperation::StandardDeviation => variance(&values).sqrt(),
        RangeOperation::First => values.first().copied().unwrap_or(f64::NAN),
        RangeOperation::Last => values.last().copied().unwrap_or(f64::NAN),
        RangeOperation::Quantile => quantile(aggregation.parameter.unwrap_or(f64::NAN), values),
        RangeOperation::RateCounter => counter_rate(samples, end, seconds),
        RangeOperation::Absent => f64::NAN,
    }
}

/// Whatever is no number comes after all numbers, in either direction.
fn numbers_first(a: f64, b: f64) -> std::cmp::Ordering {
    a.is_nan().cmp(&b.is_nan())
}

fn quantile(wanted: f64, mut values: Vec<f64>) -> f64 {
    if wanted < 0.0 {
        return f64::NEG_INFINITY;
    }
    if wanted > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(f64::total_cmp);
    let rank = wanted * (values.len() - 1) as f64;
    let below = values[rank.floor() as usize];
    let above = values[rank.ceil() as usize];
    let weight = rank - rank.floor();
    below * (1.0 - weight) + above * weight
}

fn counter_rate(samples: &[(i64, f64)], end: i64, seconds: f64) -> f64 {
    let n = samples.len();
    if n < 2 {
        return 0.0;
    }
    let (first, last) = (samples[0], samples[n - 1]);
    let resets: f64 = samples.windows(2).filter(|pair| pair[1].1 < pair[0].1).map(|pair| pair[0].1).sum();
    let growth = last.1 - first.1 + resets;
    let between = |from: i64, to: i64| (to - from) as f64 / 1e9;
    let sampled = between(first.0, last.0);
    let average = sampled / (n - 1) as f64;
    let reach = |gap: f64| if gap >= average * 1.1 { average / 2.0 } else { gap };
    let mut before = reach(seconds - between(first.0, end));
    if growth > 0.0 && first.1 >= 0.0 {
        before = before.min(sampled * first.1 / growth);
    }
    let after = reach(between(last.0, end));
    growth * (sampled + before + after) / sampled / seconds
}

fn aggregate(aggregation: &VectorAggregation, vector: Vector) -> Vector {
    let grouping = aggregation.grouping.clone().unwrap_or_default();
    let mut groups: BTreeMap<Labels, Vector> = BTreeMap::new();
    for (labels, value) in vector {
        let left = restricted(&grouping, &labels);
        let left = if grouping.without { without_empty(&left) } else { left };
        groups.entry(left).or_default().push((labels, value));
    }
    let keep = aggregation.parameter.unwrap_or(u64::MAX) as usize;
    let mut results = Vector::new();
    for (labels, mut members) in groups {
        let values: Vec<f64> = members.iter().map(|(_, value)| *value).collect();
        let single = match aggregation.operation {
            VectorOperation::Sum => values.iter().sum(),
            VectorOperation::Average => mean(&values),
            VectorOperation::Count => values.len() as f64,
            VectorOperation::Maximum => values.iter().copied().fold(f64::NAN, f64::max),
            // Whatever is no number counts only when nothing else is there.
            VectorOperation::Minimum => values.iter().copied().fold(f64::NAN, f64::min),
            VectorOperation::Variance => variance(&values),
            VectorOperation::StandardDeviation => variance(&values).sqrt(),
            VectorOperation::BottomK | VectorOperation::Sort => {
                members.sort_by(|a, b| numbers_first(a.1, b.1).then(a.1.total_cmp(&b.1)).then(a.0.cmp(&b.0)));
                results.extend(members.into_iter().take(keep));
                continue;
            }
            VectorOperation::TopK | VectorOperation::ApproximateTopK | VectorOperation::SortDescending => {
                members.sort_by(|a, b| numbers_first(a.1, b.1).then(b.1.total_cmp(&a.1)).then(a.0.cmp(&b.0)));
                results.extend(members.into_iter().take(keep));
                continue;
            }
        };
        results.push((labels, single));
    }
    results
}

fn outcome(operation: &BinaryOperation, left: f64, right: f64, shown: f64) -> Option<f64> {
    let value = operation.operator.compute(left, right)?;
    if operation.operator.is_comparison() && !operation.returns_bool {
        return (value == 1.0).then_some(shown);
    }
    Some(value)
}

fn combine(operation: &BinaryOperation, left: &Vector, right: &Vector) -> Result<Vector, Failure> {
    let matching = &operation.matching;
    let agree = |labels: &Labels| match &matching.labels {
        MatchingLabels::On(names) => {
            without_empty(&restricted(&Grouping { without: false, labels: names.clone() }, labels))
        }
        MatchingLabels::Ignoring(names) => {
            without_empty(&restricted(&Grouping { without: true, labels: names.clone() }, labels))
        }
    };
    let has_match =
        |labels: &Labels, side: &Vector| side.iter().any(|(other, _)| agree(other) == agree(labels));
    let matched = |side: &Vector, other: &Vector, wanted: bool| -> Vector {
        side.iter().filter(|(labels, _)| has_match(labels, other) == wanted).cloned().collect()
    };
    match operation.operator {
        BinaryOperator::And => return Ok(matched(left, right, true)),
        BinaryOperator::Unless => return Ok(matched(left, right, false)),
        BinaryOperator::Or => return Ok([left.clone(), matched(right, left, false)].concat()),
        _ => {}
    }
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    for (place, (labels, _)) in one.iter().enumerate() {
        if one[..place].iter().any(|(other, _)| agree(other) == agree(labels)) {
            return Err("duplicate series".to_owned());
        }
    }
    let mut results: Vec<(Labels, Labels, Option<f64>)> = Vec::new();
    for (labels, value) in many {
        let Some((other_labels, other)) = one.iter().find(|(other, _)| agree(other) == agree(labels)) else {
            continue;
        };
        let mut result =
            if matching.cardinality == Cardinality::OneToOne { agree(labels) } else { without_empty(labels) };
        for name in &matching.include {
            result = result.with(name, other_labels.get(name).unwrap_or(""));
        }
        let (left, right) = if swapped { (*other, *value) } else { (*value, *other) };
        if results.iter().any(|(group, same, _)| *group == agree(labels) && *same == result) {
            return Err("multiple matches".to_owned());
        }
        results.push((agree(labels), result, outcome(operation, left, right, left)));
    }
    Ok(results.into_iter().filter_map(|(_, labels, value)| Some((labels, value?))).collect())
}
