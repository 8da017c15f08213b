//! Line filters asked of a group: what the columns can answer, and what only whole lines can.

use timberyard_model::matcher::{LineFilter, LinePattern};

use super::column::Matches;
use super::group::Group;
use crate::codec::Malformed;

/// The longest needle that is laid along templates, which takes time in its length for every slot; of a longer one only
/// the beginning is, and the lines that have it are looked at whole.
const NEEDLE_BYTES_MAX: usize = 256;

/// What a group's columns said.
pub(crate) struct Narrowed<'f> {
    /// Lines that may pass all filters.
    pub(crate) matches: Matches,
    /// Filters that these lines have still to pass, each looking at the whole line.
    pub(crate) remaining: Vec<&'f LineFilter>,
}

/// Asks the filters in turn, until no line is left.
pub(crate) fn narrow<'f>(
    group: &mut Group<'_>,
    filters: &'f [LineFilter],
) -> Result<Narrowed<'f>, Malformed> {
    let mut narrowed = Narrowed { matches: Matches::All, remaining: Vec::new() };
    for filter in filters {
        if narrowed.matches == Matches::None {
            break;
        }
        let (found, exact) = ask(group, filter)?;
        narrowed.matches = narrowed.matches.and(found);
        if !exact {
            narrowed.remaining.push(filter);
        }
    }
    Ok(narrowed)
}

/// Lines that may pass one filter, and whether they surely do.
fn ask(group: &mut Group<'_>, filter: &LineFilter) -> Result<(Matches, bool), Malformed> {
    let mut found = Matches::None;
    let mut exact = true;
    for pattern in &filter.any_of {
        match pattern {
            LinePattern::Literal(needle) if needle.len() <= NEEDLE_BYTES_MAX => {
                found = found.or(group.search(needle)?);
            }
            LinePattern::Literal(_) | LinePattern::Regex(_) if filter.negated => exact = false,
            LinePattern::Literal(needle) => {
                exact = false;
                found = found.or(group.search(beginning(needle))?);
            }
            LinePattern::Regex(regex) => {
                exact = false;
                let Some(required) = regex.required_literals() else {
                    return Ok((Matches::All, false));
                };
                for needle in &required {
                    found = found.or(group.search(beginning(needle))?);
                }
            }
        }
    }
    // Lines that have a literal of a negated filter are out, whatever its expressions say of the others.
    Ok((if filter.negated { found.not() } else { found }, exact))
}

fn beginning(needle: &[u8]) -> &[u8] {
    &needle[..needle.len().min(NEEDLE_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use timberyard_model::pattern::Pattern;

    use super::*;
    use crate::columnar::{Encoder, Strings};

    fn filter(negated: bool, pattern: LinePattern) -> LineFilter {
        LineFilter { negated, any_of: vec![pattern] }
    }

    /// What columns and remaining filters say together is what the filters say of each line.
    #[test]
    fn long_needles_and_expressions_are_answered_exactly() {
        let mut lines = Strings::default();
        let long = "abc 17 ".repeat(60);
        for i in 0..300 {
            lines.push(format!("request {i} of user u{} took {}ms", i * i, i % 7).as_bytes());
            lines.push(format!("{long}{i}").as_bytes());
        }
        let mut bytes = Vec::new();
        Encoder::new().expect("zstd works").encode(&lines, &mut bytes).expect("memory");
        let literal = |text: &str| LinePattern::Literal(text.as_bytes().into());
        let regex = |text: &str| LinePattern::Regex(Pattern::anywhere(text).expect("valid"));
        for (negated, pattern) in [false, true].into_iter().flat_map(|negated| {
            let long_needle = format!("{}29", &long[3..]);
            [
                literal(&long_needle),
                literal(&format!("{long}x")),
                literal("user u4"),
                regex("took [3-5]ms"),
                regex("u9$"),
            ]
            .map(|pattern| (negated, pattern))
        }) {
            let filters = [filter(negated, pattern)];
            let mut group = Group::open(&bytes, lines.bytes.len()).expect("valid");
            let narrowed = narrow(&mut group, &filters).expect("valid");
            for (row, line) in lines.iter().enumerate() {
                let rest = narrowed.remaining.iter().all(|filter| filter.accepts(line));
                assert_eq!(narrowed.matches.has(row) && rest, filters[0].accepts(line), "{filters:?}");
            }
        }
    }
}
