//! Fields as the named groups of a regular expression.

use timberyard_model::labels::is_label_name;
use timberyard_model::pattern::Pattern;

use super::super::draft::Fields;
use super::super::step::expression;

pub(super) struct FieldExpression {
    pattern: Pattern,
    names: Vec<(usize, String)>,
}

impl FieldExpression {
    pub(super) fn new(source: &str) -> Result<Self, String> {
        let pattern = expression("expression", source)?;
        let groups = pattern.regex().capture_names().enumerate();
        let names: Vec<_> = groups.filter_map(|(number, name)| Some((number, name?.to_owned()))).collect();
        if names.is_empty() {
            return Err("expression has no named group, such as (?P<status>\\d+)".to_owned());
        }
        if let Some((_, name)) = names.iter().find(|(_, name)| !is_label_name(name)) {
            return Err(format!("expression: `{name}` cannot be a label's name"));
        }
        Ok(Self { pattern, names })
    }

    /// False where it does not match.
    pub(super) fn read(&self, text: &[u8], fields: &mut Fields) -> bool {
        let Some(captures) = self.pattern.regex().captures(text) else { return false };
        for (number, name) in &self.names {
            if let Some(group) = captures.get(*number) {
                fields.push(name.as_bytes(), group.as_bytes());
            }
        }
        true
    }
}
