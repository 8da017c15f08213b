//! `| drop level, app="api"` and `| keep level, app="api"`

use super::row::{ERROR_DETAILS_LABEL, ERROR_LABEL, PRESERVE_ERROR_LABEL};
use super::{Stage, Verdict, WorkingRow};
use crate::syntax::ast::NamedMatcher;

/// Removes labels.
pub(crate) struct DropStage {
    labels: Vec<NamedMatcher>,
}

impl DropStage {
    pub(crate) fn new(labels: &[NamedMatcher]) -> Self {
        Self { labels: labels.to_vec() }
    }
}

impl Stage for DropStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        for label in &self.labels {
            let name = label.name();
            if !accepts(label, row.value(name)) {
                continue;
            }
            match name {
                ERROR_LABEL => row.clear_error(),
                ERROR_DETAILS_LABEL => row.clear_error_details(),
                _ => row.delete(name),
            }
        }
        Verdict::Keep
    }
}

/// Removes all labels but these. Errors stay.
pub(crate) struct KeepStage {
    labels: Vec<NamedMatcher>,
}

impl KeepStage {
    pub(crate) fn new(labels: &[NamedMatcher]) -> Self {
        Self { labels: labels.to_vec() }
    }
}

impl Stage for KeepStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        let mut unwanted: Vec<String> = Vec::new();
        row.for_each_label(|_, name, value| {
            let is_special = matches!(name, ERROR_LABEL | ERROR_DETAILS_LABEL | PRESERVE_ERROR_LABEL);
            if !is_special && !self.labels.iter().any(|label| label.name() == name && accepts(label, value)) {
                unwanted.push(name.to_owned());
            }
        });
        for name in &unwanted {
            row.delete(name);
        }
        Verdict::Keep
    }
}

fn accepts(label: &NamedMatcher, value: &str) -> bool {
    match label {
        NamedMatcher::Name(_) => true,
        NamedMatcher::Matcher(matcher) => matcher.test.accepts(value),
    }
}
