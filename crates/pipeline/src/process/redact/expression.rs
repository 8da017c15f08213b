//! Secrets found by a regular expression: all that matches, or the groups whose names begin with `secret`.

use std::ops::Range;

use timberyard_model::pattern::Pattern;

use super::super::step::expression;
use super::Detector;

pub(super) struct SecretExpression {
    pattern: Pattern,
    /// The groups that are secret; all that matches when there are none.
    groups: Vec<usize>,
    /// What stands in the place of secrets, and is none itself.
    mark: Vec<u8>,
}

impl SecretExpression {
    /// Refuses an expression that matches nothing at all, or its own mark.
    pub(super) fn new(source: &str, mark: &[u8]) -> Result<Self, String> {
        let pattern = expression("regex", source)?;
        if pattern.regex().is_match(b"") {
            return Err("regex matches the empty text, which is everywhere".to_owned());
        }
        let names = pattern.regex().capture_names().enumerate();
        let secret = names.filter(|(_, name)| name.is_some_and(|name| name.starts_with("secret")));
        let groups: Vec<usize> = secret.map(|(number, _)| number).collect();
        if groups.is_empty() && pattern.regex().is_match(mark) {
            return Err(format!("regex matches its own mark `{}`", String::from_utf8_lossy(mark)));
        }
        Ok(Self { pattern, groups, mark: mark.to_vec() })
    }

    fn find_group(&self, text: &[u8], from: usize) -> Option<Range<usize>> {
        let mut at = from;
        loop {
            let captures = self.pattern.regex().captures_at(text, at)?;
            let secrets = self.groups.iter().filter_map(|group| Some(captures.get(*group)?.range()));
            let is_secret = |range: &Range<usize>| {
                !range.is_empty() && range.start >= from && text.get(range.clone()) != Some(&*self.mark)
            };
            let first = secrets.filter(is_secret).min_by_key(|secret| secret.start);
            if first.is_some() {
                return first;
            }
            at = captures.get(0).map_or(text.len(), |all| all.end().max(at + 1));
        }
    }
}

impl Detector for SecretExpression {
    fn find(&self, text: &[u8], from: usize) -> Option<Range<usize>> {
        match self.groups.is_empty() {
            true => Some(self.pattern.regex().find_at(text, from)?.range()),
            false => self.find_group(text, from),
        }
    }
}
