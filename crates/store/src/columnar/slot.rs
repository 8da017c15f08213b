//! The values of one slot: a column that is opened when all of it is looked at, while single values are read where they
//! lie.

use std::cell::OnceCell;

use timberyard_model::fields::SlotRule;

use super::blob::Blob;
use super::column::Column;
use super::frame::Stamp;
use super::matches::Matches;
use super::needle::{Piece, Test};
use super::strings::Budget;
use crate::codec::Malformed;

/// The column of a slot, opened or not.
pub(super) struct Slot<'g> {
    column: OnceCell<Box<Column>>,
    blob: Option<Blob<'g>>,
}

pub(super) const NO_COLUMN: Malformed = Malformed("a column is missing");

impl<'g> Slot<'g> {
    pub(super) fn open(column: Column) -> Self {
        Self { column: OnceCell::from(Box::new(column)), blob: None }
    }

    pub(super) fn closed(blob: Blob<'g>) -> Self {
        Self { column: OnceCell::new(), blob: Some(blob) }
    }

    pub(super) fn column(&self, rows: usize, budget: &mut Budget) -> Result<&Column, Malformed> {
        if let Some(column) = self.column.get() {
            return Ok(column);
        }
        let column = self.blob.as_ref().ok_or(NO_COLUMN)?.open(rows, budget)?;
        Ok(self.column.get_or_init(|| Box::new(column)))
    }

    /// The column, when it was opened before.
    #[inline]
    pub(super) fn opened(&self) -> Option<&Column> {
        self.column.get().map(|column| &**column)
    }

    /// Appends one of so many values; of a column that is not open nothing else is decoded.
    #[inline]
    pub(super) fn append(
        &self,
        index: usize,
        rows: usize,
        budget: &mut Budget,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        match self.column.get() {
            Some(column) => column.append(index, out),
            None => self.blob.as_ref().ok_or(NO_COLUMN)?.append_value(index, rows, budget, out),
        }
    }

    /// Whether its values can be read without inflating anything.
    pub(super) fn is_at_hand(&self) -> bool {
        self.column.get().is_some() || self.blob.as_ref().is_some_and(Blob::is_small)
    }

    /// The one value of all rows, as far as that can be seen without opening the column.
    pub(super) fn constant(&self) -> Result<Option<&[u8]>, Malformed> {
        self.blob.as_ref().map_or(Ok(None), Blob::constant)
    }

    /// Rows whose value keeps the rule. Opens the column when its values are `wanted` anyway or tell more than its form.
    pub(super) fn admitted(
        &self,
        rule: &SlotRule,
        wanted: bool,
        rows: usize,
        budget: &mut Budget,
    ) -> Result<Matches, Malformed> {
        if self.surely_keeps(rule, wanted, rows, budget)? {
            return Ok(Matches::All);
        }
        self.column(rows, budget)?.admitted(rule, rows, budget)
    }

    /// Whether it can be seen without spelling values out that all rows have one that keeps the rule.
    pub(super) fn surely_keeps(
        &self,
        rule: &SlotRule,
        wanted: bool,
        rows: usize,
        budget: &mut Budget,
    ) -> Result<bool, Malformed> {
        if rule.is_any() {
            return Ok(true);
        }
        if let Some(bytes) = self.blob.as_ref().and_then(Blob::stamp).map(Stamp::bytes_at_most)
            && rule.may_be_empty
            && bytes.is_within(&rule.first)
            && bytes.is_within(&rule.rest)
        {
            return Ok(true);
        }
        let is_digits = self.blob.as_ref().is_some_and(Blob::is_digits);
        if !wanted && self.opened().is_none() && is_digits && Column::are_digits_admitted(rule) {
            return Ok(true);
        }
        Ok(self.column(rows, budget)?.surely_keeps(rule))
    }

    /// Whether a value could hold the piece, as can be seen in no time; never wrong when it says no.
    pub(super) fn may_hold(&self, piece: Piece<'_>) -> bool {
        self.blob.as_ref().is_none_or(|blob| blob.may_hold(piece))
    }

    /// Which values pass.
    pub(super) fn test(
        &self,
        test: Test<'_>,
        rows: usize,
        budget: &mut Budget,
    ) -> Result<Matches, Malformed> {
        if let Some(column) = self.column.get() {
            return column.test(test, rows, budget);
        }
        let blob = self.blob.as_ref().ok_or(NO_COLUMN)?;
        if !blob.may_pass(test)? {
            return Ok(Matches::None);
        }
        match blob.test_in_place(test, rows, budget)? {
            Some(matches) => Ok(matches),
            None => self.column(rows, budget)?.test(test, rows, budget),
        }
    }
}
