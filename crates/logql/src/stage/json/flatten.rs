//! `| json`: every member of an object becomes a label, nested ones joined with `_`.
//!
//! Arrays and nulls are skipped, numbers keep their text. Labels found before an error stay.

use timberyard_model::fields::{FieldLayout, FieldPlace, FieldReader, ValueForm};

use super::scanner::{DEPTH_MAX, JsonError, Value, each_member, push_text};
use super::{note_error, shape};
use crate::stage::label_name::{is_blank, push_sanitized};
use crate::stage::outline::Outline;
use crate::stage::{Stage, Verdict, WorkingRow};

/// Takes all members of a line that is a JSON object.
pub(in crate::stage) struct JsonStage {
    /// The labels that anyone looks at, when not all; also the fields of rows without a line.
    pub(in crate::stage) only: Option<Box<[Box<str>]>>,
}

impl Stage for JsonStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        let only = self.only.as_deref();
        if only.is_some_and(|names| row.extract_fields(names)) {
            return Verdict::Keep;
        }
        let line = row.take_line();
        let mut text = String::new();
        let outcome = flatten(&line, &mut |name, value| {
            if only.is_none_or(|only| only.iter().any(|wanted| **wanted == *name)) {
                text.clear();
                push_value(value, &mut text);
                row.extract(name, &text);
            }
        });
        if let Err(error) = outcome {
            note_error(row, &error);
        }
        row.replace_line(line);
        Verdict::Keep
    }
}

/// Appends the text of what [`flatten`] hands over.
fn push_value(value: Value<'_>, text: &mut String) {
    match value {
        Value::Text(raw) => push_text(raw, text),
        Value::Number(raw) | Value::Boolean(raw) | Value::Object(raw) | Value::Array(raw) => {
            text.push_str(&String::from_utf8_lossy(raw));
        }
        Value::Null => {}
    }
}

/// Hands the name and value of each label to `visit`: texts, numbers and booleans.
fn flatten(line: &[u8], visit: &mut dyn FnMut(&str, Value<'_>)) -> Result<(), JsonError> {
    object(line, 1, &mut String::new(), visit)
}

fn object(
    data: &[u8],
    depth: usize,
    name: &mut String,
    visit: &mut dyn FnMut(&str, Value<'_>),
) -> Result<(), JsonError> {
    if depth > DEPTH_MAX {
        return Err(JsonError::Depth);
    }
    let prefix = name.len();
    each_member(data, |key, value| {
        name.truncate(prefix);
        match value {
            Value::Array(_) | Value::Null => return Ok(()),
            // At the top a member without a name is no label; below, it is named like its parent.
            _ if is_blank(key) && depth == 1 && !matches!(value, Value::Object(_)) => return Ok(()),
            _ => {}
        }
        if !is_blank(key) {
            if prefix > 0 {
                name.push('_');
            }
            push_sanitized(name, key);
        }
        match value {
            Value::Object(inner) => {
                let outcome = object(inner, depth + 1, name, visit);
                name.truncate(prefix);
                return outcome;
            }
            // Nothing but blank keys on the way here.
            _ if name.is_empty() => {}
            _ => visit(name, value),
        }
        Ok(())
    })
}

/// Finds members by the names of the labels that `| json` makes of them.
#[derive(Debug)]
pub(in crate::stage) struct JsonMembers {
    pub(in crate::stage) names: Box<[Box<str>]>,
}

impl FieldReader for JsonMembers {
    fn labels(&self) -> &[Box<str>] {
        &self.names
    }

    fn lay_out(&self, literals: &[&[u8]]) -> Option<FieldLayout> {
        let outline = Outline::new(literals);
        let slots = shape::rules(&outline)?;
        let mut fields = vec![FieldPlace::Absent; self.names.len()];
        let mut is_sure = true;
        flatten(outline.line(), &mut |name, value| {
            let Some(field) = self.names.iter().position(|wanted| **wanted == *name) else { return };
            match &fields[field] {
                FieldPlace::Absent => {}
                // It may be null, and then a later member of that name counts.
                FieldPlace::Slot(_, ValueForm::Bare) => is_sure = false,
                FieldPlace::Slot(_, ValueForm::Quoted) | FieldPlace::Text(_) | FieldPlace::Pieces(_) => {
                    return;
                }
            }
            let (raw, form) = match value {
                Value::Text(raw) => (raw, ValueForm::Quoted),
                Value::Number(raw) | Value::Boolean(raw) => (raw, ValueForm::Bare),
                Value::Null | Value::Object(_) | Value::Array(_) => return,
            };
            match outline.field(raw, form, |text| push_value(value, text)) {
                Some(place) => fields[field] = place,
                None => is_sure = false,
            }
        })
        .ok()?;
        is_sure.then_some(FieldLayout { slots, fields })
    }

    fn read(&self, form: ValueForm, raw: &[u8], text: &mut String) -> bool {
        match form {
            ValueForm::Quoted => push_text(raw, text),
            ValueForm::Bare if raw == b"null" => return false,
            ValueForm::Bare => push_value(Value::Number(raw), text),
        }
        true
    }
}
