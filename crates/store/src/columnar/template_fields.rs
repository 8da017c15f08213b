//! The fields of one template's rows: where they are, for which rows that holds, and their values.

use std::borrow::Cow;

use timberyard_model::field_values::FieldValues;
use timberyard_model::fields::{FieldLayout, FieldPlace, FieldReader, FieldTest, ValueForm};

use super::column::{Column, Values};
use super::filled::Filled;
use super::matches::Matches;
use super::pieced_column::PiecedColumn;
use super::strings::{Budget, Strings};
use crate::codec::Malformed;

/// What is known of the fields of one template's rows.
pub(super) struct TemplateFields {
    layout: FieldLayout,
    /// The template's slot for each slot of the layout, to which slots whose values are all the same are literals.
    slots: Vec<usize>,
    holds: Matches,
}

impl TemplateFields {
    /// `None` when the template's rows have to be read whole.
    pub(super) fn new(
        filled: Filled<'_, '_>,
        reader: &dyn FieldReader,
        budget: &mut Budget,
    ) -> Result<Option<Self>, Malformed> {
        let (literals, slots) = shape(filled)?;
        let pieces: Vec<&[u8]> = literals.iter().map(|literal| &**literal).collect();
        let Some(layout) = reader.lay_out(&pieces) else { return Ok(None) };
        let mut holds = Matches::All;
        for (place, (slot, rule)) in slots.iter().zip(&layout.slots).enumerate() {
            let is_field = |field: &FieldPlace| matches!(field, FieldPlace::Slot(slot, _) if *slot == place);
            let wanted = layout.fields.iter().any(is_field);
            holds = holds.and(filled.slot(*slot)?.admitted(rule, wanted, filled.rows, budget)?);
            if holds == Matches::None {
                return Ok(None);
            }
        }
        Ok(Some(Self { layout, slots, holds }))
    }

    /// Rows for which the layout holds.
    pub(super) fn holds(&self) -> &Matches {
        &self.holds
    }

    /// Rows for which the layout holds and which fail a test.
    pub(super) fn fails(
        &self,
        tests: &[FieldTest],
        reader: &dyn FieldReader,
        filled: Filled<'_, '_>,
        budget: &mut Budget,
    ) -> Result<Matches, Malformed> {
        let all_or_none = |all: bool| if all { Matches::All } else { Matches::None };
        let mut passing = self.holds.clone();
        let mut text = String::new();
        for test in tests {
            if passing == Matches::None {
                break;
            }
            passing = passing.and(match self.place(test.field) {
                FieldPlace::Absent => all_or_none((test.accepts)(None)),
                FieldPlace::Text(text) => all_or_none((test.accepts)(Some(text))),
                FieldPlace::Pieces(_) => Matches::All,
                FieldPlace::Slot(slot, form) => {
                    let mut accepts = |raw: &[u8]| {
                        text.clear();
                        let is_there = reader.read(*form, raw, &mut text);
                        (test.accepts)(is_there.then_some(&text))
                    };
                    match self.values(*slot, filled, budget)? {
                        Values::One(value) => all_or_none(accepts(value)),
                        Values::Known(known, ids) => {
                            let accepted: Vec<bool> = known.iter().map(accepts).collect();
                            Matches::from_rows(ids.iter().map(|id| accepted[*id as usize]).collect())
                        }
                        Values::Each(column) => {
                            let mut accepted = Vec::with_capacity(filled.rows);
                            column.for_each(filled.rows, budget, &mut |raw| accepted.push(accepts(raw)))?;
                            Matches::from_rows(accepted)
                        }
                    }
                }
            });
        }
        Ok(self.holds.clone().and(passing.not()))
    }

    /// The columns of all fields; values go into `values`, by field.
    pub(super) fn columns<'f>(
        &'f self,
        filled: Filled<'f, '_>,
        reader: &dyn FieldReader,
        values: &mut [FieldValues],
        budget: &mut Budget,
    ) -> Result<Vec<FieldColumn<'f>>, Malformed> {
        let mut columns = Vec::with_capacity(values.len());
        for (field, values) in values.iter_mut().enumerate() {
            columns.push(match self.place(field) {
                FieldPlace::Absent => FieldColumn::Same(FieldValues::ABSENT),
                FieldPlace::Text(text) => FieldColumn::Same(values.add(|out| {
                    out.push_str(text);
                    true
                })),
                FieldPlace::Slot(slot, form) => match self.values(*slot, filled, budget)? {
                    Values::One(value) => {
                        FieldColumn::Same(values.add(|text| reader.read(*form, value, text)))
                    }
                    Values::Known(known, ids) => {
                        FieldColumn::Known { known, ids, numbers: vec![UNREAD; known.len()], form: *form }
                    }
                    Values::Each(column) => FieldColumn::Each { column, raw: Vec::new(), form: *form },
                },
                FieldPlace::Pieces(pieces) => {
                    FieldColumn::Pieced(PiecedColumn::open(pieces, &self.slots, filled, reader, budget)?)
                }
            });
        }
        Ok(columns)
    }

    fn place(&self, field: usize) -> &FieldPlace {
        self.layout.fields.get(field).unwrap_or(&FieldPlace::Absent)
    }

    fn values<'f>(
        &self,
        slot: usize,
        filled: Filled<'f, '_>,
        budget: &mut Budget,
    ) -> Result<Values<'f>, Malformed> {
        let slot = self.slots.get(slot).ok_or(Malformed("a column is missing"))?;
        Ok(filled.slot(*slot)?.column(filled.rows, budget)?.values())
    }
}

/// Literals, and the slots between them.
type Shape<'f> = (Vec<Cow<'f, [u8]>>, Vec<usize>);

/// The shape of a template whose slots with one value for all rows are taken for literals.
fn shape<'f>(filled: Filled<'f, '_>) -> Result<Shape<'f>, Malformed> {
    let mut literals: Vec<Cow<'f, [u8]>> = Vec::with_capacity(filled.slots.len() + 1);
    let mut slots = Vec::with_capacity(filled.slots.len());
    for (place, literal) in filled.template.literals().enumerate() {
        let Some(slot) = place.checked_sub(1) else {
            literals.push(Cow::Borrowed(literal));
            continue;
        };
        match (filled.slot(slot)?.constant()?, literals.last_mut()) {
            (Some(value), Some(last)) => {
                let last = last.to_mut();
                last.extend_from_slice(value);
                last.extend_from_slice(literal);
            }
            _ => {
                slots.push(slot);
                literals.push(Cow::Borrowed(literal));
            }
        }
    }
    Ok((literals, slots))
}

/// A value that no row has needed yet.
const UNREAD: u32 = u32::MAX - 1;

/// The values of a field in the rows of one template, read when they are first needed.
pub(super) enum FieldColumn<'f> {
    /// All rows have the value of this number, or none.
    Same(u32),
    /// Rows have one of some values.
    Known { known: &'f Strings, ids: &'f [u32], numbers: Vec<u32>, form: ValueForm },
    /// Each row has its own.
    Each { column: &'f Column, raw: Vec<u8>, form: ValueForm },
    /// It is put together.
    Pieced(PiecedColumn<'f>),
}

impl FieldColumn<'_> {
    /// The number among `values` of a row's value.
    #[inline]
    pub(super) fn number(
        &mut self,
        row: usize,
        reader: &dyn FieldReader,
        values: &mut FieldValues,
        budget: &mut Budget,
    ) -> Result<u32, Malformed> {
        Ok(match self {
            Self::Same(number) => *number,
            Self::Known { known, ids, numbers, form } => {
                let id = ids[row] as usize;
                if numbers[id] == UNREAD {
                    budget.spend(known.get(id).len())?;
                    numbers[id] = values.add(|text| reader.read(*form, known.get(id), text));
                }
                numbers[id]
            }
            Self::Each { column, raw, form } => {
                raw.clear();
                column.append(row, raw)?;
                budget.spend(raw.len())?;
                values.add(|text| reader.read(*form, raw, text))
            }
            Self::Pieced(column) => column.number(row, reader, values, budget)?,
        })
    }
}
