//! What must hold of a row before a step looks at it.

use std::borrow::Cow;

use timberyard_model::matcher::{LabelMatcher, accepts_all};
use timberyard_model::pattern::Pattern;

use super::description::ConditionDescription;
use super::draft::Draft;
use super::rules::SelectorReader;

/// A condition, ready to be asked. Without any part it holds of every row.
#[derive(Debug, Default)]
pub(super) struct Condition {
    stream: Vec<LabelMatcher>,
    line: Option<Pattern>,
    not_line: Option<Pattern>,
    fields: Vec<(String, Pattern)>,
}

impl Condition {
    /// What the description says; an error names the part.
    pub(super) fn new(
        description: &ConditionDescription,
        read_selector: SelectorReader<'_>,
    ) -> Result<Self, String> {
        if *description == ConditionDescription::default() {
            return Err("has no condition: write stream, line, not_line or fields".to_owned());
        }
        let anywhere = |name: &'static str, source: &Option<String>| {
            let compiled = source.as_deref().map(Pattern::anywhere).transpose();
            compiled.map_err(|error| format!("{name}: {error}"))
        };
        let selector = description.stream.as_deref().map(read_selector).transpose();
        let field = |(name, source): (&String, &String)| match Pattern::whole(source) {
            Ok(pattern) => Ok((name.clone(), pattern)),
            Err(error) => Err(format!("fields.{name}: {error}")),
        };
        Ok(Self {
            stream: selector.map_err(|error| format!("stream: {error}"))?.unwrap_or_default(),
            line: anywhere("line", &description.line)?,
            not_line: anywhere("not_line", &description.not_line)?,
            fields: description.fields.iter().map(field).collect::<Result<_, _>>()?,
        })
    }

    /// Whether it holds.
    pub(super) fn holds(&self, row: &Draft<'_>) -> bool {
        let field =
            |(name, pattern): &(String, Pattern)| pattern.is_match(row.field(name).unwrap_or_default());
        accepts_all(&self.stream, row.labels())
            && self.fields.iter().all(field)
            && self.line.as_ref().is_none_or(|pattern| pattern.is_match(row.line()))
            && self.not_line.as_ref().is_none_or(|pattern| !pattern.is_match(row.line()))
    }
}

/// Bytes as text, with U+FFFD for what is none.
pub(super) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
