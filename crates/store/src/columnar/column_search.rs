//! Which values of a column pass a test, found in the column's form: once for each word of a dictionary, in packed
//! digits, or in all values at once.

use super::column::Column;
use super::digit_search::test_numbers;
use super::matches::Matches;
use super::needle::Test;
use super::strings::Budget;
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
            Self::Hex(hex) => Ok(hex.packed_values(count).test(test)),
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
}
