//! Line filters asked of a group: what the columns can answer, and what only whole lines can.

use timberyard_model::matcher::{LineFilter, LinePattern};

use super::column::Matches;
use super::group::Group;
use crate::codec::Malformed;

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
            LinePattern::Literal(needle) => found = found.or(group.search(needle)?),
            LinePattern::Regex(_) if filter.negated => exact = false,
            LinePattern::Regex(regex) => {
                exact = false;
                let Some(required) = regex.required_literals() else {
                    return Ok((Matches::All, false));
                };
                for needle in &required {
                    found = found.or(group.search(needle)?);
                }
            }
        }
    }
    // Lines that have a literal of a negated filter are out, whatever its expressions say of the others.
    Ok((if filter.negated { found.not() } else { found }, exact))
}
