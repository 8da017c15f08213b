//! A column as it is read: opened in its form, asked about its values, and spelled out only when it must be.

use std::borrow::Cow;

use memchr::memmem;
use timberyard_model::fields::{ByteSet, SlotRule};

use super::column_encoder::{CONSTANT, DEPTH_MAX, DICTIONARY, DIGITS, DIGITS_MAX, HEX, NESTED, NIBBLE, RAW};
use super::integer;
use super::strings::{Budget, Strings};
use super::table::{Filled, Slot, Table};
use super::templates::Template;
use crate::codec::{Malformed, Reader};

/// The values of one slot, still in their form.
pub(crate) enum Column {
    /// All values are this one.
    Constant(Vec<u8>),
    /// Decimal numbers, with this many digits each, or 0 for no leading zeros.
    Digits { fixed: usize, numbers: Vec<u64> },
    /// Hex digits at the zero places of the shape, two a byte.
    Hex { shape: Vec<u8>, packed: Vec<u8> },
    /// Which of these each value is.
    Dictionary { known: Strings, ids: Vec<u64> },
    /// Templates of digit runs.
    Nested(Table<'static>),
    /// The values themselves.
    Raw(Strings),
}

/// A question about one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test<'n> {
    /// The value has these bytes somewhere.
    Contains(&'n [u8]),
    /// It starts with them.
    Prefix(&'n [u8]),
    /// It ends with them.
    Suffix(&'n [u8]),
    /// It is them.
    Equals(&'n [u8]),
}

impl<'n> Test<'n> {
    /// Whether a value passes.
    pub(crate) fn passes(self, value: &[u8]) -> bool {
        match self {
            Self::Contains(needle) => memmem::find(value, needle).is_some(),
            Self::Prefix(needle) => value.starts_with(needle),
            Self::Suffix(needle) => value.ends_with(needle),
            Self::Equals(needle) => value == needle,
        }
    }

    /// The bytes that a passing value has.
    pub(crate) fn needle(self) -> &'n [u8] {
        match self {
            Self::Contains(needle) | Self::Prefix(needle) | Self::Suffix(needle) | Self::Equals(needle) => {
                needle
            }
        }
    }
}

/// Which of some rows pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Matches {
    /// No row.
    None,
    /// Every row.
    All,
    /// The rows where it says so.
    Some(Vec<bool>),
}

impl Matches {
    /// Rows that pass this or the other.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::None, matches) | (matches, Self::None) => matches,
            (Self::Some(mut left), Self::Some(right)) => {
                left.iter_mut().zip(right).for_each(|(l, r)| *l |= r);
                Self::Some(left)
            }
        }
    }

    /// Rows that pass this and the other.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::All, matches) | (matches, Self::All) => matches,
            (Self::Some(mut left), Self::Some(right)) => {
                left.iter_mut().zip(right).for_each(|(l, r)| *l &= r);
                Self::Some(left)
            }
        }
    }

    /// Rows that do not pass.
    pub(crate) fn not(self) -> Self {
        match self {
            Self::None => Self::All,
            Self::All => Self::None,
            Self::Some(mut rows) => {
                rows.iter_mut().for_each(|row| *row = !*row);
                Self::Some(rows)
            }
        }
    }

    /// Whether a row passes.
    #[inline]
    pub(crate) fn has(&self, row: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(rows) => rows[row],
        }
    }

    /// From one answer a row; `None` and `All` where they are all alike.
    pub(crate) fn from_rows(rows: Vec<bool>) -> Self {
        match rows.first() {
            None => Self::None,
            Some(first) if rows.iter().all(|row| row == first) => {
                if *first {
                    Self::All
                } else {
                    Self::None
                }
            }
            Some(_) => Self::Some(rows),
        }
    }
}

/// The values of a column, as few times each as the form allows.
pub(crate) enum Values<'c> {
    /// All are this.
    One(&'c [u8]),
    /// Which of some each is.
    Known(&'c Strings, &'c [u64]),
    /// One after the other.
    Each(Cow<'c, Strings>),
}

impl Column {
    /// Opens the column of `count` values; `depth` is 0 but for columns inside a column.
    pub(crate) fn open(
        reader: &mut Reader<'_>,
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
                Ok(Self::Digits { fixed, numbers: integer::decode(reader, count)? })
            }
            HEX => {
                let shape = reader.bytes()?.to_vec();
                let digits = shape.iter().filter(|place| **place == 0).count();
                if digits < 2 || digits % 2 != 0 {
                    return Err(Malformed("a hex column has half a byte"));
                }
                let packed = reader.take((digits / 2).saturating_mul(count))?.to_vec();
                Ok(Self::Hex { shape, packed })
            }
            DICTIONARY => {
                let size = reader.bounded(count)?;
                let mut known = Strings::default();
                for _ in 0..size {
                    known.push(reader.bytes()?);
                }
                let ids = integer::decode(reader, count)?;
                if ids.iter().any(|id| *id >= size as u64) {
                    return Err(Malformed("a value is not in its dictionary"));
                }
                Ok(Self::Dictionary { known, ids })
            }
            NESTED if depth < DEPTH_MAX => {
                let size = reader.bounded(count + 1)?;
                let templates: Vec<Template> =
                    (0..size).map(|_| Template::parse(reader)).collect::<Result<_, _>>()?;
                let ids = integer::decode(reader, count)?;
                let mut table = Table::new(templates, ids)?;
                for filled in &mut table.templates {
                    for _ in 0..filled.template.slots() {
                        filled.slots.push(Slot::open(Self::open(reader, filled.rows, depth + 1, budget)?));
                    }
                }
                Ok(Self::Nested(table))
            }
            RAW => {
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

    /// Which values pass the test.
    pub(crate) fn test(
        &self,
        test: Test<'_>,
        count: usize,
        budget: &mut Budget,
    ) -> Result<Matches, Malformed> {
        match self {
            Self::Constant(value) => Ok(if test.passes(value) { Matches::All } else { Matches::None }),
            Self::Digits { .. } if !test.needle().iter().all(u8::is_ascii_digit) => Ok(Matches::None),
            Self::Digits { fixed, numbers } => Ok(test_digits(*fixed, numbers, test)),
            Self::Hex { shape, packed } => test_hex(shape, packed, count, test, budget),
            Self::Dictionary { known, ids } => {
                let passes: Vec<bool> = known.iter().map(|value| test.passes(value)).collect();
                if !passes.contains(&true) {
                    return Ok(Matches::None);
                }
                Ok(Matches::from_rows(ids.iter().map(|id| passes[*id as usize]).collect()))
            }
            Self::Nested(table) => match test {
                Test::Contains(needle) => table.search(needle, budget),
                _ => self.test_spelled(test, count, budget),
            },
            Self::Raw(strings) => match test {
                Test::Contains(needle) => Ok(search_strings(&strings.bytes, &strings.ends, needle)),
                _ => self.test_spelled(test, count, budget),
            },
        }
    }

    fn test_spelled(&self, test: Test<'_>, count: usize, budget: &mut Budget) -> Result<Matches, Malformed> {
        let values = self.spell(count, budget)?;
        Ok(Matches::from_rows(values.iter().map(|value| test.passes(value)).collect()))
    }

    /// Which values keep the rule.
    pub(super) fn admitted(
        &self,
        rule: &SlotRule,
        count: usize,
        budget: &mut Budget,
    ) -> Result<Matches, Malformed> {
        if self.is_within(rule) {
            return Ok(Matches::All);
        }
        Ok(match self.values(count, budget)? {
            Values::One(value) if rule.admits(value) => Matches::All,
            Values::One(_) => Matches::None,
            Values::Known(known, ids) => {
                let admitted: Vec<bool> = known.iter().map(|value| rule.admits(value)).collect();
                if admitted.iter().all(|admitted| *admitted) {
                    return Ok(Matches::All);
                }
                Matches::from_rows(ids.iter().map(|id| admitted[*id as usize]).collect())
            }
            Values::Each(values) => {
                Matches::from_rows(values.iter().map(|value| rule.admits(value)).collect())
            }
        })
    }

    /// Whether the form alone says that all values keep the rule.
    fn is_within(&self, rule: &SlotRule) -> bool {
        match self {
            Self::Digits { .. } => {
                ByteSet::DIGITS.is_within(&rule.first) && ByteSet::DIGITS.is_within(&rule.rest)
            }
            Self::Hex { shape, .. } => {
                let digits = if shape.contains(&0) { ByteSet::NONE.with(HEX_TEXT) } else { ByteSet::NONE };
                let bytes =
                    shape.iter().filter(|byte| **byte != 0).fold(digits, |set, byte| set.with(&[*byte]));
                !shape.is_empty() && bytes.is_within(&rule.first) && bytes.is_within(&rule.rest)
            }
            Self::Nested(table) => {
                table.templates.iter().all(|filled| filled.rows == 0 || is_row_within(filled, rule))
            }
            Self::Constant(_) | Self::Dictionary { .. } | Self::Raw(_) => false,
        }
    }

    /// All values, borrowed where the form has them.
    pub(crate) fn values(&self, count: usize, budget: &mut Budget) -> Result<Values<'_>, Malformed> {
        Ok(match self {
            Self::Constant(value) => Values::One(value),
            Self::Dictionary { known, ids } => Values::Known(known, ids),
            Self::Raw(values) => Values::Each(Cow::Borrowed(values)),
            _ => Values::Each(Cow::Owned(self.spell(count, budget)?)),
        })
    }

    /// All values.
    pub(crate) fn spell(&self, count: usize, budget: &mut Budget) -> Result<Strings, Malformed> {
        let mut strings = Strings::default();
        strings.ends.reserve(count);
        match self {
            Self::Constant(value) => {
                budget.spend(value.len().saturating_mul(count))?;
                (0..count).for_each(|_| strings.push(value));
            }
            Self::Digits { fixed, numbers } => {
                budget.spend(count.saturating_mul(DIGITS_MAX + 1))?;
                let mut digits = [0; 20];
                numbers.iter().for_each(|number| strings.push(spell_number(*number, *fixed, &mut digits)));
            }
            Self::Hex { shape, packed } => {
                budget.spend(shape.len().saturating_mul(count))?;
                spell_hex(shape, packed, &mut strings);
            }
            Self::Dictionary { known, ids } => {
                for id in ids {
                    let value = known.get(*id as usize);
                    budget.spend(value.len())?;
                    strings.push(value);
                }
            }
            Self::Nested(table) => table.spell(&Matches::All, budget, &mut strings)?,
            Self::Raw(values) => {
                budget.spend(values.bytes.len())?;
                strings.bytes.extend_from_slice(&values.bytes);
                strings.ends.extend_from_slice(&values.ends);
            }
        }
        Ok(strings)
    }
}

/// Whether the rows of a template of a nested column keep the rule whatever the digits in them are.
fn is_row_within(filled: &Filled<'_>, rule: &SlotRule) -> bool {
    let mut is_first = true;
    let mut is_within = |bytes: &[u8]| {
        bytes.iter().all(|byte| {
            let expected = if std::mem::take(&mut is_first) { &rule.first } else { &rule.rest };
            expected.has(*byte)
        })
    };
    let digits = ByteSet::DIGITS;
    if !digits.is_within(&rule.first) || !digits.is_within(&rule.rest) {
        return false;
    }
    for (place, literal) in filled.template.literals().enumerate() {
        if let Some(slot) = place.checked_sub(1) {
            let is_number = match filled.slots.get(slot).and_then(Slot::opened) {
                Some(Column::Digits { .. }) => is_within(b"0"),
                Some(Column::Constant(value)) => is_within(value),
                _ => false,
            };
            if !is_number {
                return false;
            }
        }
        if !is_within(literal) {
            return false;
        }
    }
    !is_first || rule.may_be_empty
}

fn spell_number(mut number: u64, fixed: usize, digits: &mut [u8; 20]) -> &[u8] {
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

fn test_digits(fixed: usize, numbers: &[u64], test: Test<'_>) -> Matches {
    let mut digits = [0; 20];
    if let Test::Equals(needle) = test {
        // One number decides, unless its text is not how the column writes it.
        let wanted = std::str::from_utf8(needle).ok().and_then(|text| text.parse::<u64>().ok());
        return match wanted {
            Some(wanted) if spell_number(wanted, fixed, &mut digits) == needle => {
                Matches::from_rows(numbers.iter().map(|number| *number == wanted).collect())
            }
            _ => Matches::None,
        };
    }
    Matches::from_rows(
        numbers.iter().map(|number| test.passes(spell_number(*number, fixed, &mut digits))).collect(),
    )
}

const HEX_TEXT: &[u8; 16] = b"0123456789abcdef";

fn spell_hex(shape: &[u8], packed: &[u8], strings: &mut Strings) {
    let places: Vec<usize> = (0..shape.len()).filter(|i| shape[*i] == 0).collect();
    let mut value = shape.to_vec();
    for packed in packed.chunks_exact(places.len() / 2) {
        for (pair, byte) in places.chunks_exact(2).zip(packed) {
            value[pair[0]] = HEX_TEXT[usize::from(byte >> 4)];
            value[pair[1]] = HEX_TEXT[usize::from(byte & 15)];
        }
        strings.push(&value);
    }
}

fn test_hex(
    shape: &[u8],
    packed: &[u8],
    count: usize,
    test: Test<'_>,
    budget: &mut Budget,
) -> Result<Matches, Malformed> {
    let needle = test.needle();
    let possible = |byte: &u8| NIBBLE[*byte as usize] != 0xff || shape.contains(byte);
    if needle.len() > shape.len() || !needle.iter().all(possible) {
        return Ok(Matches::None);
    }
    if needle.len() == shape.len() {
        // All tests ask for the whole value then: pack the needle and compare bytes.
        let mut nibbles = Vec::with_capacity(needle.len());
        for (place, byte) in shape.iter().zip(needle) {
            match (*place, NIBBLE[*byte as usize]) {
                (0, 0xff) => return Ok(Matches::None),
                (0, nibble) => nibbles.push(nibble),
                (literal, _) if literal != *byte => return Ok(Matches::None),
                _ => {}
            }
        }
        let wanted: Vec<u8> = nibbles.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        let mut rows = Vec::new();
        let mut from = 0;
        let finder = memmem::Finder::new(&wanted);
        while let Some(found) = finder.find(&packed[from..]) {
            let at = from + found;
            if at % wanted.len() == 0 {
                rows.resize(count, false);
                rows[at / wanted.len()] = true;
            }
            from = at + 1;
        }
        return Ok(Matches::from_rows(rows));
    }
    let mut strings = Strings::default();
    budget.spend(shape.len().saturating_mul(count))?;
    spell_hex(shape, packed, &mut strings);
    Ok(match test {
        Test::Contains(needle) => search_strings(&strings.bytes, &strings.ends, needle),
        _ => Matches::from_rows(strings.iter().map(|value| test.passes(value)).collect()),
    })
}

/// Looks for the needle in all strings at once, and then in which of them it lies.
pub(crate) fn search_strings(bytes: &[u8], ends: &[u32], needle: &[u8]) -> Matches {
    if needle.is_empty() {
        return Matches::All;
    }
    let finder = memmem::Finder::new(needle);
    let (mut from, mut row) = (0, 0);
    let mut rows = Vec::new();
    while let Some(found) = finder.find(&bytes[from..]) {
        let at = from + found;
        row += ends[row..].partition_point(|end| *end as usize <= at);
        let end = ends[row] as usize;
        if at + needle.len() <= end {
            rows.resize(ends.len(), false);
            rows[row] = true;
            from = end;
        } else {
            from = at + 1;
        }
    }
    Matches::from_rows(rows)
}
