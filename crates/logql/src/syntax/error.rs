//! What is wrong with the text of a query.

use std::fmt;

/// A place in the text of a query, counted in characters from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// A query that cannot be read, or that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SyntaxError {
    /// Where; `None` when the query as a whole is at fault.
    pub position: Option<Position>,
    /// What is wrong.
    pub message: String,
}

impl SyntaxError {
    /// An error at a place.
    pub(crate) fn at(position: Position, message: impl Into<String>) -> Self {
        Self { position: Some(position), message: message.into() }
    }

    /// An error of the whole query.
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self { position: None, message: message.into() }
    }
}

/// In Loki's words: `parse error at line 1, col 6: …` or `parse error : …`.
impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(Position { line, column }) => {
                write!(f, "parse error at line {line}, col {column}: {}", self.message)
            }
            None => write!(f, "parse error : {}", self.message),
        }
    }
}
