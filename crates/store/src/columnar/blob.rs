//! Where the bytes of a column are: a small column lies in the head of its group, of a large one only its *outline*,
//! what it tells of its values without reading them; the rest is a frame.
//!
//! ```text
//! outline    of digits and hex: all before the numbers or packed digits       of a dictionary: all before the numbers
//!            of a nested column: the templates                                 of a raw column: its form
//! ```

use std::cell::OnceCell;

use super::column::{Column, packed_width};
use super::column_encoder::{CONSTANT, DICTIONARY, DIGITS, HEX, NESTED, RAW};
use super::frame::{Frame, Plain, Stamp};
use super::hex_search::{self, PackedHex};
use super::matches::Matches;
use super::needle::{Needle, Piece, Test};
use super::single_value::{Place, append_value};
use super::strings::Budget;
use super::templates::Literals;
use super::ways::Layer;
use crate::codec::{Malformed, Reader, put_bytes, put_varint};

/// The longest outline; a large column with a longer one has none.
const OUTLINE_BYTES_MAX: usize = 1 << 15;

/// The bytes of a column.
pub(super) struct Blob<'g> {
    /// All of a small column; the outline of a large one, or nothing.
    beginning: &'g [u8],
    /// The stamps of a nested column's slots, template after template; none when that is not known.
    slots: &'g [u8],
    rest: Option<Box<Rest<'g>>>,
}

/// What a large column has beside its outline.
struct Rest<'g> {
    stamp: Stamp,
    frame: Frame<'g>,
    /// The frame's bytes before compression, once single values were read from them.
    plain: OnceCell<Plain<'g>>,
}

impl<'g> Blob<'g> {
    /// A small column of which no more is known.
    pub(super) fn small(bytes: &'g [u8]) -> Self {
        Self { beginning: bytes, slots: &[], rest: None }
    }

    /// A large column without an outline.
    pub(super) fn framed(stamp: Stamp, frame: Frame<'g>) -> Self {
        Self { beginning: &[], slots: &[], rest: Some(Rest::new(stamp, frame)) }
    }

    /// Appends to `head` what [`Blob::read_outlined`] reads; gives how many bytes of the column that includes.
    pub(super) fn write_outline(column: &[u8], stamp: Stamp, slots: &[Stamp], head: &mut Vec<u8>) -> usize {
        let len = outline_len(column).ok().filter(|len| *len <= OUTLINE_BYTES_MAX).unwrap_or_default();
        stamp.write(head);
        put_bytes(head, column.get(..len).unwrap_or_default());
        write_slots(if len > 0 { slots } else { &[] }, head);
        len
    }

    /// Appends a small column to `head`, as [`Blob::read_small`] reads it.
    pub(super) fn write_small(column: &[u8], slots: &[Stamp], head: &mut Vec<u8>) {
        head.extend_from_slice(column);
        if column.first() == Some(&NESTED) {
            write_slots(slots, head);
        }
    }

    /// Reads a small column of so many bytes from the head.
    pub(super) fn read_small(head: &mut Reader<'g>, len: usize) -> Result<Self, Malformed> {
        let beginning = head.take(len)?;
        let is_nested = beginning.first() == Some(&NESTED);
        let slots = if is_nested { pass_slots(head)? } else { &[] };
        Ok(Self { beginning, slots, rest: None })
    }

    /// Reads a large column from the head; its frame is the next one.
    pub(super) fn read_outlined(head: &mut Reader<'g>, frames: &mut Reader<'g>) -> Result<Self, Malformed> {
        let stamp = Stamp::read(head)?;
        let beginning = head.bytes()?;
        let slots = pass_slots(head)?;
        Ok(Self { beginning, slots, rest: Some(Rest::new(stamp, Frame::read_apart(head, frames)?)) })
    }

    /// Opens the column of `count` values.
    pub(super) fn open(&self, count: usize, budget: &mut Budget) -> Result<Column, Malformed> {
        let mut beginning = Reader::new(self.beginning);
        let Some(rest) = &self.rest else { return Column::open(&mut beginning, count, 0, budget) };
        let read;
        let plain = match rest.plain.get() {
            Some(plain) => plain,
            None => match (self.beginning, rest.frame.plain(budget)?) {
                // Values that were decompressed stay where they are.
                ([RAW], Plain::Inflated(buffer)) => return Column::open_raw(buffer, count, budget),
                (_, plain) => {
                    read = plain;
                    &read
                }
            },
        };
        let mut values = Reader::new(plain);
        if self.beginning.is_empty() {
            Column::open(&mut values, count, 0, budget)
        } else {
            Column::open_apart(&mut beginning, Some(&mut values), count, 0, budget)
        }
    }

    /// Whether nothing of it is in a frame.
    pub(super) fn is_small(&self) -> bool {
        self.rest.is_none()
    }

    /// Appends one of `count` values, and decodes no other.
    pub(super) fn append_value(
        &self,
        index: usize,
        count: usize,
        budget: &mut Budget,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let place = Place { index, count };
        let mut beginning = Reader::new(self.beginning);
        let Some(rest) = &self.rest else { return append_value(&mut beginning, None, place, 0, out) };
        let mut values = Reader::new(rest.plain(budget)?);
        if self.beginning.is_empty() {
            append_value(&mut values, None, place, 0, out)
        } else {
            append_value(&mut beginning, Some(&mut values), place, 0, out)
        }
    }

    /// All bytes of a column that is not outlined.
    pub(super) fn plain(&self, budget: &mut Budget) -> Result<Plain<'g>, Malformed> {
        self.rest.as_ref().map_or(Ok(Plain::Stored(self.beginning)), |rest| rest.frame.plain(budget))
    }

    /// The value of a column that has only one, when that can be seen here.
    pub(super) fn constant(&self) -> Result<Option<&[u8]>, Malformed> {
        match self.beginning {
            [CONSTANT, string @ ..] => Ok(Some(Reader::new(string).bytes()?)),
            _ => Ok(None),
        }
    }

    /// Whether all values are decimal numbers, as far as that can be seen here.
    pub(super) fn is_digits(&self) -> bool {
        self.beginning.first() == Some(&DIGITS)
    }

    /// Bytes that include all of the values', when that is known without looking at them.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        self.rest.as_ref().map(|rest| rest.stamp)
    }

    /// Whether a value could hold the piece, as can be seen in no time; never wrong when it says no.
    pub(super) fn may_hold(&self, piece: Piece<'_>) -> bool {
        match (&self.rest, self.beginning) {
            (Some(rest), _) => rest.stamp.may_hold(piece),
            (None, [DIGITS, ..]) => piece.bytes().iter().all(u8::is_ascii_digit),
            // Their values lie there as they are.
            (None, [CONSTANT | DICTIONARY | RAW, rest @ ..]) => piece.len() < rest.len(),
            (None, [HEX, shape_len, ..]) => *shape_len >= 0x80 || piece.len() <= usize::from(*shape_len),
            (None, _) => true,
        }
    }

    /// Whether the bytes of all values lie there as they are.
    fn lies_there(&self) -> bool {
        match self.beginning.first() {
            Some(&(CONSTANT | DICTIONARY)) => true,
            form => form == Some(&RAW) && self.is_small(),
        }
    }

    /// Whether a value could pass; never wrong when it says no. Reads no frame.
    pub(super) fn may_pass(&self, test: Test<'_>) -> Result<bool, Malformed> {
        let piece = test.piece();
        if self.stamp().is_some_and(|stamp| !stamp.may_hold(piece)) {
            return Ok(false);
        }
        match test {
            Test::Contains(needle) if !self.slots.is_empty() => {
                nested_may_hold(self.beginning, self.slots, needle)
            }
            Test::Contains(needle) if self.lies_there() => Ok(needle.is_in(self.beginning)),
            _ => Ok(may_pass(self.beginning, self.rest.is_none(), test)),
        }
    }

    /// Which of `count` values pass, where that can be seen without opening the column.
    pub(super) fn test_in_place(
        &self,
        test: Test<'_>,
        count: usize,
        budget: &mut Budget,
    ) -> Result<Option<Matches>, Malformed> {
        let [HEX, rest @ ..] = self.beginning else { return Ok(None) };
        let mut reader = Reader::new(rest);
        let shape = reader.bytes()?;
        let width = packed_width(shape)?;
        if let Some(rest) = &self.rest {
            reader = Reader::new(rest.plain(budget)?);
        }
        let packed = reader.take(width.saturating_mul(count))?;
        Ok(Some(PackedHex { shape, packed, width, count }.test(test)))
    }
}

fn write_slots(slots: &[Stamp], head: &mut Vec<u8>) {
    put_varint(head, slots.len() as u64);
    slots.iter().for_each(|slot| slot.write(head));
}

impl<'g> Rest<'g> {
    fn new(stamp: Stamp, frame: Frame<'g>) -> Box<Self> {
        Box::new(Self { stamp, frame, plain: OnceCell::new() })
    }

    fn plain(&self, budget: &mut Budget) -> Result<&[u8], Malformed> {
        if let Some(plain) = self.plain.get() {
            return Ok(plain);
        }
        let plain = self.frame.plain(budget)?;
        Ok(self.plain.get_or_init(|| plain))
    }
}

/// Passes over the stamps of slots, and gives their bytes.
fn pass_slots<'g>(head: &mut Reader<'g>) -> Result<&'g [u8], Malformed> {
    let count = head.count()?;
    let stamps = head.rest();
    (0..count).try_for_each(|_| Stamp::read(head).map(|_| ()))?;
    Ok(stamps.get(..stamps.len() - head.rest().len()).unwrap_or_default())
}

/// How many bytes of a column tell of its values without being them.
fn outline_len(column: &[u8]) -> Result<usize, Malformed> {
    let mut reader = Reader::new(column);
    match reader.byte()? {
        CONSTANT => drop(reader.take(column.len() - 1)?),
        DIGITS => drop(reader.byte()?),
        HEX => drop(reader.bytes()?),
        DICTIONARY => {
            for _ in 0..reader.count()? {
                reader.bytes()?;
            }
        }
        NESTED => {
            for _ in 0..reader.count()? {
                Literals::parse(&mut reader)?;
            }
        }
        _ => {}
    }
    Ok(column.len() - reader.rest().len())
}

/// Whether a value could pass, by the beginning of a column, which may be all of it.
fn may_pass(beginning: &[u8], is_all: bool, test: Test<'_>) -> bool {
    let piece = test.piece();
    match beginning.first() {
        Some(&DIGITS) => piece.bytes().iter().all(u8::is_ascii_digit),
        Some(&HEX) => match Reader::new(&beginning[1..]).bytes() {
            Ok(shape) => hex_search::may_pass(shape, test),
            Err(_) => true,
        },
        // Their values lie there as they are.
        Some(&(CONSTANT | DICTIONARY)) if !piece.ignores_case() => {
            memchr::memmem::find(beginning, piece.bytes()).is_some()
        }
        Some(&RAW) if is_all && !piece.ignores_case() => {
            memchr::memmem::find(beginning, piece.bytes()).is_some()
        }
        _ => true,
    }
}

/// Whether a value of a nested column with these templates and stamps of slots could hold the needle.
fn nested_may_hold(outline: &[u8], stamps: &[u8], needle: &Needle) -> Result<bool, Malformed> {
    let mut reader = Reader::new(outline);
    reader.byte()?;
    let templates = reader.count()?;
    let (mut beginning, mut slots) = (reader, 0);
    for _ in 0..templates {
        slots += Literals::parse(&mut beginning)?.slots();
    }
    let mut unread = Reader::new(stamps);
    let mut stamps = Vec::with_capacity(slots);
    while !unread.is_empty() {
        stamps.push(Stamp::read(&mut unread)?);
    }
    if slots != stamps.len() {
        return Err(Malformed("a nested column has not as many stamps as slots"));
    }
    // Bytes of kinds that no slot has lie in literals, side by side here even where a value between them is empty.
    let in_slots = stamps.iter().fold(0, |kinds, stamp| kinds | stamp.kinds());
    let piece = needle.piece();
    let in_literals = needle.longest_outside(in_slots);
    if !piece.ignores_case() && memchr::memmem::find(outline, in_literals).is_none() {
        return Ok(false);
    }
    let mut layer = Layer::new(needle);
    let mut stamps = stamps.as_slice();
    for _ in 0..templates {
        let template = Literals::parse(&mut reader)?;
        let (of_template, rest) = stamps.split_at_checked(template.slots()).unwrap_or((stamps, &[]));
        stamps = rest;
        if template.iter().any(|literal| needle.is_in(literal)) {
            return Ok(true);
        }
        let may_hold =
            |slot: usize, piece: Piece<'_>| of_template.get(slot).is_none_or(|stamp| stamp.may_hold(piece));
        if layer.ways(template.iter(), &may_hold).is_none_or(|ways| !ways.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use timberyard_model::required_literals::Literal;

    use super::*;

    #[test]
    fn a_nested_column_with_too_few_or_too_many_stamps_is_refused() {
        // One template: `a`, a slot, `b`, a slot, nothing.
        let outline = [NESTED, 1, 2, 1, 1, 0, b'a', b'b'];
        let needle = |text: &str| Needle::new(&Literal::from(text.as_bytes())).expect("a literal");
        let ask = |stamps: usize, text| {
            let mut bytes = Vec::new();
            (0..stamps).for_each(|_| Stamp::of_digits(3).write(&mut bytes));
            nested_may_hold(&outline, &bytes, &needle(text))
        };
        assert_eq!((ask(2, "a123b"), ask(2, "ab45"), ask(2, "x")), (Ok(true), Ok(true), Ok(false)));
        for stamps in [0, 1, 3] {
            assert!(ask(stamps, "x").is_err() && ask(stamps, "a1").is_err(), "{stamps}");
        }
    }
}
