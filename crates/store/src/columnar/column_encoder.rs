//! One column: the values of one slot of one template, in the form that suits them.
//!
//! ```text
//! column     form u8, then
//! 0 constant     value string
//! 1 digits       digits u8 (0 = no leading zeros, else that many in every value), numbers (see integer)
//! 2 hex          shape string (0x00 stands for a hex digit), two digits a byte, value after value
//! 3 dictionary   count varint, strings, numbers
//! 4 nested       count varint of templates, templates, numbers (which template a value has), their columns
//! 5 raw          numbers (lengths), bytes
//! string     length varint, bytes
//! ```
//!
//! The form is chosen by looking at the values; a guess that does not hold for all of them is given up.

use super::dictionary_order::DictionaryOrder;
use super::distinct::{self, Distinct};
use super::frame::{CLASS_DIGIT, CLASS_HEX_LETTER, Stamp, classes};
use super::hex;
use super::integer;
use super::nested::Nested;
use super::strings::Span;
use super::words::{hash, same};
use crate::codec::{put_bytes, put_varint};

pub(super) const CONSTANT: u8 = 0;
pub(super) const DIGITS: u8 = 1;
pub(super) const HEX: u8 = 2;
pub(super) const DICTIONARY: u8 = 3;
pub(super) const NESTED: u8 = 4;
pub(super) const RAW: u8 = 5;

/// Values looked at before a form is tried on all of them.
pub(super) const SAMPLE: usize = super::distinct::COUNTED_MAX;
/// Digits that always fit 64 bits.
pub(super) const DIGITS_MAX: usize = 19;
/// The longest value that is packed as hex digits.
const HEX_BYTES_MAX: usize = 128;
/// Columns inside columns: one level, since the second finds only digits.
pub(super) const DEPTH_MAX: usize = 1;
/// Values are gathered that begin so many bytes apart on average: what is nearer the processor fetches ahead by itself.
const APART_BYTES: u32 = 512;
/// Up to so many bytes of a value are copied without looking at its length.
const SHORT: usize = 32;
/// So many different values in a sample are few.
pub(super) const FEW: usize = 24;

/// Encodes columns; keeps its memory between them.
#[derive(Default)]
pub(crate) struct ColumnEncoder {
    plain: PlainEncoder,
    nested: Nested,
    gathered: Gathered,
}

/// The values of one column, one after the other. In a large group the values of a column lie so far apart that each is
/// a wait for memory, and most forms look at them more than once.
#[derive(Default)]
struct Gathered {
    text: Vec<u8>,
    values: Vec<Span>,
}

/// Encodes columns without columns inside.
#[derive(Default)]
pub(super) struct PlainEncoder {
    pub(super) distinct: Distinct,
    pub(super) ids: Vec<u32>,
    pub(super) numbers: Vec<u64>,
    known: Vec<Span>,
    order: DictionaryOrder,
}

impl ColumnEncoder {
    /// Appends the column of these values, and gives the kinds of bytes they have: all of them, and possibly more.
    pub(crate) fn encode(&mut self, text: &[u8], values: &[Span], out: &mut Vec<u8>) -> u8 {
        self.nested.forget();
        let Some(first) = values.first() else { return 0 };
        if let Some(classes) = constant(text, *first, values, out) {
            return classes;
        }
        let sample = Sample::of(text, values);
        let (text, values) = if lie_apart(values) { self.gathered.of(text, values) } else { (text, values) };
        let mut encoded = self.plain.encode(text, values, &sample, out);
        if encoded.is_none() && sample.some_digits {
            encoded = self.nested.encode(text, values, &mut self.plain, out);
        }
        encoded.unwrap_or_else(|| raw(text, values, &mut self.plain.ids, out))
    }

    /// About how much memory it keeps for the next column, in bytes.
    pub(super) fn kept_bytes(&self) -> usize {
        let gathered = self.gathered.text.capacity() + self.gathered.values.capacity() * size_of::<Span>();
        let PlainEncoder { ids, numbers, .. } = &self.plain;
        let plain = ids.capacity() * size_of::<u32>() + numbers.capacity() * size_of::<u64>();
        gathered + plain + self.nested.kept_bytes()
    }

    /// Of each slot of the column encoded last, template after template, if it is nested.
    pub(super) fn slot_stamps(&self) -> &[Stamp] {
        self.nested.stamps()
    }

    /// How many values each template of the column encoded last has, if it is nested.
    pub(crate) fn slot_rows(&self) -> &[usize] {
        self.nested.rows()
    }
}

/// Whether the values lie so far apart that it is worth gathering them.
fn lie_apart(values: &[Span]) -> bool {
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return false };
    last.start.saturating_sub(first.start) / values.len() as u32 >= APART_BYTES
}

impl Gathered {
    /// The text and places of these values, gathered.
    fn of(&mut self, text: &[u8], values: &[Span]) -> (&[u8], &[Span]) {
        self.text.clear();
        self.values.clear();
        self.values.reserve(values.len());
        for value in values {
            let (start, len) = (value.start as usize, value.len as usize);
            let at = self.text.len();
            // A copy of fixed length is a few instructions, and most values are short.
            match text.get(start..).and_then(<[u8]>::first_chunk::<SHORT>) {
                Some(chunk) if len <= SHORT => {
                    self.text.extend_from_slice(chunk);
                    self.text.truncate(at + len);
                }
                _ => self.text.extend_from_slice(value.of(text)),
            }
            self.values.push(Span { start: at as u32, len: value.len });
        }
        (&self.text, &self.values)
    }
}

impl PlainEncoder {
    /// As [`ColumnEncoder::encode`], without columns inside.
    pub(super) fn encode_plain(&mut self, text: &[u8], values: &[Span], out: &mut Vec<u8>) -> u8 {
        let Some(first) = values.first() else { return 0 };
        if let Some(classes) = constant(text, *first, values, out) {
            return classes;
        }
        let sample = Sample::of(text, values);
        let encoded = self.encode(text, values, &sample, out);
        encoded.unwrap_or_else(|| raw(text, values, &mut self.ids, out))
    }

    /// In a form without columns inside, unless none but raw suits them.
    fn encode(&mut self, text: &[u8], values: &[Span], sample: &Sample, out: &mut Vec<u8>) -> Option<u8> {
        let mut encoded = None;
        if sample.few {
            encoded = self.dictionary(text, values, 256.min(values.len() / 2 + 1), out);
        }
        if encoded.is_none() && sample.digits {
            encoded = self.digits(text, values, out);
        }
        if encoded.is_none() && sample.hex {
            encoded = hex::encode(text, values, out).map(|shape| shape | CLASS_DIGIT | CLASS_HEX_LETTER);
        }
        if encoded.is_none() && sample.repeats {
            encoded = self.dictionary(text, values, (values.len() / 4).min(1 << 16), out);
        }
        encoded
    }

    fn digits(&mut self, text: &[u8], values: &[Span], out: &mut Vec<u8>) -> Option<u8> {
        self.numbers.clear();
        self.numbers.reserve(values.len());
        let len = values[0].len;
        let (mut same_len, mut canonical) = (true, true);
        for value in values {
            let bytes = value.of(text);
            self.numbers.push(decimal(bytes)?);
            same_len &= value.len == len;
            canonical &= bytes[0] != b'0' || bytes.len() == 1;
            if !(same_len || canonical) {
                return None;
            }
        }
        out.push(DIGITS);
        out.push(if canonical { 0 } else { len as u8 });
        integer::encode(&self.numbers, out);
        Some(CLASS_DIGIT)
    }

    fn dictionary(
        &mut self,
        text: &[u8],
        values: &[Span],
        distinct_max: usize,
        out: &mut Vec<u8>,
    ) -> Option<u8> {
        let Self { distinct, ids, known, order, .. } = self;
        distinct.clear();
        ids.clear();
        ids.reserve(values.len());
        known.clear();
        // Neighbours are often equal, and then nothing is hashed.
        let mut last: (&[u8], u32) = (&[], u32::MAX);
        for value in values {
            let bytes = value.of(text);
            if last.1 == u32::MAX || !same(last.0, bytes) {
                let is_value = |number: u32| same(known[number as usize].of(text), bytes);
                let id = distinct.number(hash(bytes), is_value);
                if id as usize == known.len() {
                    if known.len() == distinct_max {
                        return None;
                    }
                    known.push(*value);
                }
                last = (bytes, id);
            }
            ids.push(last.1);
        }
        order.by_frequency(known, ids);
        out.push(DICTIONARY);
        put_varint(out, known.len() as u64);
        let mut found = 0;
        for string in known.iter() {
            put_bytes(out, string.of(text));
            found |= classes(string.of(text));
        }
        integer::encode(ids, out);
        Some(found)
    }
}

/// What a few values, evenly spread, have in common.
struct Sample {
    few: bool,
    repeats: bool,
    digits: bool,
    some_digits: bool,
    hex: bool,
}

impl Sample {
    fn of(text: &[u8], values: &[Span]) -> Self {
        let step = values.len().div_ceil(SAMPLE);
        let sampled = values.len().div_ceil(step);
        let mut hashes = [0_u64; SAMPLE];
        let (mut digits, mut some_digits, mut hex, mut letters) = (true, 0, true, false);
        let len = values[0].len;
        for (value, place) in values.iter().step_by(step).zip(&mut hashes) {
            let bytes = value.of(text);
            *place = hash(bytes);
            digits &= !bytes.is_empty() && bytes.len() <= DIGITS_MAX && bytes.iter().all(u8::is_ascii_digit);
            some_digits += usize::from(bytes.iter().any(u8::is_ascii_digit));
            hex &= value.len == len && (8..=HEX_BYTES_MAX as u32).contains(&len);
            letters |= bytes.iter().any(|b| matches!(b, b'a'..=b'f'));
        }
        let distinct = distinct::count(&hashes[..sampled]);
        Self {
            few: distinct <= FEW.min(sampled / 2),
            repeats: distinct <= sampled * 3 / 4,
            digits,
            some_digits: some_digits * 2 >= sampled,
            hex: hex && letters,
        }
    }
}

/// The form of values that are all the same.
fn constant(text: &[u8], first: Span, values: &[Span], out: &mut Vec<u8>) -> Option<u8> {
    let first = first.of(text);
    if !values.iter().all(|value| same(value.of(text), first)) {
        return None;
    }
    out.push(CONSTANT);
    put_bytes(out, first);
    Some(classes(first))
}

/// The number that 1 to 19 decimal digits are; nothing for other bytes.
fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > DIGITS_MAX {
        return None;
    }
    let mut number = 0_u64;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    Some(number)
}

fn raw(text: &[u8], values: &[Span], lens: &mut Vec<u32>, out: &mut Vec<u8>) -> u8 {
    out.push(RAW);
    lens.clear();
    lens.extend(values.iter().map(|value| value.len));
    integer::encode(lens, out);
    let start = out.len();
    values.iter().for_each(|value| out.extend_from_slice(value.of(text)));
    classes(&out[start..])
}

#[cfg(test)]
mod tests {
    use super::super::column::Column;
    use super::super::single_value::{Place, append_value};
    use super::super::strings::Budget;
    use super::*;
    use crate::codec::Reader;

    fn round_trip(values: &[&str]) -> u8 {
        let mut text = Vec::new();
        let mut spans = Vec::new();
        for value in values {
            spans.push(Span { start: text.len() as u32, len: value.len() as u32 });
            text.extend_from_slice(value.as_bytes());
        }
        let mut out = Vec::new();
        let found = ColumnEncoder::default().encode(&text, &spans, &mut out);
        assert_eq!(classes(&text) & !found, 0, "{values:?}");
        let mut reader = Reader::new(&out);
        let mut budget = Budget(1 << 20);
        let column = Column::open(&mut reader, values.len(), 0, &mut budget).expect("valid");
        let back = column.spell(&(0..values.len()).collect::<Vec<_>>(), &mut budget).expect("valid");
        assert!(reader.is_empty());
        for (index, value) in values.iter().enumerate() {
            let (mut reader, mut single) = (Reader::new(&out), Vec::new());
            let place = Place { index, count: values.len() };
            append_value(&mut reader, None, place, 0, &mut single).expect("valid");
            assert_eq!(String::from_utf8(single).as_deref(), Ok(*value));
        }
        assert_eq!(back.iter().collect::<Vec<_>>(), values.iter().map(|v| v.as_bytes()).collect::<Vec<_>>());
        out[0]
    }

    #[test]
    fn each_form_gives_its_values_back() {
        let owned = |f: &dyn Fn(u64) -> String| (0..300).map(f).collect::<Vec<_>>();
        let check = |values: Vec<String>, form: u8| {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            assert_eq!(round_trip(&values), form, "{values:?}");
        };
        let mix = |i: u64| (i + 7).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        check(owned(&|_| "same".to_owned()), CONSTANT);
        check(owned(&|i| mix(i).to_string()[..9].to_owned()), DIGITS);
        check(owned(&|i| format!("{:05}", i * 7)), DIGITS);
        check(owned(&|i| format!("{:016x}", mix(i))), HEX);
        check(owned(&|i| format!("{:08x}-{:04x}-0000", mix(i) as u32, mix(i) as u16)), HEX);
        check(owned(&|i| ["GET", "PUT", "x"][(mix(i) % 3) as usize].to_owned()), DICTIONARY);
        check(owned(&|i| format!("10.{}.{}.{}:80", mix(i) as u8, (mix(i) >> 8) as u8, i)), NESTED);
        check(owned(&|i| format!("2026-11-01T00:00:{:02}.{:03}Z", i / 10, mix(i) % 1000)), NESTED);
        check(owned(&|i| "x".repeat(i as usize)), RAW);
        check(owned(&|i| if i % 2 == 0 { format!("0{i}") } else { i.to_string() }), NESTED);
        check(owned(&|i| format!("{}.{:04}", i, if i % 3 == 0 { i } else { i * 3000 })), NESTED);
        check(owned(&|i| format!("{}-{}", "7".repeat(i as usize % 40), mix(i))), NESTED);
        check(owned(&|i| format!("v{}.{:02}", mix(i), i % 5 * 3)), NESTED);
        assert_eq!(round_trip(&["", "a"]), RAW);
    }
}
