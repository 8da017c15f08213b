//! Rows as templates with columns: what a group is, and what a nested column is.
//!
//! A needle is searched without spelling rows out: it is laid along each template in every way that the
//! literals allow, and each way leaves tests on single columns. Only where there are too many ways are rows
//! spelled out and searched. A row is spelled out by itself: others cost nothing.

use std::cell::OnceCell;

use timberyard_model::fields::SlotRule;

use super::blob::Blob;
use super::column::Column;
use super::frame::Stamp;
use super::integer;
use super::matches::Matches;
use super::needle::{Needle, Piece, Test};
use super::strings::{Budget, Strings};
use super::templates::Template;
use super::ways::ways;
use crate::codec::{Malformed, Reader};

/// Rows that are templates filled with values.
pub(crate) struct Table<'g> {
    pub(super) templates: Vec<Filled<'g>>,
    rows: usize,
    /// The template of each row, read when rows of single templates are asked for.
    ids: OnceCell<Vec<u32>>,
    /// Where they are read from.
    ids_blob: Option<Blob<'g>>,
    /// Which of its template's rows each row is.
    ranks: OnceCell<Vec<u32>>,
}

/// A template with its columns.
pub(super) struct Filled<'g> {
    pub(super) template: Template,
    pub(super) rows: usize,
    pub(super) slots: Vec<Slot<'g>>,
}

/// A column that is opened when it is first looked at.
pub(super) struct Slot<'g> {
    column: OnceCell<Column>,
    blob: Option<Blob<'g>>,
}

impl<'g> Slot<'g> {
    pub(super) fn open(column: Column) -> Self {
        Self { column: OnceCell::from(column), blob: None }
    }

    pub(super) fn closed(blob: Blob<'g>) -> Self {
        Self { column: OnceCell::new(), blob: Some(blob) }
    }

    pub(super) fn column(&self, rows: usize, budget: &mut Budget) -> Result<&Column, Malformed> {
        if let Some(column) = self.column.get() {
            return Ok(column);
        }
        let column = self.blob.as_ref().ok_or(NO_COLUMN)?.open(rows, budget)?;
        Ok(self.column.get_or_init(|| column))
    }

    /// The column, when it was opened before.
    pub(super) fn opened(&self) -> Option<&Column> {
        self.column.get()
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

    fn test(&self, test: Test<'_>, rows: usize, budget: &mut Budget) -> Result<Matches, Malformed> {
        if let Some(column) = self.column.get() {
            return column.test(test, rows, budget);
        }
        let blob = self.blob.as_ref().ok_or(NO_COLUMN)?;
        if blob.may_pass(test)? {
            self.column(rows, budget)?.test(test, rows, budget)
        } else {
            Ok(Matches::None)
        }
    }
}

const NO_COLUMN: Malformed = Malformed("a column is missing");
const NO_TEMPLATE: Malformed = Malformed("a template does not exist");

impl<'g> Table<'g> {
    /// Rows of these templates, still without columns; where they are, nobody has looked yet.
    pub(super) fn new(
        templates: Vec<(Template, usize)>,
        rows: usize,
        ids: Blob<'g>,
    ) -> Result<Self, Malformed> {
        let table = Self::without_ids(templates, rows)?;
        Ok(Self { ids_blob: Some(ids), ..table })
    }

    /// Rows with these templates, still without columns.
    pub(super) fn of(templates: Vec<Template>, ids: Vec<u32>) -> Result<Self, Malformed> {
        // Two counters in turn: rows that follow each other are mostly of one template.
        let mut rows = vec![[0_usize; 2]; templates.len()];
        for (row, id) in ids.iter().enumerate() {
            rows.get_mut(*id as usize).ok_or(NO_TEMPLATE)?[row % 2] += 1;
        }
        let rows = rows.into_iter().map(|[even, odd]| even + odd);
        let templates: Vec<(Template, usize)> = templates.into_iter().zip(rows).collect();
        let table = Self::without_ids(templates, ids.len())?;
        Ok(Self { ids: OnceCell::from(ids), ..table })
    }

    fn without_ids(templates: Vec<(Template, usize)>, rows: usize) -> Result<Self, Malformed> {
        let filled = |(template, rows)| Filled { template, rows, slots: Vec::new() };
        let templates: Vec<Filled<'g>> = templates.into_iter().map(filled).collect();
        if templates.iter().map(|filled| filled.rows).sum::<usize>() != rows {
            return Err(Malformed("templates have not as many rows as there are"));
        }
        Ok(Self { templates, rows, ids: OnceCell::new(), ids_blob: None, ranks: OnceCell::new() })
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// The template of each row.
    pub(super) fn ids(&self, budget: &mut Budget) -> Result<&[u32], Malformed> {
        if let Some(ids) = self.ids.get() {
            return Ok(ids);
        }
        let plain = self.ids_blob.as_ref().ok_or(NO_COLUMN)?.plain(budget)?;
        budget.spend(self.rows * size_of::<u32>())?;
        let mut reader = Reader::new(&plain);
        let ids = integer::decode_places(&mut reader, self.rows, self.templates.len(), NO_TEMPLATE.0)?;
        let mut rows = vec![0; self.templates.len()];
        ids.iter().for_each(|id| rows[*id as usize] += 1);
        if !self.templates.iter().map(|filled| filled.rows).eq(rows) {
            return Err(Malformed("a template has not as many rows as it says"));
        }
        Ok(self.ids.get_or_init(|| ids))
    }

    /// Rows that have the needle anywhere.
    pub(crate) fn search(&self, needle: &Needle, budget: &mut Budget) -> Result<Matches, Malformed> {
        let each: Vec<Matches> =
            self.templates.iter().map(|filled| filled.search(needle, budget)).collect::<Result<_, _>>()?;
        self.in_order(&each, budget)
    }

    /// Rows that pass a test of the whole row.
    pub(super) fn test_values(&self, test: Test<'_>, budget: &mut Budget) -> Result<Matches, Malformed> {
        let each: Vec<Matches> =
            self.templates.iter().map(|filled| filled.test_values(test, budget)).collect::<Result<_, _>>()?;
        self.in_order(&each, budget)
    }

    /// Which templates have rows among these.
    pub(super) fn wanted(&self, rows: &Matches, budget: &mut Budget) -> Result<Vec<bool>, Malformed> {
        Ok(match rows {
            Matches::None => vec![false; self.templates.len()],
            Matches::All => self.templates.iter().map(|filled| filled.rows > 0).collect(),
            Matches::Some(rows) => {
                let mut wanted = vec![false; self.templates.len()];
                for (passes, id) in rows.iter().zip(self.ids(budget)?) {
                    wanted[*id as usize] |= passes;
                }
                wanted
            }
        })
    }

    /// From matches by template to matches by row.
    pub(super) fn in_order(&self, each: &[Matches], budget: &mut Budget) -> Result<Matches, Malformed> {
        let of_rows = || self.templates.iter().zip(each).filter(|(filled, _)| filled.rows > 0);
        if of_rows().all(|(_, matches)| *matches == Matches::None) {
            return Ok(Matches::None);
        }
        if of_rows().all(|(_, matches)| *matches == Matches::All) {
            return Ok(Matches::All);
        }
        let ids = self.ids(budget)?;
        let rows = ids.iter().zip(self.ranks(ids));
        Ok(Matches::from_rows(rows.map(|(id, rank)| each[*id as usize].has(*rank as usize)).collect()))
    }

    fn ranks(&self, ids: &[u32]) -> &[u32] {
        self.ranks.get_or_init(|| {
            let mut next = vec![0_u32; self.templates.len()];
            let rank = |id: &u32| {
                let rank = next[*id as usize];
                next[*id as usize] += 1;
                rank
            };
            ids.iter().map(rank).collect()
        })
    }

    /// Appends the text of one row to `out`; of a table whose columns, and templates of rows, are all read.
    #[inline]
    pub(super) fn append(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let ids = self.ids.get().ok_or(NO_ROW)?;
        let id = *ids.get(row).ok_or(NO_ROW)?;
        let rank = *self.ranks(ids).get(row).ok_or(NO_ROW)?;
        self.templates.get(id as usize).ok_or(NO_ROW)?.append(rank as usize, out)
    }

    /// Appends the text of the rows that match, in their order.
    pub(crate) fn spell(
        &self,
        matches: &Matches,
        budget: &mut Budget,
        out: &mut Strings,
    ) -> Result<(), Malformed> {
        if *matches == Matches::None {
            return Ok(());
        }
        self.ids(budget)?;
        for (filled, wanted) in self.templates.iter().zip(self.wanted(matches, budget)?) {
            if wanted {
                filled.open_slots(budget)?;
            }
        }
        for row in (0..self.len()).filter(|row| matches.has(*row)) {
            let before = out.bytes.len();
            self.append(row, &mut out.bytes)?;
            budget.spend(out.bytes.len() - before)?;
            out.end_one();
        }
        Ok(())
    }
}

const NO_ROW: Malformed = Malformed("a row is missing");

impl<'g> Filled<'g> {
    pub(super) fn slot(&self, slot: usize) -> Result<&Slot<'g>, Malformed> {
        self.slots.get(slot).ok_or(NO_COLUMN)
    }

    fn search(&self, needle: &Needle, budget: &mut Budget) -> Result<Matches, Malformed> {
        if self.rows == 0 {
            return Ok(Matches::None);
        }
        if self.template.literals().any(|literal| needle.is_in(literal)) {
            return Ok(Matches::All);
        }
        let may_hold = |slot: usize, piece: Piece<'_>| {
            let blob = self.slots.get(slot).and_then(|slot| slot.blob.as_ref());
            blob.is_none_or(|blob| blob.may_hold(piece))
        };
        let Some(ways) = ways(self.template.literals(), needle, &may_hold) else {
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
                let slot = self.slots.get(slot).ok_or(NO_COLUMN)?;
                passing = passing.and(slot.test(test, self.rows, budget)?);
            }
            found = found.or(passing);
        }
        Ok(found)
    }

    /// Rows that pass a test of the whole row; spelled out only where the literals at their ends allow it.
    fn test_values(&self, test: Test<'_>, budget: &mut Budget) -> Result<Matches, Malformed> {
        let mut literals = self.template.literals();
        let first = literals.next().unwrap_or_default();
        let last = literals.last().unwrap_or(first);
        if self.rows == 0 || !test.may_pass_between(first, last) {
            return Ok(Matches::None);
        }
        if let ([slot], [], []) = (&*self.slots, first, last) {
            return slot.test(test, self.rows, budget);
        }
        self.open_slots(budget)?;
        let (mut rows, mut row) = (Vec::with_capacity(self.rows), Vec::new());
        for rank in 0..self.rows {
            row.clear();
            self.append(rank, &mut row)?;
            budget.spend(row.len())?;
            rows.push(test.passes(&row));
        }
        Ok(Matches::from_rows(rows))
    }

    fn open_slots(&self, budget: &mut Budget) -> Result<(), Malformed> {
        self.slots.iter().try_for_each(|slot| slot.column(self.rows, budget).map(|_| ()))
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

    /// Literals and values in turn.
    #[inline]
    fn append(&self, rank: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut literals = self.template.literals();
        out.extend_from_slice(literals.next().unwrap_or_default());
        for (slot, literal) in self.slots.iter().zip(literals) {
            slot.opened().ok_or(NO_COLUMN)?.append(rank, out)?;
            out.extend_from_slice(literal);
        }
        Ok(())
    }

    fn spell_all(&self, budget: &mut Budget) -> Result<Strings, Malformed> {
        self.open_slots(budget)?;
        let mut rows = Strings::default();
        for rank in 0..self.rows {
            let before = rows.bytes.len();
            self.append(rank, &mut rows.bytes)?;
            budget.spend(rows.bytes.len() - before)?;
            rows.end_one();
        }
        Ok(rows)
    }
}
