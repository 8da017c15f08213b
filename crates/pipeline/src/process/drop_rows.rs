//! The step `drop`: drops the rows for which a condition holds. They are acknowledged and counted all the same.

use super::condition::Condition;
use super::draft::Draft;
use super::step::{Outcome, Step};

pub(super) struct DropRows(pub(super) Condition);

impl Step for DropRows {
    fn apply(&self, row: &mut Draft<'_>) -> Outcome {
        if self.0.holds(row) { Outcome::Dropped } else { Outcome::Same }
    }
}
