//! Which part of a log pipeline the store does.
//!
//! A source applies matchers and plain line filters itself and so reads less. Line filters first move
//! forward as they do in Loki (`MultiStageExpr.reorderStages`), which also takes them in front of a
//! `decolorize`: they see the colours. From there they may move on in front of parsers and label
//! filters, since those leave the line alone and a row must pass all filters anyway, but not in front of
//! a stage that changes the line.

use timberyard_model::matcher::{LineFilter, LinePattern};
use timberyard_model::pattern::Pattern;

use crate::stage::{Pipeline, StageError};
use crate::syntax::ast;
use crate::syntax::ast::{LineFilterOperand, LineFilterOperator, LogExpression, PipelineStage};

/// A log pipeline, divided.
pub(crate) struct LogPlan {
    /// What the store does.
    pub(crate) line_filters: Vec<LineFilter>,
    /// What is left to do with each row.
    pub(crate) pipeline: Pipeline,
    /// The same, before it was compiled.
    pub(crate) stages: Vec<PipelineStage>,
    /// Whether what is left looks at the line.
    pub(crate) reads_line: bool,
    /// Whether what is left looks at labels, and so at structured metadata.
    pub(crate) reads_labels: bool,
}

impl LogPlan {
    /// Divides the pipeline of `logs` and compiles what is left of it.
    pub(crate) fn new(logs: &LogExpression) -> Result<Self, StageError> {
        let (line_filters, rest) = divide(&reordered(&logs.stages));
        // An error names the stage's place in the whole pipeline.
        let pipeline =
            Pipeline::new(&rest).map_err(|error| Pipeline::new(&logs.stages).err().unwrap_or(error))?;
        let reads_labels = rest.iter().any(|stage| !matches!(stage, PipelineStage::LineFilter(_)));
        let reads_line = rest.iter().any(reads_line);
        Ok(Self { line_filters, pipeline, stages: rest, reads_line, reads_labels })
    }

    /// A plan that no line passes.
    pub(crate) fn of_nothing() -> Self {
        // The empty text is in every line.
        let impossible = LineFilter { negated: true, any_of: vec![LinePattern::Literal(Box::default())] };
        Self {
            line_filters: vec![impossible],
            pipeline: Pipeline::default(),
            stages: Vec::new(),
            reads_line: false,
            reads_labels: false,
        }
    }
}

/// The stages as LogQL, in the order in which they run: those of the store, and those that are left.
pub(crate) fn divided_texts(logs: &LogExpression) -> (Vec<String>, Vec<String>) {
    let ordered = reordered(&logs.stages);
    let (_, rest) = divide(&ordered);
    let mut left = rest.iter().peekable();
    // What is left keeps its order.
    let pushed = ordered.iter().filter(|stage| left.next_if(|next| next == stage).is_none());
    let pushed = pushed.map(ToString::to_string).collect();
    (pushed, rest.iter().map(ToString::to_string).collect())
}

/// The stages in the order in which Loki runs them: between two stages that line filters do not pass,
/// line filters come first.
fn reordered(stages: &[PipelineStage]) -> Vec<PipelineStage> {
    let (mut ordered, mut others) = (Vec::with_capacity(stages.len()), Vec::new());
    for stage in stages {
        match stage {
            PipelineStage::LineFilter(_) => ordered.push(stage.clone()),
            PipelineStage::LabelFilter(_) | PipelineStage::LineFormat(_) | PipelineStage::Unpack => {
                ordered.append(&mut others);
                ordered.push(stage.clone());
            }
            _ => others.push(stage.clone()),
        }
    }
    ordered.append(&mut others);
    ordered
}

/// What the store does, and the stages that are left.
fn divide(stages: &[PipelineStage]) -> (Vec<LineFilter>, Vec<PipelineStage>) {
    let mut line_filters = Vec::new();
    let mut rest = Vec::new();
    let mut line_is_original = true;
    for stage in stages {
        let pushed = match stage {
            PipelineStage::LineFilter(filter) if line_is_original => pushed_down(filter),
            _ => None,
        };
        match pushed {
            Some(filter) => line_filters.push(filter),
            None => rest.push(stage.clone()),
        }
        line_is_original &= !changes_line(stage);
    }
    (line_filters, rest)
}

/// The filter as sources understand it, unless it asks for more than literals and expressions. An
/// expression that does not compile stays in the pipeline, which reports it with its stage.
pub(super) fn pushed_down(filter: &ast::LineFilter) -> Option<LineFilter> {
    let is_regex = match filter.operator {
        LineFilterOperator::Contains | LineFilterOperator::NotContains => false,
        LineFilterOperator::Matches | LineFilterOperator::NotMatches => true,
        LineFilterOperator::MatchesPattern | LineFilterOperator::NotMatchesPattern => return None,
    };
    let mut any_of = Vec::with_capacity(filter.any_of.len());
    for operand in &filter.any_of {
        let LineFilterOperand::Text(text) = operand else { return None };
        any_of.push(if is_regex {
            LinePattern::Regex(Pattern::anywhere(text).ok()?)
        } else {
            LinePattern::Literal(text.as_bytes().into())
        });
    }
    Some(LineFilter { negated: filter.operator.is_negated(), any_of })
}

fn changes_line(stage: &PipelineStage) -> bool {
    matches!(stage, PipelineStage::LineFormat(_) | PipelineStage::Decolorize | PipelineStage::Unpack)
}

fn reads_line(stage: &PipelineStage) -> bool {
    match stage {
        PipelineStage::LabelFilter(_) | PipelineStage::Drop(_) | PipelineStage::Keep(_) => false,
        // Templates can print the line.
        PipelineStage::LabelFormat(formats) => {
            formats.iter().any(|format| matches!(format.source, ast::LabelFormatSource::Template(_)))
        }
        PipelineStage::LineFilter(_)
        | PipelineStage::Json(_)
        | PipelineStage::Logfmt(_)
        | PipelineStage::Pattern(_)
        | PipelineStage::Regexp(_)
        | PipelineStage::Unpack
        | PipelineStage::LineFormat(_)
        | PipelineStage::Decolorize => true,
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::matcher::LabelMatcher;

    use super::*;
    use crate::syntax::ast::LabelFilter;

    fn contains(text: &str) -> PipelineStage {
        PipelineStage::LineFilter(ast::LineFilter {
            operator: LineFilterOperator::Contains,
            any_of: vec![LineFilterOperand::Text(text.to_owned())],
        })
    }

    fn check(stages: &[PipelineStage], pushed: usize, rest: &[PipelineStage]) {
        let (line_filters, left) = divide(&reordered(stages));
        assert_eq!((line_filters.len(), left.as_slice()), (pushed, rest));
    }

    #[test]
    fn line_filters_are_left_to_the_store() {
        check(&[contains("a"), contains("b")], 2, &[]);
    }

    #[test]
    fn filters_that_the_store_does_not_know_stay() {
        let pattern = PipelineStage::LineFilter(ast::LineFilter {
            operator: LineFilterOperator::MatchesPattern,
            any_of: vec![LineFilterOperand::Text("<_> a".to_owned())],
        });
        let address = PipelineStage::LineFilter(ast::LineFilter {
            operator: LineFilterOperator::Contains,
            any_of: vec![
                LineFilterOperand::Text("a".to_owned()),
                LineFilterOperand::Ip("10.0.0.0/8".to_owned()),
            ],
        });
        check(&[pattern.clone(), address.clone(), contains("a")], 1, &[pattern, address]);
    }

    #[test]
    fn line_filters_move_in_front_of_stages_that_leave_the_line_alone() {
        let filter = PipelineStage::LabelFilter(LabelFilter::Text(LabelMatcher::equal("level", "error")));
        check(&[filter.clone(), contains("a")], 1, &[filter]);
    }

    #[test]
    fn line_filters_behind_a_change_of_the_line_stay() {
        let format = PipelineStage::LineFormat("{{.a}}".to_owned());
        let rest = [format.clone(), contains("b"), PipelineStage::Unpack, contains("c")];
        check(&[contains("a"), format, contains("b"), PipelineStage::Unpack, contains("c")], 1, &rest);
    }

    #[test]
    fn line_filters_pass_decolorize_unless_a_label_filter_stands_between() {
        let colours = PipelineStage::Decolorize;
        check(&[colours.clone(), contains("a")], 1, std::slice::from_ref(&colours));
        let filter = PipelineStage::LabelFilter(LabelFilter::Text(LabelMatcher::equal("level", "error")));
        let rest = [colours.clone(), filter.clone(), contains("a")];
        check(&[colours, filter, contains("a")], 0, &rest);
    }
}
