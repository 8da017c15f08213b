//! Aggregations over series: one value a group and step from the values of the series in the group.

use std::cmp::Ordering;
use std::collections::HashMap;

use timberyard_model::Labels;

use super::accumulator::{Accumulator, Count, Maximum, Mean, Minimum, Sum, Variance};
use super::series::{StepPoint, StepSeries};
use crate::syntax::ast::{Grouping, MetricExpression, RangeOperation, VectorAggregation, VectorOperation};

/// The grouping that the range aggregation inside may do on the way: only that of a sum of functions
/// that add up themselves.
pub(super) fn pushed_grouping(aggregation: &VectorAggregation) -> Option<Grouping> {
    let MetricExpression::Range(inner) = &aggregation.inner else { return None };
    let adds_up = matches!(
        inner.operation,
        RangeOperation::Bytes
            | RangeOperation::BytesRate
            | RangeOperation::Sum
            | RangeOperation::Rate
            | RangeOperation::Count
    );
    (aggregation.operation == VectorOperation::Sum && adds_up && inner.grouping.is_none())
        .then(|| aggregation.grouping.clone().unwrap_or_default())
}

/// Aggregates series.
pub(super) fn aggregate(aggregation: &VectorAggregation, series: Vec<StepSeries>) -> Vec<StepSeries> {
    let everything = Grouping::default();
    let grouping = aggregation.grouping.as_ref().unwrap_or(&everything);
    let groups = grouped(grouping, series);
    let keep = aggregation.parameter.unwrap_or(u64::MAX);
    let number = |value: f64| value;
    match aggregation.operation {
        VectorOperation::Sum => combined::<Sum>(groups, number),
        VectorOperation::Average => combined::<Mean>(groups, number),
        VectorOperation::Count => combined::<Count>(groups, number),
        VectorOperation::Maximum => combined::<Maximum>(groups, number),
        VectorOperation::Minimum => combined::<Minimum>(groups, number),
        VectorOperation::StandardDeviation => combined::<Variance>(groups, f64::sqrt),
        VectorOperation::Variance => combined::<Variance>(groups, number),
        // Exact counts are the best approximation there is.
        VectorOperation::TopK | VectorOperation::ApproximateTopK => {
            groups.into_iter().flat_map(|(_, group)| best(group, keep, descending)).collect()
        }
        VectorOperation::BottomK => {
            groups.into_iter().flat_map(|(_, group)| best(group, keep, ascending)).collect()
        }
        VectorOperation::Sort => groups.into_iter().flat_map(|(_, group)| sorted(group, ascending)).collect(),
        VectorOperation::SortDescending => {
            groups.into_iter().flat_map(|(_, group)| sorted(group, descending)).collect()
        }
    }
}

/// The series of each group, groups in the order in which they come up.
fn grouped(grouping: &Grouping, series: Vec<StepSeries>) -> Vec<(Labels, Vec<StepSeries>)> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<(Labels, Vec<StepSeries>)> = Vec::new();
    for one in series {
        let labels = group_labels(grouping, &one.labels);
        let place = *places.entry(labels.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, group)) => group.push(one),
            None => groups.push((labels, vec![one])),
        }
    }
    groups
}

fn group_labels(grouping: &Grouping, labels: &Labels) -> Labels {
    let is_named = |name: &str| grouping.labels.iter().any(|named| named == name);
    let left = labels.iter().filter(|(name, _)| is_named(name) != grouping.without);
    // As in Loki, what is left over loses its empty labels, and what was asked for does not.
    if grouping.without { Labels::from_pairs(left) } else { Labels::keeping_empty(left) }
}

/// One series a group.
fn combined<A: Accumulator>(
    groups: Vec<(Labels, Vec<StepSeries>)>,
    finish: impl Fn(f64) -> f64,
) -> Vec<StepSeries> {
    // The states of one group at each step; emptied for the next group.
    let mut states: Vec<Option<A>> = Vec::new();
    let combine = |(labels, group): (Labels, Vec<StepSeries>)| {
        for point in group.iter().flat_map(|series| &series.points) {
            let step = point.step as usize;
            if step >= states.len() {
                states.resize(step + 1, None);
            }
            if let Some(state) = states.get_mut(step) {
                match state {
                    Some(state) => state.add(0, point.value),
                    None => *state = Some(A::of(0, point.value)),
                }
            }
        }
        let values = (0..).zip(states.drain(..));
        let points =
            values.filter_map(|(step, state)| Some(StepPoint { step, value: finish(state?.value()) }));
        StepSeries { labels, points: points.collect() }
    };
    groups.into_iter().map(combine).collect()
}

/// At each step the first `keep` series by value, of equal values those with smaller labels.
fn best(group: Vec<StepSeries>, keep: u64, order: fn(f64, f64) -> Ordering) -> Vec<StepSeries> {
    let mut group = group;
    group.sort_by(|a, b| a.labels.cmp(&b.labels));
    let mut candidates: Vec<(StepPoint, usize)> = Vec::new();
    for (number, series) in group.iter_mut().enumerate() {
        candidates.extend(series.points.drain(..).map(|point| (point, number)));
    }
    candidates.sort_unstable_by(|(a, a_number), (b, b_number)| {
        a.step.cmp(&b.step).then_with(|| order(a.value, b.value)).then(a_number.cmp(b_number))
    });
    for step in candidates.chunk_by(|(a, _), (b, _)| a.step == b.step) {
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        for (point, number) in step.iter().take(keep) {
            if let Some(series) = group.get_mut(*number) {
                series.points.push(*point);
            }
        }
    }
    group.retain(|series| !series.points.is_empty());
    group
}

/// Orders series by their value at the first step, which is the only one of an instant query; the answer
/// to a range query is sorted by labels in any case.
fn sorted(mut group: Vec<StepSeries>, order: fn(f64, f64) -> Ordering) -> Vec<StepSeries> {
    let value = |series: &StepSeries| series.points.first().map_or(f64::NAN, |point| point.value);
    group.sort_by(|a, b| order(value(a), value(b)).then_with(|| a.labels.cmp(&b.labels)));
    group
}

/// Small first; what is not a number comes last.
fn ascending(a: f64, b: f64) -> Ordering {
    a.is_nan().cmp(&b.is_nan()).then_with(|| a.partial_cmp(&b).unwrap_or(Ordering::Equal))
}

/// Large first; what is not a number comes last.
fn descending(a: f64, b: f64) -> Ordering {
    a.is_nan().cmp(&b.is_nan()).then_with(|| b.partial_cmp(&a).unwrap_or(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Series `app=a…` with values at steps 0, 1, …; NaN stands for no value.
    fn series(values: &[(&str, &str, &[f64])]) -> Vec<StepSeries> {
        values
            .iter()
            .map(|(app, env, values)| StepSeries {
                labels: Labels::from_pairs([("app", *app), ("env", *env)]),
                points: (0..)
                    .zip(values.iter())
                    .filter(|(_, value)| !value.is_nan())
                    .map(|(step, value)| StepPoint { step, value: *value })
                    .collect(),
            })
            .collect()
    }

    fn shown(series: &[StepSeries]) -> Vec<String> {
        let points = |series: &StepSeries| -> Vec<String> {
            series.points.iter().map(|point| format!("{}:{}", point.step, point.value)).collect()
        };
        series.iter().map(|series| format!("{} {}", series.labels, points(series).join(" "))).collect()
    }

    fn check(operation: VectorOperation, parameter: Option<u64>, by: Option<&str>, expected: &[&str]) {
        let grouping = by.map(|label| Grouping { without: false, labels: vec![label.to_owned()] });
        let inner = MetricExpression::Literal(0.0);
        let aggregation = VectorAggregation { operation, parameter, inner, grouping };
        let input = series(&[
            ("a", "x", &[1.0, f64::NAN, 5.0]),
            ("b", "x", &[3.0, 4.0, f64::NAN]),
            ("c", "y", &[2.0, 4.0, 6.0]),
        ]);
        assert_eq!(shown(&aggregate(&aggregation, input)), expected, "{operation:?}");
    }

    #[test]
    fn groups_have_a_value_where_one_of_their_series_has() {
        check(VectorOperation::Sum, None, None, &["{} 0:6 1:8 2:11"]);
        check(
            VectorOperation::Sum,
            None,
            Some("env"),
            &[r#"{env="x"} 0:4 1:4 2:5"#, r#"{env="y"} 0:2 1:4 2:6"#],
        );
        check(VectorOperation::Average, None, None, &["{} 0:2 1:4 2:5.5"]);
        check(
            VectorOperation::Count,
            None,
            Some("env"),
            &[r#"{env="x"} 0:2 1:1 2:1"#, r#"{env="y"} 0:1 1:1 2:1"#],
        );
        check(VectorOperation::Minimum, None, None, &["{} 0:1 1:4 2:5"]);
        check(VectorOperation::Maximum, None, None, &["{} 0:3 1:4 2:6"]);
        check(
            VectorOperation::Variance,
            None,
            Some("env"),
            &[r#"{env="x"} 0:1 1:0 2:0"#, r#"{env="y"} 0:0 1:0 2:0"#],
        );
    }

    #[test]
    fn the_best_are_chosen_at_each_step() {
        check(
            VectorOperation::TopK,
            Some(1),
            None,
            &[r#"{app="b", env="x"} 0:3 1:4"#, r#"{app="c", env="y"} 2:6"#],
        );
        check(
            VectorOperation::BottomK,
            Some(1),
            Some("env"),
            &[
                r#"{app="a", env="x"} 0:1 2:5"#,
                r#"{app="b", env="x"} 1:4"#,
                r#"{app="c", env="y"} 0:2 1:4 2:6"#,
            ],
        );
    }

    #[test]
    fn what_is_not_a_number_is_never_among_the_best() {
        let input = vec![
            StepSeries {
                labels: Labels::from_pairs([("app", "a")]),
                points: vec![StepPoint { step: 0, value: f64::NAN }],
            },
            StepSeries {
                labels: Labels::from_pairs([("app", "b")]),
                points: vec![StepPoint { step: 0, value: 1.0 }],
            },
        ];
        for order in [ascending, descending] {
            assert_eq!(shown(&best(input.clone(), 1, order)), [r#"{app="b"} 0:1"#]);
            assert_eq!(shown(&sorted(input.clone(), order)), [r#"{app="b"} 0:1"#, r#"{app="a"} 0:NaN"#]);
        }
    }
}
