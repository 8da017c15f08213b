//! What a value looks like.

use crate::quantity::{bytes, duration, number};

/// The types that fields can have, under Loki's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Anything else.
    String,
    /// A whole number of 64 bits.
    Int,
    /// Any other number.
    Float,
    /// Yes or no.
    Boolean,
    /// A length of time such as `1m30s`.
    Duration,
    /// A size such as `2KB`.
    Bytes,
}

impl FieldType {
    /// The first type that the value can be read as.
    pub fn of(value: &str) -> Self {
        const BOOLEANS: [&str; 12] =
            ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"];
        if value.parse::<i64>().is_ok() {
            Self::Int
        } else if number::parse(value).is_ok() {
            Self::Float
        } else if BOOLEANS.contains(&value) {
            Self::Boolean
        } else if duration::parse_go(value).is_ok() {
            Self::Duration
        } else if bytes::parse(value).is_ok() {
            Self::Bytes
        } else {
            Self::String
        }
    }

    /// Loki's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Duration => "duration",
            Self::Bytes => "bytes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_reading_counts() {
        for (value, name) in [
            ("12", "int"),
            ("-3", "int"),
            ("9223372036854775808", "float"),
            ("0.5", "float"),
            ("1e3", "float"),
            ("NaN", "float"),
            ("true", "boolean"),
            ("F", "boolean"),
            ("yes", "string"),
            ("1m30s", "duration"),
            ("-2.5ms", "duration"),
            ("5m", "duration"),
            ("2KB", "bytes"),
            ("1.5 GiB", "bytes"),
            ("", "string"),
            ("10.0.0.1", "string"),
            ("2026-11-01", "string"),
        ] {
            assert_eq!(FieldType::of(value).name(), name, "{value:?}");
        }
    }
}
