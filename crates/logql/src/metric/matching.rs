//! How series of the two sides of an operator find each other, and which labels the result has.

use std::collections::HashMap;

use timberyard_model::Labels;

use super::series::StepSeries;
use crate::syntax::ast::{Cardinality, MatchingLabels, VectorMatching};

/// The series of both sides that agree in the labels that have to agree.
#[derive(Debug, Default)]
pub(super) struct Match {
    pub(super) left: Vec<StepSeries>,
    pub(super) right: Vec<StepSeries>,
}

/// Brings series together that match, in the order in which the left side and then the right side has them.
pub(super) fn matches(
    matching: &VectorMatching,
    left: Vec<StepSeries>,
    right: Vec<StepSeries>,
) -> Vec<Match> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut matches: Vec<Match> = Vec::new();
    let mut place_of = |matches: &mut Vec<Match>, labels: &Labels| {
        let next = matches.len();
        let place = *places.entry(signature(matching, labels)).or_insert(next);
        if place == next {
            matches.push(Match::default());
        }
        place
    };
    for series in left {
        let place = place_of(&mut matches, &series.labels);
        if let Some(found) = matches.get_mut(place) {
            found.left.push(series);
        }
    }
    for series in right {
        let place = place_of(&mut matches, &series.labels);
        if let Some(found) = matches.get_mut(place) {
            found.right.push(series);
        }
    }
    matches
}

/// The labels that have to agree.
fn signature(matching: &VectorMatching, labels: &Labels) -> Labels {
    match &matching.labels {
        MatchingLabels::Ignoring(ignored) => without(labels, ignored),
        MatchingLabels::On(named) => only(labels, named),
    }
}

/// The labels of what `many` and `one` come to, where `one` is the side that has one series a match.
pub(super) fn result_labels(matching: &VectorMatching, many: &Labels, one: &Labels) -> Labels {
    let base = match (&matching.labels, matching.cardinality) {
        (MatchingLabels::Ignoring(ignored), Cardinality::OneToOne) => without(many, ignored),
        (MatchingLabels::On(named), Cardinality::OneToOne) => only(many, named),
        _ => without(many, &[]),
    };
    // A label that the "one" side lacks is taken away: an empty value does that.
    matching.include.iter().fold(base, |labels, name| labels.with(name, one.get(name).unwrap_or("")))
}

/// Without empty labels, too: they are as good as absent where series find each other.
fn without(labels: &Labels, names: &[String]) -> Labels {
    Labels::from_pairs(labels.iter().filter(|(name, _)| !names.iter().any(|unwanted| unwanted == name)))
}

fn only(labels: &Labels, names: &[String]) -> Labels {
    Labels::from_pairs(labels.iter().filter(|(name, _)| names.iter().any(|wanted| wanted == name)))
}
