//! Eight bytes at a time: what many short values are read with. Branches that depend on the bytes are what costs time
//! there, and one word answers for eight of them.
//!
//! In a word the first byte is the lowest. A mask has the highest bit of each byte that it names.

use xxhash_rust::xxh3::xxh3_64;

const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of each byte.
pub(super) const HIGHS: u64 = 0x80 * ONES;

/// The eight bytes from `at` on; zeros beyond the end.
#[inline]
pub(super) fn word_at(text: &[u8], at: usize) -> u64 {
    match text.get(at..).and_then(<[u8]>::first_chunk) {
        Some(eight) => u64::from_le_bytes(*eight),
        None => last_word(text, at),
    }
}

#[cold]
fn last_word(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// The lowest `bytes` bytes of a word; all for eight or more.
#[inline]
pub(super) fn low_bytes(bytes: usize) -> u64 {
    if bytes >= 8 { u64::MAX } else { (1 << (8 * bytes)) - 1 }
}

/// How many bytes lie below the first one that the mask names.
#[inline]
pub(super) fn before(mask: u64) -> usize {
    mask.trailing_zeros() as usize / 8
}

/// The bytes that are decimal digits.
#[inline]
pub(super) fn digits(word: u64) -> u64 {
    let values = word ^ (b'0' as u64 * ONES);
    let others = (values & !HIGHS).wrapping_add((0x80 - 10) * ONES) | values;
    !others & HIGHS
}

/// The word with a zero in the place of each decimal digit.
#[inline]
pub(super) fn with_zeros(word: u64) -> u64 {
    let digits = (digits(word) >> 7) * 0xff;
    word & !digits | digits & (b'0' as u64 * ONES)
}

/// The number that the first `len` bytes are, all of them decimal digits; at most 8.
#[inline]
pub(super) fn decimal(word: u64, len: usize) -> u64 {
    debug_assert!(len <= 8);
    if len == 0 {
        return 0;
    }
    // The digits to the high end, zeros before them; then neighbours are put together: pairs, fours, all eight.
    let values = (word << (64 - 8 * len)) & (0x0f * ONES);
    let pairs = values.wrapping_mul(10 * 256 + 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100 * 65_536 + 1) >> 16 & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000 * 4_294_967_296 + 1) >> 32
}

/// A hash of which all bits are good.
#[inline]
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let (low, high) = match bytes.len() {
        0..=3 => (bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
        4..=8 => match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => {
                (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
            }
            _ => (0, 0),
        },
        len @ 9..=16 => (word_at(bytes, 0), word_at(bytes, len - 8)),
        _ => return xxh3_64(bytes),
    };
    let product = u128::from(low ^ 0x9e37_79b9_7f4a_7c15)
        * u128::from(high ^ 0x9fb2_1c65_1e98_df25 ^ bytes.len() as u64);
    product as u64 ^ (product >> 64) as u64
}

/// Whether the bytes from `at` on are these.
#[inline]
pub(super) fn stands_at(text: &[u8], at: usize, bytes: &[u8]) -> bool {
    text.get(at..).and_then(|rest| rest.get(..bytes.len())).is_some_and(|there| same(there, bytes))
}

/// Whether two slices are equal: mostly they are short, so words beat a call.
#[inline]
pub(super) fn same(left: &[u8], right: &[u8]) -> bool {
    let len = left.len();
    if len != right.len() {
        return false;
    }
    if let (Some(left_end), Some(right_end)) = (left.last_chunk::<8>(), right.last_chunk::<8>()) {
        // The end first: it differs more often than the beginning.
        let (left_words, right_words) = (left.as_chunks::<8>().0, right.as_chunks::<8>().0);
        return left_end == right_end && left_words.iter().zip(right_words).all(|(a, b)| a == b);
    }
    if let (Some(left_end), Some(right_end)) = (left.last_chunk::<4>(), right.last_chunk::<4>()) {
        return left_end == right_end && left.first_chunk::<4>() == right.first_chunk::<4>();
    }
    left.iter().zip(right).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_up_to_the_end() {
        let text: Vec<u8> = (1..=10).collect();
        assert_eq!(word_at(&text, 1), 0x0908_0706_0504_0302);
        assert_eq!(word_at(&text, 8), 0x0a09);
        assert_eq!((word_at(&text, 10), word_at(&text, 11)), (0, 0));
        assert_eq!(word_at(&text, 0) & low_bytes(3), 0x03_0201);
    }

    #[test]
    fn masks_name_the_bytes() {
        for byte in 0..=255_u8 {
            for place in 0..8 {
                let mut bytes = *b"a/:9\xb0x y";
                bytes[place] = byte;
                let word = u64::from_le_bytes(bytes);
                let named = digits(word).to_le_bytes().map(|byte| byte == 0x80);
                assert_eq!(named, bytes.map(|byte| byte.is_ascii_digit()));
                let first = bytes.iter().position(u8::is_ascii_digit).unwrap_or(8);
                assert_eq!(before(digits(word)), first);
            }
        }
    }

    #[test]
    fn digits_make_a_number() {
        let word = u64::from_le_bytes(*b"90817263");
        for (len, number) in
            [0, 9, 90, 908, 9081, 90_817, 908_172, 9_081_726, 90_817_263].into_iter().enumerate()
        {
            assert_eq!(decimal(word, len), number);
        }
    }

    #[test]
    fn slices_are_compared_in_full() {
        for len in 0..40 {
            let left = vec![7_u8; len];
            assert!(same(&left, &left.clone()));
            for at in 0..len {
                let mut right = left.clone();
                right[at] = 8;
                assert!(!same(&left, &right), "{at} of {len}");
            }
        }
        assert!(!stands_at(b"abc", 1, b"bcd") && stands_at(b"abc", 1, b"bc") && !stands_at(b"abc", 4, b""));
    }
}
