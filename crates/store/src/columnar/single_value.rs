//! One value of a column read where it lies: numbers and packed digits at their places, lengths added up, and columns
//! inside a column passed over.
//!
//! Says what an opened column would; of damage it sees what is in its way.

use super::column::{NO_SUCH_VALUE, append_hex, packed_width, values};
use super::column_encoder::{CONSTANT, DEPTH_MAX, DICTIONARY, DIGITS, DIGITS_MAX, HEX, NESTED, RAW};
use super::integer;
use super::spelling::append_number;
use super::template_list::TemplateList;
use crate::codec::{Malformed, Reader};

/// Which value, of how many.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) count: usize,
}

/// Appends a value of the column that begins there, and passes over the column unless it is nested; its numbers and the
/// like may lie apart. `depth` is 0 but for columns inside a column.
pub(super) fn append_value<'r>(
    reader: &mut Reader<'r>,
    apart: Option<&mut Reader<'r>>,
    place: Place,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let Place { index, count } = place;
    if index >= count {
        return Err(NO_SUCH_VALUE);
    }
    match reader.byte()? {
        CONSTANT => out.extend_from_slice(reader.bytes()?),
        DIGITS => {
            let fixed = usize::from(reader.byte()?);
            if fixed > DIGITS_MAX {
                return Err(Malformed("a number has too many digits"));
            }
            let number = integer::decode_one(values(reader, apart), count, index)?;
            append_number(number, fixed, out);
        }
        HEX => {
            let shape = reader.bytes()?;
            let width = packed_width(shape)?;
            let packed = values(reader, apart).take(width.saturating_mul(count))?;
            append_hex(shape, packed.get(index * width..(index + 1) * width).ok_or(NO_SUCH_VALUE)?, out);
        }
        DICTIONARY => {
            let size = reader.bounded(count)?;
            let mut strings = *reader;
            (0..size).try_for_each(|_| reader.bytes().map(|_| ()))?;
            let id = integer::decode_one(values(reader, apart), count, index)?;
            if id >= size as u64 {
                return Err(Malformed("a value is not in its dictionary"));
            }
            (0..id).try_for_each(|_| strings.bytes().map(|_| ()))?;
            out.extend_from_slice(strings.bytes()?);
        }
        NESTED if depth < DEPTH_MAX => {
            let size = reader.bounded(count + 1)?;
            let templates = TemplateList::read(reader, size, None)?;
            append_nested(&templates, values(reader, apart), place, depth, out)?;
        }
        RAW => {
            let reader = values(reader, apart);
            let lens = integer::add_up(reader, count, index)?;
            let mut bytes = Reader::new(take_long(reader, lens.all)?);
            take_long(&mut bytes, lens.before)?;
            out.extend_from_slice(take_long(&mut bytes, lens.one)?);
        }
        _ => return Err(NO_SUCH_FORM),
    }
    Ok(())
}

const NO_SUCH_FORM: Malformed = Malformed("a column has no such form");

/// As many bytes as lengths add up to.
fn take_long<'r>(reader: &mut Reader<'r>, len: u64) -> Result<&'r [u8], Malformed> {
    reader.take(usize::try_from(len).unwrap_or(usize::MAX))
}

/// A value of a nested column: literals, and of each column inside the value of the row among those of its template.
fn append_nested(
    templates: &TemplateList<'_>,
    reader: &mut Reader<'_>,
    place: Place,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let Place { index, count } = place;
    let ids = integer::decode_places(reader, count, templates.len(), "a template does not exist")?;
    let id = *ids.get(index).ok_or(NO_SUCH_VALUE)?;
    // Of templates up to that one: behind it nothing is read.
    let mut rows = vec![0_usize; id as usize + 1];
    ids.iter().for_each(|other| rows.get_mut(*other as usize).into_iter().for_each(|rows| *rows += 1));
    for (number, rows) in rows.iter().enumerate().take(id as usize) {
        let (_, _, slots) = templates.get(number).ok_or(NO_SUCH_VALUE)?;
        slots.into_iter().try_for_each(|_| pass_column(reader, *rows))?;
    }
    let before = ids.iter().take(index).filter(|other| **other == id).count();
    let place = Place { index: before, count: rows.last().copied().unwrap_or_default() };
    let (template, ..) = templates.get(id as usize).ok_or(NO_SUCH_VALUE)?;
    let mut literals = template.literals();
    out.extend_from_slice(literals.next().unwrap_or_default());
    for literal in literals {
        append_value(reader, None, place, depth + 1, out)?;
        out.extend_from_slice(literal);
    }
    Ok(())
}

/// Passes over a column inside a column.
fn pass_column(reader: &mut Reader<'_>, count: usize) -> Result<(), Malformed> {
    if count == 0 {
        return Ok(());
    }
    match reader.byte()? {
        CONSTANT => drop(reader.bytes()?),
        DIGITS => {
            reader.byte()?;
            integer::skip(reader, count)?;
        }
        HEX => {
            let width = packed_width(reader.bytes()?)?;
            reader.take(width.saturating_mul(count))?;
        }
        DICTIONARY => {
            for _ in 0..reader.bounded(count)? {
                reader.bytes()?;
            }
            integer::skip(reader, count)?;
        }
        RAW => {
            let lens = integer::add_up(reader, count, count)?;
            take_long(reader, lens.all)?;
        }
        _ => return Err(NO_SUCH_FORM),
    }
    Ok(())
}
