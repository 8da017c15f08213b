//! Conditions on rows that only their language can judge.
//!
//! Whoever keeps such a condition, as the store does for deletions, keeps its text and asks a [`ConditionLanguage`] what
//! it means; the program puts the two together. A text means the same whenever it is read, so it is read together with
//! the time at which it was asked. One that its language no longer reads accepts no row, and says why.

use std::fmt;
use std::sync::Arc;

use crate::labels::Labels;
use crate::rows::RowRef;
use crate::time::Timestamp;

/// A row as a condition looks at it.
pub trait RowView {
    /// The labels of its stream.
    fn labels(&self) -> &Labels;

    /// When it happened.
    fn timestamp(&self) -> Timestamp;

    /// The line, byte for byte as it was sent.
    fn line(&self) -> &[u8];

    /// Hands over structured metadata, name and value, in the order sent.
    fn for_each_metadata<'r>(&'r self, visit: &mut dyn FnMut(&'r str, &'r [u8]));
}

impl RowView for RowRef<'_> {
    fn labels(&self) -> &Labels {
        Self::labels(self)
    }

    fn timestamp(&self) -> Timestamp {
        Self::timestamp(self)
    }

    fn line(&self) -> &[u8] {
        Self::line(self)
    }

    fn for_each_metadata<'r>(&'r self, visit: &mut dyn FnMut(&'r str, &'r [u8])) {
        self.metadata().for_each(|(name, value)| visit(name, value));
    }
}

/// What a condition means.
pub trait RowPredicate: Send + Sync {
    /// Whether it accepts the row. Says the same of equal rows, always.
    fn accepts(&self, row: &dyn RowView) -> bool;
}

/// Reads conditions.
pub trait ConditionLanguage: Send + Sync {
    /// What the text means to somebody who asked at that time; why it means nothing otherwise.
    fn read(&self, text: &str, asked_at: Timestamp) -> Result<Arc<dyn RowPredicate>, String>;
}

/// A condition, with what it means where its language could read it.
#[derive(Clone)]
pub struct RowCondition {
    text: Box<str>,
    asked_at: Timestamp,
    meaning: Result<Arc<dyn RowPredicate>, Box<str>>,
}

impl RowCondition {
    /// A condition that somebody asked for at that time. One that cannot be read accepts no row.
    pub fn read(language: &dyn ConditionLanguage, text: &str, asked_at: Timestamp) -> Self {
        let meaning = language.read(text, asked_at).map_err(String::into_boxed_str);
        Self { text: text.into(), asked_at, meaning }
    }

    /// The same, read again.
    pub fn read_again(&self, language: &dyn ConditionLanguage) -> Self {
        Self::read(language, &self.text, self.asked_at)
    }

    /// As it was asked.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// When it was asked.
    pub fn asked_at(&self) -> Timestamp {
        self.asked_at
    }

    /// Why it cannot be read, when it cannot.
    pub fn problem(&self) -> Option<&str> {
        self.meaning.as_ref().err().map(|reason| &**reason)
    }

    /// Whether it accepts a row.
    pub fn accepts(&self, row: &dyn RowView) -> bool {
        self.meaning.as_ref().is_ok_and(|meaning| meaning.accepts(row))
    }
}

/// Conditions are the same when the same was asked at the same time.
impl PartialEq for RowCondition {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.asked_at) == (&other.text, other.asked_at)
    }
}

impl fmt::Debug for RowCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowCondition({:?} at {})", self.text, self.asked_at)
    }
}

/// Reads nothing: for those who only look at what else is stored.
#[derive(Clone, Copy, Debug)]
pub struct NoConditions;

impl ConditionLanguage for NoConditions {
    fn read(&self, _: &str, _: Timestamp) -> Result<Arc<dyn RowPredicate>, String> {
        Err("nothing here reads conditions".to_owned())
    }
}
