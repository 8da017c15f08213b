//! Steps applied to a batch: what of it is left, as what, and where it goes.

use timberyard_model::limits::RecordLimits;
use timberyard_model::rows::{RowsBuilder, RowsFull};
use timberyard_model::{LogBatch, RowRef, Surface};

use super::destinations::{Destinations, Routes, keys_of};
use super::draft::Draft;
use super::rules::{NamedStep, Rules};
use super::step::Outcome;

/// A batch after its steps.
#[derive(Debug)]
pub struct Processed {
    /// What is left of it.
    pub batch: LogBatch,
    /// Where its rows go.
    pub routes: Routes,
    /// Rows that a step dropped.
    pub rows_dropped: u64,
}

/// What one step did with one batch.
#[derive(Clone, Copy, Default)]
struct Counted {
    changed: u64,
    dropped: u64,
    failed: u64,
}

impl Rules {
    /// Applies the steps for the batch's tenant and the surface it came by. `None` when it can stay as it is, which costs
    /// nothing where no rule is for it.
    ///
    /// # Errors
    /// The steps have made it larger than a batch can be.
    pub fn apply(
        &self,
        batch: &LogBatch,
        surface: Option<Surface>,
        limits: &RecordLimits,
    ) -> Result<Option<Processed>, RowsFull> {
        let steps = self.steps_for(&batch.tenant, surface);
        if steps.is_empty() {
            return Ok(None);
        }
        let mut counted = vec![Counted::default(); steps.len()];
        let processed = Working { batch, left: None }.run(&steps, limits, &mut counted);
        for (step, counted) in steps.iter().zip(counted) {
            step.counters.rows_changed.add(counted.changed);
            step.counters.rows_dropped.add(counted.dropped);
            step.counters.rows_failed.add(counted.failed);
        }
        processed
    }
}

/// A batch on its way through the steps.
struct Working<'b> {
    batch: &'b LogBatch,
    /// What is left; nothing until the first row is another.
    left: Option<Left>,
}

#[derive(Default)]
struct Left {
    rows: RowsBuilder,
    /// The numbers of the rows that are left.
    numbers: Vec<u32>,
    destinations: Vec<Destinations>,
}

impl Working<'_> {
    fn run(
        mut self,
        steps: &[&NamedStep],
        limits: &RecordLimits,
        counted: &mut [Counted],
    ) -> Result<Option<Processed>, RowsFull> {
        let mut draft = Draft::new(limits);
        for (number, row) in self.batch.rows.iter().enumerate() {
            draft.load(row);
            let outcome = apply_all(steps, &mut draft, counted);
            if outcome == Outcome::Same {
                if let Some(left) = &mut self.left {
                    left.keep(row, number)?;
                }
                continue;
            }
            let left = match &mut self.left {
                Some(left) => left,
                none => {
                    let mut left = Left::default();
                    for (number, row) in self.batch.rows.iter().take(number).enumerate() {
                        left.keep(row, number)?;
                    }
                    none.insert(left)
                }
            };
            if outcome != Outcome::Dropped {
                draft.push_to(&mut left.rows)?;
                left.numbers.push(number as u32);
                left.destinations.push(draft.destinations);
            }
        }
        let Some(Left { rows, numbers, destinations }) = self.left else { return Ok(None) };
        let batch = LogBatch {
            rows: rows.finish(),
            unique_keys: keys_of(&self.batch.unique_keys, &numbers),
            ..self.batch.clone_without_rows()
        };
        let rows_dropped = (self.batch.rows.len() - batch.rows.len()) as u64;
        Ok(Some(Processed { batch, routes: Routes::new(destinations), rows_dropped }))
    }
}

impl Left {
    fn keep(&mut self, row: RowRef<'_>, number: usize) -> Result<(), RowsFull> {
        self.rows.push_row(row)?;
        self.numbers.push(number as u32);
        self.destinations.push(Destinations::ALL);
        Ok(())
    }
}

/// What all steps together make of a row: `Same`, `Changed` or `Dropped`.
fn apply_all(steps: &[&NamedStep], row: &mut Draft<'_>, counted: &mut [Counted]) -> Outcome {
    let mut all = Outcome::Same;
    for (step, counted) in steps.iter().zip(counted) {
        if !step.when.holds(row) {
            continue;
        }
        let outcome = step.step.apply(row);
        counted.failed += u64::from(matches!(outcome, Outcome::Failed { .. }));
        match outcome {
            Outcome::Same | Outcome::Failed { changed: false } => {}
            Outcome::Changed | Outcome::Failed { changed: true } => {
                counted.changed += 1;
                all = Outcome::Changed;
            }
            Outcome::Dropped => {
                counted.dropped += 1;
                return Outcome::Dropped;
            }
        }
    }
    all
}
