//! `| unpack`: takes apart what was packed into JSON, labels and the line itself.
//!
//! Only string members become labels, and only when `_entry`, the packed line, is among them.

use std::borrow::Cow;

use super::note_error;
use super::scanner::{JsonError, Value, each_member, read_text, unescape};
use crate::stage::label_name::push_sanitized;
use crate::stage::row::EXTRACTED_SUFFIX;
use crate::stage::{Category, Stage, Verdict, WorkingRow};

/// The member that holds the line.
const ENTRY_KEY: &[u8] = b"_entry";

/// Unpacks a line.
pub(in crate::stage) struct UnpackStage;

impl Stage for UnpackStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        let line = row.take_line();
        if line.is_empty() {
            row.replace_line(line);
            return Verdict::Keep;
        }
        let mut entry = row.take_buffer();
        match unpack(&line, &mut entry, row) {
            Ok(true) => row.replace_line(Cow::Owned(entry)),
            Ok(false) => row.replace_line(line),
            Err(error) => {
                note_error(row, &error);
                row.replace_line(line);
            }
        }
        Verdict::Keep
    }
}

/// Unpacks `line` into `entry` and labels; answers whether there was an entry.
fn unpack(line: &[u8], entry: &mut Vec<u8>, row: &mut WorkingRow<'_>) -> Result<bool, JsonError> {
    if line[0] != b'{' {
        return Err(JsonError::NotAnObject);
    }
    let mut is_packed = false;
    let mut labels: Vec<(String, String)> = Vec::new();
    each_member(line, |key, value| {
        let Value::Text(raw) = value else { return Ok(()) };
        if key == ENTRY_KEY {
            entry.clear();
            unescape(raw, entry)?;
            is_packed = true;
            return Ok(());
        }
        let mut name = String::from_utf8_lossy(key).into_owned();
        if row.stream_has(&name) || row.has_in_category(&name, Category::Metadata) {
            name.push_str(EXTRACTED_SUFFIX);
        }
        if row.was_extracted(&name) {
            return Ok(());
        }
        let mut sanitized = String::new();
        push_sanitized(&mut sanitized, name.as_bytes());
        let mut value = String::new();
        read_text(raw, &mut value);
        labels.push((sanitized, value));
        Ok(())
    })?;
    if is_packed {
        for (name, value) in &labels {
            row.set(Category::Parsed, name, value);
        }
    }
    Ok(is_packed)
}
