//! Values with the same literal bytes and digits at the same places have one *shape*: their runs of digits are then found
//! without reading them again.
//!
//! A shape is looked up by the value with its digits blotted out. Values of more than 64 bytes are not looked up that
//! way, but have shapes too.

use super::distinct::Distinct;
use super::strings::Span;
use super::words::{self, low_bytes, word_at};

/// The longest value that is looked up, in bytes: one bit each.
const VALUE_BYTES_MAX: usize = 64;
const WORDS_MAX: usize = VALUE_BYTES_MAX / 8;

/// The shapes of a column's values.
#[derive(Default)]
pub(super) struct Shapes {
    by_hash: Distinct,
    shapes: Vec<Shape>,
    /// The values of all shapes with their digits blotted out.
    words: Vec<u64>,
    runs: Vec<ShapeRun>,
}

/// Where digits are in a value.
#[derive(Clone, Copy)]
struct Shape {
    /// The value's length in bytes.
    len: u32,
    /// One bit for each byte that is a digit.
    digits: u64,
    words_start: u32,
    template: u32,
    runs_start: u32,
    runs_len: u32,
}

/// A run of digits in a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShapeRun {
    /// Where it starts in the value.
    pub(super) offset: u32,
    /// How many digits it has.
    pub(super) len: u32,
}

/// A value with its digits blotted out.
pub(super) struct Blotted {
    len: u32,
    digits: u64,
    words: [u64; WORDS_MAX],
    hash: u64,
}

impl Blotted {
    /// Of the value at `place` of the text; nothing when it is too long.
    #[inline]
    pub(super) fn of(text: &[u8], place: Span) -> Option<Self> {
        let len = place.len as usize;
        if len > VALUE_BYTES_MAX {
            return None;
        }
        let mut blotted =
            Self { len: place.len, digits: 0, words: [0; WORDS_MAX], hash: u64::from(place.len) };
        for (i, literal) in blotted.words.iter_mut().enumerate().take(len.div_ceil(8)) {
            let word = word_at(text, place.start as usize + 8 * i) & low_bytes(len - 8 * i);
            let digits = words::digits(word) >> 7;
            // Each byte of `digits` is 0 or 1: eight bits side by side, and the same spread over whole bytes.
            blotted.digits |= digits.wrapping_mul(0x0102_0408_1020_4080) >> 56 << (8 * i);
            *literal = word & !(digits * 0xff);
            blotted.hash = (blotted.hash ^ *literal).wrapping_mul(0x9fb2_1c65_1e98_df25);
            blotted.hash ^= blotted.hash >> 32;
        }
        blotted.hash = (blotted.hash ^ blotted.digits).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Some(blotted)
    }

    fn words(&self) -> &[u64] {
        &self.words[..(self.len as usize).div_ceil(8)]
    }
}

impl Shapes {
    /// Forgets all shapes and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.by_hash.clear();
        self.shapes.clear();
        self.words.clear();
        self.runs.clear();
    }

    /// The number of the value's shape. It is the next number when the shape is new; then [`Shapes::add`] is to follow.
    #[inline]
    pub(super) fn number(&mut self, blotted: &Blotted) -> u32 {
        let Self { by_hash, shapes, words, .. } = self;
        by_hash.number(blotted.hash, |number| {
            let shape = &shapes[number as usize];
            (shape.len, shape.digits) == (blotted.len, blotted.digits)
                && words[shape.words_start as usize..].starts_with(blotted.words())
        })
    }

    /// How many shapes there are.
    pub(super) fn len(&self) -> usize {
        self.shapes.len()
    }

    /// A number for the shape of a value that is too long to be looked up; [`Shapes::add`] is to follow.
    pub(super) fn next_number(&mut self) -> u32 {
        self.by_hash.number(self.shapes.len() as u64, |_| false)
    }

    /// Adds a shape of a template, by its runs; `blotted` as it was looked up.
    pub(super) fn add(&mut self, blotted: Option<&Blotted>, place: Span, template: u32, parts: &[Span]) {
        let (digits, literals) = blotted.map_or((0, &[][..]), |blotted| (blotted.digits, blotted.words()));
        let (words_start, runs_start) = (self.words.len() as u32, self.runs.len() as u32);
        self.words.extend_from_slice(literals);
        let run = |part: &Span| ShapeRun { offset: part.start - place.start, len: part.len };
        self.runs.extend(parts.iter().map(run));
        let runs_len = parts.len() as u32;
        self.shapes.push(Shape { len: place.len, digits, words_start, template, runs_start, runs_len });
    }

    /// The template of a shape.
    #[inline]
    pub(super) fn template(&self, number: u32) -> u32 {
        self.shapes[number as usize].template
    }

    /// The runs of digits of a shape.
    #[inline]
    pub(super) fn runs(&self, number: u32) -> &[ShapeRun] {
        let shape = &self.shapes[number as usize];
        &self.runs[shape.runs_start as usize..][..shape.runs_len as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_share_a_shape_when_only_their_digits_differ() {
        let cases = ["10.0.0.1", "99.9.9.9", "9.99.9.9", "10.0.0.1 ", "10.0.0:1", "", "1", "x", "\u{0}"];
        let long = format!("{}7", "a".repeat(64));
        let text = [&cases.concat(), long.as_str(), &"8".repeat(64)].concat();
        let mut shapes = Shapes::default();
        shapes.clear();
        let mut start = 0;
        let mut numbers = Vec::new();
        for case in cases.iter().copied().chain([long.as_str(), &"8".repeat(64)]) {
            let place = Span { start, len: case.len() as u32 };
            start += place.len;
            let blotted = Blotted::of(text.as_bytes(), place);
            assert_eq!(blotted.is_none(), case.len() > 64);
            let number = match &blotted {
                Some(blotted) => shapes.number(blotted),
                None => shapes.next_number(),
            };
            if number as usize == shapes.len() {
                shapes.add(blotted.as_ref(), place, number, &[]);
            }
            numbers.push(number);
        }
        assert_eq!(numbers, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}
