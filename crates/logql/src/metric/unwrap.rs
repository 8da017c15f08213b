//! `unwrap`: the number in a label as the sample of a row.

use crate::error::QueryError;
use crate::quantity::{QuantityError, bytes, duration, number};
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
                row.set_error_details(&reason.to_string());
                0.0
            }
        };
        (self.post_filters.process(row) == Verdict::Keep).then_some(value)
    }

    /// The sample of a row whose label holds that text, when nothing but the text decides.
    pub(super) fn sample_of_text(&self, text: &str) -> Option<f64> {
        if !self.post_filters.is_empty() || text.is_empty() {
            return None;
        }
        convert(self.conversion, text).ok()
    }
}

fn convert(conversion: Conversion, text: &str) -> Result<f64, QuantityError> {
    match conversion {
        Conversion::Number => number::parse(text),
        Conversion::Bytes => bytes::parse(text).map(|bytes| bytes as f64),
        Conversion::Duration | Conversion::DurationSeconds => {
            duration::parse_go(text).map(|nanos| nanos as f64 / 1e9)
        }
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::{Labels, Timestamp};

    use super::*;
    use crate::stage::Category;

    fn sample(conversion: Conversion, text: &str) -> (Option<f64>, Labels) {
        let unwrap = Unwrap { label: "took".to_owned(), conversion, post_filters: Vec::new() };
        let stream = Labels::default();
        let mut row = WorkingRow::new(&stream);
        row.reset(Timestamp::default(), b"", &stream, []);
        row.set(Category::Parsed, "took", text);
        let sample = Unwrapping::new(&unwrap).expect("compiles").sample_of(&mut row);
        (sample, row.labels())
    }

    #[test]
    fn numbers_come_in_several_units() {
        for (conversion, text, expected) in [
            (Conversion::Number, "1.5e3", 1500.0),
            (Conversion::Bytes, "5KiB", 5120.0),
            (Conversion::Duration, "1m30s", 90.0),
            (Conversion::DurationSeconds, "250ms", 0.25),
        ] {
            assert_eq!(sample(conversion, text).0, Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_an_error_and_nothing_is_no_sample() {
        let (_, labels) = sample(Conversion::Number, "many");
        assert_eq!(labels.get("__error__"), Some("SampleExtractionErr"));
        assert!(labels.get("__error_details__").is_some_and(|details| details.contains("many")), "{labels}");
        assert_eq!(sample(Conversion::Number, "").0, None);
    }
}
