//! `| regexp "(?P<name>…)"`: named groups become labels.

use timberyard_model::pattern::Pattern;

use super::{Stage, Verdict, WorkingRow};

/// Checks an expression for this stage: it must compile and name at least one group, none twice.
pub(crate) fn check(expression: &str) -> Result<Pattern, String> {
    if let Some(name) = repeated_name(expression) {
        return Err(format!("duplicate extracted label name '{name}'"));
    }
    let pattern = Pattern::anywhere(expression).map_err(|error| error.to_string())?;
    if pattern.regex().capture_names().flatten().next().is_none() {
        return Err("at least one named capture must be supplied".to_owned());
    }
    Ok(pattern)
}

/// The first name that two groups have.
fn repeated_name(expression: &str) -> Option<&str> {
    let mut names = Vec::new();
    // Behind a backslash a parenthesis is none.
    for (before, group) in expression.match_indices("(?P<") {
        let escaped = expression[..before].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
        let behind = &expression[before + group.len()..];
        let name = &behind[..behind.find('>').unwrap_or(0)];
        if !escaped && !name.is_empty() {
            if names.contains(&name) {
                return Some(name);
            }
            names.push(name);
        }
    }
    None
}

/// Takes the named groups of the first match; a line without one goes on as it is.
pub(crate) struct RegexpStage {
    pattern: Pattern,
    /// The number and the name of each named group.
    names: Vec<(usize, String)>,
}

impl RegexpStage {
    /// Fails on an expression that [`check`] refuses.
    pub(crate) fn new(expression: &str) -> Result<Self, String> {
        let pattern = check(expression)?;
        let names = pattern
            .regex()
            .capture_names()
            .enumerate()
            .filter_map(|(index, name)| name.map(|name| (index, name.to_owned())))
            .collect();
        Ok(Self { pattern, names })
    }
}

impl Stage for RegexpStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        let line = row.take_line();
        if let Some(captures) = self.pattern.regex().captures(&line) {
            for (index, name) in &self.names {
                // A group that took no part has the empty value.
                let value = captures.get(*index).map_or(&[][..], |group| group.as_bytes());
                row.extract(name, &String::from_utf8_lossy(value));
            }
        }
        row.replace_line(line);
        Verdict::Keep
    }
}
