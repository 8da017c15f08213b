//! Shapes of lines whose pairs lie in the same places whatever their slots hold, within rules.
//!
//! To the decoder all bytes but blanks, `=`, `"` and `\` are alike, and it does not matter how many there are; so it takes
//! the same way through a line as through its outline when slots hold none of these. Between the quotes of a value only
//! `"` and `\` count.

use timberyard_model::fields::{ByteSet, SlotRule, ValueForm};

use super::decoder::{Decoder, Pair};
use crate::stage::outline::{Outline, QUOTED, QUOTED_WITHOUT_ESCAPES};

/// Bytes that are nothing special anywhere.
const PLAIN: ByteSet = ByteSet::ALL.above(b' ').without(b"=\"\\");

static WORD: SlotRule = SlotRule { first: PLAIN, rest: PLAIN, may_be_empty: true, accepts: |_| false };

/// How pairs whose key varies are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VaryingKeys {
    /// They do not matter as long as they have no value.
    Flags,
    /// They always matter.
    None,
}

/// Hands all pairs of the outline to `visit`, and gives the rules of its slots. `None` when the pairs
/// of lines of that shape are not always in the same places, or, when `strict`, are not always all proper.
pub(super) fn pairs<'o>(
    outline: &'o Outline,
    strict: bool,
    varying_keys: VaryingKeys,
    mut visit: impl FnMut(Pair<'o>),
) -> Option<Vec<&'static SlotRule>> {
    let line = outline.line();
    let mut rules: Vec<&'static SlotRule> = vec![&WORD; outline.slots()];
    for pair in Decoder::new(line) {
        let pair = match pair {
            Ok(pair) => pair,
            Err(_) if strict => return None,
            // Where the decoder goes on is the same in all lines.
            Err(_) => continue,
        };
        let key = outline.stretch_of(pair.key);
        if !outline.slots_in(key.clone()).is_empty() {
            let is_flag = line.get(key.end) != Some(&b'=');
            if strict || varying_keys == VaryingKeys::None || !is_flag {
                return None;
            }
            continue;
        }
        if pair.form == ValueForm::Quoted {
            for slot in outline.quoted_slots(outline.stretch_of(pair.raw))? {
                rules[slot] = if strict { &QUOTED_WITHOUT_ESCAPES } else { &QUOTED };
            }
        }
        visit(pair);
    }
    let quote_follows = |slot: usize| {
        let mut behind = outline.places()[slot] + 1;
        while outline.is_slot(behind) {
            behind += 1;
        }
        line.get(behind) == Some(&b'"')
    };
    // An empty value would let the quote behind it begin a quoted one.
    let is_word = |slot: &usize| std::ptr::eq(rules[*slot], &raw const WORD);
    if (0..outline.slots()).filter(is_word).any(quote_follows) {
        return None;
    }
    Some(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pairs of a shape written with `$` for each slot, those with a quoted value in quotes, and the rules as letters.
    fn shape(text: &str, strict: bool) -> Option<String> {
        let literals: Vec<&[u8]> = text.split('$').map(str::as_bytes).collect();
        let outline = Outline::new(&literals);
        let mut found = Vec::new();
        let rules = pairs(&outline, strict, VaryingKeys::Flags, |pair| {
            let (key, raw) = (String::from_utf8_lossy(pair.key), String::from_utf8_lossy(pair.raw));
            found.push(match pair.form {
                ValueForm::Quoted => format!("{key}=\"{raw}\""),
                ValueForm::Bare => format!("{key}={raw}"),
            });
        })?;
        let rules = rules.iter().map(|rule| match rule {
            rule if std::ptr::eq(*rule, &raw const WORD) => 'w',
            rule if std::ptr::eq(*rule, &raw const QUOTED) => 'q',
            _ => 's',
        });
        found.push(rules.collect());
        Some(found.join(" "))
    }

    #[test]
    fn values_and_flags_may_vary_and_nothing_else() {
        for (text, expected) in [
            (r#"a=$ b="x $" c"#, Some(r#"a=0 b="x 0" c= wq"#)),
            ("took $ a=$(x)", Some("took= a=0(x) ww")),
            ("a=b=$ c=$", Some("c=0 ww")),
            ("$=1", None),
            ("a$=1", None),
            (r#"a=$"x""#, None),
            (r#"a="\$" b=$"#, None),
            (r#"a="$ b=$"#, Some("ww")),
            ("a=$$ b", Some("a=00 b= ww")),
        ] {
            assert_eq!(shape(text, false).as_deref(), expected, "{text}");
        }
        assert_eq!(shape(r#"a=$ b="$""#, true).as_deref(), Some(r#"a=0 b="0" ws"#));
        assert_eq!(shape("a=b=$", true), None);
        assert_eq!(shape("took $", true), None);
    }
}
