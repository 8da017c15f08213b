//! The templates of a table as a reader needs them: all literals where they lie, and nothing allocated for one template.

use std::borrow::Cow;

use super::needle::Needle;
use super::spelling::{PADDING, append_piece};
use super::tokenize::SLOTS_MAX;
use crate::codec::{Malformed, Reader};

/// Templates one after the other.
pub(super) struct TemplateList<'g> {
    /// Where they were read from, numbers between the literals and all.
    bytes: Cow<'g, [u8]>,
    places: Vec<Place>,
    /// Lengths of all literals. Each template has one more than slots.
    lens: Vec<u32>,
}

/// Where a template is.
#[derive(Clone, Copy)]
struct Place {
    /// Of its literals in the bytes.
    start: u32,
    len: u32,
    /// Slots of all templates before it.
    slots_before: u32,
    slots: u32,
    rows: u32,
}

/// The literals of a template.
#[derive(Clone, Copy)]
pub(super) struct TemplateText<'t> {
    /// Its literals, and what lies behind them.
    bytes: &'t [u8],
    len: usize,
    lens: &'t [u32],
}

impl<'g> TemplateList<'g> {
    /// Reads so many templates; before each the number of its rows, when there is one, which is at most `rows_max`.
    pub(super) fn read(
        reader: &mut Reader<'g>,
        count: usize,
        rows_max: Option<usize>,
    ) -> Result<Self, Malformed> {
        let all = reader.rest();
        if u32::try_from(all.len()).is_err() {
            return Err(Malformed("templates are longer than 4 GiB"));
        }
        // Each takes at least two bytes.
        let mut places = Vec::with_capacity(count.min(all.len() / 2));
        let mut lens = Vec::with_capacity(count.saturating_mul(8).min(all.len()));
        let mut slots_before = 0;
        for _ in 0..count {
            let rows = rows_max.map_or(Ok(0), |most| reader.bounded(most))? as u32;
            let slots = reader.bounded(SLOTS_MAX)? as u32;
            let mut len = 0;
            for _ in 0..=slots {
                let literal = reader.bounded(u32::MAX as usize)?;
                len += literal;
                lens.push(literal as u32);
            }
            let start = (all.len() - reader.rest().len()) as u32;
            reader.take(len)?;
            places.push(Place { start, len: len as u32, slots_before, slots, rows });
            slots_before += slots;
        }
        let read = all.len() - reader.rest().len();
        Ok(Self { bytes: Cow::Borrowed(all.get(..read).unwrap_or_default()), places, lens })
    }

    /// The same with bytes of its own.
    pub(super) fn into_owned(self) -> TemplateList<'static> {
        let bytes = [&*self.bytes, &PADDING].concat();
        TemplateList { bytes: Cow::Owned(bytes), places: self.places, lens: self.lens }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// How many slots all have.
    pub(super) fn slots(&self) -> usize {
        self.lens.len() - self.places.len()
    }

    /// How many rows each has.
    pub(super) fn rows(&self) -> impl Iterator<Item = usize> {
        self.places.iter().map(|place| place.rows as usize)
    }

    /// Says how many rows each has.
    pub(super) fn set_rows(&mut self, rows: impl Iterator<Item = usize>) {
        self.places.iter_mut().zip(rows).for_each(|(place, rows)| place.rows = rows as u32);
    }

    /// The literals of a template, how many rows it has, and which of all slots are its.
    #[inline]
    pub(super) fn get(&self, number: usize) -> Option<(TemplateText<'_>, usize, std::ops::Range<usize>)> {
        let place = self.places.get(number)?;
        let first_slot = place.slots_before as usize;
        let first_literal = first_slot + number;
        let slots = place.slots as usize;
        let lens = self.lens.get(first_literal..=first_literal + slots)?;
        let (bytes, len) = (self.bytes.get(place.start as usize..)?, place.len as usize);
        Some((TemplateText { bytes, len, lens }, place.rows as usize, first_slot..first_slot + slots))
    }

    /// Whether a literal could have the needle, looked for in all at once; never wrong when it says no.
    pub(super) fn may_hold(&self, needle: &Needle) -> bool {
        needle.is_in(&self.bytes)
    }
}

impl<'t> TemplateText<'t> {
    /// All literals, one behind the other.
    pub(super) fn bytes(self) -> &'t [u8] {
        &self.bytes[..self.len]
    }

    /// Slots between them.
    pub(super) fn slots(self) -> usize {
        self.lens.len() - 1
    }

    /// Appends all literals, and before each but the first what `value` does for the next of these slots.
    #[inline]
    pub(super) fn append_with<S, E>(
        self,
        slots: &[S],
        out: &mut Vec<u8>,
        mut value: impl FnMut(&S, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some((first, lens)) = self.lens.split_first() else { return Ok(()) };
        let mut start = *first as usize;
        append_piece(out, self.bytes, 0, start);
        for (slot, len) in slots.iter().zip(lens) {
            value(slot, out)?;
            append_piece(out, self.bytes, start, *len as usize);
            start += *len as usize;
        }
        Ok(())
    }

    /// The literals in order.
    #[inline]
    pub(super) fn literals(self) -> impl Iterator<Item = &'t [u8]> {
        let mut rest = self.bytes;
        self.lens.iter().map(move |len| {
            let (literal, behind) = rest.split_at_checked(*len as usize).unwrap_or_default();
            rest = behind;
            literal
        })
    }
}
