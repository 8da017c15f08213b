//! Binary operators, between series and numbers and between series that match.

use std::collections::HashMap;

use timberyard_model::Labels;

use super::matching::{Match, matches, result_labels};
use super::series::{StepPoint, StepSeries, join_equal};
use crate::error::QueryError;
use crate::syntax::ast::{BinaryOperation, BinaryOperator, Cardinality};

/// Applies an operator to each value and a number; `sides` puts them left and right.
pub(super) fn with_scalar(
    operation: &BinaryOperation,
    mut series: Vec<StepSeries>,
    sides: impl Fn(f64) -> (f64, f64),
) -> Vec<StepSeries> {
    for one in &mut series {
        one.points.retain_mut(|point| {
            let (left, right) = sides(point.value);
            match outcome(operation, left, right, point.value) {
                Some(value) => {
                    point.value = value;
                    true
                }
                None => false,
            }
        });
    }
    series.retain(|one| !one.points.is_empty());
    series
}

/// Applies an operator to the series of two sides, over `steps` steps.
pub(super) fn of_series(
    operation: &BinaryOperation,
    left: Vec<StepSeries>,
    right: Vec<StepSeries>,
    steps: u32,
) -> Result<Vec<StepSeries>, QueryError> {
    let matches = matches(&operation.matching, left, right);
    let mut results = Vec::new();
    match operation.operator {
        BinaryOperator::And => {
            for found in matches {
                let present = Presence::of(&found.right, steps);
                results.extend(kept(found.left, |step| present.at(step)));
            }
        }
        BinaryOperator::Unless => {
            for found in matches {
                let present = Presence::of(&found.right, steps);
                results.extend(kept(found.left, |step| !present.at(step)));
            }
        }
        BinaryOperator::Or => {
            for found in matches {
                let present = Presence::of(&found.left, steps);
                results.extend(found.left);
                results.extend(kept(found.right, |step| !present.at(step)));
            }
        }
        _ => {
            for found in matches {
                results.extend(computed(operation, found, steps)?);
            }
        }
    }
    Ok(join_equal(results))
}

/// What two values come to: `None` when a comparison filters them out. A comparison that filters keeps `shown`.
fn outcome(operation: &BinaryOperation, left: f64, right: f64, shown: f64) -> Option<f64> {
    let value = operation.operator.compute(left, right)?;
    if operation.operator.is_comparison() && !operation.returns_bool {
        return (value != 0.0).then_some(shown);
    }
    Some(value)
}

/// Steps at which any of some series has a value.
struct Presence(Vec<bool>);

impl Presence {
    fn of(series: &[StepSeries], steps: u32) -> Self {
        let mut present = vec![false; if series.is_empty() { 0 } else { steps as usize }];
        for point in series.iter().flat_map(|series| &series.points) {
            if let Some(present) = present.get_mut(point.step as usize) {
                *present = true;
            }
        }
        Self(present)
    }

    fn at(&self, step: u32) -> bool {
        self.0.get(step as usize).copied().unwrap_or(false)
    }
}

/// The values of series at steps that `keep` keeps.
fn kept(mut series: Vec<StepSeries>, keep: impl Fn(u32) -> bool) -> Vec<StepSeries> {
    for one in &mut series {
        one.points.retain(|point| keep(point.step));
    }
    series.retain(|one| !one.points.is_empty());
    series
}

/// Computes with series that match.
fn computed(operation: &BinaryOperation, found: Match, steps: u32) -> Result<Vec<StepSeries>, QueryError> {
    let matching = &operation.matching;
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (found.right, found.left) } else { (found.left, found.right) };
    if one.is_empty() {
        return Ok(Vec::new());
    }
    let ones = unique_at_each_step(&one, steps, if swapped { "left" } else { "right" })?;
    let pairs_only = matching.cardinality == Cardinality::OneToOne;
    let mut taken = vec![false; steps as usize];
    let mut results = Results::default();
    for series in many {
        // The labels of the result depend on which series the other side has at a step.
        let mut places: HashMap<usize, usize> = HashMap::new();
        for point in &series.points {
            let Some((number, other)) = ones.get(point.step as usize).copied().flatten() else { continue };
            if pairs_only
                && let Some(taken) = taken.get_mut(point.step as usize)
                && std::mem::replace(taken, true)
            {
                return Err(QueryError::Execution(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                        .to_owned(),
                ));
            }
            let place = *places.entry(number).or_insert_with(|| {
                let one = one.get(number).map(|one| one.labels.clone()).unwrap_or_default();
                results.place_of(result_labels(matching, &series.labels, &one))
            });
            let (left, right) = if swapped { (other, point.value) } else { (point.value, other) };
            results.add(place, point.step, outcome(operation, left, right, left));
        }
    }
    results.finish()
}

/// At each step the series, by number, that has a value, with this value.
fn unique_at_each_step(
    series: &[StepSeries],
    steps: u32,
    side: &str,
) -> Result<Vec<Option<(usize, f64)>>, QueryError> {
    let mut ones = vec![None; steps as usize];
    for (number, one) in series.iter().enumerate() {
        for point in &one.points {
            let Some(place) = ones.get_mut(point.step as usize) else { continue };
            if place.replace((number, point.value)).is_some() {
                return Err(QueryError::Execution(format!(
                    "found duplicate series on the {side} hand-side;many-to-many matching not allowed: \
                     matching labels must be unique on one side"
                )));
            }
        }
    }
    Ok(ones)
}

/// A step and the value there, if any.
type Outcome = (u32, Option<f64>);

/// The results of one match, by their labels.
#[derive(Default)]
struct Results {
    places: HashMap<Labels, usize>,
    /// Values at steps; `None` where a comparison filtered one out, which still must not meet another.
    series: Vec<(Labels, Vec<Outcome>)>,
}

impl Results {
    fn place_of(&mut self, labels: Labels) -> usize {
        let next = self.series.len();
        let place = *self.places.entry(labels.clone()).or_insert(next);
        if place == next {
            self.series.push((labels, Vec::new()));
        }
        place
    }

    fn add(&mut self, place: usize, step: u32, value: Option<f64>) {
        if let Some((_, points)) = self.series.get_mut(place) {
            points.push((step, value));
        }
    }

    fn finish(self) -> Result<Vec<StepSeries>, QueryError> {
        let mut finished = Vec::with_capacity(self.series.len());
        for (labels, mut points) in self.series {
            points.sort_by_key(|(step, _)| *step);
            if points.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
                return Err(QueryError::Execution(
                    "multiple matches for labels: grouping labels must ensure unique matches".to_owned(),
                ));
            }
            let points: Vec<StepPoint> = points
                .into_iter()
                .filter_map(|(step, value)| Some(StepPoint { step, value: value? }))
                .collect();
            if !points.is_empty() {
                finished.push(StepSeries { labels, points });
            }
        }
        Ok(finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::ast::{MatchingLabels, MetricExpression, VectorMatching};

    /// Series as `labels: value at step 0, value at step 1`; `-` stands for no value.
    fn series(texts: &[&str]) -> Vec<StepSeries> {
        texts
            .iter()
            .map(|text| {
                let (labels, values) = text.split_once(": ").expect("labels and values");
                let pairs = labels.split(' ').filter(|pair| !pair.is_empty());
                StepSeries {
                    labels: Labels::from_pairs(pairs.map(|pair| pair.split_once('=').expect("a pair"))),
                    points: (0..)
                        .zip(values.split(' '))
                        .filter(|(_, value)| *value != "-")
                        .map(|(step, value)| StepPoint { step, value: value.parse().expect("a number") })
                        .collect(),
                }
            })
            .collect()
    }

    fn shown(series: &[StepSeries]) -> Vec<String> {
        let mut shown: Vec<String> = series
            .iter()
            .map(|series| {
                let labels: Vec<String> = series.labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
                let values: Vec<String> = (0..2)
                    .map(|step| {
                        let point = series.points.iter().find(|point| point.step == step);
                        point.map_or("-".to_owned(), |point| point.value.to_string())
                    })
                    .collect();
                format!("{}: {}", labels.join(" "), values.join(" "))
            })
            .collect();
        shown.sort();
        shown
    }

    fn operation(operator: BinaryOperator, matching: VectorMatching) -> BinaryOperation {
        let side = || MetricExpression::Literal(0.0);
        BinaryOperation { left: side(), operator, returns_bool: false, matching, right: side() }
    }

    fn on(labels: &[&str], cardinality: Cardinality, include: &[&str]) -> VectorMatching {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        VectorMatching { labels: MatchingLabels::On(owned(labels)), cardinality, include: owned(include) }
    }

    fn ignoring(labels: &[&str]) -> VectorMatching {
        VectorMatching {
            labels: MatchingLabels::Ignoring(labels.iter().map(|name| (*name).to_owned()).collect()),
            ..VectorMatching::default()
        }
    }

    fn check(operation: &BinaryOperation, left: &[&str], right: &[&str], expected: &[&str]) {
        let results = of_series(operation, series(left), series(right), 2).expect("they fit");
        assert_eq!(shown(&results), expected, "{operation:?}");
    }

    fn check_error(operation: &BinaryOperation, left: &[&str], right: &[&str], expected: &str) {
        let error = of_series(operation, series(left), series(right), 2).expect_err("they do not fit");
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn values_meet_at_the_same_step_and_labels() {
        let left = ["app=a: 6 8", "app=b: 1 -"];
        let right = ["app=a: 3 -", "app=c: 1 1"];
        let divide = operation(BinaryOperator::Divide, VectorMatching::default());
        check(&divide, &left, &right, &["app=a: 2 -"]);
        let left = ["app=a env=x: 6 8"];
        let right = ["app=b env=x: 3 4"];
        check(&operation(BinaryOperator::Subtract, ignoring(&["app"])), &left, &right, &["env=x: 3 4"]);
        let env = on(&["env"], Cardinality::OneToOne, &[]);
        check(&operation(BinaryOperator::Multiply, env), &left, &right, &["env=x: 18 32"]);
    }

    #[test]
    fn comparisons_keep_the_left_value_or_answer_0_and_1() {
        let mut greater = operation(BinaryOperator::Greater, VectorMatching::default());
        check(&greater, &["app=a: 5 1"], &["app=a: 3 3"], &["app=a: 5 -"]);
        greater.returns_bool = true;
        check(&greater, &["app=a: 5 1"], &["app=a: 3 3"], &["app=a: 1 0"]);
    }

    #[test]
    fn one_side_may_be_many_when_the_query_says_so() {
        let (many, one) = (["app=a env=x: 6 8", "app=b env=x: 2 2"], ["env=x zone=z: 2 2"]);
        let left = on(&["env"], Cardinality::ManyToOne, &["zone"]);
        check(
            &operation(BinaryOperator::Divide, left),
            &many,
            &one,
            &["app=a env=x zone=z: 3 4", "app=b env=x zone=z: 1 1"],
        );
        let right = on(&["env"], Cardinality::OneToMany, &[]);
        check(
            &operation(BinaryOperator::Divide, right),
            &one,
            &many,
            &["app=a env=x: 0.3333333333333333 0.25", "app=b env=x: 1 1"],
        );
    }

    #[test]
    fn ambiguous_matches_are_refused() {
        let two = ["app=a env=x: 6 8", "app=b env=x: 2 2"];
        let pairs = operation(BinaryOperator::Add, on(&["env"], Cardinality::OneToOne, &[]));
        check_error(&pairs, &["env=x: 1 1"], &two, "found duplicate series on the right hand-side");
        check_error(&pairs, &two, &["env=x: 1 1"], "many-to-one matching must be explicit");
        // Not at the same step: nothing is ambiguous.
        check(&pairs, &["app=a env=x: 6 -", "app=b env=x: - 2"], &["env=x: 1 1"], &["env=x: 7 3"]);
        let right = operation(BinaryOperator::Add, on(&["env"], Cardinality::OneToMany, &[]));
        check_error(&right, &two, &["env=x: 1 1"], "found duplicate series on the left hand-side");
        let overwritten = operation(BinaryOperator::Add, on(&["env"], Cardinality::ManyToOne, &["app"]));
        check_error(&overwritten, &two, &["app=c env=x: 1 1"], "grouping labels must ensure unique matches");
    }

    #[test]
    fn set_operators_look_at_each_step() {
        let (left, right) = (["app=a: 1 1", "app=b: 2 2"], ["app=a: 7 -", "app=c: 8 8"]);
        check(&operation(BinaryOperator::And, VectorMatching::default()), &left, &right, &["app=a: 1 -"]);
        check(
            &operation(BinaryOperator::Unless, VectorMatching::default()),
            &left,
            &right,
            &["app=a: - 1", "app=b: 2 2"],
        );
        check(
            &operation(BinaryOperator::Or, VectorMatching::default()),
            &["app=a: 1 -"],
            &["app=a: 7 7"],
            &["app=a: 1 7"],
        );
    }

    #[test]
    fn numbers_meet_every_value() {
        let mut power = operation(BinaryOperator::Power, VectorMatching::default());
        assert_eq!(shown(&with_scalar(&power, series(&["app=a: 2 3"]), |v| (v, 2.0))), ["app=a: 4 9"]);
        assert_eq!(shown(&with_scalar(&power, series(&["app=a: 2 3"]), |v| (2.0, v))), ["app=a: 4 8"]);
        power.operator = BinaryOperator::Less;
        assert_eq!(shown(&with_scalar(&power, series(&["app=a: 2 3"]), |v| (2.0, v))), ["app=a: - 3"]);
        power.operator = BinaryOperator::Divide;
        assert_eq!(shown(&with_scalar(&power, series(&["app=a: 2 0"]), |v| (v, 0.0))), ["app=a: NaN NaN"]);
    }
}
