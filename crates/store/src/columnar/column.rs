//! A column as it is read: opened in its form, and spelled out value by value.
//!
//! Any value can be spelled without those before it. What [`super::column_search`] asks of all values is answered in
//! the form, as far as it allows.

use super::column_encoder::{CONSTANT, DEPTH_MAX, DICTIONARY, DIGITS, DIGITS_MAX, HEX, NESTED, RAW};
use super::integer;
use super::strings::{Budget, Strings};
use super::table::{Slot, Table};
use super::templates::Template;
use crate::codec::{Malformed, Reader};

/// The values of one slot, still in their form.
pub(crate) enum Column {
    /// All values are this one.
    Constant(Vec<u8>),
    /// Decimal numbers, with this many digits each, or 0 for no leading zeros.
    Digits { fixed: usize, numbers: Vec<u64> },
    /// Hex digits packed two a byte.
    Hex(Hex),
    /// Which of these each value is.
    Dictionary { known: Strings, ids: Vec<u32> },
    /// Templates of digit runs.
    Nested(Table<'static>),
    /// The values themselves.
    Raw(Strings),
}

/// The values of a column, as few times each as the form allows.
pub(crate) enum Values<'c> {
    /// All are this.
    One(&'c [u8]),
    /// Which of some each is.
    Known(&'c Strings, &'c [u32]),
    /// Each its own.
    Each(&'c Column),
}

/// Values that are alike but for hex digits, of which there is an even number.
pub(crate) struct Hex {
    /// One value, with 0 in place of each digit.
    pub(super) shape: Vec<u8>,
    /// Where the digits are.
    places: Vec<u32>,
    /// The digits of all values, two a byte.
    pub(super) packed: Vec<u8>,
}

impl Column {
    /// Opens the column of `count` values; `depth` is 0 but for columns inside a column.
    pub(crate) fn open(
        reader: &mut Reader<'_>,
        count: usize,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<Self, Malformed> {
        Self::open_apart(reader, None, count, depth, budget)
    }

    /// The same where the values lie apart from the beginning of the column.
    pub(super) fn open_apart<'r>(
        reader: &mut Reader<'r>,
        apart: Option<&mut Reader<'r>>,
        count: usize,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<Self, Malformed> {
        if count == 0 {
            return Ok(Self::Constant(Vec::new()));
        }
        budget.spend(count * size_of::<u64>())?;
        match reader.byte()? {
            CONSTANT => Ok(Self::Constant(reader.bytes()?.to_vec())),
            DIGITS => {
                let fixed = usize::from(reader.byte()?);
                if fixed > DIGITS_MAX {
                    return Err(Malformed("a number has too many digits"));
                }
                Ok(Self::Digits { fixed, numbers: integer::decode(values(reader, apart), count)? })
            }
            HEX => {
                let shape = reader.bytes()?.to_vec();
                Ok(Self::Hex(Hex::open(shape, values(reader, apart), count)?))
            }
            DICTIONARY => {
                let size = reader.bounded(count)?;
                let mut known = Strings::default();
                for _ in 0..size {
                    known.push(reader.bytes()?);
                }
                let reader = values(reader, apart);
                let ids = integer::decode_places(reader, count, size, "a value is not in its dictionary")?;
                Ok(Self::Dictionary { known, ids })
            }
            NESTED if depth < DEPTH_MAX => {
                let size = reader.bounded(count + 1)?;
                let templates: Vec<Template> =
                    (0..size).map(|_| Template::parse(reader)).collect::<Result<_, _>>()?;
                let reader = values(reader, apart);
                let ids = integer::decode_places(reader, count, size, "a template does not exist")?;
                let mut table = Table::of(templates, ids)?;
                for filled in &mut table.templates {
                    for _ in 0..filled.template.slots() {
                        filled.slots.push(Slot::open(Self::open(reader, filled.rows, depth + 1, budget)?));
                    }
                }
                Ok(Self::Nested(table))
            }
            RAW => {
                let reader = values(reader, apart);
                let mut end = 0_u64;
                let ends = integer::decode(reader, count)?
                    .into_iter()
                    .map(|len| {
                        end = end.saturating_add(len);
                        u32::try_from(end).map_err(|_| Malformed("a column is too long"))
                    })
                    .collect::<Result<Vec<u32>, _>>()?;
                Ok(Self::Raw(Strings { bytes: reader.take(end as usize)?.to_vec(), ends }))
            }
            _ => Err(Malformed("a column has no such form")),
        }
    }

    /// Appends one value to `out`.
    #[inline]
    pub(crate) fn append(&self, index: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match self {
            Self::Constant(value) => out.extend_from_slice(value),
            Self::Digits { fixed, numbers } => {
                let number = numbers.get(index).ok_or(NO_SUCH_VALUE)?;
                out.extend_from_slice(spell_number(*number, *fixed, &mut [0; 20]));
            }
            Self::Hex(hex) => hex.append(index, out)?,
            Self::Dictionary { known, ids } => {
                let id = ids.get(index).ok_or(NO_SUCH_VALUE)?;
                out.extend_from_slice(known.get(*id as usize));
            }
            Self::Nested(table) => table.append(index, out)?,
            Self::Raw(values) if index < values.len() => out.extend_from_slice(values.get(index)),
            Self::Raw(_) => return Err(NO_SUCH_VALUE),
        }
        Ok(())
    }

    /// The values, as few times each as the form allows.
    pub(crate) fn values(&self) -> Values<'_> {
        match self {
            Self::Constant(value) => Values::One(value),
            Self::Dictionary { known, ids } => Values::Known(known, ids),
            _ => Values::Each(self),
        }
    }

    /// Hands every value to `visit`.
    pub(crate) fn for_each(
        &self,
        count: usize,
        budget: &mut Budget,
        visit: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Malformed> {
        let mut value = Vec::new();
        for index in 0..count {
            value.clear();
            self.append(index, &mut value)?;
            budget.spend(value.len())?;
            visit(&value);
        }
        Ok(())
    }

    /// All values.
    pub(crate) fn spell(&self, count: usize, budget: &mut Budget) -> Result<Strings, Malformed> {
        if let Self::Raw(values) = self {
            budget.spend(values.bytes.len())?;
            return Ok(values.clone());
        }
        let mut strings = Strings::default();
        strings.ends.reserve(count);
        for index in 0..count {
            let before = strings.bytes.len();
            self.append(index, &mut strings.bytes)?;
            budget.spend(strings.bytes.len() - before)?;
            strings.end_one();
        }
        Ok(strings)
    }
}

/// Where the values of a column are: apart, or behind its beginning.
fn values<'r, 'b>(reader: &'r mut Reader<'b>, apart: Option<&'r mut Reader<'b>>) -> &'r mut Reader<'b> {
    apart.unwrap_or(reader)
}

const NO_SUCH_VALUE: Malformed = Malformed("a column has fewer values than it should");

impl Hex {
    fn open(shape: Vec<u8>, reader: &mut Reader<'_>, count: usize) -> Result<Self, Malformed> {
        let places: Vec<u32> =
            (0_u32..).zip(&shape).filter(|(_, byte)| **byte == 0).map(|(place, _)| place).collect();
        if places.is_empty() || !places.len().is_multiple_of(2) {
            return Err(Malformed("a hex column has half a byte"));
        }
        let packed = reader.take((places.len() / 2).saturating_mul(count))?.to_vec();
        Ok(Self { shape, places, packed })
    }

    /// Whether nothing stands between the digits.
    pub(super) fn is_all_digits(&self) -> bool {
        self.places.len() == self.shape.len()
    }

    /// Bytes of one value in `packed`.
    pub(super) fn width(&self) -> usize {
        self.places.len() / 2
    }

    #[inline]
    fn append(&self, index: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let width = self.width();
        let packed = self.packed.get(index * width..(index + 1) * width).ok_or(NO_SUCH_VALUE)?;
        let start = out.len();
        if self.is_all_digits() {
            out.extend(packed.iter().flat_map(|byte| HEX_PAIRS[*byte as usize]));
            return Ok(());
        }
        out.extend_from_slice(&self.shape);
        let value = &mut out[start..];
        for (pair, byte) in self.places.chunks_exact(2).zip(packed) {
            let digits = HEX_PAIRS[*byte as usize];
            value[pair[0] as usize] = digits[0];
            value[pair[1] as usize] = digits[1];
        }
        Ok(())
    }
}

/// The two digits of each byte.
const HEX_PAIRS: [[u8; 2]; 256] = {
    let text = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [text[byte >> 4], text[byte & 15]];
        byte += 1;
    }
    pairs
};

/// A number as its column writes it.
#[inline]
pub(super) fn spell_number(mut number: u64, fixed: usize, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = 20;
    while at > 0 {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    while 20 - at < fixed {
        at -= 1;
        digits[at] = b'0';
    }
    &digits[at..]
}
