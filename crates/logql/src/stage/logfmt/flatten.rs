//! `| logfmt`: every pair becomes a label.

use super::decoder::Decoder;
use super::note_error;
use crate::stage::clean_text::push_clean;
use crate::stage::label_name::{is_blank, push_sanitized};
use crate::stage::{Stage, Verdict, WorkingRow};

/// Takes all pairs of a line.
pub(in crate::stage) struct LogfmtStage {
    /// Stop at the first malformed pair and note it.
    pub(in crate::stage) strict: bool,
    /// Make labels of keys without a value.
    pub(in crate::stage) keep_empty: bool,
}

impl Stage for LogfmtStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
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
