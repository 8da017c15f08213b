//! Values of series at the steps of a query: what every part of a metric query takes and gives.

use std::collections::HashMap;

use timberyard_model::Labels;

use crate::budget::Budget;
use crate::error::QueryError;

/// The values of one series, each with the number of its step, in the order of steps.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StepSeries {
    pub(super) labels: Labels,
    pub(super) points: Vec<StepPoint>,
}

/// A value at a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct StepPoint {
    pub(super) step: u32,
    pub(super) value: f64,
}

impl StepSeries {
    /// About how many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.points.len() * size_of::<StepPoint>() + label_bytes(&self.labels)
    }
}

/// About how many bytes a label set holds that nobody shares.
pub(super) fn label_bytes(labels: &Labels) -> usize {
    64 + labels.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>()
}

/// Takes the memory of series from the budget.
pub(super) fn charge(series: &[StepSeries], budget: &mut Budget) -> Result<(), QueryError> {
    budget.take(series.iter().map(StepSeries::bytes).sum())
}

/// Gives back the memory of series that are about to go.
pub(super) fn release(series: &[StepSeries], budget: &mut Budget) {
    budget.give_back(series.iter().map(StepSeries::bytes).sum());
}

/// Joins series whose labels are the same, where the first of them stands. Of values at one step all
/// are kept, as Loki keeps them.
pub(super) fn join_equal(series: Vec<StepSeries>) -> Vec<StepSeries> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    let mut joined: Vec<StepSeries> = Vec::with_capacity(series.len());
    for one in series {
        match places.get(&one.labels).and_then(|place| joined.get_mut(*place)) {
            Some(same) => {
                same.points.extend(one.points);
                same.points.sort_by_key(|point| point.step);
            }
            None => {
                places.insert(one.labels.clone(), joined.len());
                joined.push(one);
            }
        }
    }
    joined
}
