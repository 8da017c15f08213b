//! `| logfmt`: every pair becomes a label.

use timberyard_model::fields::{FieldLayout, FieldPlace, FieldReader, ValueForm};

use super::decoder::{Decoder, value_of};
use super::note_error;
use super::shape::{self, VaryingKeys};
use crate::stage::clean_text::push_clean;
use crate::stage::label_name::{is_blank, push_sanitized};
use crate::stage::outline::Outline;
use crate::stage::{Stage, Verdict, WorkingRow};

/// Takes all pairs of a line.
pub(in crate::stage) struct LogfmtStage {
    /// Stop at the first malformed pair and note it.
    pub(in crate::stage) strict: bool,
    /// Make labels of keys without a value.
    pub(in crate::stage) keep_empty: bool,
    /// The labels that anyone looks at, when not all; also the fields of rows without a line.
    pub(in crate::stage) only: Option<Box<[Box<str>]>>,
}

impl Stage for LogfmtStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        let only = self.only.as_deref();
        if only.is_some_and(|names| row.extract_fields(names)) {
            return Verdict::Keep;
        }
        let line = row.take_line();
        let mut name = String::new();
        let mut value = String::new();
        for pair in Decoder::new(&line) {
            match pair {
                Ok(pair) => {
                    if is_blank(pair.key) || (pair.value.is_empty() && !self.keep_empty) {
                        continue;
                    }
                    name.clear();
                    push_sanitized(&mut name, pair.key);
                    if only.is_some_and(|only| !only.iter().any(|wanted| **wanted == *name)) {
                        continue;
                    }
                    value.clear();
                    push_clean(&pair.value, &mut value);
                    row.extract(&name, &value);
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

/// Finds pairs by the names of the labels that `| logfmt` makes of them.
#[derive(Debug)]
pub(in crate::stage) struct LogfmtPairs {
    pub(in crate::stage) strict: bool,
    pub(in crate::stage) keep_empty: bool,
    pub(in crate::stage) names: Box<[Box<str>]>,
}

impl FieldReader for LogfmtPairs {
    fn labels(&self) -> &[Box<str>] {
        &self.names
    }

    fn lay_out(&self, literals: &[&[u8]]) -> Option<FieldLayout> {
        let outline = Outline::new(literals);
        let mut fields = vec![FieldPlace::Absent; self.names.len()];
        let mut is_sure = true;
        let mut name = String::new();
        // A key alone makes a label when empty ones are kept.
        let varying_keys = if self.keep_empty { VaryingKeys::None } else { VaryingKeys::Flags };
        let slots = shape::pairs(&outline, self.strict, varying_keys, |pair| {
            if is_blank(pair.key) {
                return;
            }
            name.clear();
            push_sanitized(&mut name, pair.key);
            let Some(field) = self.names.iter().position(|wanted| **wanted == *name) else { return };
            match outline.field(pair.raw, pair.form, |text| push_clean(&pair.value, text)) {
                None => is_sure = false,
                Some(FieldPlace::Text(_)) if pair.value.is_empty() && !self.keep_empty => {}
                Some(place) => match &fields[field] {
                    FieldPlace::Absent => fields[field] = place,
                    FieldPlace::Text(_) | FieldPlace::Pieces(_) => {}
                    // The first may turn out to be no value, and then the second counts.
                    FieldPlace::Slot(..) => is_sure = false,
                },
            }
        })?;
        is_sure.then_some(FieldLayout { slots, fields })
    }

    fn read(&self, form: ValueForm, raw: &[u8], text: &mut String) -> bool {
        let Some(value) = value_of(form, raw) else { return false };
        push_clean(&value, text);
        !value.is_empty() || self.keep_empty
    }
}
