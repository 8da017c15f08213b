//! `absent_over_time`: one where there is nothing.

use timberyard_model::Labels;
use timberyard_model::matcher::{LabelMatcher, ValueTest};

use super::series::{StepPoint, StepSeries};

/// A series with the value 1 at each step at which none of `present` has a value.
///
/// Its labels are those that the selector demands by equality, unless it says more about them.
pub(super) fn absent(steps: u32, present: &[StepSeries], matchers: &[LabelMatcher]) -> Vec<StepSeries> {
    let mut is_present = vec![false; steps as usize];
    for point in present.iter().flat_map(|series| &series.points) {
        if let Some(is_present) = is_present.get_mut(point.step as usize) {
            *is_present = true;
        }
    }
    let points: Vec<StepPoint> = (0..steps)
        .zip(is_present)
        .filter(|(_, is_present)| !is_present)
        .map(|(step, _)| StepPoint { step, value: 1.0 })
        .collect();
    if points.is_empty() {
        return Vec::new();
    }
    vec![StepSeries { labels: demanded(matchers), points }]
}

fn demanded(matchers: &[LabelMatcher]) -> Labels {
    let times_named = |name: &str| matchers.iter().filter(|matcher| &*matcher.name == name).count();
    Labels::from_pairs(matchers.iter().filter_map(|matcher| match &matcher.test {
        ValueTest::Equal(value) if times_named(&matcher.name) == 1 => {
            Some((matcher.name.clone(), value.clone()))
        }
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_steps_without_any_value_are_reported() {
        let series = StepSeries {
            labels: Labels::default(),
            points: vec![StepPoint { step: 1, value: 3.0 }, StepPoint { step: 2, value: 0.0 }],
        };
        let matchers = [
            LabelMatcher::equal("app", "api"),
            LabelMatcher { name: "env".into(), test: ValueTest::NotEqual("dev".into()) },
            LabelMatcher::equal("zone", "a"),
            LabelMatcher::equal("zone", "b"),
        ];
        let found = absent(4, &[series], &matchers);
        assert_eq!(found[0].labels.to_string(), r#"{app="api"}"#);
        let steps: Vec<u32> = found[0].points.iter().map(|point| point.step).collect();
        assert_eq!(steps, [0, 3]);
        assert!(absent(0, &[], &matchers).is_empty());
    }
}
