//! What a query asks of labels and lines, in the form that every source of rows understands.

use crate::labels::Labels;
use crate::pattern::Pattern;

/// One condition of a selector, such as `app="api"` or `env=~"prod|test"`.
///
/// An absent label has the empty value, as in LogQL.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelMatcher {
    /// The label's name.
    pub name: Box<str>,
    /// What its value must be.
    pub test: ValueTest,
}

/// A condition on one value.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueTest {
    /// `=`
    Equal(Box<str>),
    /// `!=`
    NotEqual(Box<str>),
    /// `=~`, over the whole value.
    Matches(Pattern),
    /// `!~`, over the whole value.
    NotMatches(Pattern),
}

impl ValueTest {
    /// Whether `value` passes.
    pub fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Equal(wanted) => **wanted == *value,
            Self::NotEqual(unwanted) => **unwanted != *value,
            Self::Matches(pattern) => pattern.is_match(value.as_bytes()),
            Self::NotMatches(pattern) => !pattern.is_match(value.as_bytes()),
        }
    }
}

impl LabelMatcher {
    /// `name="value"`
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.into(), test: ValueTest::Equal(value.into()) }
    }

    /// Whether a stream with these labels passes.
    pub fn accepts(&self, labels: &Labels) -> bool {
        self.test.accepts(labels.get(&self.name).unwrap_or(""))
    }
}

/// Whether a stream passes all matchers.
pub fn accepts_all(matchers: &[LabelMatcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.accepts(labels))
}

/// One line filter: the line must (or, `negated`, must not) contain any of the alternatives.
///
/// `|= "a" or "b"` is one filter with two alternatives; a chain is several filters.
#[derive(Clone, Debug, PartialEq)]
pub struct LineFilter {
    /// `!=` and `!~` instead of `|=` and `|~`.
    pub negated: bool,
    /// Any one of them is enough. Never empty.
    pub any_of: Vec<LinePattern>,
}

/// What a line filter looks for, anywhere in the line.
#[derive(Clone, Debug, PartialEq)]
pub enum LinePattern {
    /// These bytes. The empty literal is in every line.
    Literal(Box<[u8]>),
    /// This expression.
    Regex(Pattern),
}

impl LineFilter {
    /// Whether a line passes.
    pub fn accepts(&self, line: &[u8]) -> bool {
        self.negated != self.any_of.iter().any(|pattern| pattern.is_in(line))
    }
}

impl LinePattern {
    /// Whether it occurs in the line.
    pub fn is_in(&self, line: &[u8]) -> bool {
        match self {
            Self::Literal(bytes) => memchr::memmem::find(line, bytes).is_some(),
            Self::Regex(pattern) => pattern.is_match(line),
        }
    }
}
