//! The step `redact`: puts a mark in the place of what must not be kept.
//!
//! A detector finds the next secret in a text; what it finds is replaced, and nothing that it would find is left. Detectors
//! are rules known by name (see [`names`]), in the order of their list, then expressions: a rule for what follows a word
//! such as `token` comes after those that know what a token looks like.

mod card;
mod email;
mod expression;
mod named;

use std::ops::Range;

use timberyard_model::Labels;

use self::expression::SecretExpression;
pub(super) use self::named::names;
use super::condition::text_of;
use super::description::{RedactDescription, RedactPlace};
use super::draft::{Draft, Relabelled};
use super::step::{Outcome, Step};

/// Finds the first secret at or after a place in the text, as the range that is to be replaced.
pub(super) trait Detector: Send + Sync {
    /// Its range, which is not empty.
    fn find(&self, text: &[u8], from: usize) -> Option<Range<usize>>;
}

pub(super) struct Redact {
    number: usize,
    rules: Vec<Rule>,
    places: Vec<RedactPlace>,
}

struct Rule {
    detector: Box<dyn Detector>,
    mark: Vec<u8>,
}

impl Redact {
    /// The step with this number in its chain.
    pub(super) fn new(description: &RedactDescription, number: usize) -> Result<Self, String> {
        let mut rules = Vec::new();
        let mut named: Vec<&String> = description.rules.iter().collect();
        named.sort_by_key(|name| names().position(|known| known == **name));
        for name in named {
            let detector = named::detector(name)?;
            rules.push(Rule { detector, mark: format!("<{name}>").into_bytes() });
        }
        for own in &description.patterns {
            let mark = own.mark.clone().unwrap_or_else(|| format!("<{}>", own.name)).into_bytes();
            let wrong = |reason: String| format!("patterns.{}: {reason}", own.name);
            let detector = SecretExpression::new(&own.regex, &mark).map_err(wrong)?;
            rules.push(Rule { detector: Box::new(detector), mark });
        }
        if rules.is_empty() {
            return Err("has neither rules nor patterns".to_owned());
        }
        let everywhere = vec![RedactPlace::Line, RedactPlace::Metadata, RedactPlace::Labels];
        let places = if description.places.is_empty() { everywhere } else { description.places.clone() };
        Ok(Self { number, rules, places })
    }

    /// Writes the text without secrets, where it has some. `out` is empty.
    fn rewrite(&self, text: &[u8], out: &mut Vec<u8>) -> bool {
        let mut redacted: Option<Vec<u8>> = None;
        for rule in &self.rules {
            let now = redacted.as_deref().unwrap_or(text);
            if let Some(first) = rule.detector.find(now, 0) {
                redacted = Some(rule.replace(now, first));
            }
        }
        let Some(redacted) = redacted else { return false };
        out.extend_from_slice(&redacted);
        true
    }

    fn relabel(&self, labels: &Labels) -> Relabelled {
        let mut out = Vec::new();
        let redacted = labels.iter().map(|(name, value)| {
            out.clear();
            match self.rewrite(value.as_bytes(), &mut out) {
                true => (name, text_of(&out).into_owned()),
                false => (name, value.to_owned()),
            }
        });
        Relabelled::To(Labels::from_pairs(redacted))
    }
}

impl Rule {
    fn replace(&self, text: &[u8], first: Range<usize>) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + self.mark.len());
        let mut copied = 0;
        let mut next = Some(first);
        while let Some(found) = next {
            out.extend_from_slice(text.get(copied..found.start).unwrap_or_default());
            out.extend_from_slice(&self.mark);
            copied = found.end;
            next = self.detector.find(text, copied);
        }
        out.extend_from_slice(text.get(copied..).unwrap_or_default());
        out
    }
}

impl Step for Redact {
    fn apply(&self, row: &mut Draft<'_>) -> Outcome {
        let mut changed = false;
        for place in &self.places {
            changed |= match place {
                RedactPlace::Line => row.rewrite_line(|text, out| self.rewrite(text, out)),
                RedactPlace::Metadata => row.rewrite_metadata(|text, out| self.rewrite(text, out)),
                RedactPlace::Labels => {
                    let to = row.relabel(self.number, |_, _| {}, |labels, _| self.relabel(labels));
                    matches!(to, Relabelled::To(_))
                }
            };
        }
        if changed { Outcome::Changed } else { Outcome::Same }
    }
}
