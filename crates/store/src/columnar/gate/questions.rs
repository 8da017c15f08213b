//! Line filters asked of gates: whether any line of a group could pass.

use timberyard_model::matcher::{LineFilter, LinePattern};
use timberyard_model::required_literals::Literal;

use super::Gate;

/// Gates know runs of so many bytes, and nothing of shorter texts.
const TEXT_BYTES_MIN: usize = 3;

/// What gates are asked, made once a scan.
pub(crate) struct GateQuestions {
    /// Every line that passes has at least one of each.
    filters: Vec<Vec<Alternative>>,
}

/// Texts of which a line has to have one of each set.
type Alternative = Vec<Vec<Box<[u8]>>>;

impl GateQuestions {
    /// Asks nothing.
    pub(crate) const NONE: Self = Self { filters: Vec::new() };

    /// Of filters that a gate can say something of: none that is negated, or that a line may pass without any text.
    pub(crate) fn new(filters: &[LineFilter]) -> Self {
        let asked = filters.iter().filter(|filter| !filter.negated);
        let question = |filter: &LineFilter| filter.any_of.iter().map(alternative).collect();
        Self { filters: asked.filter_map(question).collect() }
    }

    /// Whether there is nothing to ask.
    pub(crate) fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Whether a line behind the gate could pass all filters; never wrong when it says no.
    pub(crate) fn may_pass(&self, gate: &Gate<'_>) -> bool {
        let may_hold_any = |set: &Vec<Box<[u8]>>| set.iter().any(|text| gate.may_hold(text));
        self.filters.iter().all(|any_of| any_of.iter().any(|all_of| all_of.iter().all(may_hold_any)))
    }
}

/// The sets of texts that say something; `None` when there are none.
fn alternative(pattern: &LinePattern) -> Option<Alternative> {
    let sets = match pattern {
        LinePattern::Literal(bytes) => vec![vec![Literal::from(&**bytes)]],
        LinePattern::Regex(regex) => regex.required_literals().all_of,
    };
    // Letters of either case that are not ASCII may be others in the line.
    let is_known = |literal: &Literal| {
        literal.bytes.len() >= TEXT_BYTES_MIN && (!literal.ignores_case || literal.bytes.is_ascii())
    };
    let sets = sets.into_iter().filter(|set| set.iter().all(is_known));
    let texts: Alternative = sets.map(|set| set.into_iter().map(|literal| literal.bytes).collect()).collect();
    (!texts.is_empty()).then_some(texts)
}
