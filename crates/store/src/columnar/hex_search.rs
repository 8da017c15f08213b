//! Values of one shape, hex digits and other bytes, searched as they are packed.
//!
//! A piece can lie in such values only where its digits meet digits and its other bytes are those of the shape. There the
//! packed digits of each value are compared; nothing is spelled out.

use super::digit_search::hex_with;
use super::hex::NIBBLE;
use super::matches::Matches;
use super::needle::{Piece, Test};

/// Values of one shape.
#[derive(Clone, Copy)]
pub(super) struct PackedHex<'h> {
    /// One value, with 0 in place of each digit.
    pub(super) shape: &'h [u8],
    /// The digits of all values, two a byte.
    pub(super) packed: &'h [u8],
    /// Bytes of one value in `packed`; not 0.
    pub(super) width: usize,
    /// How many values there are.
    pub(super) count: usize,
}

/// Whether values of this shape could pass; never wrong when it says no.
pub(super) fn may_pass(shape: &[u8], test: Test<'_>) -> bool {
    offsets(shape, test).next().is_some()
}

/// Where in values of this shape a test may find its bytes.
fn offsets<'s>(shape: &'s [u8], test: Test<'s>) -> impl Iterator<Item = usize> + use<'s> {
    let piece = test.piece();
    let last = shape.len().checked_sub(piece.len());
    let (from, to) = match (test, last) {
        (_, None) => (1, 0),
        (Test::Contains(_), Some(last)) => (0, last),
        (Test::Prefix(_), Some(_)) | (Test::Equals(_), Some(0)) => (0, 0),
        (Test::Suffix(_), Some(last)) => (last, last),
        (Test::Equals(_), Some(_)) => (1, 0),
    };
    (from..=to).filter(move |offset| fits(shape.get(*offset..).unwrap_or_default(), piece))
}

/// Whether digits of the piece meet digits, and other bytes themselves.
fn fits(shape: &[u8], piece: Piece<'_>) -> bool {
    shape.iter().zip(piece.bytes()).all(|(place, byte)| match *place {
        0 => NIBBLE[*byte as usize] != 0xff,
        literal => literal == *byte || piece.ignores_case() && literal.eq_ignore_ascii_case(byte),
    })
}

/// What the packed digits of a value have to be where a piece lies.
struct Mask {
    /// The first byte that it looks at.
    start: usize,
    /// Which bits of each byte it looks at, and what they have to be.
    bits: Vec<(u8, u8)>,
}

impl Mask {
    fn new(shape: &[u8], piece: Piece<'_>, offset: usize) -> Self {
        let digits_before = shape.iter().take(offset).filter(|place| **place == 0).count();
        let mut mask = Self { start: digits_before / 2, bits: Vec::new() };
        let places = shape.iter().skip(offset).zip(piece.bytes());
        for (number, (_, byte)) in places.filter(|(place, _)| **place == 0).enumerate() {
            let nibble = NIBBLE[*byte as usize];
            if (digits_before + number).is_multiple_of(2) {
                mask.bits.push((0xf0, nibble << 4));
            } else if let Some((looked_at, wanted)) = mask.bits.last_mut() {
                (*looked_at, *wanted) = (0xff, *wanted | nibble);
            } else {
                mask.bits.push((0x0f, nibble));
            }
        }
        mask
    }

    #[inline]
    fn passes(&self, value: &[u8]) -> bool {
        let bytes = value.get(self.start..).unwrap_or_default();
        bytes.iter().zip(&self.bits).all(|(byte, (looked_at, wanted))| byte & looked_at == *wanted)
    }
}

impl PackedHex<'_> {
    /// Which values pass.
    pub(super) fn test(self, test: Test<'_>) -> Matches {
        let offsets: Vec<usize> = offsets(self.shape, test).collect();
        if offsets.is_empty() {
            return Matches::None;
        }
        if self.shape.len() == 2 * self.width
            && offsets.len() > 1
            && let Some(found) = hex_with(self, test.piece())
        {
            return found;
        }
        let masks = offsets.into_iter().map(|offset| Mask::new(self.shape, test.piece(), offset));
        let masks: Vec<Mask> = masks.collect();
        let values = self.packed.chunks_exact(self.width).take(self.count);
        Matches::from_rows(values.map(|value| masks.iter().any(|mask| mask.passes(value))).collect())
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::required_literals::Literal;

    use super::super::hex::encode;
    use super::super::needle::Needle;
    use super::super::strings::Span;
    use super::*;
    use crate::codec::Reader;

    /// The naive answer is to look at each value as it is written.
    #[test]
    fn packed_values_are_searched_as_if_they_were_written() {
        let mut random = fastrand::Rng::with_seed(11);
        for round in 0..3_000 {
            let shape = ["xxxxxxxx", "xxxx-xxxx-ID", "{xxx}:xxxxx", "0g-xxxxxxxxx-yxx", "xxxxxxxxxxxxxxxx"]
                [round % 5];
            let digit = |random: &mut fastrand::Rng| char::from(b"00123456789abcdef"[random.usize(..17)]);
            let value = |random: &mut fastrand::Rng| -> String {
                shape.chars().map(|place| if place == 'x' { digit(random) } else { place }).collect()
            };
            let values: Vec<String> = (0..12).map(|_| value(&mut random)).collect();
            let text = values.concat();
            let len = shape.len() as u32;
            let spans: Vec<Span> = (0..12).map(|row| Span { start: row * len, len }).collect();
            let mut out = Vec::new();
            if encode(text.as_bytes(), &spans, &mut out).is_none() {
                continue;
            }
            let mut reader = Reader::new(&out[1..]);
            let shape = reader.bytes().expect("a shape");
            let width = shape.iter().filter(|place| **place == 0).count() / 2;
            let packed = PackedHex { shape, packed: reader.rest(), width, count: 12 };
            let source = &values[random.usize(..12)];
            let start = random.usize(..source.len());
            let mut piece = source[start..random.usize(start..=source.len())].to_owned();
            if random.u8(..5) == 0 {
                piece.push(digit(&mut random));
            }
            let ignores_case = random.bool();
            if ignores_case {
                piece.make_ascii_lowercase();
            }
            let needle = Needle::new(&Literal { bytes: piece.as_bytes().into(), ignores_case });
            let needle = needle.expect("ASCII");
            let piece = needle.piece();
            for test in
                [Test::Contains(&needle), Test::Prefix(piece), Test::Suffix(piece), Test::Equals(piece)]
            {
                let found = packed.test(test);
                for (row, value) in values.iter().enumerate() {
                    let expected = test.passes(value.as_bytes());
                    assert_eq!(found.has(row), expected, "{piece:?} in {value}");
                    assert!(may_pass(shape, test) || !expected, "{piece:?} in {value}");
                }
            }
        }
    }
}
