//! A template with its columns: searched, and its rows spelled out.

use timberyard_model::fields::SlotRule;

use super::matches::Matches;
use super::needle::{Piece, Test};
use super::slot::{NO_COLUMN, Slot};
use super::strings::{Budget, Strings};
use super::template_list::TemplateText;
use super::ways::Layer;
use crate::codec::Malformed;

/// A template with its columns, in its table.
#[derive(Clone, Copy)]
pub(super) struct Filled<'t, 'g> {
    pub(super) template: TemplateText<'t>,
    pub(super) rows: usize,
    pub(super) slots: &'t [Slot<'g>],
}

impl<'t, 'g> Filled<'t, 'g> {
    pub(super) fn slot(&self, slot: usize) -> Result<&'t Slot<'g>, Malformed> {
        self.slots.get(slot).ok_or(NO_COLUMN)
    }

    /// Rows that have the needle of the layer anywhere; `in_literals` is whether a literal could.
    pub(super) fn search<'n>(
        &self,
        layer: &mut Layer<'t, 'n>,
        in_literals: bool,
        budget: &mut Budget,
    ) -> Result<Matches, Malformed> {
        let needle = layer.needle();
        if in_literals && self.template.literals().any(|literal| needle.is_in(literal)) {
            return Ok(Matches::All);
        }
        let may_hold =
            |slot: usize, piece: Piece<'_>| self.slots.get(slot).is_none_or(|slot| slot.may_hold(piece));
        let Some(ways) = layer.ways(self.template.literals(), &may_hold) else {
            let rows = self.spell_all(budget)?;
            return Ok(needle.search(&rows.bytes, &rows.ends));
        };
        let mut found = Matches::None;
        for way in ways {
            let mut passing = Matches::All;
            for (slot, test) in way {
                if passing == Matches::None {
                    break;
                }
                passing = passing.and(self.slot(*slot)?.test(*test, self.rows, budget)?);
            }
            found = found.or(passing);
        }
        Ok(found)
    }

    /// Rows that pass a test of the whole row; spelled out only where the literals at their ends allow it.
    pub(super) fn test_values(&self, test: Test<'_>, budget: &mut Budget) -> Result<Matches, Malformed> {
        let mut literals = self.template.literals();
        let first = literals.next().unwrap_or_default();
        let last = literals.last().unwrap_or(first);
        if self.rows == 0 || !test.may_pass_between(first, last) {
            return Ok(Matches::None);
        }
        if let ([slot], [], []) = (self.slots, first, last) {
            return slot.test(test, self.rows, budget);
        }
        self.open_slots(budget)?;
        let (mut rows, mut row) = (Vec::with_capacity(self.rows), Vec::new());
        for rank in 0..self.rows {
            row.clear();
            self.append(rank, budget, &mut row)?;
            budget.spend(row.len())?;
            rows.push(test.passes(&row));
        }
        Ok(Matches::from_rows(rows))
    }

    pub(super) fn open_slots(&self, budget: &mut Budget) -> Result<(), Malformed> {
        self.slots.iter().try_for_each(|slot| slot.column(self.rows, budget).map(|_| ()))
    }

    /// Whether all values can be read without inflating anything.
    pub(super) fn is_at_hand(&self) -> bool {
        self.slots.iter().all(Slot::is_at_hand)
    }

    /// Whether each of its slots, all open, holds nothing but numbers.
    pub(super) fn has_only_numbers(&self) -> bool {
        let is_number =
            |slot: &Slot<'_>| slot.opened().is_some_and(|column| column.surely_keeps(&SlotRule::ONLY_DIGITS));
        self.slots.iter().all(is_number)
    }

    /// Literals with the same text in the place of each value.
    pub(super) fn with_values(&self, value: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.template.bytes().len() + self.template.slots() * value.len());
        for (place, literal) in self.template.literals().enumerate() {
            if place > 0 {
                text.extend_from_slice(value);
            }
            text.extend_from_slice(literal);
        }
        text
    }

    /// Appends a row: literals and values in turn. Of columns that are not open only the row's values are read.
    #[inline]
    pub(super) fn append(
        &self,
        rank: usize,
        budget: &mut Budget,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        self.template.append_with(self.slots, out, |slot, out| slot.append(rank, self.rows, budget, out))
    }

    /// The same where all columns are open.
    #[inline]
    pub(super) fn append_open(&self, rank: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
        self.template
            .append_with(self.slots, out, |slot, out| slot.opened().ok_or(NO_COLUMN)?.append(rank, out))
    }

    fn spell_all(&self, budget: &mut Budget) -> Result<Strings, Malformed> {
        self.open_slots(budget)?;
        let mut rows = Strings::default();
        for rank in 0..self.rows {
            let before = rows.bytes.len();
            self.append(rank, budget, &mut rows.bytes)?;
            budget.spend(rows.bytes.len() - before)?;
            rows.end_one();
        }
        Ok(rows)
    }
}
