//! `| json code="response.code", first="servers[0]"`: only these members become labels.
//!
//! One pass over the line finds all of them. Of equal keys the first counts. A path that leads
//! nowhere makes an empty label.

use super::path::{self, Step};
use super::scanner::{
    DEPTH_MAX, JsonError, Value, block_end, read_text, skip_blank, string_end, unescape, value_at,
};
use super::{JSON_ERROR, note_error};
use crate::stage::row::EXTRACTED_SUFFIX;
use crate::stage::{Category, Stage, Verdict, WorkingRow};
use crate::syntax::ast::LabelExtraction;

/// Takes the values at certain paths.
pub(in crate::stage) struct JsonExtractionStage {
    targets: Vec<Target>,
}

struct Target {
    label: String,
    path: Vec<Step>,
}

impl JsonExtractionStage {
    /// Fails on an expression that is no path.
    pub(in crate::stage) fn new(extractions: &[LabelExtraction]) -> Result<Self, String> {
        let targets = extractions
            .iter()
            .map(|extraction| {
                let path = path::parse(&extraction.expression).map_err(|error| {
                    format!("cannot parse expression [{}]: {error}", extraction.expression)
                })?;
                Ok(Target { label: extraction.label.clone(), path })
            })
            .collect::<Result<_, String>>()?;
        Ok(Self { targets })
    }
}

impl Stage for JsonExtractionStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        let line = row.take_line();
        match line.first() {
            None => {}
            Some(b'"' | b'{' | b'[') => {
                let mut search = Search {
                    targets: &self.targets,
                    found: vec![false; self.targets.len()],
                    left: self.targets.len(),
                    value: String::new(),
                    row,
                };
                search.line(&line);
                let all_set = search.found.iter().all(|found| *found);
                if !all_set {
                    for target in &self.targets {
                        if row.get(&target.label).is_none() {
                            row.set(Category::Parsed, &target.label, "");
                        }
                    }
                }
            }
            Some(_) => row.set_error(JSON_ERROR),
        }
        row.replace_line(line);
        Verdict::Keep
    }
}

/// The search for all targets in one line.
struct Search<'s, 'r> {
    targets: &'s [Target],
    found: Vec<bool>,
    left: usize,
    value: String,
    row: &'s mut WorkingRow<'r>,
}

impl Search<'_, '_> {
    /// All values of the line, one behind another; stops at what makes no sense.
    fn line(&mut self, line: &[u8]) {
        let all: Vec<usize> = (0..self.targets.len()).collect();
        let mut at = 0;
        while at < line.len() && self.left > 0 {
            let end = match line[at] {
                b'{' => {
                    self.object(line, at, &all, 0);
                    block_end(line, at, b'{', b'}')
                }
                b'[' => {
                    self.array(line, at, &all, 0);
                    block_end(line, at, b'[', b']')
                }
                b'"' => {
                    let end = string_end(line, at + 1).map(|(quote, _)| quote + 1);
                    if end.and_then(|end| skip_blank(line, end)).is_some_and(|next| line[next] == b':') {
                        note_error(self.row, &JsonError::Malformed);
                        return;
                    }
                    end
                }
                _ => Some(at + 1),
            };
            match end {
                Some(end) => at = end,
                None => return,
            }
        }
    }

    /// The members of the object at `at`, as far as they can be read.
    fn object(&mut self, data: &[u8], at: usize, targets: &[usize], depth: usize) {
        let mut at = at + 1;
        let mut unescaped = Vec::new();
        while self.left > 0 {
            let Some(start) = skip_blank(data, at) else { return };
            at = match data[start] {
                b',' => start + 1,
                b'"' => {
                    let Some((quote, is_escaped)) = string_end(data, start + 1) else { return };
                    let mut key = &data[start + 1..quote];
                    if is_escaped {
                        unescaped.clear();
                        if unescape(key, &mut unescaped).is_err() {
                            return;
                        }
                        key = &unescaped;
                    }
                    let Some(colon) = skip_blank(data, quote + 1) else { return };
                    if data[colon] != b':' {
                        return;
                    }
                    let is_step = |step: &Step| matches!(step, Step::Key(name) if name.as_bytes() == key);
                    match self.step(data, colon + 1, targets, depth, is_step) {
                        Some(end) => end,
                        None => return,
                    }
                }
                _ => return,
            };
        }
    }

    /// The elements of the array at `at` that any target leads into.
    fn array(&mut self, data: &[u8], at: usize, targets: &[usize], depth: usize) {
        let mut at = at + 1;
        let mut index = 0;
        while self.left > 0 {
            let Some(start) = skip_blank(data, at) else { return };
            if data[start] == b']' {
                return;
            }
            let is_step = |step: &Step| *step == Step::Index(index);
            let Some(end) = self.step(data, start, targets, depth, is_step) else { return };
            let Some(next) = skip_blank(data, end) else { return };
            if data[next] != b',' {
                return;
            }
            at = next + 1;
            index += 1;
        }
    }

    /// Looks at the value at `at`, to which `is_step` leads; answers the place behind it.
    fn step(
        &mut self,
        data: &[u8],
        at: usize,
        targets: &[usize],
        depth: usize,
        is_step: impl Fn(&Step) -> bool,
    ) -> Option<usize> {
        let (value, end) = match value_at(data, at) {
            Ok(found) => found,
            Err(error) => {
                let is_wanted = |target: &usize| {
                    let path = &self.targets[*target].path;
                    !self.found[*target] && path.len() == depth + 1 && is_step(&path[depth])
                };
                if targets.iter().any(is_wanted) {
                    note_error(self.row, &error);
                }
                return None;
            }
        };
        let mut deeper: Vec<usize> = Vec::new();
        for &target in targets {
            let path = &self.targets[target].path;
            if self.found[target] || !is_step(&path[depth]) {
                continue;
            }
            if path.len() == depth + 1 {
                self.found[target] = true;
                self.left -= 1;
                self.set(target, value);
            } else {
                deeper.push(target);
            }
        }
        if !deeper.is_empty() && depth < DEPTH_MAX {
            match value {
                Value::Object(object) => self.object(object, 0, &deeper, depth + 1),
                Value::Array(array) => self.array(array, 0, &deeper, depth + 1),
                _ => {}
            }
        }
        Some(end)
    }

    fn set(&mut self, target: usize, value: Value<'_>) {
        match value {
            Value::Null => self.value.clear(),
            Value::Object(raw) => {
                self.value.clear();
                self.value.push_str(&String::from_utf8_lossy(raw));
            }
            Value::Text(raw) | Value::Number(raw) | Value::Boolean(raw) | Value::Array(raw) => {
                read_text(raw, &mut self.value);
            }
        }
        let label = &self.targets[target].label;
        if self.row.stream_has(label) || self.row.has_in_category(label, Category::Metadata) {
            self.row.set(Category::Parsed, &format!("{label}{EXTRACTED_SUFFIX}"), &self.value);
        } else {
            self.row.set(Category::Parsed, label, &self.value);
        }
    }
}
