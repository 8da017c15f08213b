//! The streams that a key is for: a selector that narrows what it reads, and that what it sends must pass.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use timberyard_logql::syntax;
use timberyard_model::Labels;
use timberyard_model::limits::QueryLimits;
use timberyard_model::matcher::{LabelMatcher, accepts_all};

/// A selector such as `{app="x"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyLabels {
    text: Arc<str>,
    matchers: Arc<[LabelMatcher]>,
}

/// A text that is no selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no selector such as {{app=\"x\"}}: {reason}")]
pub struct KeyLabelsError {
    text: String,
    reason: String,
}

impl KeyLabels {
    /// Reads a selector in LogQL.
    pub fn new(text: &str) -> Result<Self, KeyLabelsError> {
        let matchers = syntax::parse_selector(text, &QueryLimits::default())
            .map_err(|error| KeyLabelsError { text: text.to_owned(), reason: error.to_string() })?;
        Ok(Self { text: text.into(), matchers: matchers.into() })
    }

    /// What streams must pass, all of it.
    pub fn matchers(&self) -> &[LabelMatcher] {
        &self.matchers
    }

    /// Whether a stream is one of those the key is for.
    pub fn accept(&self, labels: &Labels) -> bool {
        accepts_all(&self.matchers, labels)
    }
}

impl TryFrom<String> for KeyLabels {
    type Error = KeyLabelsError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<KeyLabels> for String {
    fn from(labels: KeyLabels) -> Self {
        labels.text.as_ref().to_owned()
    }
}

impl fmt::Display for KeyLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
