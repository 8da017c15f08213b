//! `| logfmt code="status", path`: only these pairs become labels.
//!
//! A label whose key is missing is empty. Of equal keys the last counts.

use std::borrow::Cow;

use timberyard_model::fields::{FieldLayout, FieldPlace, FieldReader, ValueForm};

use super::decoder::{Decoder, has_no_character, value_of};
use super::note_error;
use super::shape::{self, VaryingKeys};
use crate::stage::label_name::push_sanitized;
use crate::stage::outline::Outline;
use crate::stage::{Category, Stage, Verdict, WorkingRow};
use crate::syntax::ast::LabelExtraction;

/// Takes the values of certain keys.
pub(in crate::stage) struct LogfmtExtractionStage {
    keys: LogfmtKeys,
}

/// Finds pairs by their keys; each label is the field of the same number.
#[derive(Debug)]
pub(in crate::stage) struct LogfmtKeys {
    strict: bool,
    labels: Vec<Box<str>>,
    keys: Vec<String>,
}

impl LogfmtKeys {
    /// Fails on an expression that is no key.
    pub(in crate::stage) fn new(strict: bool, extractions: &[LabelExtraction]) -> Result<Self, String> {
        let labels = extractions.iter().map(|extraction| extraction.label.as_str().into()).collect();
        let keys = extractions.iter().map(|extraction| {
            key_of(&extraction.expression)
                .map_err(|error| format!("cannot parse expression [{}]: {error}", extraction.expression))
        });
        Ok(Self { strict, labels, keys: keys.collect::<Result<_, String>>()? })
    }

    fn is_label(&self, name: &str) -> bool {
        self.labels.iter().any(|label| **label == *name)
    }

    /// The labels that the value of a key goes to, by number.
    fn labels_of<'k>(&'k self, name: &'k str) -> impl Iterator<Item = usize> + 'k {
        let is_key = self.keys.iter().any(|key| key == name);
        let names = self.labels.iter().zip(&self.keys).enumerate();
        names.filter_map(move |(number, (label, key))| {
            let takes = if is_key { key == name } else { **label == *name };
            takes.then_some(number)
        })
    }
}

impl LogfmtExtractionStage {
    /// Fails on an expression that is no key.
    pub(in crate::stage) fn new(strict: bool, extractions: &[LabelExtraction]) -> Result<Self, String> {
        Ok(Self { keys: LogfmtKeys::new(strict, extractions)? })
    }

    fn pair(&self, name: &str, value: &str, row: &mut WorkingRow<'_>) {
        // A key that was parsed before is left alone, unless it is asked for by that very name.
        if !self.keys.is_label(name) && row.was_extracted(name) {
            return;
        }
        for label in self.keys.labels_of(name) {
            row.extract_again(&self.keys.labels[label], value);
        }
    }
}

impl FieldReader for LogfmtKeys {
    fn labels(&self) -> &[Box<str>] {
        &self.labels
    }

    fn lay_out(&self, literals: &[&[u8]]) -> Option<FieldLayout> {
        let outline = Outline::new(literals);
        let mut fields = vec![FieldPlace::Absent; self.labels.len()];
        let mut is_sure = true;
        let mut name = String::new();
        let slots = shape::pairs(&outline, self.strict, VaryingKeys::None, |pair| {
            name.clear();
            push_sanitized(&mut name, pair.key);
            if name.is_empty() {
                return;
            }
            for label in self.labels_of(&name) {
                let place = outline.field(pair.raw, pair.form, |text| text.push_str(&text_of(&pair.value)));
                // Of several pairs the last counts, unless it turns out to be none.
                is_sure &= fields[label] == FieldPlace::Absent && place.is_some();
                fields[label] = place.unwrap_or(FieldPlace::Absent);
            }
        })?;
        is_sure.then_some(FieldLayout { slots, fields })
    }

    fn read(&self, form: ValueForm, raw: &[u8], text: &mut String) -> bool {
        let Some(value) = value_of(form, raw) else { return false };
        text.push_str(&text_of(&value));
        true
    }
}

/// The value of a label; empty when it has bytes that are no characters.
fn text_of(value: &[u8]) -> Cow<'_, str> {
    if has_no_character(value) { "".into() } else { String::from_utf8_lossy(value) }
}

impl Stage for LogfmtExtractionStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        for label in &self.keys.labels {
            if !row.stream_has(label) && !row.has_in_category(label, Category::Metadata) {
                row.set(Category::Parsed, label, "");
            }
        }
        if let Some(fields) = row.fields() {
            for (field, label) in self.keys.labels.iter().enumerate() {
                if let Some(value) = fields.get(field) {
                    row.extract_again(label, value);
                }
            }
            return Verdict::Keep;
        }
        let line = row.take_line();
        let mut name = String::new();
        for pair in Decoder::new(&line) {
            match pair {
                Ok(pair) => {
                    name.clear();
                    push_sanitized(&mut name, pair.key);
                    if name.is_empty() {
                        continue;
                    }
                    self.pair(&name, &text_of(&pair.value), row);
                }
                Err(error) if self.keys.strict => {
                    note_error(row, &error);
                    break;
                }
                Err(_) => {}
            }
        }
        row.replace_line(line);
        Verdict::Keep
    }
}

/// The key that an expression names: a bare word or a quoted text.
fn key_of(expression: &str) -> Result<String, String> {
    let text = expression.trim_matches([' ', '\t', '\n']);
    if let Some(quoted) = text.strip_prefix('"') {
        return match quoted.split_once('"') {
            Some((key, "")) => Ok(key.to_owned()),
            _ => Err("syntax error: unexpected text behind a key".to_owned()),
        };
    }
    match text.chars().next() {
        None => Err("syntax error: unexpected $end, expecting STRING or KEY".to_owned()),
        Some(c) if !(c.is_ascii_alphabetic() || c == '_') => Err(format!("unexpected char {c}")),
        Some(_) => match text.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '_')) {
            None => Ok(text.to_owned()),
            Some(c) => Err(format!("unexpected char {c}")),
        },
    }
}
