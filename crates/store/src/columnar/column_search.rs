//! Which values of a column pass a test, found in the column's form: once for each word of a dictionary, in packed
//! digits, or in all values at once.

use super::column::{Column, Hex};
use super::digit_search::{hex_with, test_numbers};
use super::hex::NIBBLE;
use super::matches::Matches;
use super::needle::{Piece, Test};
use super::strings::{Budget, Strings};
use crate::codec::Malformed;

impl Column {
    /// Which values pass the test.
    pub(crate) fn test(
        &self,
        test: Test<'_>,
        count: usize,
        budget: &mut Budget,
    ) -> Result<Matches, Malformed> {
        match self {
            Self::Constant(value) => Ok(if test.passes(value) { Matches::All } else { Matches::None }),
            Self::Digits { .. } if !test.piece().bytes().iter().all(u8::is_ascii_digit) => Ok(Matches::None),
            Self::Digits { fixed, numbers } => Ok(test_numbers(*fixed, numbers, test)),
            Self::Hex(hex) => self.test_hex(hex, test, count, budget),
            Self::Dictionary { known, ids } => {
                let passes: Vec<bool> = known.iter().map(|value| test.passes(value)).collect();
                if !passes.contains(&true) {
                    return Ok(Matches::None);
                }
                Ok(Matches::from_rows(ids.iter().map(|id| passes[*id as usize]).collect()))
            }
            Self::Nested(table) => match test {
                Test::Contains(needle) => table.search(needle, budget),
                _ => table.test_values(test, budget),
            },
            Self::Raw(values) => {
                let values = values.view();
                Ok(match test {
                    Test::Contains(needle) => needle.search(values.bytes, values.ends),
                    _ => Matches::from_rows(values.iter().map(|value| test.passes(value)).collect()),
                })
            }
        }
    }

    fn test_each(&self, test: Test<'_>, count: usize, budget: &mut Budget) -> Result<Matches, Malformed> {
        let mut rows = Vec::with_capacity(count);
        self.for_each(count, budget, &mut |value| rows.push(test.passes(value)))?;
        Ok(Matches::from_rows(rows))
    }

    fn test_hex(
        &self,
        hex: &Hex,
        test: Test<'_>,
        count: usize,
        budget: &mut Budget,
    ) -> Result<Matches, Malformed> {
        let piece = test.piece();
        if piece.len() > hex.shape.len() || !hex_may_hold(&hex.shape, piece) {
            return Ok(Matches::None);
        }
        if piece.len() == hex.shape.len() {
            // All tests ask for the whole value then.
            return Ok(whole_hex(hex, piece, count));
        }
        if let Test::Contains(needle) = test {
            if let Some(found) = hex_with(hex, piece, count) {
                return Ok(found);
            }
            let values: Strings = self.spell(count, budget)?;
            return Ok(needle.search(&values.bytes, &values.ends));
        }
        self.test_each(test, count, budget)
    }
}

/// Whether values of this shape could hold the piece; never wrong when it says no.
pub(super) fn hex_may_hold(shape: &[u8], piece: Piece<'_>) -> bool {
    let folds = piece.ignores_case();
    let in_shape = |byte: u8| shape.iter().any(|s| *s == byte || folds && s.to_ascii_lowercase() == byte);
    piece.bytes().iter().all(|byte| NIBBLE[*byte as usize] != 0xff || in_shape(*byte))
}

/// Packs the digits of the wanted value and compares bytes.
fn whole_hex(hex: &Hex, wanted: Piece<'_>, count: usize) -> Matches {
    let mut nibbles = Vec::with_capacity(wanted.len());
    for (place, byte) in hex.shape.iter().zip(wanted.bytes()) {
        match (*place, NIBBLE[*byte as usize]) {
            (0, 0xff) => return Matches::None,
            (0, nibble) => nibbles.push(nibble),
            (literal, _) if literal == *byte => {}
            (literal, _) if wanted.ignores_case() && literal.eq_ignore_ascii_case(byte) => {}
            _ => return Matches::None,
        }
    }
    let wanted: Vec<u8> = nibbles.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    let mut rows = Vec::new();
    let mut from = 0;
    let finder = memchr::memmem::Finder::new(&wanted);
    while let Some(found) = finder.find(&hex.packed[from..]) {
        let at = from + found;
        if at % wanted.len() == 0 {
            rows.resize(count, false);
            rows[at / wanted.len()] = true;
        }
        from = at + 1;
    }
    Matches::from_rows(rows)
}
