//! Why a body, or all of its records, could not be taken.

use std::fmt;

/// What the sender must change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body does not have the form of its format; nothing of it was taken.
    #[error("{0}")]
    Malformed(Box<Malformed>),
    /// The body has the right form, but fields hold what they must not; nothing of it was taken.
    #[error("{}", FieldErrors(.0))]
    Rejected(Vec<FieldError>),
    /// The body has the right form and holds nothing to take.
    #[error("{0}")]
    Empty(&'static str),
    /// Something is over its limit.
    #[error("{what} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// A form that is not supported, such as an unknown compression.
    #[error("{0}")]
    Unsupported(String),
}

/// What is wrong with the form of a body, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub reason: String,
    /// Where, unless the body as a whole is meant.
    pub position: Option<Position>,
    /// The field that was being read, such as `streams[0].values`; empty at the top.
    pub path: String,
}

/// A place in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// In a text.
    Text {
        /// Bytes before it.
        offset: usize,
        /// Its line, from 1.
        line: usize,
        /// Its column in bytes, from 1.
        column: usize,
    },
    /// In a binary format.
    Byte {
        /// Bytes before it.
        offset: usize,
    },
}

/// One field that holds what it must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field, such as `logs[3].event_type`; empty for the body as a whole.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl FieldError {
    /// An error of one field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl DecodeError {
    /// The body as a whole is malformed.
    pub fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed(Box::new(Malformed { reason: reason.into(), position: None, path: String::new() }))
    }

    /// A text body is malformed at `offset`; line and column are counted here.
    pub fn malformed_text(body: &[u8], offset: usize, reason: impl Into<String>) -> Self {
        let offset = offset.min(body.len());
        let before = body.get(..offset).unwrap_or_default();
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        let position = Position::Text {
            offset,
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: offset - line_start + 1,
        };
        Self::Malformed(Box::new(Malformed {
            reason: reason.into(),
            position: Some(position),
            path: String::new(),
        }))
    }

    /// A binary body is malformed at `offset`.
    pub fn malformed_bytes(offset: usize, reason: impl Into<String>) -> Self {
        Self::Malformed(Box::new(Malformed {
            reason: reason.into(),
            position: Some(Position::Byte { offset }),
            path: String::new(),
        }))
    }

    /// One field holds what it must not.
    pub fn rejected(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Rejected(vec![FieldError::new(field, message)])
    }

    /// The same error, told to have happened inside the field `outer`: paths grow from the inside out.
    #[must_use]
    pub fn within(mut self, outer: impl fmt::Display) -> Self {
        if let Self::Malformed(malformed) = &mut self {
            let inner = &malformed.path;
            let dot = if inner.is_empty() || inner.starts_with('[') { "" } else { "." };
            malformed.path = format!("{outer}{dot}{inner}");
        }
        self
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match self.position {
            Some(Position::Text { offset, line, column }) => {
                write!(f, " at line {line}, column {column} (byte {offset})")?;
            }
            Some(Position::Byte { offset }) => write!(f, " at byte {offset}")?,
            None => {}
        }
        if !self.path.is_empty() {
            write!(f, ", in `{}`", self.path)?;
        }
        Ok(())
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.field, self.message)
        }
    }
}

struct FieldErrors<'a>(&'a [FieldError]);

impl fmt::Display for FieldErrors<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_body_names_line_column_byte_and_field() {
        let error = DecodeError::malformed_text(b"{\n  \"a\": x}", 9, "expected a value");
        let error = error.within("[2]").within("streams");
        assert_eq!(error.to_string(), "expected a value at line 2, column 8 (byte 9), in `streams[2]`");
        let error = DecodeError::malformed_bytes(7, "varint does not end").within("line").within("entries");
        assert_eq!(error.to_string(), "varint does not end at byte 7, in `entries.line`");
        assert_eq!(DecodeError::malformed("body is empty").to_string(), "body is empty");
    }

    #[test]
    fn rejected_fields_are_all_named() {
        let error = DecodeError::Rejected(vec![
            FieldError::new("level", "must not be empty"),
            FieldError::new("", "one more thing"),
        ]);
        assert_eq!(error.to_string(), "level: must not be empty; one more thing");
    }
}
