//! Conditions on texts that ignore case.

use timberyard_model::matcher::{LineFilter, LinePattern};
use timberyard_model::pattern::Pattern;

use crate::error_response::ErrorResponse;

/// The longest text that can be looked for, in bytes.
const TEXT_BYTES_MAX: usize = 8192;

/// A text that must be equal or contained, whatever its case.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TextCondition {
    /// The whole value.
    Equals(Box<str>),
    /// Any part of the value.
    Contains(Pattern),
}

impl TextCondition {
    pub(super) fn equals(wanted: &str) -> Self {
        Self::Equals(wanted.into())
    }

    /// 400 when the text is too long to look for.
    pub(super) fn contains(parameter: &str, wanted: &str) -> Result<Self, ErrorResponse> {
        let too_long = || format!("{parameter} is {} bytes, limit is {TEXT_BYTES_MAX}", wanted.len());
        if wanted.len() > TEXT_BYTES_MAX {
            return Err(ErrorResponse::bad_request(format!("invalid_{parameter}"), too_long()));
        }
        Pattern::anywhere(&format!("(?i){}", escaped(wanted)))
            .map(Self::Contains)
            .map_err(|error| ErrorResponse::bad_request(format!("invalid_{parameter}"), error.to_string()))
    }

    /// Whether the value passes.
    pub(super) fn accepts(&self, value: &[u8]) -> bool {
        match self {
            Self::Equals(wanted) => {
                value.eq_ignore_ascii_case(wanted.as_bytes())
                    || (!(value.is_ascii() && wanted.is_ascii())
                        && String::from_utf8_lossy(value).to_lowercase() == wanted.to_lowercase())
            }
            Self::Contains(pattern) => pattern.is_match(value),
        }
    }

    /// The same as a condition on lines, where that is possible.
    pub(super) fn as_line_filter(&self) -> Option<LineFilter> {
        match self {
            Self::Equals(_) => None,
            Self::Contains(pattern) => {
                Some(LineFilter { negated: false, any_of: vec![LinePattern::Regex(pattern.clone())] })
            }
        }
    }
}

/// An expression that matches this text and nothing else.
fn escaped(text: &str) -> String {
    let mut expression = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_ascii_punctuation() {
            expression.push('\\');
        }
        expression.push(character);
    }
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_count_in_any_script() {
        let equals = TextCondition::equals("Straße-Ä");
        assert!(equals.accepts("strasse-ä".replace("ss", "ß").as_bytes()));
        assert!(!equals.accepts("straße".as_bytes()));
        let contains = TextCondition::contains("search", "a.b*[Ä]").expect("short");
        assert!(contains.accepts("x A.B*[ä] y".as_bytes()));
        assert!(!contains.accepts(b"aXb"));
        assert!(TextCondition::contains("search", &"x".repeat(8193)).is_err());
    }
}
