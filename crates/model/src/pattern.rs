//! Regular expressions as LogQL means them: RE2 syntax, as Go's `regexp` reads it.

use std::fmt;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use crate::required_literals::required_literals;

/// A compiled regular expression over bytes, with its source text.
///
/// Matching takes time linear in the input. Compiled size is bounded, so that a hostile
/// expression is an error instead of memory.
#[derive(Clone)]
pub struct Pattern {
    source: Arc<str>,
    regex: Regex,
}

/// The largest compiled expression, in bytes.
pub const COMPILED_BYTES_MAX: usize = 10 << 20;

/// A regular expression that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

impl Pattern {
    /// Compiles `source` so that it may match anywhere in its input, as a line filter does.
    pub fn anywhere(source: &str) -> Result<Self, PatternError> {
        Self::compile(source, source)
    }

    /// Compiles `source` so that it must match all of its input, as a label matcher does.
    pub fn whole(source: &str) -> Result<Self, PatternError> {
        Self::compile(source, &format!("^(?:{source})$"))
    }

    fn compile(source: &str, expression: &str) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(expression)
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|e| PatternError(e.to_string()))?;
        Ok(Self { source: source.into(), regex })
    }

    /// The text it was made from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it matches.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.regex.is_match(bytes)
    }

    /// Byte strings of which everything that matches contains at least one; `None` when nothing is known. Parses the
    /// expression, so ask once a query.
    pub fn required_literals(&self) -> Option<Vec<Box<[u8]>>> {
        required_literals(self.regex.as_str())
    }

    /// The compiled expression, for captures and replacement.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.source)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}
