//! Fields of lines, answered from columns.
//!
//! The reader of a query says of each template in which slot a field lies and what the slots must hold for that to be so.
//! Rows whose slots hold it have their fields read from the columns that are fields, and no others; of columns that are not,
//! at most the bytes are looked at. All other rows are left to whoever reads whole lines.

use timberyard_model::field_values::FieldValues;
use timberyard_model::fields::{FieldReader, FieldRequest, FieldTest};

use super::group::Group;
use super::matches::Matches;
use super::strings::Budget;
use super::table::Table;
use super::template_fields::{FieldColumn, TemplateFields};
use crate::codec::Malformed;

/// To lay out a template costs as much as to read so many lines.
const ROWS_MIN: usize = 4;

/// What a group's columns say about fields.
#[derive(Debug, Default)]
pub(crate) struct GroupFields {
    /// Values by field.
    values: Vec<FieldValues>,
    /// The number of each field of each row, row after row.
    numbers: Vec<u32>,
    /// Which rows have their fields here; empty when no field was asked for.
    answered: Vec<bool>,
}

impl GroupFields {
    /// The values that rows refer to by number, by field.
    pub(crate) fn values(&self) -> &[FieldValues] {
        &self.values
    }

    /// The numbers of a row's fields; `None` when its line has to be read.
    #[inline]
    pub(crate) fn of_row(&self, row: usize) -> Option<&[u32]> {
        let width = self.values.len();
        self.answered.get(row)?.then(|| self.numbers.get(row * width..(row + 1) * width)).flatten()
    }

    /// Of some rows those that have no fields here.
    pub(crate) fn left_of(&self, rows: &Matches) -> Matches {
        if self.answered.is_empty() {
            return rows.clone();
        }
        rows.clone().and(Matches::from_rows(self.answered.iter().map(|answered| !answered).collect()))
    }
}

/// Asks for fields of the rows of `passing`. Gives those of them that the tests, if `tested`, do not rule out, with
/// their fields as far as columns say them.
pub(crate) fn ask_fields(
    group: &mut Group<'_>,
    request: &FieldRequest,
    tested: bool,
    mut passing: Matches,
) -> Result<(Matches, GroupFields), Malformed> {
    let tests: &[FieldTest] = if tested { &request.tests } else { &[] };
    let mut fields = GroupFields::default();
    if passing == Matches::None || (tests.is_empty() && !request.instead_of_line) {
        return Ok((passing, fields));
    }
    let (table, budget) = group.parts();
    let reader = &*request.reader;
    let mut templates = Vec::with_capacity(table.template_count());
    for (filled, wanted) in table.templates().zip(table.wanted(&passing, budget)?) {
        let worthwhile = wanted > 0 && filled.rows >= ROWS_MIN;
        templates.push(if worthwhile { TemplateFields::new(filled, reader, budget)? } else { None });
    }
    if !tests.is_empty() {
        let mut each = Vec::with_capacity(templates.len());
        for (filled, template) in table.templates().zip(&templates) {
            each.push(match template {
                Some(template) => template.fails(tests, reader, filled, budget)?.not(),
                None => Matches::All,
            });
        }
        passing = passing.and(table.in_order(&each, budget)?);
    }
    if !request.instead_of_line || passing == Matches::None {
        return Ok((passing, fields));
    }
    fields.read(table, &templates, &passing, reader, budget)?;
    Ok((passing, fields))
}

impl GroupFields {
    /// Reads the fields of the rows of `passing` whose template says where they are.
    fn read(
        &mut self,
        table: &Table<'_>,
        templates: &[Option<TemplateFields>],
        passing: &Matches,
        reader: &dyn FieldReader,
        budget: &mut Budget,
    ) -> Result<(), Malformed> {
        let width = reader.labels().len();
        self.values.resize_with(width, FieldValues::default);
        let mut columns: Vec<Option<(&Matches, Vec<FieldColumn<'_>>)>> = Vec::with_capacity(templates.len());
        let wanted = table.wanted(passing, budget)?;
        for ((filled, template), wanted) in table.templates().zip(templates).zip(wanted) {
            columns.push(match template {
                Some(template) if wanted > 0 => {
                    Some((template.holds(), template.columns(filled, reader, &mut self.values, budget)?))
                }
                _ => None,
            });
        }
        self.answered = vec![false; table.len()];
        self.numbers = vec![FieldValues::ABSENT; table.len() * width];
        let mut next = vec![0_usize; columns.len()];
        for (row, id) in table.ids(budget)?.iter().enumerate() {
            let value = next[*id as usize];
            next[*id as usize] += 1;
            if let Some((holds, columns)) = &mut columns[*id as usize]
                && holds.has(value)
                && passing.has(row)
            {
                self.answered[row] = true;
                let numbers = &mut self.numbers[row * width..(row + 1) * width];
                for ((number, column), values) in numbers.iter_mut().zip(columns).zip(&mut self.values) {
                    *number = column.number(value, reader, values, budget)?;
                }
            }
        }
        Ok(())
    }
}
