//! Shapes of lines that are JSON whatever their slots hold, within rules.
//!
//! A shape passes when its outline is one JSON object and nothing else, every slot being a whole number or word, or part of
//! a string that is no key. Any value that keeps its slot's rule then leaves all strings, brackets and commas where they
//! are, so that every scanner here takes the same way through the line as through the outline.

use timberyard_model::fields::{ByteSet, SlotRule};

use super::scanner::{DEPTH_MAX, skip_blank, string_end};
use crate::stage::outline::{Outline, QUOTED};

/// A number, `true`, `false` or `null`.
static WORD: SlotRule = SlotRule {
    first: ByteSet::DIGITS.with(b"-"),
    rest: ByteSet::DIGITS.with(b"-+.eE"),
    may_be_empty: false,
    accepts: |value| matches!(value, b"true" | b"false" | b"null"),
};

/// What has to come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Object,
    Key,
    KeyOrEnd,
    Colon,
    Value,
    ValueOrEnd,
    CommaOrEnd,
    Nothing,
}

/// The rules of the slots of an outline; `None` when it does not pass.
pub(super) fn rules(outline: &Outline) -> Option<Vec<&'static SlotRule>> {
    let line = outline.line();
    let mut rules: Vec<&'static SlotRule> = Vec::with_capacity(outline.slots());
    let mut open: Vec<u8> = Vec::new();
    let mut expected = Expected::Object;
    let mut at = 0;
    while let Some(start) = skip_blank(line, at) {
        let byte = line[start];
        at = start + 1;
        expected = match (expected, byte) {
            (Expected::Object | Expected::Value | Expected::ValueOrEnd, b'{') if open.len() < DEPTH_MAX => {
                open.push(b'}');
                Expected::KeyOrEnd
            }
            (Expected::Value | Expected::ValueOrEnd, b'[') if open.len() < DEPTH_MAX => {
                open.push(b']');
                Expected::ValueOrEnd
            }
            (Expected::KeyOrEnd, b'}')
            | (Expected::ValueOrEnd, b']')
            | (Expected::CommaOrEnd, b'}' | b']')
                if open.last() == Some(&byte) =>
            {
                open.pop();
                if open.is_empty() { Expected::Nothing } else { Expected::CommaOrEnd }
            }
            (Expected::Key | Expected::KeyOrEnd, b'"') => {
                let (quote, _) = string_end(line, at)?;
                if !outline.slots_in(at..quote).is_empty() {
                    return None;
                }
                at = quote + 1;
                Expected::Colon
            }
            (Expected::Colon, b':') => Expected::Value,
            (Expected::CommaOrEnd, b',') if open.last() == Some(&b'}') => Expected::Key,
            (Expected::CommaOrEnd, b',') => Expected::Value,
            (Expected::Value | Expected::ValueOrEnd, b'"') => {
                let (quote, _) = string_end(line, at)?;
                rules.extend(outline.quoted_slots(at..quote)?.map(|_| &QUOTED));
                at = quote + 1;
                Expected::CommaOrEnd
            }
            (Expected::Value | Expected::ValueOrEnd, _) => {
                let ends = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',' | b'}' | b']');
                let len = line[start..].iter().position(ends).unwrap_or(line.len() - start);
                at = start + len;
                if !outline.slots_in(start..at).is_empty() {
                    if len > 1 {
                        return None;
                    }
                    rules.push(&WORD);
                } else if !WORD.admits(&line[start..at]) {
                    return None;
                }
                Expected::CommaOrEnd
            }
            _ => return None,
        };
    }
    (expected == Expected::Nothing).then_some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules of a shape written with `$` for each slot, as letters.
    fn shape(text: &str) -> Option<String> {
        let literals: Vec<&[u8]> = text.split('$').map(str::as_bytes).collect();
        let rules = rules(&Outline::new(&literals))?;
        Some(rules.iter().map(|rule| if rule.may_be_empty { 's' } else { 'w' }).collect())
    }

    #[test]
    fn values_may_vary_and_nothing_else() {
        for (text, expected) in [
            (r#"{"a":"$","b":$}"#, Some("sw")),
            (r#" { "a" : [ $ , "x$y$" , {} ] , "b":{"c":$,"d":-1.5e3}} "#, Some("wssw")),
            ("{}\r", Some("")),
            (r#"{"a":$}$"#, None),
            (r#"{"a$":1}"#, None),
            (r#"{"a":-$}"#, None),
            (r#"{"a":$$}"#, None),
            (r#"{"a":"\$"}"#, None),
            (r#"{"a":"\\$"}"#, Some("s")),
            (r#"{"a":1"b":$}"#, None),
            (r#"{"a":$"#, None),
            (r#"{"a":$]"#, None),
            (r#"{"a":nope,"b":$}"#, None),
            (r#"{"a":$,}"#, None),
            (r#"[$]"#, None),
            ("$", None),
            (r#"{"a":"$"#, None),
        ] {
            assert_eq!(shape(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_ends_a_string_breaks_its_rule() {
        for (value, admitted) in [
            ("", true),
            ("a b", true),
            (r#"a\"b\\"#, true),
            (r#"a"b"#, false),
            (r"a\", false),
            (r#"\\""#, false),
        ] {
            assert_eq!(QUOTED.admits(value.as_bytes()), admitted, "{value}");
        }
        for (value, admitted) in [
            ("", false),
            ("1e3", true),
            ("-", true),
            ("null", true),
            ("nul", false),
            ("1 ", false),
            ("{}", false),
            ("1]", false),
        ] {
            assert_eq!(WORD.admits(value.as_bytes()), admitted, "{value}");
        }
    }
}
