//! `| json`, `| json code="response.code"` and `| unpack`.

mod extraction;
mod flatten;
mod path;
mod scanner;
mod shape;
mod unpack;

pub(super) use extraction::{JsonExtractionStage, JsonPaths};
pub(super) use flatten::{JsonMembers, JsonStage};
pub(super) use unpack::UnpackStage;

use super::WorkingRow;

/// The value of `__error__` on a line that is not JSON.
const JSON_ERROR: &str = "JSONParserErr";

fn note_error(row: &mut WorkingRow<'_>, error: &scanner::JsonError) {
    row.set_error(JSON_ERROR);
    row.set_error_details(&error.to_string());
}
