//! All lines of one shape as one line that a parser can read: a placeholder stands in each slot.
//!
//! A parser that looks only at what kinds of bytes there are, and not at how many, takes the same way through the outline as
//! through any line whose slots hold bytes that are nothing special to it. So it says where in such lines it would find
//! things, and it is the parser itself that says so.

use std::ops::Range;

use memchr::memchr2;
use timberyard_model::fields::{ByteSet, FieldPlace, SlotRule, ValueForm};

/// Stands for the value of a slot. A digit can be part of a word, a text, and a number.
const PLACEHOLDER: u8 = b'0';

/// Any bytes but those that end a quoted text or begin an escape.
const UNESCAPED: ByteSet = ByteSet::ALL.without(b"\"\\");

/// Part of a quoted text: nothing that ends it.
pub(super) static QUOTED: SlotRule =
    SlotRule { first: UNESCAPED, rest: UNESCAPED, may_be_empty: true, accepts: is_within_quotes };

/// The same where a wrong escape would end the line.
pub(super) static QUOTED_WITHOUT_ESCAPES: SlotRule =
    SlotRule { first: UNESCAPED, rest: UNESCAPED, may_be_empty: true, accepts: |_| false };

/// Whether a quoted text goes on behind these bytes, no escape being cut in two.
fn is_within_quotes(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some(found) = memchr2(b'"', b'\\', rest) {
        if rest[found] == b'"' || found + 1 >= rest.len() {
            return false;
        }
        rest = &rest[found + 2..];
    }
    true
}

/// A line with placeholders.
pub(super) struct Outline {
    line: Vec<u8>,
    /// Where the placeholders are, ascending.
    slots: Vec<usize>,
}

/// What a piece of an outline consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Of no slot.
    Literal,
    /// Of this slot and nothing else.
    Slot(usize),
    /// Of slots and other bytes, or of several slots.
    Mixed,
}

impl Outline {
    /// The outline of lines with a slot between each two of the literals.
    pub(super) fn new(literals: &[&[u8]]) -> Self {
        let mut line = Vec::with_capacity(literals.iter().map(|literal| literal.len() + 1).sum());
        let mut slots = Vec::with_capacity(literals.len());
        for (number, literal) in literals.iter().enumerate() {
            if number > 0 {
                slots.push(line.len());
                line.push(PLACEHOLDER);
            }
            line.extend_from_slice(literal);
        }
        Self { line, slots }
    }

    /// The bytes of the line.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The places of the placeholders, ascending.
    pub(super) fn places(&self) -> &[usize] {
        &self.slots
    }

    /// Whether a placeholder is at that place.
    pub(super) fn is_slot(&self, place: usize) -> bool {
        self.slots.binary_search(&place).is_ok()
    }

    /// The slots whose placeholders lie in a stretch of the line, by number.
    pub(super) fn slots_in(&self, stretch: Range<usize>) -> Range<usize> {
        let before = |place: usize| self.slots.partition_point(|slot| *slot < place);
        before(stretch.start)..before(stretch.end)
    }

    /// Where in the line a piece of it lies.
    pub(super) fn stretch_of(&self, piece: &[u8]) -> Range<usize> {
        let start = (piece.as_ptr() as usize).wrapping_sub(self.line.as_ptr() as usize);
        debug_assert!(start + piece.len() <= self.line.len(), "a piece of another line");
        start..start.saturating_add(piece.len())
    }

    /// Where lines of this shape have the field whose value is that piece of the outline: in a slot, or the same text in
    /// all of them, which `text` then writes. `None` when it is neither.
    pub(super) fn field(
        &self,
        raw: &[u8],
        form: ValueForm,
        text: impl FnOnce(&mut String),
    ) -> Option<FieldPlace> {
        // An empty piece need not lie in the line.
        let piece = if raw.is_empty() { Piece::Literal } else { self.piece(raw) };
        match piece {
            Piece::Slot(slot) => Some(FieldPlace::Slot(slot, form)),
            Piece::Literal => {
                let mut value = String::new();
                text(&mut value);
                Some(FieldPlace::Text(value.into()))
            }
            Piece::Mixed => None,
        }
    }

    /// The slots within quotes, in a piece of the line; `None` when what is in front of one would change what it means.
    pub(super) fn quoted_slots(&self, stretch: Range<usize>) -> Option<Range<usize>> {
        let slots = self.slots_in(stretch);
        let is_escaped = |place: &usize| self.is_escaped(*place);
        (!self.slots[slots.clone()].iter().any(is_escaped)).then_some(slots)
    }

    /// What a piece of the line consists of.
    fn piece(&self, piece: &[u8]) -> Piece {
        let slots = self.slots_in(self.stretch_of(piece));
        match slots.len() {
            0 => Piece::Literal,
            1 if piece.len() == 1 => Piece::Slot(slots.start),
            _ => Piece::Mixed,
        }
    }

    /// Whether a backslash in front of a placeholder would change what its value means.
    fn is_escaped(&self, place: usize) -> bool {
        let before = self.line[..place].iter().rev();
        before.take_while(|byte| **byte == b'\\').count() % 2 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_told_apart_by_where_they_lie() {
        let outline = Outline::new(&[b"a=", b"0 b=", b"", b"\\"]);
        assert_eq!(outline.line(), b"a=00 b=00\\");
        assert_eq!(outline.places(), [2, 7, 8]);
        let line = outline.line();
        assert_eq!(outline.piece(&line[2..3]), Piece::Slot(0));
        assert_eq!(outline.piece(&line[3..4]), Piece::Literal);
        assert_eq!(outline.piece(&line[2..4]), Piece::Mixed);
        assert_eq!(outline.piece(&line[7..9]), Piece::Mixed);
        assert_eq!(outline.piece(&line[4..4]), Piece::Literal);
        assert_eq!(outline.slots_in(3..8), 1..2);
        assert!(outline.is_escaped(10) && !outline.is_escaped(9));
    }
}
