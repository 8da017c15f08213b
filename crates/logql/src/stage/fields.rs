//! What finds the labels of a parser in lines that a source knows by their shape.

use std::sync::Arc;

use timberyard_model::fields::FieldReader;

use super::json::{JsonMembers, JsonPaths};
use super::logfmt::{LogfmtKeys, LogfmtPairs};
use super::row::EXTRACTED_SUFFIX;
use crate::syntax::ast::{LabelExtraction, LogfmtParser, PipelineStage};

/// Finds what the parser `stage` makes labels of. Of a parser of all labels the fields are `labels`; one of certain labels has
/// those as its fields, all of them. `None` for stages that are no such parser, and when names are
/// such that one value could hide another.
pub(crate) fn reader(stage: &PipelineStage, labels: &[Box<str>]) -> Option<Arc<dyn FieldReader>> {
    let names: Box<[Box<str>]> = labels.into();
    match stage {
        PipelineStage::Json(extractions) if extractions.is_empty() => Some(Arc::new(JsonMembers { names })),
        PipelineStage::Json(extractions) if are_apart(extractions) => {
            Some(Arc::new(JsonPaths::new(extractions).ok()?))
        }
        PipelineStage::Logfmt(LogfmtParser { strict, keep_empty, extractions }) if extractions.is_empty() => {
            Some(Arc::new(LogfmtPairs { strict: *strict, keep_empty: *keep_empty, names }))
        }
        PipelineStage::Logfmt(parser) if are_apart(&parser.extractions) => {
            Some(Arc::new(LogfmtKeys::new(parser.strict, &parser.extractions).ok()?))
        }
        _ => None,
    }
}

/// Whether each label is set once, and none of them is what another becomes beside a label of the stream.
fn are_apart(extractions: &[LabelExtraction]) -> bool {
    let mut labels: Vec<&str> = extractions.iter().map(|extraction| extraction.label.as_str()).collect();
    labels.sort_unstable();
    let all_differ = labels.windows(2).all(|pair| pair[0] != pair[1]);
    let is_suffixed = |extraction: &LabelExtraction| {
        extraction.label.ends_with(EXTRACTED_SUFFIX) || extraction.expression.contains(EXTRACTED_SUFFIX)
    };
    all_differ && !extractions.iter().any(is_suffixed)
}
