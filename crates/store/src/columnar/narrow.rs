//! Line filters asked of a group: what the columns can answer, and what only whole lines can.

use timberyard_model::matcher::{LineFilter, LinePattern};
use timberyard_model::required_literals::Literal;

use super::gate::GateQuestions;
use super::group::Group;
use super::matches::Matches;
use super::needle::Needle;
use crate::codec::Malformed;

/// The longest needle that is laid along templates, which takes time in its length for every slot; of a longer one only
/// the beginning is, and the lines that have it are looked at whole.
const NEEDLE_BYTES_MAX: usize = 256;

/// Of a filter with more alternatives than this columns are not asked: each is laid along every template, while whole lines are looked
/// through for all of them at once.
const ALTERNATIVES_MAX: usize = 16;

/// Line filters as questions to columns, made once a scan.
pub(crate) struct Narrowing {
    filters: Vec<Question>,
    gates: GateQuestions,
}

/// What columns are asked for one filter.
struct Question {
    negated: bool,
    /// A line has to pass all sets of at least one alternative.
    any_of: Vec<Alternative>,
}

struct Alternative {
    /// A line has to have a needle of each set.
    all_of: Vec<Vec<Needle>>,
    /// Whether that is all it has to.
    suffices: bool,
}

/// What a group's columns said.
pub(crate) struct Narrowed {
    /// Lines that may pass all filters.
    pub(crate) matches: Matches,
    /// Whether they surely do; if not, each has still to be looked at whole.
    pub(crate) judged: bool,
}

impl Narrowing {
    /// Asks nothing.
    pub(crate) const NONE: Self = Self { filters: Vec::new(), gates: GateQuestions::NONE };

    pub(crate) fn new(filters: &[LineFilter]) -> Self {
        let question = |filter: &LineFilter| Question {
            negated: filter.negated,
            any_of: match filter.any_of.len() {
                0..=ALTERNATIVES_MAX => filter.any_of.iter().map(Alternative::new).collect(),
                _ => vec![Alternative::UNKNOWN],
            },
        };
        Self { filters: filters.iter().map(question).collect(), gates: GateQuestions::new(filters) }
    }

    /// For the gate of a group to answer before the group is opened.
    pub(crate) fn gates(&self) -> &GateQuestions {
        &self.gates
    }

    /// Whether there is nothing to ask.
    pub(crate) fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Asks the filters in turn, until no line is left.
    pub(crate) fn ask(&self, group: &mut Group<'_>) -> Result<Narrowed, Malformed> {
        let mut narrowed = Narrowed { matches: Matches::All, judged: true };
        for filter in &self.filters {
            if narrowed.matches == Matches::None {
                break;
            }
            let (found, exact) = filter.ask(group)?;
            narrowed.matches = narrowed.matches.and(found);
            narrowed.judged &= exact;
        }
        Ok(narrowed)
    }
}

impl Question {
    /// Lines that may pass, and whether they surely do.
    fn ask(&self, group: &mut Group<'_>) -> Result<(Matches, bool), Malformed> {
        let mut found = Matches::None;
        let mut exact = true;
        for alternative in &self.any_of {
            if found == Matches::All {
                break;
            }
            if !alternative.suffices {
                exact = false;
                if self.negated {
                    // Nothing that the columns say of it makes a line pass or fail.
                    continue;
                }
            }
            found = found.or(alternative.ask(group)?);
        }
        // Lines that have a literal of a negated filter are out, whatever its expressions say of the others.
        Ok((if self.negated { found.not() } else { found }, exact))
    }
}

impl Alternative {
    /// Of which columns say nothing.
    const UNKNOWN: Self = Self { all_of: Vec::new(), suffices: false };

    fn new(pattern: &LinePattern) -> Self {
        match pattern {
            LinePattern::Literal(bytes) => Self::of(vec![vec![Literal::from(&**bytes)]], true),
            LinePattern::Regex(regex) => {
                let required = regex.required_literals();
                Self::of(required.all_of, required.suffice)
            }
        }
    }

    fn of(sets: Vec<Vec<Literal>>, suffice: bool) -> Self {
        let mut suffices = suffice;
        let mut needle = |mut literal: Literal| {
            if literal.bytes.len() > NEEDLE_BYTES_MAX {
                suffices = false;
                literal.bytes = literal.bytes[..NEEDLE_BYTES_MAX].into();
            }
            Needle::new(&literal)
        };
        let mut all_of = Vec::with_capacity(sets.len());
        let mut dropped = false;
        for set in sets {
            match set.into_iter().map(&mut needle).collect::<Option<Vec<_>>>() {
                Some(needles) => all_of.push(needles),
                None => dropped = true,
            }
        }
        Self { all_of, suffices: suffices && !dropped }
    }

    fn ask(&self, group: &mut Group<'_>) -> Result<Matches, Malformed> {
        let mut passing = Matches::All;
        for set in &self.all_of {
            if passing == Matches::None {
                break;
            }
            let mut found = Matches::None;
            for needle in set {
                found = found.or(group.search(needle)?);
            }
            passing = passing.and(found);
        }
        Ok(passing)
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::pattern::Pattern;

    use super::*;
    use crate::columnar::{Encoder, GroupBytes, Strings};

    fn filter(negated: bool, pattern: LinePattern) -> LineFilter {
        LineFilter { negated, any_of: vec![pattern] }
    }

    /// What columns say, and filters of the lines that are left, is what the filters say of each line.
    #[test]
    fn long_needles_and_expressions_are_answered_exactly() {
        let mut lines = Strings::default();
        let long = "abc 17 ".repeat(60);
        for i in 0..300 {
            lines.push(format!("request {i} of User u{} took {}ms", i * i, i % 7).as_bytes());
            lines.push(format!("{long}{i} ID={:032X}", i * 77).as_bytes());
            lines.push(format!("{{\"id\":\"{:016x}\",\"user\":\"u{i}\"}}", i * 0x9E37_79B9_u64).as_bytes());
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
                literal("User u4"),
                regex("took [3-5]ms"),
                regex("u9$"),
                regex("User u9|user\":\"u7"),
                regex("(?i)user U[14]"),
                regex("(?i)User"),
                regex("(?i)id=0000"),
                regex("(?i)9E37"),
            ]
            .map(|pattern| (negated, pattern))
        }) {
            let filters = [filter(negated, pattern)];
            let read = GroupBytes::read(&bytes, lines.bytes.len()).expect("valid");
            let mut group = Group::open(&read).expect("valid");
            let narrowed = Narrowing::new(&filters).ask(&mut group).expect("valid");
            for (row, line) in lines.iter().enumerate() {
                let passes = filters[0].accepts(line);
                assert!(narrowed.matches.has(row) || !passes, "{filters:?}");
                assert!(!narrowed.judged || narrowed.matches.has(row) == passes, "{filters:?}");
            }
        }
    }
}
