//! Regular expressions as LogQL means them: RE2 syntax, as Go's `regexp` reads it.

use std::fmt;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

use crate::go_expression::{self, Rewritten};
use crate::required_literals::{RequiredLiterals, required_literals};

/// A compiled regular expression over bytes, with its source text.
///
/// Matching takes time linear in the input. Compiled size is bounded, so that a hostile
/// expression is an error instead of memory.
#[derive(Clone)]
pub struct Pattern {
    source: Arc<str>,
    regex: Regex,
    accepts_any_character: bool,
}

/// The largest compiled expression, in bytes.
pub const COMPILED_BYTES_MAX: usize = 10 << 20;

/// A regular expression that cannot be compiled; in Go's words, which name the part at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

impl Pattern {
    /// Compiles `source` so that it may match anywhere in its input, as a line filter does.
    pub fn anywhere(source: &str) -> Result<Self, PatternError> {
        let rewritten = go_expression::rewrite(source).map_err(PatternError)?;
        Self::compile(source, &rewritten.text, &rewritten)
    }

    /// Compiles `source` so that it must match all of its input, as a label matcher does; a dot
    /// accepts line ends too.
    pub fn whole(source: &str) -> Result<Self, PatternError> {
        let rewritten = go_expression::rewrite(source).map_err(PatternError)?;
        Self::compile(source, &format!("^(?s:{})$", rewritten.text), &rewritten)
    }

    fn compile(source: &str, expression: &str, rewritten: &Rewritten) -> Result<Self, PatternError> {
        let regex = RegexBuilder::new(expression).size_limit(COMPILED_BYTES_MAX).build().map_err(|error| {
            PatternError(match error {
                regex::Error::CompiledTooBig(limit) => {
                    format!("error parsing regexp: expression is larger than the limit of {limit} bytes when compiled: `{source}`")
                }
                other => {
                    // The last line says what is wrong, those before it draw where.
                    let text = other.to_string();
                    let reason = text.lines().last().unwrap_or("").trim_start_matches("error: ");
                    format!("error parsing regexp: {reason}: `{source}`")
                }
            })
        })?;
        // An expression that asks for U+FFFD by name must find it, not a byte that is shown as it.
        let accepts_any_character =
            rewritten.accepts_any_character && !rewritten.text.contains(char::REPLACEMENT_CHARACTER);
        Ok(Self { source: source.into(), regex, accepts_any_character })
    }

    /// The text it was made from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it matches. A byte that is no UTF-8 counts as one character.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        if self.regex.is_match(bytes) {
            return true;
        }
        // To the compiled expression such a byte is no character at all.
        self.accepts_any_character
            && std::str::from_utf8(bytes).is_err()
            && self.regex.is_match(&with_replacements(bytes))
    }

    /// What everything that matches contains. Parses the expression, so ask once a query.
    pub fn required_literals(&self) -> RequiredLiterals {
        let mut required = required_literals(self.regex.as_str());
        // A byte that is no text may count as a character there.
        required.suffice &= !self.accepts_any_character;
        required
    }

    /// Whether a byte that is no UTF-8 can take part in a match, as the character that it counts as.
    pub fn accepts_any_character(&self) -> bool {
        self.accepts_any_character
    }

    /// The compiled expression, for captures and replacement.
    pub fn regex(&self) -> &Regex {
        &self.regex
    }
}

/// The bytes with U+FFFD in place of each that is no UTF-8.
fn with_replacements(bytes: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        replaced.extend_from_slice(chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            replaced.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    replaced
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii_and_dots_are_characters() {
        for (expression, text, matches) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "١٢", false),
            (r"^\w+$", "é", false),
            ("^.$", "é", true),
            ("^.$", "\n", false),
            ("(?i)ÄÖ", "äö", true),
            (r"\bfoo\b", "éfoo", true),
            ("a$", "a\n", false),
            ("(?m)a$", "a\n", true),
        ] {
            let pattern = Pattern::anywhere(expression).expect("valid");
            assert_eq!(pattern.is_match(text.as_bytes()), matches, "{expression} on {text}");
        }
    }

    #[test]
    fn label_matchers_match_the_whole_value_over_lines() {
        let pattern = Pattern::whole("a.*|b").expect("valid");
        assert!(pattern.is_match(b"a\nc"));
        assert!(pattern.is_match(b"b"));
        assert!(!pattern.is_match(b"xb"));
        assert_eq!(pattern.source(), "a.*|b");
    }

    #[test]
    fn bytes_that_are_no_text_take_part_as_characters() {
        for (expression, bytes, matches) in [
            ("error", &b"\xff error \xfe"[..], true),
            ("a.b", b"a\xffb", true),
            ("^..$", "é".as_bytes(), false),
            ("a[^x]b", b"a\xffb", true),
            ("ab", b"a\xffb", false),
        ] {
            assert_eq!(
                Pattern::anywhere(expression).expect("valid").is_match(bytes),
                matches,
                "{expression}"
            );
        }
    }

    #[test]
    fn hostile_expressions_are_refused() {
        let error = Pattern::anywhere("((a{1000}){1000}){1000}").expect_err("too big").to_string();
        assert!(error.starts_with("error parsing regexp: expression is larger than"), "{error}");
        assert!(Pattern::anywhere(&"(".repeat(100_000)).is_err());
        let nested = "(".repeat(100_000) + &")".repeat(100_000);
        let error = Pattern::anywhere(&nested).expect_err("too deep").to_string();
        assert!(error.contains("nest"), "{}", &error[..100]);
        assert_eq!(
            Pattern::anywhere("(?P<a>.)(?P<a>.)").expect_err("twice").to_string(),
            "error parsing regexp: duplicate capture group name: `(?P<a>.)(?P<a>.)`"
        );
    }
}
