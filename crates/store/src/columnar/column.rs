//! A column as it is read: opened in its form, and spelled out value by value.
//!
//! Any value can be spelled without those before it. What [`super::column_search`] asks of all values is answered in
//! the form, as far as it allows.

use super::column_encoder::{CONSTANT, DEPTH_MAX, DICTIONARY, DIGITS, DIGITS_MAX, HEX, NESTED, RAW};
use super::hex_search::PackedHex;
use super::integer;
use super::numbers::Numbers;
use super::raw_values::RawValues;
use super::slot::Slot;
use super::spelling::{PADDING, append_hex_digits, append_number, hex_pair};
use super::strings::{Budget, Strings};
use super::table::Table;
use super::template_list::TemplateList;
use crate::codec::{Malformed, Reader};
use timberyard_model::buffer::Buffer;

/// The values of one slot, still in their form.
pub(crate) enum Column {
    /// All values are this one.
    Constant(Vec<u8>),
    /// Decimal numbers, with this many digits each, or 0 for no leading zeros.
    Digits { fixed: usize, numbers: Numbers },
    /// Hex digits packed two a byte.
    Hex(Hex),
    /// Which of these each value is; they are padded.
    Dictionary { known: Strings, ids: Vec<u32> },
    /// Templates of digit runs.
    Nested(Table<'static>),
    /// The values themselves.
    Raw(RawValues),
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
    packed: Vec<u8>,
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
                Ok(Self::Digits { fixed, numbers: integer::decode_small(values(reader, apart), count)? })
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
                known.bytes.extend_from_slice(&PADDING);
                let reader = values(reader, apart);
                let ids = integer::decode_places(reader, count, size, "a value is not in its dictionary")?;
                Ok(Self::Dictionary { known, ids })
            }
            NESTED if depth < DEPTH_MAX => {
                let size = reader.bounded(count + 1)?;
                let templates = TemplateList::read(reader, size, None)?.into_owned();
                let reader = values(reader, apart);
                let ids = integer::decode_places(reader, count, size, "a template does not exist")?;
                let mut table = Table::of(templates, ids)?;
                table.fill(|rows| Ok(Slot::open(Self::open(reader, rows, depth + 1, budget)?)))?;
                Ok(Self::Nested(table))
            }
            RAW => Ok(Self::Raw(RawValues::read(values(reader, apart), count)?)),
            _ => Err(Malformed("a column has no such form")),
        }
    }

    /// A column of the values themselves, which are all of a buffer.
    pub(super) fn open_raw(buffer: Buffer, count: usize, budget: &mut Budget) -> Result<Self, Malformed> {
        budget.spend(count * size_of::<u64>())?;
        Ok(Self::Raw(RawValues::read_in_place(buffer, count)?))
    }

    /// Appends one value to `out`.
    #[inline]
    pub(crate) fn append(&self, index: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
        match self {
            Self::Constant(value) => out.extend_from_slice(value),
            Self::Digits { fixed, numbers } => {
                let number = numbers.get(index).ok_or(NO_SUCH_VALUE)?;
                append_number(number, *fixed, out);
            }
            Self::Hex(hex) => hex.append(index, out)?,
            Self::Dictionary { known, ids } => {
                let id = ids.get(index).ok_or(NO_SUCH_VALUE)?;
                known.append(*id as usize, out);
            }
            Self::Nested(table) => table.append(index, out)?,
            Self::Raw(values) => {
                let values = values.view();
                if index >= values.len() {
                    return Err(NO_SUCH_VALUE);
                }
                values.append(index, out);
            }
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

    /// These values, in their order.
    pub(crate) fn spell(&self, indexes: &[usize], budget: &mut Budget) -> Result<Strings, Malformed> {
        let mut strings = Strings::default();
        strings.ends.reserve(indexes.len());
        for index in indexes {
            let before = strings.bytes.len();
            self.append(*index, &mut strings.bytes)?;
            budget.spend(strings.bytes.len() - before)?;
            strings.end_one();
        }
        Ok(strings)
    }
}

/// Where the values of a column are: apart, or behind its beginning.
pub(super) fn values<'r, 'b>(
    reader: &'r mut Reader<'b>,
    apart: Option<&'r mut Reader<'b>>,
) -> &'r mut Reader<'b> {
    apart.unwrap_or(reader)
}

pub(super) const NO_SUCH_VALUE: Malformed = Malformed("a column has fewer values than it should");

impl Hex {
    fn open(shape: Vec<u8>, reader: &mut Reader<'_>, count: usize) -> Result<Self, Malformed> {
        let places: Vec<u32> =
            (0_u32..).zip(&shape).filter(|(_, byte)| **byte == 0).map(|(place, _)| place).collect();
        let packed = reader.take(packed_width(&shape)?.saturating_mul(count))?.to_vec();
        Ok(Self { shape, places, packed })
    }

    /// The values for a search; there are so many.
    pub(super) fn packed_values(&self, count: usize) -> PackedHex<'_> {
        PackedHex { shape: &self.shape, packed: &self.packed, width: self.width(), count }
    }

    /// Whether nothing stands between the digits.
    fn is_all_digits(&self) -> bool {
        self.places.len() == self.shape.len()
    }

    /// Bytes of one value in `packed`.
    fn width(&self) -> usize {
        self.places.len() / 2
    }

    #[inline]
    fn append(&self, index: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let width = self.width();
        let packed = self.packed.get(index * width..(index + 1) * width).ok_or(NO_SUCH_VALUE)?;
        let start = out.len();
        if self.is_all_digits() {
            append_hex_digits(packed, out);
            return Ok(());
        }
        out.extend_from_slice(&self.shape);
        let value = &mut out[start..];
        for (pair, byte) in self.places.chunks_exact(2).zip(packed) {
            let digits = hex_pair(*byte);
            value[pair[0] as usize] = digits[0];
            value[pair[1] as usize] = digits[1];
        }
        Ok(())
    }
}

/// How many bytes the digits of a value of this shape take.
pub(super) fn packed_width(shape: &[u8]) -> Result<usize, Malformed> {
    let digits = shape.iter().filter(|place| **place == 0).count();
    if digits == 0 || !digits.is_multiple_of(2) {
        return Err(Malformed("a hex column has half a byte"));
    }
    Ok(digits / 2)
}

/// Appends a value of this shape with these digits.
pub(super) fn append_hex(shape: &[u8], packed: &[u8], out: &mut Vec<u8>) {
    let mut digits = packed.iter().flat_map(|byte| hex_pair(*byte));
    out.extend(shape.iter().map(|place| match *place {
        0 => digits.next().unwrap_or(b'0'),
        literal => literal,
    }));
}
