//! `| logfmt` and `| logfmt --strict code="status"`.

mod decoder;
mod extraction;
mod flatten;
mod shape;

pub(super) use extraction::{LogfmtExtractionStage, LogfmtKeys};
pub(super) use flatten::{LogfmtPairs, LogfmtStage};

use super::WorkingRow;

/// The value of `__error__` on a line that is not logfmt.
const LOGFMT_ERROR: &str = "LogfmtParserErr";

fn note_error(row: &mut WorkingRow<'_>, error: &decoder::LogfmtError) {
    row.set_error(LOGFMT_ERROR);
    row.set_error_details(&error.to_string());
}
