//! Short values appended to a text, which is most of what decoding every line does: copied in pieces of fixed size, since
//! to call for a copy of few bytes takes longer than the copy.

use timberyard_model::decimal;

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

/// A number as its column writes it: with so many digits, or with 0 without leading zeros.
pub(super) fn spell_number(number: u64, fixed: usize, room: &mut decimal::Room) -> &[u8] {
    let start = decimal::write(number, fixed, room);
    &room[start..decimal::END]
}

/// Appends it.
#[inline]
pub(super) fn append_number(number: u64, fixed: usize, out: &mut Vec<u8>) {
    let mut room = decimal::ROOM;
    let start = decimal::write(number, fixed, &mut room);
    append_piece(out, &room, start, decimal::END - start);
}

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
    fn numbers_have_as_many_digits_as_their_column_says() {
        for (number, fixed, expected) in [(7, 0, "7"), (7, 3, "007"), (1234, 3, "1234"), (0, 0, "0")] {
            assert_eq!(spell_number(number, fixed, &mut { decimal::ROOM }), expected.as_bytes());
            let mut out = b"x".to_vec();
            append_number(number, fixed, &mut out);
            assert_eq!(String::from_utf8(out), Ok(format!("x{expected}")));
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
