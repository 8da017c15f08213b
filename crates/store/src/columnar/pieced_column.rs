//! A field that a reader puts together from stretches of the line: each combination of what is read from them once.
//!
//! From a stretch is read what its values say, and for many values that is the same. What can be told from the form of
//! a column is read once a form: numbers are alike, and so are the values of a nested template of numbers; dictionaries
//! are read once an entry; of other columns a value that keeps the rule of the stretch needs no reading.

use std::collections::HashMap;

use timberyard_model::field_values::FieldValues;
use timberyard_model::fields::{FieldPiece, FieldReader, SlotRule, Stretch, ValueForm};
use timberyard_model::prehashed::Prehashed;

use super::column::{Column, Values};
use super::filled::Filled;
use super::slot::Slot;
use super::strings::{Budget, Strings};
use super::table::Table;
use crate::codec::Malformed;

/// Any digit is like this one.
const DIGIT: &[u8] = b"0";
/// What was not read yet.
const UNREAD: u32 = u32::MAX;
/// Of a nested template whose rows are not all alike.
const READ_EACH: u32 = u32::MAX - 1;

/// The values of such a field in the rows of one template.
pub(super) struct PiecedColumn<'f> {
    pieces: Vec<Piece<'f>>,
    /// The texts of all stretches that vary, of the row that is read.
    texts: Vec<u32>,
    /// Combinations of the first few of them, numbered: by the combination of those before, and a text.
    combinations: HashMap<u64, u32, Prehashed>,
    /// The number of the value by combination of all.
    numbers: Vec<u32>,
}

enum Piece<'f> {
    Same(Box<str>),
    Varying(StretchColumn<'f>),
}

/// A stretch from which not the same is read in all rows.
struct StretchColumn<'f> {
    source: Source<'f>,
    found: Found<'f>,
}

/// What was read from a stretch so far.
struct Found<'f> {
    stretch: &'f Stretch,
    texts: Texts,
    /// The number of the stretch's usual text.
    usual: u32,
    raw: Vec<u8>,
    text: String,
}

/// Where the values of its slots are.
enum Source<'f> {
    /// One slot: which of some values.
    Known { known: &'f Strings, ids: &'f [u32], numbers: Vec<u32> },
    /// One slot: which template of numbers.
    Nested { table: &'f Table<'static>, column: &'f Column, numbers: Vec<u32> },
    /// Each row has its own.
    Each(Vec<&'f Column>),
}

/// Different texts, numbered.
#[derive(Default)]
struct Texts {
    numbers: HashMap<Box<str>, u32>,
    all: Vec<Box<str>>,
}

impl<'f> PiecedColumn<'f> {
    /// `slots` are the template's slots by those of the pieces.
    pub(super) fn open(
        pieces: &'f [FieldPiece],
        slots: &[usize],
        filled: Filled<'f, '_>,
        reader: &dyn FieldReader,
        budget: &mut Budget,
    ) -> Result<Self, Malformed> {
        let open = |piece: &'f FieldPiece| match piece {
            FieldPiece::Text(text) => Ok(Piece::Same(text.clone())),
            FieldPiece::Stretch(stretch) => Piece::open(stretch, slots, filled, reader, budget),
        };
        let pieces = pieces.iter().map(open).collect::<Result<_, _>>()?;
        // No text is the first combination.
        Ok(Self { pieces, texts: Vec::new(), combinations: HashMap::default(), numbers: vec![UNREAD] })
    }

    /// The number among `values` of a row's value.
    #[inline]
    pub(super) fn number(
        &mut self,
        row: usize,
        reader: &dyn FieldReader,
        values: &mut FieldValues,
        budget: &mut Budget,
    ) -> Result<u32, Malformed> {
        self.texts.clear();
        for piece in &mut self.pieces {
            if let Piece::Varying(column) = piece {
                self.texts.push(column.text(row, reader, budget)?);
            }
        }
        let mut combination = 0;
        for text in &self.texts {
            let next = self.numbers.len() as u32;
            combination = *self.combinations.entry(mixed(combination, *text)).or_insert(next);
            if combination == next {
                self.numbers.push(UNREAD);
            }
        }
        let known = self.numbers.get_mut(combination as usize).ok_or(NO_VALUE)?;
        if *known != UNREAD {
            return Ok(*known);
        }
        let mut numbers = self.texts.iter();
        let texts = self.pieces.iter().map(|piece| match piece {
            Piece::Same(text) => &**text,
            Piece::Varying(column) => numbers.next().map_or("", |number| column.found.texts.get(*number)),
        });
        let text: String = texts.collect();
        budget.spend(text.len())?;
        *known = values.add(|out| {
            out.push_str(&text);
            true
        });
        Ok(*known)
    }
}

impl<'f> Piece<'f> {
    fn open(
        stretch: &'f Stretch,
        slots: &[usize],
        filled: Filled<'f, '_>,
        reader: &dyn FieldReader,
        budget: &mut Budget,
    ) -> Result<Self, Malformed> {
        let own = slots.get(stretch.first_slot..).and_then(|slots| slots.get(..stretch.literals.len() - 1));
        let own = own.ok_or(Malformed("a column is missing"))?;
        let own: Vec<&Slot<'_>> = own.iter().map(|slot| filled.slot(*slot)).collect::<Result<_, _>>()?;
        let mut keeps = |rule: &SlotRule| {
            let keep = |slot: &&Slot<'_>| slot.surely_keeps(rule, false, filled.rows, budget);
            own.iter().map(keep).try_fold(true, |all, keeps| Ok::<_, Malformed>(all & keeps?))
        };
        if keeps(&SlotRule::ONLY_DIGITS)? {
            return Ok(Self::Same(read(stretch, DIGIT, reader)));
        }
        if keeps(stretch.rule)? {
            return Ok(Self::Same(stretch.usual.clone()));
        }
        let open = |slot: &&'f Slot<'_>| slot.column(filled.rows, budget);
        let columns: Vec<&'f Column> = own.iter().map(open).collect::<Result<_, _>>()?;
        let source = match columns.as_slice() {
            [column] => match column.values() {
                Values::One(value) => return Ok(Self::Same(read(stretch, value, reader))),
                Values::Known(known, ids) => Source::Known { known, ids, numbers: vec![UNREAD; known.len()] },
                Values::Each(Column::Nested(table)) => {
                    Source::Nested { table, column, numbers: vec![UNREAD; table.template_count()] }
                }
                Values::Each(_) => Source::Each(columns),
            },
            _ => Source::Each(columns),
        };
        let (texts, raw, text) = (Texts::default(), Vec::new(), String::new());
        Ok(Self::Varying(StretchColumn { source, found: Found { stretch, texts, usual: UNREAD, raw, text } }))
    }
}

/// Two numbers as one that is a good hash, too: no other two give the same.
#[inline]
fn mixed(combination: u32, text: u32) -> u64 {
    let product = (u64::from(combination) << 32 | u64::from(text)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ product >> 32
}

/// What is read from a stretch with the same value in all slots.
fn read(stretch: &Stretch, value: &[u8], reader: &dyn FieldReader) -> Box<str> {
    let mut text = String::new();
    // A stretch always has a text, if an empty one.
    reader.read(ValueForm::Bare, &stretch.literals.join(value), &mut text);
    text.into()
}

impl StretchColumn<'_> {
    /// The number of the text that is read from a row.
    #[inline]
    fn text(&mut self, row: usize, reader: &dyn FieldReader, budget: &mut Budget) -> Result<u32, Malformed> {
        let found = &mut self.found;
        match &mut self.source {
            Source::Known { known, ids, numbers } => {
                let id = *ids.get(row).ok_or(NO_VALUE)? as usize;
                let number = numbers.get_mut(id).ok_or(NO_VALUE)?;
                if *number == UNREAD {
                    *number = found.read_alike(known.get(id), reader, budget)?;
                }
                Ok(*number)
            }
            Source::Nested { table, column, numbers } => {
                let id = *table.ids(budget)?.get(row).ok_or(NO_VALUE)? as usize;
                let number = numbers.get_mut(id).ok_or(NO_VALUE)?;
                if *number == UNREAD {
                    let filled = table.template(id).ok_or(NO_VALUE)?;
                    *number = if filled.has_only_numbers() {
                        found.read_alike(&filled.with_values(DIGIT), reader, budget)?
                    } else {
                        READ_EACH
                    };
                }
                match *number {
                    READ_EACH => found.read_row(row, std::slice::from_ref(column), reader, budget),
                    number => Ok(number),
                }
            }
            Source::Each(columns) => found.read_row(row, columns, reader, budget),
        }
    }
}

impl Found<'_> {
    /// From all rows with this value, or one like it.
    fn read_alike(
        &mut self,
        value: &[u8],
        reader: &dyn FieldReader,
        budget: &mut Budget,
    ) -> Result<u32, Malformed> {
        self.texts.add(&read(self.stretch, value, reader), budget)
    }

    /// From one row.
    fn read_row(
        &mut self,
        row: usize,
        columns: &[&Column],
        reader: &dyn FieldReader,
        budget: &mut Budget,
    ) -> Result<u32, Malformed> {
        self.raw.clear();
        let mut is_usual = true;
        let mut literals = self.stretch.literals.iter();
        self.raw.extend(literals.next().into_iter().flatten());
        for (column, literal) in columns.iter().zip(literals) {
            let start = self.raw.len();
            column.append(row, &mut self.raw)?;
            is_usual = is_usual && self.stretch.rule.admits(&self.raw[start..]);
            self.raw.extend_from_slice(literal);
        }
        if !is_usual {
            self.text.clear();
            reader.read(ValueForm::Bare, &self.raw, &mut self.text);
            return self.texts.add(&self.text, budget);
        }
        if self.usual == UNREAD {
            self.usual = self.texts.add(&self.stretch.usual, budget)?;
        }
        Ok(self.usual)
    }
}

const NO_VALUE: Malformed = Malformed("a column has fewer values than it should");

impl Texts {
    fn get(&self, number: u32) -> &str {
        self.all.get(number as usize).map_or("", |text| text)
    }

    fn add(&mut self, text: &str, budget: &mut Budget) -> Result<u32, Malformed> {
        if let Some(number) = self.numbers.get(text) {
            return Ok(*number);
        }
        budget.spend(2 * text.len())?;
        let number = self.all.len() as u32;
        self.all.push(text.into());
        self.numbers.insert(text.into(), number);
        Ok(number)
    }
}
