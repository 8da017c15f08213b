//! `| json code="response.code", first="servers[0]"`: only these members become labels.
//!
//! One pass over the line finds all of them. Of equal keys the first counts. A path that leads
//! nowhere makes an empty label.

use std::sync::Arc;

use timberyard_model::fields::{FieldLayout, FieldPlace, FieldReader, ValueForm};

use super::path::{self, Step};
use super::scanner::{
    DEPTH_MAX, JsonError, Value, block_end, push_text, skip_blank, string_end, unescape, value_at,
};
use super::{JSON_ERROR, note_error, shape};
use crate::stage::outline::Outline;
use crate::stage::{Category, Stage, Verdict, WorkingRow};
use crate::syntax::ast::LabelExtraction;

/// Takes the values at certain paths.
pub(in crate::stage) struct JsonExtractionStage {
    paths: Arc<JsonPaths>,
}

/// Finds members by their paths; each is the field of the same number.
#[derive(Debug)]
pub(in crate::stage) struct JsonPaths {
    labels: Vec<Box<str>>,
    paths: Vec<Vec<Step>>,
}

impl JsonPaths {
    /// Fails on an expression that is no path.
    pub(in crate::stage) fn new(extractions: &[LabelExtraction]) -> Result<Self, String> {
        let labels = extractions.iter().map(|extraction| extraction.label.as_str().into()).collect();
        let paths = extractions.iter().map(|extraction| {
            path::parse(&extraction.expression)
                .map_err(|error| format!("cannot parse expression [{}]: {error}", extraction.expression))
        });
        Ok(Self { labels, paths: paths.collect::<Result<_, String>>()? })
    }
}

impl JsonExtractionStage {
    /// Fails on an expression that is no path.
    pub(in crate::stage) fn new(extractions: &[LabelExtraction]) -> Result<Self, String> {
        Ok(Self { paths: Arc::new(JsonPaths::new(extractions)?) })
    }

    /// Targets that lead nowhere make empty labels.
    fn set_missing(&self, row: &mut WorkingRow<'_>) {
        for label in &self.paths.labels {
            if row.get(label).is_none() {
                row.set(Category::Parsed, label, "");
            }
        }
    }
}

impl Stage for JsonExtractionStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        let labels = &self.paths.labels;
        if let Some(fields) = row.fields() {
            let mut all_set = true;
            for (field, label) in labels.iter().enumerate() {
                match fields.get(field) {
                    Some(value) => row.extract_again(label, value),
                    None => all_set = false,
                }
            }
            if !all_set {
                self.set_missing(row);
            }
            return Verdict::Keep;
        }
        let line = row.take_line();
        match line.first() {
            None => {}
            Some(b'"' | b'{' | b'[') => {
                let mut setting = Setting { labels, value: String::new(), row };
                let all_set = Search::new(&self.paths.paths, &mut setting).line(&line);
                if !all_set {
                    self.set_missing(row);
                }
            }
            Some(_) => row.set_error(JSON_ERROR),
        }
        row.replace_line(line);
        Verdict::Keep
    }
}

impl FieldReader for JsonPaths {
    fn labels(&self) -> &[Box<str>] {
        &self.labels
    }

    fn lay_out(&self, literals: &[&[u8]]) -> Option<FieldLayout> {
        let outline = Outline::new(literals);
        if outline.line().first() != Some(&b'{') {
            return None;
        }
        let slots = shape::rules(&outline)?;
        let fields = vec![FieldPlace::Absent; self.labels.len()];
        let mut places = Places { outline: &outline, fields, is_sure: true };
        Search::new(&self.paths, &mut places).line(outline.line());
        let Places { fields, is_sure, .. } = places;
        is_sure.then_some(FieldLayout { slots, fields })
    }

    fn read(&self, form: ValueForm, raw: &[u8], text: &mut String) -> bool {
        if form == ValueForm::Quoted || raw != b"null" {
            push_text(raw, text);
        }
        true
    }
}

/// What is done with what is found.
trait Found {
    /// The value that a target leads to.
    fn value(&mut self, target: usize, value: Value<'_>);
    /// What is wrong with the line.
    fn error(&mut self, error: &JsonError);
}

/// Sets labels.
struct Setting<'s, 'r> {
    labels: &'s [Box<str>],
    value: String,
    row: &'s mut WorkingRow<'r>,
}

impl Found for Setting<'_, '_> {
    fn value(&mut self, target: usize, value: Value<'_>) {
        self.value.clear();
        push_value(value, &mut self.value);
        self.row.extract_again(&self.labels[target], &self.value);
    }

    fn error(&mut self, error: &JsonError) {
        note_error(self.row, error);
    }
}

/// Notes where in an outline values are.
struct Places<'o> {
    outline: &'o Outline,
    fields: Vec<FieldPlace>,
    is_sure: bool,
}

impl Found for Places<'_> {
    fn value(&mut self, target: usize, value: Value<'_>) {
        let (raw, form) = match value {
            Value::Text(raw) => (raw, ValueForm::Quoted),
            Value::Number(raw) | Value::Boolean(raw) | Value::Object(raw) | Value::Array(raw) => {
                (raw, ValueForm::Bare)
            }
            Value::Null => (&[][..], ValueForm::Bare),
        };
        match self.outline.field(raw, form, |text| push_value(value, text)) {
            Some(place) => self.fields[target] = place,
            None => self.is_sure = false,
        }
    }

    fn error(&mut self, _: &JsonError) {
        self.is_sure = false;
    }
}

fn push_value(value: Value<'_>, text: &mut String) {
    match value {
        Value::Null => {}
        Value::Object(raw) => text.push_str(&String::from_utf8_lossy(raw)),
        Value::Text(raw) | Value::Number(raw) | Value::Boolean(raw) | Value::Array(raw) => {
            push_text(raw, text);
        }
    }
}

/// The search for all targets in one line.
struct Search<'s, F> {
    targets: &'s [Vec<Step>],
    found: Vec<bool>,
    left: usize,
    sink: &'s mut F,
}

impl<'s, F: Found> Search<'s, F> {
    fn new(targets: &'s [Vec<Step>], sink: &'s mut F) -> Self {
        Self { targets, found: vec![false; targets.len()], left: targets.len(), sink }
    }

    /// Searches all values of the line, one behind another, and stops at what makes no sense. Whether all targets were
    /// found.
    fn line(mut self, line: &[u8]) -> bool {
        self.values(line);
        self.left == 0
    }

    fn values(&mut self, line: &[u8]) {
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
                        self.sink.error(&JsonError::Malformed);
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
                    let path = &self.targets[*target];
                    !self.found[*target] && path.len() == depth + 1 && is_step(&path[depth])
                };
                if targets.iter().any(is_wanted) {
                    self.sink.error(&error);
                }
                return None;
            }
        };
        let mut deeper: Vec<usize> = Vec::new();
        for &target in targets {
            let path = &self.targets[target];
            if self.found[target] || !is_step(&path[depth]) {
                continue;
            }
            if path.len() == depth + 1 {
                self.found[target] = true;
                self.left -= 1;
                self.sink.value(target, value);
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
}
