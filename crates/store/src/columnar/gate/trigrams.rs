//! Which runs of three bytes texts have, told apart by 32 kinds of bytes: case and hexadecimal digits count for nothing, so
//! that numbers and ids, whatever they are, have a handful of trigrams.
//!
//! While texts are read, every trigram has a bit of its own. What is kept of that is as many bits as make a good filter;
//! trigrams then share bits. A text whose trigrams are not all there is in none of those that were read.

use super::super::words;

/// How many kinds of bytes there are.
pub(super) const KINDS: usize = 32;
/// Hexadecimal digits, capital letters among them.
pub(super) const HEX: u8 = 0;
/// Bytes of which nothing is known. Also that of most marks.
pub(super) const OTHER: u8 = 30;
const HIGH: u8 = 31;
/// Marks with a kind of their own; 21 kinds are before theirs, digits and the letters from g to z.
const MARKS: [u8; 9] = *b" \":/.-_=,";
const FIRST_MARK: u8 = 21;
/// All trigrams, in bits of a number.
const TRIGRAM_BITS: u32 = 15;
/// Texts with more different trigrams than this have most of those that words are made of.
const TRIGRAMS_MAX: usize = 10_000;
/// Filters with fewer bits than this, in bits of a number, would tell nothing.
const FILTER_BITS_MIN: u32 = 6;

/// Texts of so many bytes and more are read word by word.
const LONG_TEXT_BYTES: usize = 32;
/// Words that are remembered, in bits of a number.
const WORD_BITS: u32 = 14;
/// A word that no text has once its digits are zeros.
const NO_WORD: u64 = u64::from_le_bytes(*b"11111111");

/// The kind of each byte.
pub(super) const KIND: [u8; 256] = {
    let mut kinds = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        let small = (byte as u8).to_ascii_lowercase();
        if small.is_ascii_digit() || (small >= b'a' && small <= b'f') {
            kinds[byte] = HEX;
        } else if small.is_ascii_lowercase() {
            kinds[byte] = small - b'g' + 1;
        } else if byte >= 0x80 {
            kinds[byte] = HIGH;
        }
        byte += 1;
    }
    let mut mark = 0;
    while mark < MARKS.len() {
        kinds[MARKS[mark] as usize] = FIRST_MARK + mark as u8;
        mark += 1;
    }
    kinds
};

/// The kind of a byte.
#[inline]
pub(super) fn kind(byte: u8) -> usize {
    usize::from(KIND[byte as usize])
}

/// Sets of kinds, one bit each.
pub(super) type Kinds = u32;

/// The set of one kind.
#[inline]
pub(super) fn only(kind: usize) -> Kinds {
    1 << kind
}

/// The kinds of a set.
pub(super) fn each(mut kinds: Kinds) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let kind = (kinds != 0).then(|| kinds.trailing_zeros() as usize)?;
        kinds &= kinds - 1;
        Some(kind)
    })
}

/// The trigrams of texts that were read.
pub(super) struct Trigrams {
    /// For each two kinds, those that follow them.
    following: Box<[Kinds; KINDS * KINDS]>,
    /// Words whose trigrams are all noted, each at the place that its hash has; none as long as there was no long text. What
    /// stands here is compared as a whole: no word is taken for another.
    words: Vec<u64>,
}

impl Default for Trigrams {
    fn default() -> Self {
        Self { following: Box::new([0; KINDS * KINDS]), words: Vec::new() }
    }
}

impl Trigrams {
    pub(super) fn clear(&mut self) {
        self.following.fill(0);
        self.words.clear();
    }

    /// Notes that any of these kinds may follow two others.
    #[inline]
    pub(super) fn follow(&mut self, first: usize, second: usize, third: Kinds) {
        self.following[(first * KINDS + second) % (KINDS * KINDS)] |= third;
    }

    /// Reads a text of at least two bytes.
    #[inline]
    pub(super) fn read(&mut self, text: &[u8]) {
        if text.len() < LONG_TEXT_BYTES { self.read_bytes(text) } else { self.read_words(text) }
    }

    /// Long texts are much alike, such as the frames of stack traces: most of their words were read before. A word has six
    /// trigrams, and shares two bytes with the next one.
    fn read_words(&mut self, text: &[u8]) {
        /// An odd number with bits all over.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        if self.words.is_empty() {
            self.words.resize(1 << WORD_BITS, NO_WORD);
        }
        let mut rest = text;
        while let Some(bytes) = rest.first_chunk::<8>() {
            // Which digits they are counts for nothing.
            let word = words::with_zeros(u64::from_le_bytes(*bytes));
            let known = &mut self.words[(word.wrapping_mul(SPREAD) >> (u64::BITS - WORD_BITS)) as usize];
            if *known != word {
                *known = word;
                self.read_bytes(bytes);
            }
            rest = &rest[6..];
        }
        self.read_bytes(rest);
    }

    #[inline]
    fn read_bytes(&mut self, text: &[u8]) {
        let [first, second, rest @ ..] = text else { return };
        let (mut before, mut two) = (kind(*second), kind(*first) * KINDS + kind(*second));
        for byte in rest {
            let third = kind(*byte);
            let following = &mut self.following[two % (KINDS * KINDS)];
            // Mostly it is known: not to write it again spares the next read of the same place a wait.
            if *following & only(third) == 0 {
                *following |= only(third);
            }
            two = before * KINDS + third;
            before = third;
        }
    }

    /// Whether so many trigrams are there that no filter is worth having.
    pub(super) fn are_too_many(&self) -> bool {
        self.count() > TRIGRAMS_MAX
    }

    fn count(&self) -> usize {
        self.following.iter().map(|kinds| kinds.count_ones() as usize).sum()
    }

    /// A filter of at most so many bytes, a power of two; empty when that is too few for the trigrams that are there.
    pub(super) fn filter(&self, bytes_max: usize) -> Vec<u8> {
        let count = self.count();
        let bits_of = |size: u32| 1_usize << size;
        // At most about every third bit is set, or every second where there is no room.
        let good = (FILTER_BITS_MIN..TRIGRAM_BITS).find(|size| bits_of(*size) * 2 >= count * 5);
        let size = good.unwrap_or(TRIGRAM_BITS);
        let fits = |size: &u32| bits_of(*size) / 8 <= bytes_max && bits_of(*size) * 2 >= count * 3;
        let Some(size) = [size, size - 1].into_iter().find(fits) else { return Vec::new() };
        if count > TRIGRAMS_MAX {
            return Vec::new();
        }
        let mut filter = vec![0_u8; bits_of(size) / 8];
        for (two, kinds) in self.following.iter().enumerate() {
            for third in each(*kinds) {
                let bit = place(two * KINDS + third, size);
                filter[bit / 8] |= 1 << (bit % 8);
            }
        }
        filter
    }
}

/// The bit of a trigram in a filter of `2^size` bits.
#[inline]
fn place(trigram: usize, size: u32) -> usize {
    /// An odd number: different trigrams have different products.
    const SPREAD: usize = 0x6a35;
    ((trigram * SPREAD) & ((1 << TRIGRAM_BITS) - 1)) >> (TRIGRAM_BITS - size)
}

/// Whether a filter of trigrams, a power of two bytes of it or nothing, has all of the text's.
pub(super) fn may_hold(filter: &[u8], text: &[u8]) -> bool {
    if filter.is_empty() {
        return true;
    }
    let size = (filter.len() * 8).trailing_zeros();
    text.windows(3).all(|three| {
        let trigram = three.iter().fold(0, |number, byte| number * KINDS + kind(*byte));
        let bit = place(trigram, size);
        filter.get(bit / 8).is_none_or(|byte| byte >> (bit % 8) & 1 == 1)
    })
}

/// Whether a filter can have so many bytes.
pub(super) fn is_size(bytes: usize) -> bool {
    bytes == 0 || bytes.is_power_of_two() && bytes <= 1 << (TRIGRAM_BITS - 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_that_was_read_may_be_there_in_any_case() {
        let mut trigrams = Trigrams::default();
        let text = b"Connection from 10.0.0.1 refused: \"caf\xc3\xa9\" took 1795132800 ms";
        trigrams.read(text);
        for bytes_max in [8, 16, 64, 4096] {
            let filter = trigrams.filter(bytes_max);
            assert!(is_size(filter.len()) && filter.len() <= bytes_max);
            for from in 0..text.len() {
                for to in from..=text.len() {
                    assert!(may_hold(&filter, &text[from..to]));
                    assert!(may_hold(&filter, &text[from..to].to_ascii_uppercase()));
                }
            }
        }
        let filter = trigrams.filter(4096);
        assert!(may_hold(&filter, b"0000000000 ms") && !may_hold(&filter, b"zzyvanowhere"));
    }

    #[test]
    fn long_texts_have_the_trigrams_that_their_bytes_have() {
        let mut rng = fastrand::Rng::with_seed(3);
        let pieces: [&[u8]; 7] =
            [b"at com.acme.", b"handler", b"(1234", b"\0\0\0\0\0\0\0\0\0\0", b"11111111", b"\xff ", b"Q"];
        let (mut at_once, mut byte_by_byte) = (Trigrams::default(), Trigrams::default());
        for _ in 0..200 {
            // What was read for the gate before tells nothing of this one.
            at_once.clear();
            byte_by_byte.clear();
            for _ in 0..rng.usize(1..9) {
                let text: Vec<u8> =
                    (0..rng.usize(0..20)).flat_map(|_| pieces[rng.usize(..pieces.len())].to_vec()).collect();
                at_once.read(&text);
                byte_by_byte.read_bytes(&text);
            }
            assert_eq!(at_once.following, byte_by_byte.following);
        }
    }

    #[test]
    fn a_filter_that_would_be_full_is_none() {
        let mut trigrams = Trigrams::default();
        let mut rng = fastrand::Rng::with_seed(1);
        let text: Vec<u8> = (0..1 << 20).map(|_| rng.u8(..)).collect();
        trigrams.read(&text[..200]);
        assert!(!trigrams.are_too_many() && trigrams.filter(16).is_empty());
        trigrams.read(&text);
        assert!(trigrams.are_too_many() && trigrams.filter(1 << 20).is_empty());
    }

    #[test]
    fn different_trigrams_have_different_bits_where_there_are_as_many() {
        let mut seen = vec![false; 1 << TRIGRAM_BITS];
        for trigram in 0..1 << TRIGRAM_BITS {
            assert!(!std::mem::replace(&mut seen[place(trigram, TRIGRAM_BITS)], true));
        }
    }
}
