//! Rows as templates with columns: what a group is, and what a nested column is.
//!
//! A needle is searched without spelling rows out: it is laid along each template in every way that the
//! literals allow, and each way leaves tests on single columns. Only where there are too many ways, or hardly any rows,
//! are rows spelled out and searched. A row is spelled out by itself: others cost nothing.

use std::cell::OnceCell;

use super::blob::Blob;
use super::filled::Filled;
use super::integer;
use super::matches::Matches;
use super::needle::{Needle, Test};
use super::slot::{NO_COLUMN, Slot};
use super::strings::{Budget, Strings};
use super::template_list::TemplateList;
use super::ways::Layer;
use crate::codec::{Malformed, Reader};

/// So few rows of a template are spelled out to be searched, all of a table together: less work than to lay a needle along it.
const ROWS_SEARCHED_SPELLED_MAX: usize = 2;
/// So many rows of a template are spelled out value by value; for more its columns are opened.
const ROWS_READ_SINGLY_MAX: usize = 4;

/// Rows that are templates filled with values.
pub(crate) struct Table<'g> {
    templates: TemplateList<'g>,
    /// Of all templates, one after the other.
    slots: Vec<Slot<'g>>,
    rows: usize,
    /// The template of each row, read when rows of single templates are asked for.
    ids: OnceCell<Vec<u32>>,
    /// Where they are read from.
    ids_blob: Option<Blob<'g>>,
    /// Which of its template's rows each row is.
    ranks: OnceCell<Vec<u32>>,
}

const NO_TEMPLATE: Malformed = Malformed("a template does not exist");
const NO_ROW: Malformed = Malformed("a row is missing");

impl<'g> Table<'g> {
    /// Rows of these templates, still without columns; where they are, nobody has looked yet.
    pub(super) fn new(templates: TemplateList<'g>, rows: usize, ids: Blob<'g>) -> Result<Self, Malformed> {
        let table = Self::without_ids(templates, rows)?;
        Ok(Self { ids_blob: Some(ids), ..table })
    }

    /// Rows with these templates, still without columns.
    pub(super) fn of(mut templates: TemplateList<'g>, ids: Vec<u32>) -> Result<Self, Malformed> {
        let rows = rows_by_template(&ids, templates.len())?;
        templates.set_rows(rows.into_iter());
        let table = Self::without_ids(templates, ids.len())?;
        Ok(Self { ids: OnceCell::from(ids), ..table })
    }

    fn without_ids(templates: TemplateList<'g>, rows: usize) -> Result<Self, Malformed> {
        if templates.rows().sum::<usize>() != rows {
            return Err(Malformed("templates have not as many rows as there are"));
        }
        let slots = Vec::with_capacity(templates.slots());
        Ok(Self { templates, slots, rows, ids: OnceCell::new(), ids_blob: None, ranks: OnceCell::new() })
    }

    /// Adds the slots of all templates, of which `next` reads one after the other, for so many rows.
    pub(super) fn fill(
        &mut self,
        mut next: impl FnMut(usize) -> Result<Slot<'g>, Malformed>,
    ) -> Result<(), Malformed> {
        let Self { templates, slots, .. } = self;
        for number in 0..templates.len() {
            let (_, rows, of_template) = templates.get(number).ok_or(NO_TEMPLATE)?;
            for _ in of_template {
                slots.push(next(rows)?);
            }
        }
        Ok(())
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// How many templates there are.
    pub(super) fn template_count(&self) -> usize {
        self.templates.len()
    }

    /// A template with its columns.
    #[inline]
    pub(super) fn template(&self, number: usize) -> Option<Filled<'_, 'g>> {
        let (template, rows, slots) = self.templates.get(number)?;
        Some(Filled { template, rows, slots: self.slots.get(slots)? })
    }

    /// All templates with their columns.
    pub(super) fn templates(&self) -> impl Iterator<Item = Filled<'_, 'g>> {
        (0..self.templates.len()).filter_map(|number| self.template(number))
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
        if !self.templates.rows().eq(rows_by_template(&ids, self.templates.len())?) {
            return Err(Malformed("a template has not as many rows as it says"));
        }
        Ok(self.ids.get_or_init(|| ids))
    }

    /// Rows that have the needle anywhere.
    pub(crate) fn search(&self, needle: &Needle, budget: &mut Budget) -> Result<Matches, Malformed> {
        let in_literals = self.templates.may_hold(needle);
        let mut layer = Layer::new(needle);
        let mut each = Vec::with_capacity(self.templates.len());
        // Of templates with hardly any rows.
        let (mut spelled, mut spelled_of) = (Strings::default(), Vec::new());
        for (number, filled) in self.templates().enumerate() {
            if filled.rows <= ROWS_SEARCHED_SPELLED_MAX && filled.is_at_hand() {
                each.push(Matches::None);
                for rank in 0..filled.rows {
                    let before = spelled.bytes.len();
                    filled.append(rank, budget, &mut spelled.bytes)?;
                    budget.spend(spelled.bytes.len() - before)?;
                    spelled.end_one();
                    spelled_of.push((number, rank));
                }
            } else {
                each.push(filled.search(&mut layer, in_literals, budget)?);
            }
        }
        match needle.search(&spelled.bytes, &spelled.ends) {
            Matches::None => {}
            found => {
                for (_, (number, rank)) in
                    spelled_of.iter().enumerate().filter(|(place, _)| found.has(*place))
                {
                    let rows = self.template(*number).ok_or(NO_TEMPLATE)?.rows;
                    let row = Matches::from_rows((0..rows).map(|other| other == *rank).collect());
                    let others = std::mem::replace(&mut each[*number], Matches::None);
                    each[*number] = others.or(row);
                }
            }
        }
        self.in_order(&each, budget)
    }

    /// Rows that pass a test of the whole row.
    pub(super) fn test_values(&self, test: Test<'_>, budget: &mut Budget) -> Result<Matches, Malformed> {
        let each: Vec<Matches> =
            self.templates().map(|filled| filled.test_values(test, budget)).collect::<Result<_, _>>()?;
        self.in_order(&each, budget)
    }

    /// How many rows of each template are among these.
    pub(super) fn wanted(&self, rows: &Matches, budget: &mut Budget) -> Result<Vec<usize>, Malformed> {
        Ok(match rows {
            Matches::None => vec![0; self.templates.len()],
            Matches::All => self.templates.rows().collect(),
            Matches::Some(rows) => {
                let mut wanted = vec![0; self.templates.len()];
                for (passes, id) in rows.iter().zip(self.ids(budget)?) {
                    wanted[*id as usize] += usize::from(*passes);
                }
                wanted
            }
        })
    }

    /// From matches by template to matches by row.
    pub(super) fn in_order(&self, each: &[Matches], budget: &mut Budget) -> Result<Matches, Malformed> {
        let of_rows = || self.templates.rows().zip(each).filter(|(rows, _)| *rows > 0);
        if of_rows().all(|(_, matches)| *matches == Matches::None) {
            return Ok(Matches::None);
        }
        if of_rows().all(|(_, matches)| *matches == Matches::All) {
            return Ok(Matches::All);
        }
        let ids = self.ids(budget)?;
        let rows = ids.iter().zip(self.ranks_of(ids));
        Ok(Matches::from_rows(rows.map(|(id, rank)| each[*id as usize].has(rank as usize)).collect()))
    }

    fn ranks(&self, ids: &[u32]) -> &[u32] {
        self.ranks.get_or_init(|| self.ranks_of(ids).collect())
    }

    /// Which of its template's rows each row is.
    #[inline]
    fn ranks_of(&self, ids: &[u32]) -> impl ExactSizeIterator<Item = u32> {
        let mut next = vec![0_u32; self.templates.len()];
        ids.iter().map(move |id| {
            let next = &mut next[*id as usize];
            *next += 1;
            *next - 1
        })
    }

    /// Appends the text of one row to `out`; of a table whose columns, and templates of rows, are all read.
    #[inline]
    pub(super) fn append(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let ids = self.ids.get().ok_or(NO_ROW)?;
        let id = *ids.get(row).ok_or(NO_ROW)?;
        let rank = *self.ranks(ids).get(row).ok_or(NO_ROW)?;
        self.template(id as usize).ok_or(NO_ROW)?.append_open(rank as usize, out)
    }

    /// Appends the text of the rows that match, in their order. Columns are opened for templates with many of them; of
    /// others only the values of these rows are read.
    pub(crate) fn spell(
        &self,
        matches: &Matches,
        budget: &mut Budget,
        out: &mut Strings,
    ) -> Result<(), Malformed> {
        if *matches == Matches::None {
            return Ok(());
        }
        for (filled, wanted) in self.templates().zip(self.wanted(matches, budget)?) {
            if wanted > ROWS_READ_SINGLY_MAX {
                filled.open_slots(budget)?;
            }
        }
        let ids = self.ids(budget)?;
        for (row, (id, rank)) in ids.iter().zip(self.ranks_of(ids)).enumerate() {
            if matches.has(row) {
                let before = out.bytes.len();
                let filled = self.template(*id as usize).ok_or(NO_ROW)?;
                filled.append(rank as usize, budget, &mut out.bytes)?;
                budget.spend(out.bytes.len() - before)?;
                out.end_one();
            }
        }
        Ok(())
    }
}

/// How many rows each of so many templates has.
fn rows_by_template(ids: &[u32], templates: usize) -> Result<Vec<usize>, Malformed> {
    // Two counters in turn: rows that follow each other are mostly of one template.
    let mut rows = vec![[0_usize; 2]; templates];
    for (row, id) in ids.iter().enumerate() {
        rows.get_mut(*id as usize).ok_or(NO_TEMPLATE)?[row % 2] += 1;
    }
    Ok(rows.into_iter().map(|[even, odd]| even + odd).collect())
}
