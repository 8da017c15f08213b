//! `| line_format "{{.status}}"` and `| label_format a=b, c="{{.d}}"`

use std::borrow::Cow;

use timberyard_model::Timestamp;

use super::row::ERROR_LABEL;
use super::template::{Scope, Template};
use super::{Category, Stage, Verdict, WorkingRow};
use crate::syntax::ast::{LabelFormat, LabelFormatSource};

/// The value of `__error__` when a template fails on a row.
const TEMPLATE_ERROR: &str = "TemplateFormatErr";

impl Scope for WorkingRow<'_> {
    fn label(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            "" => None,
            value => Some(value),
        }
    }

    fn for_each_label(&self, visit: &mut dyn FnMut(&str, &str)) {
        WorkingRow::for_each_label(self, |_, name, value| visit(name, value));
    }

    fn line(&self) -> &[u8] {
        WorkingRow::line(self)
    }

    fn timestamp(&self) -> Timestamp {
        WorkingRow::timestamp(self)
    }

    fn now(&self) -> Option<Timestamp> {
        WorkingRow::now(self)
    }
}

/// Puts what a template prints in place of the line. When the template fails, the line stays.
pub(crate) struct LineFormatStage {
    template: Template,
}

impl LineFormatStage {
    /// Fails on what is no template.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        match Template::parse("line", text) {
            Ok(template) => Ok(Self { template }),
            Err(error) => Err(format!("invalid line template: {error}")),
        }
    }
}

impl Stage for LineFormatStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        let mut line = row.take_buffer();
        if let Some(name) = self.template.single_field() {
            // Unlike in longer templates, errors are not labels here.
            line.extend_from_slice(row.get(name).map_or("", |(_, value)| value).as_bytes());
            row.replace_line(Cow::Owned(line));
            return Verdict::Keep;
        }
        match self.template.execute(row, &mut line) {
            Ok(()) => row.replace_line(Cow::Owned(line)),
            Err(error) => {
                row.set_error(TEMPLATE_ERROR);
                row.set_error_details(&error);
            }
        }
        Verdict::Keep
    }
}

/// Sets labels, each to the value of another, which is removed, or to what a template prints.
pub(crate) struct LabelFormatStage {
    formats: Vec<(String, Source)>,
}

enum Source {
    Rename(String),
    Template(Template),
}

impl LabelFormatStage {
    /// Fails on a bad template, on a label that is set twice, and on `__error__`.
    pub(crate) fn new(formats: &[LabelFormat]) -> Result<Self, String> {
        let mut compiled: Vec<(String, Source)> = Vec::with_capacity(formats.len());
        for format in formats {
            let name = &format.target;
            if name == ERROR_LABEL {
                return Err(format!("{name} cannot be formatted"));
            }
            if compiled.iter().any(|(earlier, _)| earlier == name) {
                return Err(format!("multiple label name '{name}' not allowed in a single format operation"));
            }
            let source = match &format.source {
                LabelFormatSource::Rename(label) => Source::Rename(label.clone()),
                LabelFormatSource::Template(text) => Source::Template(
                    Template::parse("label", text)
                        .map_err(|error| format!("invalid template for label '{name}': {error}"))?,
                ),
            };
            compiled.push((name.clone(), source));
        }
        Ok(Self { formats: compiled })
    }
}

impl Stage for LabelFormatStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        let mut labels: Option<FrozenLabels> = None;
        for (name, source) in &self.formats {
            match source {
                Source::Rename(label) => {
                    if let Some((_, value)) = row.get(label) {
                        let value = value.to_owned();
                        row.set(Category::Parsed, name, &value);
                        row.delete(label);
                    }
                }
                Source::Template(template) => {
                    // All templates of a stage see the labels that the first one saw.
                    let scope = labels.get_or_insert_with(|| FrozenLabels::of(row));
                    let mut value = Vec::new();
                    match template.execute(scope, &mut value) {
                        Ok(()) => row.set(Category::Parsed, name, &String::from_utf8_lossy(&value)),
                        Err(error) => {
                            row.set_error(TEMPLATE_ERROR);
                            row.set_error_details(&error);
                        }
                    }
                }
            }
        }
        Verdict::Keep
    }
}

/// A row as it was at one point.
struct FrozenLabels {
    labels: Vec<(String, String)>,
    line: Vec<u8>,
    timestamp: Timestamp,
    now: Option<Timestamp>,
}

impl FrozenLabels {
    fn of(row: &WorkingRow<'_>) -> Self {
        let mut labels = Vec::new();
        row.for_each_label(|_, name, value| labels.push((name.to_owned(), value.to_owned())));
        Self { labels, line: row.line().to_vec(), timestamp: row.timestamp(), now: row.now() }
    }
}

impl Scope for FrozenLabels {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|pair| pair.0 == name).map(|pair| pair.1.as_str())
    }

    fn for_each_label(&self, visit: &mut dyn FnMut(&str, &str)) {
        self.labels.iter().for_each(|(name, value)| visit(name, value));
    }

    fn line(&self) -> &[u8] {
        &self.line
    }

    fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    fn now(&self) -> Option<Timestamp> {
        self.now
    }
}
