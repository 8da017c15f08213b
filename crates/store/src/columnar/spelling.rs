//! Short values appended to a text, which is most of what decoding every line does: copied in pieces of fixed size, since
//! to call for a copy of few bytes takes longer than the copy.

/// Zeros behind the values of a source let all of them be copied in pieces.
pub(super) const PADDING: [u8; 32] = [0; 32];

/// Appends `len` bytes of `source` from `start` on, which are there.
#[inline(always)]
pub(super) fn append_piece(out: &mut Vec<u8>, source: &[u8], start: usize, len: usize) {
    let source = &source[start..];
    let end = out.len() + len;
    if len <= 16
        && let Some(piece) = source.first_chunk::<16>()
    {
        out.extend_from_slice(piece);
        out.truncate(end);
    } else if len <= 32
        && let Some(piece) = source.first_chunk::<32>()
    {
        out.extend_from_slice(piece);
        out.truncate(end);
    } else {
        out.extend_from_slice(&source[..len]);
    }
}

/// Where digits of a number are written, at the end of the first 20 bytes.
pub(super) const NUMBER_ROOM: [u8; 36] = [b'0'; 36];
const NUMBER_END: usize = 20;

/// A number as its column writes it: with so many digits, or with 0 without leading zeros; `digits` is [`NUMBER_ROOM`].
pub(super) fn spell_number(number: u64, fixed: usize, digits: &mut [u8; 36]) -> &[u8] {
    let start = write_number(number, fixed, digits);
    &digits[start..NUMBER_END]
}

/// Appends it.
#[inline]
pub(super) fn append_number(number: u64, fixed: usize, out: &mut Vec<u8>) {
    let mut digits = NUMBER_ROOM;
    let start = write_number(number, fixed, &mut digits);
    append_piece(out, &digits, start, NUMBER_END - start);
}

/// Writes the digits, and says where they begin.
#[inline]
fn write_number(mut number: u64, fixed: usize, digits: &mut [u8; 36]) -> usize {
    let mut start = NUMBER_END;
    let mut write = |unneeded: usize, number: u64| {
        start -= 2;
        let pair = DECIMAL_PAIRS[number as usize];
        (digits[start], digits[start + 1]) = (pair[0], pair[1]);
        start += unneeded;
    };
    // Twenty digits are enough for any number.
    while number >= 100 {
        write(0, number % 100);
        number /= 100;
    }
    write(usize::from(number < 10), number);
    // Zeros are there already.
    start.min(NUMBER_END - fixed.min(NUMBER_END))
}

/// The two digits of each number below 100.
const DECIMAL_PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// Appends hex digits that are packed two a byte.
#[inline]
pub(super) fn append_hex_digits(packed: &[u8], out: &mut Vec<u8>) {
    let (fours, rest) = packed.as_chunks::<4>();
    for four in fours {
        out.extend_from_slice(&hex_word(u32::from_le_bytes(*four)).to_le_bytes());
    }
    for byte in rest {
        out.extend_from_slice(&hex_pair(*byte));
    }
}

/// The two digits of a byte.
#[inline]
pub(super) fn hex_pair(byte: u8) -> [u8; 2] {
    let [first, second, ..] = hex_word(u32::from(byte)).to_le_bytes();
    [first, second]
}

/// The eight digits of four bytes, the lowest byte first. Each step treats all eight at once.
#[inline]
fn hex_word(bytes: u32) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let bytes = u64::from(bytes);
    let pairs = (bytes | bytes << 16) & 0x0000_ffff_0000_ffff;
    let singles = (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (singles >> 4 | singles << 8) & (0x0f * ONES);
    // What is 10 or more becomes a letter.
    let letters = (nibbles + 6 * ONES) >> 4 & ONES;
    nibbles + 0x30 * ONES + letters * 0x27
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        let edges = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit]);
        let tens = (0..20).flat_map(|digits| [10_u64.pow(digits) - 1, 10_u64.pow(digits)]);
        for number in (0..3000).chain(edges).chain(tens).chain([u64::MAX]) {
            for fixed in [0, 1, 2, 3, 7, 19] {
                let expected = format!("{number:0fixed$}");
                assert_eq!(spell_number(number, fixed, &mut { NUMBER_ROOM }), expected.as_bytes());
                let mut out = b"x".to_vec();
                append_number(number, fixed, &mut out);
                assert_eq!(String::from_utf8(out), Ok(format!("x{expected}")));
            }
        }
    }

    #[test]
    fn hex_digits_and_pieces_are_appended_as_they_are() {
        let bytes: Vec<u8> = (0..=255).collect();
        for len in 0..70 {
            for start in [0, 100, 256 - len] {
                let mut out = b"x".to_vec();
                append_piece(&mut out, &bytes, start, len);
                assert_eq!(out[1..], bytes[start..start + len]);
                let mut out = Vec::new();
                append_hex_digits(&bytes[start..start + len], &mut out);
                let expected: String = bytes[start..start + len].iter().map(|b| format!("{b:02x}")).collect();
                assert_eq!(String::from_utf8(out), Ok(expected));
            }
        }
    }
}
