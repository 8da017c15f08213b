//! `unwrap`: the number in a label as the sample of a row.

use crate::error::QueryError;
use crate::stage::{Pipeline, Verdict, WorkingRow};
use crate::syntax::ast::{Conversion, PipelineStage, Unwrap};

/// What `__error__` says of a label that does not hold the number it should.
const SAMPLE_EXTRACTION_ERROR: &str = "SampleExtractionErr";

/// An `unwrap`, ready to run.
pub(super) struct Unwrapping {
    label: String,
    conversion: Conversion,
    post_filters: Pipeline,
}

impl Unwrapping {
    pub(super) fn new(unwrap: &Unwrap) -> Result<Self, QueryError> {
        let filters: Vec<PipelineStage> =
            unwrap.post_filters.iter().cloned().map(PipelineStage::LabelFilter).collect();
        Ok(Self {
            label: unwrap.label.clone(),
            conversion: unwrap.conversion,
            post_filters: Pipeline::new(&filters)?,
        })
    }

    /// The sample of a row; `None` when the row lacks the label or a filter behind `unwrap` drops it.
    /// What is no number is noted in the row's error.
    pub(super) fn sample_of(&self, row: &mut WorkingRow<'_>) -> Option<f64> {
        let text = row.get(&self.label).map(|(_, text)| text).filter(|text| !text.is_empty())?;
        let value = match convert(self.conversion, text) {
            Ok(value) => value,
            Err(reason) => {
                row.set_error(SAMPLE_EXTRACTION_ERROR);
                row.set_error_details(&reason);
                0.0
            }
        };
        (self.post_filters.process(row) == Verdict::Keep).then_some(value)
    }
}

fn convert(conversion: Conversion, text: &str) -> Result<f64, String> {
    match conversion {
        Conversion::Number => text.parse().map_err(|_| format!("not a number: {text}")),
        _ => Err("unit".to_owned()),
    }
}
