//! Values that are hexadecimal digits, such as ids, packed two digits a byte.

use super::column_encoder::{HEX, SAMPLE};
use super::frame::classes;
use super::strings::Span;
use crate::codec::put_bytes;

/// Fewer digits than this are not worth packing.
const DIGITS_MIN: usize = 8;
/// One in each of eight bytes.
const ONES: u64 = 0x0101_0101_0101_0101;

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

/// Appends the values when all have the shape of the first ones: hex digits at the same places, the same bytes at the
/// others. Gives the kinds of those other bytes.
pub(super) fn encode(text: &[u8], values: &[Span], out: &mut Vec<u8>) -> Option<u8> {
    let len = values.first()?.len as usize;
    // A place is a digit unless some early value has another byte there; that byte must then be in every value.
    let mut shape = vec![0_u8; len];
    for value in values.iter().take(SAMPLE) {
        if value.len as usize != len {
            return None;
        }
        for (place, byte) in shape.iter_mut().zip(value.of(text)) {
            if NIBBLE[*byte as usize] == 0xff {
                *place = *byte;
            }
        }
    }
    let digits = shape.iter().filter(|place| **place == 0).count();
    if digits < DIGITS_MIN || !digits.is_multiple_of(2) {
        return None;
    }
    let start = out.len();
    out.push(HEX);
    put_bytes(out, &shape);
    out.reserve(digits / 2 * values.len());
    let packed = if digits == len {
        values.iter().all(|value| value.len as usize == len && pack(value.of(text), out))
    } else {
        pack_shaped(text, values, &shape, out)
    };
    if !packed {
        out.truncate(start);
        return None;
    }
    Some(shape.iter().filter(|place| **place != 0).fold(0, |found, place| found | classes(&[*place])))
}

/// Packs values with other bytes among the digits.
fn pack_shaped(text: &[u8], values: &[Span], shape: &[u8], out: &mut Vec<u8>) -> bool {
    // Runs of digits and of other bytes in turn, by where they end.
    let runs: Vec<&[u8]> = shape.chunk_by(|a, b| (*a == 0) == (*b == 0)).collect();
    let mut digits = Vec::with_capacity(shape.len());
    values.iter().all(|value| {
        let mut rest = value.of(text);
        if rest.len() != shape.len() {
            return false;
        }
        digits.clear();
        for run in &runs {
            let (bytes, after) = rest.split_at(run.len());
            if run.first() == Some(&0) {
                digits.extend_from_slice(bytes);
            } else if bytes != *run {
                return false;
            }
            rest = after;
        }
        pack(&digits, out)
    })
}

/// Appends an even number of hex digits as bytes; says whether they all were.
#[inline]
fn pack(digits: &[u8], out: &mut Vec<u8>) -> bool {
    let (eights, rest) = digits.as_chunks::<8>();
    let mut good = true;
    for eight in eights {
        let (bytes, valid) = pack_eight(u64::from_le_bytes(*eight));
        good &= valid;
        out.extend_from_slice(&bytes.to_le_bytes());
    }
    for pair in rest.as_chunks::<2>().0 {
        let (high, low) = (NIBBLE[pair[0] as usize], NIBBLE[pair[1] as usize]);
        good &= (high | low) & 0xf0 == 0;
        out.push(high << 4 | low & 15);
    }
    good
}

/// Eight digits, the first one lowest, to four bytes, and whether they are hex digits. Each step treats all eight
/// bytes of the word at once.
#[inline]
fn pack_eight(digits: u64) -> (u32, bool) {
    let letter = digits >> 6 & ONES;
    let nibbles = (digits & (0x0f * ONES)) + letter * 9;
    // Digits begin with 3, letters with 6; the nibbles of digits are below 10, those of letters 10 to 15.
    let valid = digits & (0xf0 * ONES) == 0x30 * ONES + letter * 0x30
        && (nibbles + 6 * ONES) >> 4 & ONES == letter
        && nibbles & (0x10 * ONES) == 0;
    let pairs = (nibbles << 4 | nibbles >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    ((fours | fours >> 16) as u32, valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_packed_and_other_bytes_are_seen() {
        for at in 0..18 {
            for byte in 0..=255_u8 {
                let mut digits = *b"0123456789abcdef90";
                digits[at] = byte;
                let mut out = Vec::new();
                let good = pack(&digits, &mut out);
                assert_eq!(
                    good,
                    digits.iter().all(|digit| NIBBLE[*digit as usize] != 0xff),
                    "{byte} at {at}"
                );
                if good {
                    let back: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
                    assert_eq!(back.as_bytes(), digits);
                }
            }
        }
    }
}
