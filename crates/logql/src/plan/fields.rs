//! Which fields of lines a query looks at, so that a source need not give it lines.
//!
//! Two things can be had. Label filters behind a parser become tests of fields, which the source may apply to skip rows;
//! the pipeline looks at the rows that are left as it always does. And where a metric query looks at certain labels only, rows may
//! come with just these instead of lines.

use std::collections::BTreeSet;
use std::sync::Arc;

use timberyard_model::fields::{FieldPredicate, FieldReader, FieldRequest, FieldTest};
use timberyard_model::matcher::{LabelMatcher, LineFilter, LinePattern, ValueTest};
use timberyard_model::pattern::Pattern;
use timberyard_model::required_literals::Literal;

use crate::stage::fields::reader;
use crate::stage::label_filter::LabelFilterStage;
use crate::stage::row::{ERROR_DETAILS_LABEL, ERROR_LABEL, EXTRACTED_SUFFIX, PRESERVE_ERROR_LABEL};
use crate::stage::{Pipeline, StageError};
use crate::syntax::ast::{LabelFilter, LabelFormatSource, PipelineStage, Unwrap};

/// What a metric query does with the labels that a pipeline leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelUse<'a> {
    /// The labels of its series; `None` when that may be any.
    pub(crate) grouping: Option<&'a [String]>,
    /// What it takes the sample from.
    pub(crate) unwrap: Option<&'a Unwrap>,
    /// Whether the sample is the line's length.
    pub(crate) measures_line: bool,
}

/// How a metric query reads a few labels only. Whatever else the rows have does not change its answer, but the labels
/// that an error shows are not all there.
pub(crate) struct NarrowPlan {
    /// What is left to do with each row, be it a line or fields.
    pub(crate) pipeline: Pipeline,
    /// Of structured metadata these names matter.
    pub(crate) metadata_names: Arc<[Box<str>]>,
    /// And of labels of streams.
    pub(crate) label_names: Arc<[Box<str>]>,
    /// Fields that may stand in the place of lines.
    pub(crate) fields: Option<FieldRequest>,
    /// The field that is the sample and decides nothing else, as long as neither stream nor metadata have its label.
    pub(crate) sample_field: Option<usize>,
}

/// Tests of fields for a query that is given lines. `stages` is what the source does not do itself.
pub(crate) fn tests_of_lines(stages: &[PipelineStage]) -> Option<FieldRequest> {
    let (place, parser) = parser_of_original_line(stages)?;
    let filters = filters_behind(&stages[place + 1..]);
    let labels: BTreeSet<Box<str>> = filters.iter().filter_map(|filter| only_label(filter)).collect();
    let labels: Vec<Box<str>> = labels.into_iter().collect();
    let reader = reader(parser, &labels)?;
    let tests = tests(&filters, parser, &*reader);
    (!tests.is_empty()).then_some(FieldRequest { reader, tests, instead_of_line: false })
}

impl NarrowPlan {
    /// The plan for a metric query; `None` when it may look at any label.
    pub(crate) fn new(
        stages: &[PipelineStage],
        use_of_labels: LabelUse<'_>,
    ) -> Result<Option<Self>, StageError> {
        let Some(labels) = observed(stages, use_of_labels) else { return Ok(None) };
        let pipeline = Pipeline::with_labels(stages, &labels)?;
        let special = [ERROR_LABEL, ERROR_DETAILS_LABEL, PRESERVE_ERROR_LABEL].map(Box::from);
        let metadata_names = labels.iter().cloned().chain(special).collect();
        let label_names = labels.iter().cloned().collect();
        let fields = if use_of_labels.measures_line { None } else { fields(stages, &labels, use_of_labels) };
        let sample_field = fields.as_ref().and_then(|fields| {
            let unwrapped = only_sample(stages, use_of_labels)?;
            fields.reader.labels().iter().position(|label| **label == *unwrapped)
        });
        Ok(Some(Self { pipeline, metadata_names, label_names, fields, sample_field }))
    }
}

/// The unwrapped label, when nothing else looks at it or can take it away.
fn only_sample<'a>(stages: &[PipelineStage], use_of_labels: LabelUse<'a>) -> Option<&'a str> {
    let without_sample = LabelUse { unwrap: None, ..use_of_labels };
    let looked_at = observed(stages, without_sample)?;
    let label = use_of_labels.unwrap?.label.as_str();
    let is_taken = looked_at.iter().any(|name| **name == *label)
        || stages.iter().any(|stage| matches!(stage, PipelineStage::Keep(_)));
    (!is_taken).then_some(label)
}

/// The labels that are looked at, sorted; `None` when that may be any.
fn observed(stages: &[PipelineStage], use_of_labels: LabelUse<'_>) -> Option<Vec<Box<str>>> {
    let mut labels: BTreeSet<&str> = use_of_labels.grouping?.iter().map(String::as_str).collect();
    for stage in stages {
        match stage {
            PipelineStage::LabelFilter(filter) => add_labels(filter, &mut labels),
            PipelineStage::Drop(dropped) | PipelineStage::Keep(dropped) => {
                labels.extend(dropped.iter().map(|label| label.name()));
            }
            PipelineStage::LabelFormat(formats) => {
                for format in formats {
                    let LabelFormatSource::Rename(source) = &format.source else { return None };
                    labels.extend([format.target.as_str(), source]);
                }
            }
            PipelineStage::LineFilter(_)
            | PipelineStage::Json(_)
            | PipelineStage::Logfmt(_)
            | PipelineStage::Pattern(_)
            | PipelineStage::Regexp(_)
            | PipelineStage::Decolorize => {}
            // What they make of the line depends on labels, or labels on what was packed into it.
            PipelineStage::LineFormat(_) | PipelineStage::Unpack => return None,
        }
    }
    if let Some(unwrap) = use_of_labels.unwrap {
        labels.insert(&unwrap.label);
        unwrap.post_filters.iter().for_each(|filter| add_labels(filter, &mut labels));
    }
    // A label with the suffix may come from a field without it.
    let is_plain = |label: &&str| !label.ends_with(EXTRACTED_SUFFIX);
    labels.iter().all(is_plain).then(|| labels.into_iter().map(Box::from).collect())
}

/// What may stand in the place of lines: there is one parser, and nothing else looks at the line.
fn fields(
    stages: &[PipelineStage],
    labels: &[Box<str>],
    use_of_labels: LabelUse<'_>,
) -> Option<FieldRequest> {
    let (place, parser) = parser_of_original_line(stages)?;
    let behind = &stages[place + 1..];
    let leaves_line_alone = |stage: &PipelineStage| {
        matches!(
            stage,
            PipelineStage::LabelFilter(_)
                | PipelineStage::Drop(_)
                | PipelineStage::Keep(_)
                | PipelineStage::LabelFormat(_)
        )
    };
    let before_is_plain = stages[..place].iter().all(|stage| matches!(stage, PipelineStage::LabelFilter(_)));
    if !before_is_plain || !behind.iter().all(leaves_line_alone) {
        return None;
    }
    let reader = reader(parser, labels)?;
    let filters = filters_behind(behind);
    let mut tests = tests(&filters, parser, &*reader);
    // A row without the label, or with an empty one, has no sample.
    if filters.len() == behind.len()
        && let Some(unwrap) = use_of_labels.unwrap
        && let Some(field) = reader.labels().iter().position(|label| **label == *unwrap.label)
    {
        let accepts: FieldPredicate = Arc::new(|value| value.is_some_and(|value| !value.is_empty()));
        tests.push(FieldTest { field, accepts, implied: None });
    }
    Some(FieldRequest { reader, tests, instead_of_line: true })
}

/// The first parser, when it sees the line as it was stored.
fn parser_of_original_line(stages: &[PipelineStage]) -> Option<(usize, &PipelineStage)> {
    let is_passed_by =
        |stage: &PipelineStage| matches!(stage, PipelineStage::LabelFilter(_) | PipelineStage::LineFilter(_));
    let place = stages.iter().position(|stage| !is_passed_by(stage))?;
    let parser = stages.get(place)?;
    matches!(parser, PipelineStage::Json(_) | PipelineStage::Logfmt(_)).then_some((place, parser))
}

/// The label filters that see labels as the parser in front of `stages` left them.
fn filters_behind(stages: &[PipelineStage]) -> Vec<&LabelFilter> {
    let mut filters = Vec::new();
    for stage in stages {
        match stage {
            PipelineStage::LabelFilter(filter) => filters.push(filter),
            PipelineStage::LineFilter(_) => {}
            _ => break,
        }
    }
    filters
}

/// Tests that a row fails only if it fails one of the filters.
fn tests(filters: &[&LabelFilter], parser: &PipelineStage, reader: &dyn FieldReader) -> Vec<FieldTest> {
    let takes_certain_labels = match parser {
        PipelineStage::Json(extractions) => !extractions.is_empty(),
        PipelineStage::Logfmt(parser) => !parser.extractions.is_empty(),
        _ => false,
    };
    let mut tests = Vec::new();
    for filter in filters {
        each_condition(filter, &mut |condition| {
            let Some(label) = only_label(condition) else { return };
            let Some(field) = reader.labels().iter().position(|field| *field == label) else { return };
            let implied = implied_by(condition);
            let Ok(condition) = LabelFilterStage::new(condition) else { return };
            let accepts: FieldPredicate = Arc::new(move |value| {
                // Labels that were asked for by name are there, if empty.
                let value = value.or(takes_certain_labels.then_some(""));
                condition.accepts_value(value).unwrap_or(true)
            });
            tests.push(FieldTest { field, accepts, implied });
        });
    }
    tests
}

/// Hands over the conditions that all have to hold.
fn each_condition<'f>(filter: &'f LabelFilter, visit: &mut dyn FnMut(&'f LabelFilter)) {
    match filter {
        LabelFilter::And(left, right) => {
            each_condition(left, visit);
            each_condition(right, visit);
        }
        _ => visit(filter),
    }
}

/// What the line of a row passes whose field, got by a parser of JSON or logfmt, passes a condition on its label.
fn implied_by(condition: &LabelFilter) -> Option<LineFilter> {
    let mut any_of = implied_texts(condition)?;
    // A text stands in its line as it is, unless it is written with escapes.
    any_of.push(LinePattern::Literal(b"\\"[..].into()));
    Some(LineFilter { negated: false, any_of })
}

/// Texts of which the label's value has one, each as far as no parser can have changed it.
fn implied_texts(condition: &LabelFilter) -> Option<Vec<LinePattern>> {
    let kept = |text: &[u8]| {
        Some(LinePattern::Literal(kept_piece(std::str::from_utf8(text).ok()?)?.as_bytes().into()))
    };
    match condition {
        LabelFilter::Text(LabelMatcher { test: ValueTest::Equal(text), .. }) => {
            let piece = kept_piece(text)?;
            // What stands before a value in its line.
            let source = format!(r#"["=:,\[ \t\r\n]{}"#, regex::escape(piece));
            match Pattern::anywhere(&source).ok().filter(|_| text.starts_with(piece)) {
                Some(pattern) => Some(vec![LinePattern::Regex(pattern)]),
                None => Some(vec![LinePattern::Literal(piece.as_bytes().into())]),
            }
        }
        LabelFilter::Text(LabelMatcher { test: ValueTest::Matches(pattern), .. }) => {
            let sets = pattern.required_literals().all_of.into_iter();
            let texts = |set: Vec<Literal>| {
                set.iter().map(|text| kept(&text.bytes).filter(|_| !text.ignores_case)).collect()
            };
            sets.map(texts).find_map(|texts| texts)
        }
        LabelFilter::And(left, right) => implied_texts(left).or_else(|| implied_texts(right)),
        LabelFilter::Or(left, right) => Some([implied_texts(left)?, implied_texts(right)?].concat()),
        _ => None,
    }
}

/// The longest piece of a text that stands for the same bytes in any line: a blank, or U+FFFD, may stand for bytes that are no
/// text.
fn kept_piece(text: &str) -> Option<&str> {
    let pieces = text.split([' ', char::REPLACEMENT_CHARACTER]);
    pieces.max_by_key(|piece| piece.len()).filter(|piece| !piece.is_empty())
}

/// The label that a condition looks at, when it is one and can be the field of a line.
fn only_label(filter: &LabelFilter) -> Option<Box<str>> {
    let mut labels = BTreeSet::new();
    add_labels(filter, &mut labels);
    let label = labels.pop_first().filter(|_| labels.is_empty())?;
    (!is_special(label) && !label.ends_with(EXTRACTED_SUFFIX)).then(|| label.into())
}

fn is_special(label: &str) -> bool {
    matches!(label, ERROR_LABEL | ERROR_DETAILS_LABEL | PRESERVE_ERROR_LABEL)
}

fn add_labels<'f>(filter: &'f LabelFilter, labels: &mut BTreeSet<&'f str>) {
    match filter {
        LabelFilter::Text(matcher) => {
            labels.insert(&matcher.name);
        }
        LabelFilter::Number(comparison) => {
            labels.insert(&comparison.name);
        }
        LabelFilter::Duration(comparison) => {
            labels.insert(&comparison.name);
        }
        LabelFilter::Bytes(comparison) => {
            labels.insert(&comparison.name);
        }
        LabelFilter::Ip { name, .. } => {
            labels.insert(name);
        }
        LabelFilter::And(left, right) | LabelFilter::Or(left, right) => {
            add_labels(left, labels);
            add_labels(right, labels);
        }
    }
}
