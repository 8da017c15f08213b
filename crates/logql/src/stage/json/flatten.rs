//! `| json`: every member of an object becomes a label, nested ones joined with `_`.
//!
//! Arrays and nulls are skipped, numbers keep their text. Labels found before an error stay.

use super::note_error;
use super::scanner::{DEPTH_MAX, JsonError, Value, each_member, read_text};
use crate::stage::label_name::{is_blank, push_sanitized};
use crate::stage::{Stage, Verdict, WorkingRow};

/// Takes all members of a line that is a JSON object.
pub(in crate::stage) struct JsonStage;

impl Stage for JsonStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        let line = row.take_line();
        let mut flattening = Flattening { name: String::new(), value: String::new() };
        if let Err(error) = flattening.object(&line, 1, row) {
            note_error(row, &error);
        }
        row.replace_line(line);
        Verdict::Keep
    }
}

/// Buffers for the name of the member at hand and for its value.
struct Flattening {
    name: String,
    value: String,
}

impl Flattening {
    fn object(&mut self, data: &[u8], depth: usize, row: &mut WorkingRow<'_>) -> Result<(), JsonError> {
        if depth > DEPTH_MAX {
            return Err(JsonError::Depth);
        }
        let prefix = self.name.len();
        each_member(data, |key, value| {
            self.name.truncate(prefix);
            match value {
                Value::Array(_) | Value::Null => return Ok(()),
                // At the top a member without a name is no label; below, it is named like its parent.
                _ if is_blank(key) && depth == 1 && !matches!(value, Value::Object(_)) => return Ok(()),
                _ => {}
            }
            if !is_blank(key) {
                if prefix > 0 {
                    self.name.push('_');
                }
                push_sanitized(&mut self.name, key);
            }
            match value {
                // Nothing but blank keys on the way here.
                Value::Text(_) | Value::Number(_) | Value::Boolean(_) if self.name.is_empty() => {}
                Value::Object(object) => {
                    let outcome = self.object(object, depth + 1, row);
                    self.name.truncate(prefix);
                    return outcome;
                }
                Value::Text(raw) => {
                    read_text(raw, &mut self.value);
                    row.extract(&self.name, &self.value);
                }
                Value::Number(text) | Value::Boolean(text) => {
                    row.extract(&self.name, &String::from_utf8_lossy(text));
                }
                Value::Array(_) | Value::Null => {}
            }
            Ok(())
        })
    }
}
