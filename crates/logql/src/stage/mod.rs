//! The stages of a log pipeline, one file a stage, and the row they work on.

mod clean_text;
mod decolorize;
mod drop_keep;
pub(crate) mod fields;
mod format;
mod ip;
mod json;
pub(crate) mod label_filter;
pub(crate) mod label_name;
mod line_filter;
mod logfmt;
mod outline;
pub(crate) mod pattern;
mod pattern_expression;
pub mod pipeline;
pub(crate) mod regexp;
pub mod row;
mod template;
#[cfg(test)]
mod tests;
mod value_expression;

pub use pipeline::{Pipeline, StageError};
pub use row::{Category, WorkingRow};

/// What a stage decides about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on to the next stage.
    Keep,
    /// It is not part of the result.
    Drop,
}

/// One step of a pipeline, ready to run.
///
/// A stage never fails on a row: what it cannot parse or compare it notes in the row's
/// `__error__` label and passes on.
pub trait Stage: Send + Sync {
    /// Works on one row.
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict;
}
