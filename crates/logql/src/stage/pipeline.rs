//! A chain of stages made from the tree of a query.

use super::decolorize::DecolorizeStage;
use super::drop_keep::{DropStage, KeepStage};
use super::format::{LabelFormatStage, LineFormatStage};
use super::json::{JsonExtractionStage, JsonStage, UnpackStage};
use super::label_filter::LabelFilterStage;
use super::line_filter::LineFilterStage;
use super::logfmt::{LogfmtExtractionStage, LogfmtStage};
use super::pattern::PatternStage;
use super::regexp::RegexpStage;
use super::{Stage, Verdict, WorkingRow};
use crate::syntax::ast::{LogfmtParser, PipelineStage};

/// The stages of one query, in the order in which they run. Shared between threads; all that
/// changes while it runs is the row.
#[derive(Default)]
pub struct Pipeline {
    stages: Vec<Box<dyn Stage>>,
}

/// As much of a stage is shown in an error.
const SHOWN_BYTES_MAX: usize = 1024;

/// A stage that cannot run: a bad expression, pattern, template or address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parse error : stage '{stage}' : {reason}")]
pub struct StageError {
    /// The stage as LogQL.
    pub stage: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Pipeline {
    /// Compiles the stages. Consecutive ones keep their order.
    pub fn new(stages: &[PipelineStage]) -> Result<Self, StageError> {
        Self::compile(stages, None)
    }

    /// The same, for when of the labels that a parser makes nobody looks at any but these. They are its
    /// [fields](super::fields::reader) too.
    pub(crate) fn with_labels(stages: &[PipelineStage], labels: &[Box<str>]) -> Result<Self, StageError> {
        Self::compile(stages, Some(labels))
    }

    fn compile(stages: &[PipelineStage], only: Option<&[Box<str>]>) -> Result<Self, StageError> {
        let stages = stages.iter().map(|stage| compile(stage, only)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { stages })
    }

    /// Whether it has no stages, so that rows pass as they are.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Runs all stages on a row, up to the first that drops it.
    pub fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        for stage in &self.stages {
            if stage.process(row) == Verdict::Drop {
                return Verdict::Drop;
            }
        }
        Verdict::Keep
    }
}

fn compile(stage: &PipelineStage, only: Option<&[Box<str>]>) -> Result<Box<dyn Stage>, StageError> {
    fn boxed<S: Stage + 'static>(stage: Result<S, String>) -> Result<Box<dyn Stage>, String> {
        stage.map(|stage| Box::new(stage) as Box<dyn Stage>)
    }
    let compiled = match stage {
        PipelineStage::LineFilter(filter) => boxed(LineFilterStage::new(filter)),
        PipelineStage::Pattern(expression) => boxed(PatternStage::new(expression)),
        PipelineStage::Regexp(expression) => boxed(RegexpStage::new(expression)),
        PipelineStage::LabelFilter(filter) => boxed(LabelFilterStage::new(filter)),
        PipelineStage::Json(extractions) if extractions.is_empty() => {
            boxed(Ok(JsonStage { only: only.map(Into::into) }))
        }

        PipelineStage::Json(extractions) => boxed(JsonExtractionStage::new(extractions)),
        PipelineStage::Logfmt(LogfmtParser { strict, keep_empty, extractions }) if extractions.is_empty() => {
            boxed(Ok(LogfmtStage { strict: *strict, keep_empty: *keep_empty, only: only.map(Into::into) }))
        }
        PipelineStage::Logfmt(parser) => {
            boxed(LogfmtExtractionStage::new(parser.strict, &parser.extractions))
        }
        PipelineStage::Drop(labels) => boxed(Ok(DropStage::new(labels))),
        PipelineStage::Keep(labels) => boxed(Ok(KeepStage::new(labels))),
        PipelineStage::Decolorize => boxed(DecolorizeStage::new()),
        PipelineStage::Unpack => boxed(Ok(UnpackStage)),
        PipelineStage::LineFormat(template) => boxed(LineFormatStage::new(template)),
        PipelineStage::LabelFormat(formats) => boxed(LabelFormatStage::new(formats)),
    };
    compiled.map_err(|reason| StageError { stage: shown(stage.to_string()), reason })
}

/// A stage as an error shows it: the beginning of a very long one, so that the reason behind it is not cut off.
fn shown(mut stage: String) -> String {
    if stage.len() > SHOWN_BYTES_MAX {
        let end = (0..=SHOWN_BYTES_MAX).rev().find(|end| stage.is_char_boundary(*end)).unwrap_or(0);
        stage.truncate(end);
        stage.push('…');
    }
    stage
}
