//! Which values of a column keep a rule about their bytes: told from the form where that is enough.

use timberyard_model::fields::{ByteSet, SlotRule};

use super::column::{Column, Hex, Values};
use super::matches::Matches;
use super::strings::Budget;
use super::table::{Filled, Slot};
use crate::codec::Malformed;

impl Column {
    /// Which values keep the rule.
    pub(super) fn admitted(
        &self,
        rule: &SlotRule,
        count: usize,
        budget: &mut Budget,
    ) -> Result<Matches, Malformed> {
        if self.is_within(rule) {
            return Ok(Matches::All);
        }
        Ok(match self.values(count, budget)? {
            Values::One(value) if rule.admits(value) => Matches::All,
            Values::One(_) => Matches::None,
            Values::Known(known, ids) => {
                let admitted: Vec<bool> = known.iter().map(|value| rule.admits(value)).collect();
                if admitted.iter().all(|admitted| *admitted) {
                    return Ok(Matches::All);
                }
                Matches::from_rows(ids.iter().map(|id| admitted[*id as usize]).collect())
            }
            Values::Each(values) => {
                Matches::from_rows(values.iter().map(|value| rule.admits(value)).collect())
            }
        })
    }

    /// Whether the form alone says that all values keep the rule.
    fn is_within(&self, rule: &SlotRule) -> bool {
        match self {
            Self::Digits { .. } => {
                ByteSet::DIGITS.is_within(&rule.first) && ByteSet::DIGITS.is_within(&rule.rest)
            }
            Self::Hex(Hex { shape, .. }) => {
                let digits =
                    if shape.contains(&0) { ByteSet::NONE.with(b"0123456789abcdef") } else { ByteSet::NONE };
                let bytes =
                    shape.iter().filter(|byte| **byte != 0).fold(digits, |set, byte| set.with(&[*byte]));
                !shape.is_empty() && bytes.is_within(&rule.first) && bytes.is_within(&rule.rest)
            }
            Self::Nested(table) => {
                table.templates.iter().all(|filled| filled.rows == 0 || is_row_within(filled, rule))
            }
            Self::Constant(_) | Self::Dictionary { .. } | Self::Raw(_) => false,
        }
    }
}

/// Whether the rows of a template of a nested column keep the rule whatever the digits in them are.
fn is_row_within(filled: &Filled<'_>, rule: &SlotRule) -> bool {
    let mut is_first = true;
    let mut is_within = |bytes: &[u8]| {
        bytes.iter().all(|byte| {
            let expected = if std::mem::take(&mut is_first) { &rule.first } else { &rule.rest };
            expected.has(*byte)
        })
    };
    let digits = ByteSet::DIGITS;
    if !digits.is_within(&rule.first) || !digits.is_within(&rule.rest) {
        return false;
    }
    for (place, literal) in filled.template.literals().enumerate() {
        if let Some(slot) = place.checked_sub(1) {
            let is_number = match filled.slots.get(slot).and_then(Slot::opened) {
                Some(Column::Digits { .. }) => is_within(b"0"),
                Some(Column::Constant(value)) => is_within(value),
                _ => false,
            };
            if !is_number {
                return false;
            }
        }
        if !is_within(literal) {
            return false;
        }
    }
    !is_first || rule.may_be_empty
}
