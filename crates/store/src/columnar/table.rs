//! Rows as templates with columns: what a group is, and what a nested column is.
//!
//! A needle is searched without spelling rows out: it is laid along each template in every way that the
//! literals allow, and each way leaves tests on single columns. Only where there are too many ways are rows
//! spelled out and searched.

use std::cell::OnceCell;

use memchr::memmem;
use timberyard_model::fields::SlotRule;

use super::column::{Column, Matches, Test, search_strings};
use super::frame::Blob;
use super::strings::{Budget, Strings};
use super::templates::Template;
use crate::codec::{Malformed, Reader};

/// Ways to lay a needle along a template before its rows are spelled out instead.
const WAYS_MAX: usize = 64;

/// Rows that are templates filled with values.
pub(crate) struct Table<'g> {
    pub(super) ids: Vec<u64>,
    pub(super) templates: Vec<Filled<'g>>,
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

/// One way to lay a needle along a template: every test must pass on its slot.
type Way<'n> = Vec<(usize, Test<'n>)>;

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
        let blob = self.blob.as_ref().ok_or(Malformed("a column is missing"))?;
        let plain = blob.plain(budget)?;
        let column = Column::open(&mut Reader::new(&plain), rows, 0, budget)?;
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

    /// Rows whose value keeps the rule.
    pub(super) fn admitted(
        &self,
        rule: &SlotRule,
        rows: usize,
        budget: &mut Budget,
    ) -> Result<Matches, Malformed> {
        if let Some(bytes) = self.blob.as_ref().and_then(Blob::bytes_at_most)
            && rule.may_be_empty
            && bytes.is_within(&rule.first)
            && bytes.is_within(&rule.rest)
        {
            return Ok(Matches::All);
        }
        self.column(rows, budget)?.admitted(rule, rows, budget)
    }

    fn test(&self, test: Test<'_>, rows: usize, budget: &mut Budget) -> Result<Matches, Malformed> {
        if self.blob.as_ref().is_some_and(|blob| !blob.may_hold(test.needle())) {
            return Ok(Matches::None);
        }
        self.column(rows, budget)?.test(test, rows, budget)
    }
}

impl<'g> Table<'g> {
    /// Rows of these templates, still without columns.
    pub(super) fn new(templates: Vec<Template>, ids: Vec<u64>) -> Result<Self, Malformed> {
        let mut templates: Vec<Filled<'g>> =
            templates.into_iter().map(|template| Filled { template, rows: 0, slots: Vec::new() }).collect();
        for id in &ids {
            templates.get_mut(*id as usize).ok_or(Malformed("a template does not exist"))?.rows += 1;
        }
        Ok(Self { ids, templates })
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Rows that have the needle anywhere.
    pub(crate) fn search(&self, needle: &[u8], budget: &mut Budget) -> Result<Matches, Malformed> {
        let each: Vec<Matches> =
            self.templates.iter().map(|filled| filled.search(needle, budget)).collect::<Result<_, _>>()?;
        Ok(self.in_order(&each))
    }

    /// Which templates have rows among these.
    pub(super) fn wanted(&self, rows: &Matches) -> Vec<bool> {
        match rows {
            Matches::None => vec![false; self.templates.len()],
            Matches::All => self.templates.iter().map(|filled| filled.rows > 0).collect(),
            Matches::Some(rows) => {
                let mut wanted = vec![false; self.templates.len()];
                for (passes, id) in rows.iter().zip(&self.ids) {
                    wanted[*id as usize] |= passes;
                }
                wanted
            }
        }
    }

    /// From matches by template to matches by row.
    pub(super) fn in_order(&self, each: &[Matches]) -> Matches {
        if each.iter().all(|matches| *matches == Matches::None) {
            return Matches::None;
        }
        if each.iter().all(|matches| *matches == Matches::All) {
            return Matches::All;
        }
        let mut next = vec![0_usize; each.len()];
        let rows = self.ids.iter().map(|id| {
            let row = &mut next[*id as usize];
            *row += 1;
            each[*id as usize].has(*row - 1)
        });
        Matches::from_rows(rows.collect())
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
        let mut parts: Vec<Vec<Strings>> = Vec::with_capacity(self.templates.len());
        for (filled, wanted) in self.templates.iter().zip(self.wanted(matches)) {
            parts.push(if wanted { filled.spell_slots(budget)? } else { Vec::new() });
        }
        let mut next = vec![0_usize; self.templates.len()];
        for (row, id) in self.ids.iter().enumerate() {
            let template = *id as usize;
            let value = next[template];
            next[template] += 1;
            if matches.has(row) {
                join(&self.templates[template].template, &parts[template], value, budget, out)?;
            }
        }
        Ok(())
    }
}

impl<'g> Filled<'g> {
    pub(super) fn slot(&self, slot: usize) -> Result<&Slot<'g>, Malformed> {
        self.slots.get(slot).ok_or(Malformed("a column is missing"))
    }

    fn search(&self, needle: &[u8], budget: &mut Budget) -> Result<Matches, Malformed> {
        if self.rows == 0 {
            return Ok(Matches::None);
        }
        if self.template.literals().any(|literal| memmem::find(literal, needle).is_some()) {
            return Ok(Matches::All);
        }
        let Some(ways) = ways(&self.template, needle) else {
            let rows = self.spell_all(budget)?;
            return Ok(search_strings(&rows.bytes, &rows.ends, needle));
        };
        let mut found = Matches::None;
        for way in ways {
            let mut passing = Matches::All;
            for (slot, test) in way {
                if passing == Matches::None {
                    break;
                }
                let slot = self.slots.get(slot).ok_or(Malformed("a column is missing"))?;
                passing = passing.and(slot.test(test, self.rows, budget)?);
            }
            found = found.or(passing);
        }
        Ok(found)
    }

    fn spell_slots(&self, budget: &mut Budget) -> Result<Vec<Strings>, Malformed> {
        self.slots.iter().map(|slot| slot.column(self.rows, budget)?.spell(self.rows, budget)).collect()
    }

    fn spell_all(&self, budget: &mut Budget) -> Result<Strings, Malformed> {
        let parts = self.spell_slots(budget)?;
        let mut rows = Strings::default();
        (0..self.rows).try_for_each(|row| join(&self.template, &parts, row, budget, &mut rows))?;
        Ok(rows)
    }
}

/// Appends one row: literals and values in turn.
fn join(
    template: &Template,
    parts: &[Strings],
    row: usize,
    budget: &mut Budget,
    out: &mut Strings,
) -> Result<(), Malformed> {
    let before = out.bytes.len();
    let mut literals = template.literals();
    out.bytes.extend_from_slice(literals.next().unwrap_or_default());
    for (column, literal) in parts.iter().zip(literals) {
        out.bytes.extend_from_slice(column.get(row));
        out.bytes.extend_from_slice(literal);
    }
    budget.spend(out.bytes.len() - before)?;
    out.end_one();
    Ok(())
}

/// All ways in which the needle can lie along the template without lying inside one literal; `None` when there are
/// more than is worth testing.
fn ways<'n>(template: &Template, needle: &'n [u8]) -> Option<Vec<Way<'n>>> {
    let literals: Vec<&[u8]> = template.literals().collect();
    let mut ways = Vec::new();
    let mut way = Vec::new();
    for slot in 0..template.slots() {
        // It begins in the literal before the slot, and goes on into it.
        let before = literals[slot];
        for len in 1..=before.len().min(needle.len().saturating_sub(1)) {
            if before.ends_with(&needle[..len]) {
                follow(&literals, slot, &needle[len..], &mut way, &mut ways)?;
            }
        }
        // It begins in the slot's value, and ends there or goes on into what comes after.
        ways.push(vec![(slot, Test::Contains(needle))]);
        for len in 1..needle.len() {
            way.push((slot, Test::Suffix(&needle[..len])));
            after_slot(&literals, slot, &needle[len..], &mut way, &mut ways)?;
            way.pop();
        }
        if ways.len() > WAYS_MAX + template.slots() {
            return None;
        }
    }
    Some(ways)
}

/// The rest of the needle begins with the value of the slot, which begins where the rest does.
fn follow<'n>(
    literals: &[&[u8]],
    slot: usize,
    rest: &'n [u8],
    way: &mut Way<'n>,
    ways: &mut Vec<Way<'n>>,
) -> Option<()> {
    if slot + 1 >= literals.len() {
        return Some(());
    }
    way.push((slot, Test::Prefix(rest)));
    ways.push(way.clone());
    way.pop();
    for len in 0..rest.len() {
        way.push((slot, Test::Equals(&rest[..len])));
        after_slot(literals, slot, &rest[len..], way, ways)?;
        way.pop();
    }
    Some(())
}

/// The rest of the needle, not empty, begins right after the slot.
fn after_slot<'n>(
    literals: &[&[u8]],
    slot: usize,
    rest: &'n [u8],
    way: &mut Way<'n>,
    ways: &mut Vec<Way<'n>>,
) -> Option<()> {
    if ways.len() > WAYS_MAX + literals.len() {
        return None;
    }
    let literal = literals[slot + 1];
    if literal.starts_with(rest) {
        ways.push(way.clone());
        Some(())
    } else if let Some(further) = rest.strip_prefix(literal) {
        follow(literals, slot + 1, further, way, ways)
    } else {
        Some(())
    }
}
