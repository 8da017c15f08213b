//! What every step is: something that looks at one row, changes it, or drops it.

use timberyard_model::pattern::Pattern;

use super::draft::Draft;

/// What a step made of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is as it was.
    Same,
    /// It is another.
    Changed,
    /// It goes away.
    Dropped,
    /// The step could not do all that it is for: a text is not what it should be, or a limit is in the way.
    Failed {
        /// Whether the row is another all the same.
        changed: bool,
    },
}

/// One step. It depends on the row alone: the same row always comes to the same.
pub(super) trait Step: Send + Sync {
    /// Does it.
    fn apply(&self, row: &mut Draft<'_>) -> Outcome;
}

/// An expression, or what is wrong with it, where it may match anywhere.
pub(super) fn expression(name: &str, source: &str) -> Result<Pattern, String> {
    Pattern::anywhere(source).map_err(|error| format!("{name}: {error}"))
}
