//! `| logfmt code="status", path`: only these pairs become labels.
//!
//! A label whose key is missing is empty. Of equal keys the last counts.

use super::decoder::{Decoder, has_no_character};
use super::note_error;
use crate::stage::label_name::push_sanitized;
use crate::stage::row::EXTRACTED_SUFFIX;
use crate::stage::{Category, Stage, Verdict, WorkingRow};
use crate::syntax::ast::LabelExtraction;

/// Takes the values of certain keys.
pub(in crate::stage) struct LogfmtExtractionStage {
    strict: bool,
    targets: Vec<Target>,
}

struct Target {
    label: String,
    key: String,
}

impl LogfmtExtractionStage {
    /// Fails on an expression that is no key.
    pub(in crate::stage) fn new(strict: bool, extractions: &[LabelExtraction]) -> Result<Self, String> {
        let targets = extractions
            .iter()
            .map(|extraction| {
                let key = key_of(&extraction.expression).map_err(|error| {
                    format!("cannot parse expression [{}]: {error}", extraction.expression)
                })?;
                Ok(Target { label: extraction.label.clone(), key })
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { strict, targets })
    }

    fn is_label(&self, name: &str) -> bool {
        self.targets.iter().any(|target| target.label == name)
    }

    fn pair(&self, name: &str, value: &str, row: &mut WorkingRow<'_>) {
        // A key that was parsed before is left alone, unless it is asked for by that very name.
        if !self.is_label(name) && row.was_extracted(name) {
            return;
        }
        let mut is_key = false;
        for target in self.targets.iter().filter(|target| target.key == name) {
            set(row, &target.label, value);
            is_key = true;
        }
        if !is_key && self.is_label(name) {
            set(row, name, value);
        }
    }
}

impl Stage for LogfmtExtractionStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        for target in &self.targets {
            if !row.stream_has(&target.label) && !row.has_in_category(&target.label, Category::Metadata) {
                row.set(Category::Parsed, &target.label, "");
            }
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
                    let text = if has_no_character(&pair.value) {
                        "".into()
                    } else {
                        String::from_utf8_lossy(&pair.value)
                    };
                    self.pair(&name, &text, row);
                }
                Err(error) if self.strict => {
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

fn set(row: &mut WorkingRow<'_>, label: &str, value: &str) {
    if row.stream_has(label) || row.has_in_category(label, Category::Metadata) {
        row.set(Category::Parsed, &format!("{label}{EXTRACTED_SUFFIX}"), value);
    } else {
        row.set(Category::Parsed, label, value);
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
