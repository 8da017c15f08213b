//! `=~` and `!~` in a label filter.
//!
//! An expression must match all of the value. There is one exception, which Loki makes to save
//! time and which users have come to see: a literal with `.*` before or behind it is looked for
//! anywhere in the value, so that `err.*` accepts `my err`.

use timberyard_model::pattern::Pattern;

/// A compiled expression over the values of a label.
pub(crate) struct ValueExpression {
    pattern: Pattern,
}

impl ValueExpression {
    /// Fails on an expression that cannot be compiled.
    pub(crate) fn new(source: &str) -> Result<Self, String> {
        let pattern = match searched_anywhere(source) {
            Some(literal) => Pattern::anywhere(literal),
            None => Pattern::anywhere(&format!("^(?:{source})$")),
        };
        Ok(Self { pattern: pattern.map_err(|error| error.to_string())? })
    }

    /// Whether the expression accepts the value.
    pub(crate) fn accepts(&self, value: &str) -> bool {
        self.pattern.is_match(value.as_bytes())
    }
}

/// The literal, still escaped, in an expression such as `.*literal`, `literal.*` or `.*literal.*`.
fn searched_anywhere(source: &str) -> Option<&str> {
    let behind = source.strip_prefix(".*");
    let inner = behind.unwrap_or(source);
    let before = inner.strip_suffix(".*");
    let literal = before.unwrap_or(inner);
    let is_cut = behind.is_some() || before.is_some();
    (is_cut && !literal.is_empty() && is_literal(literal)).then_some(literal)
}

fn is_literal(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => {}
                _ => return false,
            },
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_literal_beside_dot_star_is_found_anywhere() {
        for (source, value, accepted) in [
            ("err.*", "my err", true),
            (".*err", "errors", true),
            ("10\\.0\\..*", "210.0.1", true),
            ("err", "my err", false),
            ("e.r.*", "my err", false),
            ("^err.*", "my err", false),
            ("a|b", "b", true),
            ("a|b", "ab", false),
            ("err\\..*", "err", false),
            ("(?s)a.*b", "a\nb", true),
            ("a.*b", "a\nb", false),
        ] {
            assert_eq!(
                ValueExpression::new(source).expect("valid").accepts(value),
                accepted,
                "{source} {value}"
            );
        }
    }
}
