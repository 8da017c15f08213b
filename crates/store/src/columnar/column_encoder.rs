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

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use super::integer;
use super::strings::Span;
use super::templates::{Prehashed, TemplateTable};
use super::tokenize::digit_runs;
use crate::codec::{put_bytes, put_varint};

pub(super) const CONSTANT: u8 = 0;
pub(super) const DIGITS: u8 = 1;
pub(super) const HEX: u8 = 2;
pub(super) const DICTIONARY: u8 = 3;
pub(super) const NESTED: u8 = 4;
pub(super) const RAW: u8 = 5;

/// Values looked at before a form is tried on all of them.
const SAMPLE: usize = 128;
/// Digits that always fit 64 bits.
pub(super) const DIGITS_MAX: usize = 19;
/// The longest value that is packed as hex digits.
const HEX_MAX: usize = 128;
/// Columns inside columns: one level, since the second finds only digits.
pub(super) const DEPTH_MAX: usize = 1;

/// Appends the column of these values.
pub(crate) fn encode(text: &[u8], values: &[Span], out: &mut Vec<u8>) {
    encode_at(text, values, 0, out);
}

fn encode_at(text: &[u8], values: &[Span], depth: usize, out: &mut Vec<u8>) {
    let Some(first) = values.first() else {
        return;
    };
    let first = first.of(text);
    if values.iter().all(|value| value.of(text) == first) {
        out.push(CONSTANT);
        put_bytes(out, first);
        return;
    }
    let sample = Sample::of(text, values);
    let start = out.len();
    let encoded = (sample.few && dictionary(text, values, 256.min(values.len() / 2 + 1), out))
        || (sample.digits && digits(text, values, out))
        || (sample.hex && hex(text, values, out))
        || (sample.repeats && dictionary(text, values, (values.len() / 4).min(1 << 16), out))
        || (depth < DEPTH_MAX && sample.some_digits && nested(text, values, depth, out));
    if !encoded {
        debug_assert_eq!(out.len(), start);
        raw(text, values, out);
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
        let mut hashes: Vec<u64> = Vec::with_capacity(SAMPLE);
        let (mut digits, mut some_digits, mut hex, mut letters) = (true, 0, true, false);
        let len = values[0].len;
        for value in values.iter().step_by(step) {
            let bytes = value.of(text);
            hashes.push(xxh3_64(bytes));
            digits &= !bytes.is_empty() && bytes.len() <= DIGITS_MAX && bytes.iter().all(u8::is_ascii_digit);
            some_digits += usize::from(bytes.iter().any(u8::is_ascii_digit));
            hex &= value.len == len && (8..=HEX_MAX as u32).contains(&len);
            letters |= bytes.iter().any(|b| matches!(b, b'a'..=b'f'));
        }
        hashes.sort_unstable();
        hashes.dedup();
        Self {
            few: hashes.len() <= 24.min(sampled / 2),
            repeats: hashes.len() <= sampled * 3 / 4,
            digits,
            some_digits: some_digits * 2 >= sampled,
            hex: hex && letters,
        }
    }
}

fn digits(text: &[u8], values: &[Span], out: &mut Vec<u8>) -> bool {
    let mut numbers = Vec::with_capacity(values.len());
    let len = values[0].len;
    let (mut same_len, mut canonical) = (true, true);
    for value in values {
        let bytes = value.of(text);
        if bytes.is_empty() || bytes.len() > DIGITS_MAX {
            return false;
        }
        let mut number = 0_u64;
        for byte in bytes {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return false;
            }
            number = number * 10 + u64::from(digit);
        }
        same_len &= value.len == len;
        canonical &= bytes[0] != b'0' || bytes.len() == 1;
        if !(same_len || canonical) {
            return false;
        }
        numbers.push(number);
    }
    out.push(DIGITS);
    out.push(if canonical { 0 } else { len as u8 });
    integer::encode(&numbers, out);
    true
}

/// Which nibble a hex digit is; 0xff for other bytes. Capital letters are not hex digits here.
pub(super) const NIBBLE: [u8; 256] = {
    let mut nibble = [0xff_u8; 256];
    let digits = b"0123456789abcdef";
    let mut i = 0;
    while i < 16 {
        nibble[digits[i] as usize] = i as u8;
        i += 1;
    }
    nibble
};

fn hex(text: &[u8], values: &[Span], out: &mut Vec<u8>) -> bool {
    let len = values[0].len as usize;
    // A place is a digit unless some early value has another byte there; that byte must then be in every value.
    let mut shape = vec![0_u8; len];
    for value in values.iter().take(SAMPLE) {
        if value.len as usize != len {
            return false;
        }
        for (place, byte) in shape.iter_mut().zip(value.of(text)) {
            if NIBBLE[*byte as usize] == 0xff {
                *place = *byte;
            }
        }
    }
    let digits: Vec<usize> = (0..len).filter(|i| shape[*i] == 0).collect();
    if digits.len() < 8 || !digits.len().is_multiple_of(2) {
        return false;
    }
    let start = out.len();
    out.push(HEX);
    put_bytes(out, &shape);
    let literals: Vec<usize> = (0..len).filter(|i| shape[*i] != 0).collect();
    for value in values {
        let bytes = value.of(text);
        let fits = bytes.len() == len && literals.iter().all(|i| bytes[*i] == shape[*i]);
        let mut bad = u8::from(!fits);
        if fits {
            if literals.is_empty() {
                out.extend(bytes.chunks_exact(2).map(|pair| {
                    let (high, low) = (NIBBLE[pair[0] as usize], NIBBLE[pair[1] as usize]);
                    bad |= (high | low) & 0xf0;
                    high << 4 | low
                }));
            } else {
                out.extend(digits.chunks_exact(2).map(|pair| {
                    let (high, low) = (NIBBLE[bytes[pair[0]] as usize], NIBBLE[bytes[pair[1]] as usize]);
                    bad |= (high | low) & 0xf0;
                    high << 4 | low
                }));
            }
        }
        if bad != 0 {
            out.truncate(start);
            return false;
        }
    }
    true
}

fn dictionary(text: &[u8], values: &[Span], distinct_max: usize, out: &mut Vec<u8>) -> bool {
    let mut numbers: HashMap<u64, u64, Prehashed> = HashMap::default();
    let mut known: Vec<&[u8]> = Vec::new();
    let mut ids = Vec::with_capacity(values.len());
    // Neighbours are often equal, and then nothing is hashed.
    let mut last: Option<(&[u8], u64)> = None;
    for value in values {
        let bytes = value.of(text);
        if let Some((same, id)) = last
            && same == bytes
        {
            ids.push(id);
            continue;
        }
        let next = known.len() as u64;
        let id = *numbers.entry(xxh3_64(bytes)).or_insert(next);
        if id == next {
            if known.len() == distinct_max {
                return false;
            }
            known.push(bytes);
        } else if known[id as usize] != bytes {
            // Two values with one hash: rarer than a broken disk, so another form will do.
            return false;
        }
        last = Some((bytes, id));
        ids.push(id);
    }
    out.push(DICTIONARY);
    put_varint(out, known.len() as u64);
    known.iter().for_each(|string| put_bytes(out, string));
    integer::encode(&ids, out);
    true
}

fn nested(text: &[u8], values: &[Span], depth: usize, out: &mut Vec<u8>) -> bool {
    let templates_max = (values.len() / 16).clamp(8, 1024);
    let mut table = TemplateTable::new();
    let mut spans = Vec::new();
    let mut ids = Vec::with_capacity(values.len());
    for value in values {
        digit_runs(value.of(text), value.start, &mut spans);
        ids.push(u64::from(table.file(value.of(text), value.start, &spans)));
        if table.filled.len() > templates_max {
            return false;
        }
    }
    out.push(NESTED);
    put_varint(out, table.filled.len() as u64);
    table.filled.iter().for_each(|filled| filled.template.write(out));
    integer::encode(&ids, out);
    for filled in &table.filled {
        for column in &filled.columns {
            encode_at(text, column, depth + 1, out);
        }
    }
    true
}

fn raw(text: &[u8], values: &[Span], out: &mut Vec<u8>) {
    out.push(RAW);
    let lens: Vec<u64> = values.iter().map(|value| u64::from(value.len)).collect();
    integer::encode(&lens, out);
    values.iter().for_each(|value| out.extend_from_slice(value.of(text)));
}

#[cfg(test)]
mod tests {
    use super::super::column::Column;
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
        encode(&text, &spans, &mut out);
        let mut reader = Reader::new(&out);
        let mut budget = Budget(1 << 20);
        let column = Column::open(&mut reader, values.len(), 0, &mut budget).expect("valid");
        let back = column.spell(values.len(), &mut budget).expect("valid");
        assert!(reader.is_empty());
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
        assert_eq!(round_trip(&["", "a"]), RAW);
    }
}
