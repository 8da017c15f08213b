//! The long hexadecimal words of texts, such as ids of traces and UUIDs, as a filter.
//!
//! Of a run of 32 to 128 digits every window of 32 has a key, of one of 16 to 31 its first 16; of a UUID its 32 digits.
//! Case counts for nothing. So a text with 32 digits in a row has windows that are all known where the text is, whatever stands beside
//! them. Of a shorter run it must be clear where it begins, and that it is no part of one of 32.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use super::trigrams::{HEX, KIND};

/// Shorter runs have no key.
pub(super) const RUN_MIN: usize = 16;
/// Digits of a window, and of a UUID.
pub(super) const WINDOW: usize = 32;
/// Of a longer run not all windows have a key.
const RUN_MAX: usize = 128;
/// Groups of 8, 4, 4, 4 and 12 digits with hyphens between them.
pub(super) const UUID_BYTES: usize = 36;
/// Where its hyphens are.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
/// Fewer bits a key than this tell too little.
const KEY_BITS_MIN: usize = 2;
/// More bits a key than this are not worth having.
const KEY_BITS_MAX: usize = 8;
/// Filters of few keys have so many bits, where there is room.
const FILTER_BITS_MIN: usize = 256;
/// Texts with more keys than this have no filter of a size that is allowed.
const KEYS_MAX: usize = 1 << 16;
/// Windows of a searched run that are looked up.
const WINDOWS_ASKED: usize = 8;

/// Whether a byte is a hexadecimal digit in either case.
#[inline]
pub(super) fn is_digit(byte: u8) -> bool {
    KIND[byte as usize] == HEX
}

/// How far a UUID has come: bit `n` says that the last `n` bytes may be its first.
pub(super) type UuidProgress = u64;

/// What has come of UUIDs with another byte.
#[inline]
pub(super) fn uuid_step(progress: UuidProgress, byte: u8) -> UuidProgress {
    const HYPHEN_PLACES: u64 = 1 << 9 | 1 << 14 | 1 << 19 | 1 << 24;
    const ALL: u64 = (1 << (UUID_BYTES + 1)) - 1;
    let allowed = match byte {
        b'-' => HYPHEN_PLACES,
        _ if is_digit(byte) => ALL & !HYPHEN_PLACES & !1,
        _ => 0,
    };
    (progress << 1 | 2) & allowed
}

/// Whether a UUID is whole.
#[inline]
pub(super) fn is_uuid(progress: UuidProgress) -> bool {
    progress >> UUID_BYTES & 1 == 1
}

/// The words of texts that were read.
#[derive(Default)]
pub(super) struct Identifiers {
    /// Of windows and UUIDs.
    long: Vec<u64>,
    /// Of the beginnings of shorter runs.
    short: Vec<u64>,
    longest: usize,
    unknown_long: bool,
    unknown_short: bool,
    unknown_uuid: bool,
}

/// What is kept of the words of some texts.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdentifierFilter<'g> {
    /// No run of digits is longer than this, or than 15.
    pub(super) longest: usize,
    /// Whether each window, each beginning of a shorter run, and each UUID has a key.
    pub(super) knows_long: bool,
    pub(super) knows_short: bool,
    pub(super) knows_uuids: bool,
    /// How many bits each key has.
    pub(super) probes: u8,
    pub(super) bits: &'g [u8],
}

impl Identifiers {
    pub(super) fn clear(&mut self) {
        self.long.clear();
        self.short.clear();
        *self = Self {
            long: std::mem::take(&mut self.long),
            short: std::mem::take(&mut self.short),
            ..Self::default()
        };
    }

    /// Reads a text.
    #[inline]
    pub(super) fn read(&mut self, text: &[u8]) {
        if text.len() >= RUN_MIN {
            for_each_word(text, |word| self.add(&text[word]));
        }
    }

    /// Adds a run of digits or a UUID.
    fn add(&mut self, word: &[u8]) {
        if let Some(key) = uuid_key(word) {
            self.long.push(key);
            self.give_up_beyond_limit();
        } else {
            self.add_run(word);
        }
    }

    fn give_up_beyond_limit(&mut self) {
        if self.long.len() > KEYS_MAX {
            (self.unknown_long, self.unknown_uuid) = (true, true);
            self.long.clear();
        }
        if self.short.len() > KEYS_MAX {
            self.unknown_short = true;
            self.short.clear();
        }
    }

    /// Whether nothing will be known whatever is read.
    pub(super) fn tell_nothing(&self) -> bool {
        self.unknown_long && self.unknown_short && self.unknown_uuid
    }

    fn add_run(&mut self, run: &[u8]) {
        self.longest = self.longest.max(run.len());
        if run.len() < WINDOW {
            self.short.push(run_key(&run[..RUN_MIN]));
        } else if run.len() <= RUN_MAX {
            self.long.extend(run.windows(WINDOW).map(run_key));
        } else {
            self.unknown_long = true;
        }
        self.give_up_beyond_limit();
    }

    /// Adds words of 32 digits packed two a byte: of values of `width` bytes those from `at` on.
    pub(super) fn add_packed(&mut self, packed: &[u8], width: usize, at: usize, are_uuids: bool) {
        if !are_uuids {
            self.longest = self.longest.max(WINDOW);
        }
        for value in packed.chunks_exact(width.max(1)) {
            if let Some(digits) = value.get(at..).and_then(<[u8]>::first_chunk::<{ WINDOW / 2 }>) {
                self.long.push(xxh3_64(digits));
            }
        }
        self.give_up_beyond_limit();
    }

    /// Notes that there may be runs of up to so many digits that were not read.
    pub(super) fn note_unread_run(&mut self, digits: usize) {
        self.longest = self.longest.max(digits);
        self.unknown_short |= digits >= RUN_MIN;
        self.unknown_long |= digits >= WINDOW;
    }

    /// Notes that there may be a UUID that was not read.
    pub(super) fn note_unread_uuid(&mut self) {
        self.unknown_uuid = true;
    }

    /// A filter of at most so many bytes, with the bits of its keys in `bits`.
    pub(super) fn filter<'b>(&self, bytes_max: usize, bits: &'b mut Vec<u8>) -> IdentifierFilter<'b> {
        let bits_max = bytes_max * 8;
        let fits = |keys: usize| keys * KEY_BITS_MIN <= bits_max;
        let (long_count, short_count) = (distinct(&self.long, bits), distinct(&self.short, bits));
        bits.clear();
        let with_long = fits(long_count);
        let with_short = with_long && fits(long_count + short_count);
        let (long, long_count) = if with_long { (&*self.long, long_count) } else { (&[][..], 0) };
        let (short, short_count) = if with_short { (&*self.short, short_count) } else { (&[][..], 0) };
        let keys = long_count + short_count;
        let mut probes = 0;
        if keys > 0 {
            let size = bits_max.min((keys * KEY_BITS_MAX).max(FILTER_BITS_MIN)) / 8;
            bits.resize(size, 0);
            // As many as halve the bits.
            probes = (size * 8 * 7 / 10 / keys).clamp(1, 6) as u8;
            for key in long.iter().chain(short) {
                for bit in places(*key, probes, size) {
                    bits[bit / 8] |= 1 << (bit % 8);
                }
            }
        }
        IdentifierFilter {
            longest: self.longest,
            knows_long: with_long && !self.unknown_long,
            knows_short: with_short && !self.unknown_short,
            knows_uuids: with_long && !self.unknown_uuid,
            probes,
            bits,
        }
    }
}

impl IdentifierFilter<'_> {
    /// Whether a text that was read could hold this one; never wrong when it says no.
    pub(super) fn may_hold(&self, needle: &[u8]) -> bool {
        let mut start = 0;
        while let Some(found) = needle.get(start..).and_then(|rest| rest.iter().position(|b| is_digit(*b))) {
            start += found;
            let len = needle[start..].iter().take_while(|byte| is_digit(**byte)).count();
            let is_bounded = (start > 0, start + len < needle.len());
            if !self.may_hold_run(&needle[start..start + len], is_bounded) {
                return false;
            }
            start += len;
        }
        let is_known = |uuid: &[u8]| uuid_key(uuid).is_none_or(|key| self.has(key));
        !self.knows_uuids || needle.windows(UUID_BYTES).all(is_known)
    }

    /// `is_bounded` says whether something else stands before the run, and behind it.
    fn may_hold_run(&self, run: &[u8], is_bounded: (bool, bool)) -> bool {
        if run.len() < RUN_MIN {
            return true;
        }
        if run.len() > self.longest {
            return false;
        }
        if run.len() >= WINDOW {
            return !self.knows_long
                || run.windows(WINDOW).take(WINDOWS_ASKED).all(|window| self.has(run_key(window)));
        }
        let (begins, ends) = is_bounded;
        let is_short = run.len() == self.longest || begins && (ends || self.longest < WINDOW);
        !self.knows_short || !is_short || self.has(run_key(&run[..RUN_MIN]))
    }

    fn has(&self, key: u64) -> bool {
        let is_set = |bit: usize| self.bits.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
        // Without bits there is no key.
        !self.bits.is_empty() && places(key, self.probes, self.bits.len()).all(is_set)
    }
}

/// Hands over where runs of at least 16 digits, and UUIDs, are in a text.
pub(super) fn for_each_word(text: &[u8], mut visit: impl FnMut(Range<usize>)) {
    // A run of that length has one of every so many bytes.
    let mut at = RUN_MIN - 1;
    while let Some(byte) = text.get(at) {
        if !is_digit(*byte) {
            at += RUN_MIN;
            continue;
        }
        let before = text[..at].iter().rev().take_while(|byte| is_digit(**byte)).count();
        let behind = text[at..].iter().take_while(|byte| is_digit(**byte)).count();
        if before + behind >= RUN_MIN {
            visit(at - before..at + behind);
        }
        at += behind + RUN_MIN;
    }
    if text.len() < UUID_BYTES {
        return;
    }
    for hyphen in memchr::memchr_iter(b'-', text) {
        let Some(start) = hyphen.checked_sub(HYPHENS[0]) else { continue };
        if text.get(start..start + UUID_BYTES).is_some_and(|text| uuid_key(text).is_some()) {
            visit(start..start + UUID_BYTES);
        }
    }
}

/// How many different keys there are, within a hundredth or so: an id stands in several lines of a block. Counts the
/// bits that stay unset when each key sets one ([linear counting](https://doi.org/10.1145/78922.78925)).
fn distinct(keys: &[u64], bits: &mut Vec<u8>) -> usize {
    const BITS_MIN: usize = 64;
    let size = (keys.len() * 4).next_power_of_two().max(BITS_MIN);
    bits.clear();
    bits.resize(size / 8, 0);
    for key in keys {
        let bit = *key as usize & (size - 1);
        bits[bit / 8] |= 1 << (bit % 8);
    }
    let unset = bits.iter().map(|byte| byte.count_zeros() as usize).sum::<usize>() as f64;
    let estimate = size as f64 * (size as f64 / unset).ln();
    (estimate.round() as usize).clamp(usize::from(!keys.is_empty()), keys.len())
}

/// The bits of a key in a filter of so many bytes.
#[inline]
fn places(key: u64, probes: u8, bytes: usize) -> impl Iterator<Item = usize> {
    let bits = (bytes * 8) as u64;
    let (start, step) = (key as u32, (key >> 32) as u32 | 1);
    (0..u32::from(probes)).map(move |probe| {
        let hash = start.wrapping_add(step.wrapping_mul(probe));
        ((u64::from(hash) * bits) >> 32) as usize
    })
}

/// The key of 32 digits, or of 16: the hash of them packed two a byte.
fn run_key(run: &[u8]) -> u64 {
    let mut packed = [0_u8; WINDOW / 2];
    for (pair, byte) in run.as_chunks::<2>().0.iter().zip(&mut packed) {
        *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
    }
    xxh3_64(packed.get(..run.len() / 2).unwrap_or(&packed))
}

/// The number that a digit is.
fn nibble(digit: u8) -> u8 {
    (digit & 15) + (digit >> 6) * 9
}

/// The key of a UUID; `None` for other bytes.
fn uuid_key(text: &[u8]) -> Option<u64> {
    let mut digits = [0_u8; WINDOW];
    let mut places = digits.iter_mut();
    for (place, byte) in text.iter().enumerate() {
        if HYPHENS.contains(&place) {
            if *byte != b'-' {
                return None;
            }
        } else if is_digit(*byte) {
            *places.next()? = *byte;
        } else {
            return None;
        }
    }
    (text.len() == UUID_BYTES).then(|| run_key(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> String {
        let mixed = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        format!("{mixed:032x}")
    }

    fn uuid(number: u64) -> String {
        let id = id(number);
        format!("{}-{}-{}-{}-{}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..])
    }

    #[test]
    fn keys_that_come_again_are_counted_once() {
        let mut bits = Vec::new();
        for count in [0, 1, 2, 100, 7_000, 60_000] {
            let keys: Vec<u64> = (0..count).map(|number| run_key(id(number).as_bytes())).collect();
            for times in [1, 3] {
                let counted = distinct(&keys.repeat(times), &mut bits);
                assert!(counted.abs_diff(keys.len()) * 50 <= keys.len(), "{counted} of {count}");
            }
        }
    }

    #[test]
    fn ids_of_several_lines_have_as_good_a_filter_as_if_each_stood_in_one() {
        let (mut once, mut often) = (Identifiers::default(), Identifiers::default());
        for number in 0..3_000 {
            once.read(id(number).as_bytes());
            (0..4).for_each(|_| often.read(id(number).as_bytes()));
        }
        let (mut once_bits, mut often_bits) = (Vec::new(), Vec::new());
        once.filter(2_000, &mut once_bits);
        let filter = often.filter(2_000, &mut often_bits);
        assert!(filter.knows_long && (0..3_000).all(|number| filter.may_hold(id(number).as_bytes())));
        assert_eq!(once_bits.len(), filter.bits.len());
        let held = (3_000..13_000).filter(|number| filter.may_hold(id(*number).as_bytes())).count();
        assert!(held < 1_200, "{held} of 10,000");
    }

    #[test]
    fn words_that_were_read_are_known_and_most_others_are_not() {
        let mut identifiers = Identifiers::default();
        for i in 0..1000 {
            identifiers.read(format!("trace={} span={} {}!", id(i), &id(i)[..16], uuid(i + 5000)).as_bytes());
        }
        let mut bits = Vec::new();
        let filter = identifiers.filter(4096, &mut bits);
        assert!(filter.knows_long && filter.knows_short && filter.knows_uuids && filter.longest == 32);
        let mut wrongly_held = 0;
        for i in 0..1000 {
            assert!(filter.may_hold(id(i).as_bytes()) && filter.may_hold(uuid(i + 5000).as_bytes()));
            assert!(filter.may_hold(id(i).to_ascii_uppercase().as_bytes()));
            assert!(filter.may_hold(format!("={}", &id(i)[..16]).as_bytes()));
            assert!(filter.may_hold(format!("={} ", &id(i)[..16]).as_bytes()));
            assert!(filter.may_hold(&id(i).as_bytes()[3..]));
            wrongly_held += usize::from(filter.may_hold(id(i + 9000).as_bytes()));
            wrongly_held += usize::from(filter.may_hold(uuid(i + 9000).as_bytes()));
            // Could be a part of a longer word.
            assert!(filter.may_hold(&id(i + 9000).as_bytes()[..16]));
            assert!(filter.may_hold(format!("={}", &id(i + 9000)[..16]).as_bytes()));
            wrongly_held += usize::from(filter.may_hold(format!("={} ", &id(i + 9000)[..16]).as_bytes()));
        }
        assert!(wrongly_held < 600, "{wrongly_held}");
        assert!(!filter.may_hold(format!("{}0", id(3)).as_bytes()));
    }

    #[test]
    fn windows_of_longer_words_are_known() {
        let mut identifiers = Identifiers::default();
        let long = format!("{}{}", id(1), &id(2)[..9]);
        identifiers.read(long.as_bytes());
        let mut bits = Vec::new();
        let filter = identifiers.filter(64, &mut bits);
        for from in 0..long.len() {
            assert!((from..=long.len()).all(|to| filter.may_hold(&long.as_bytes()[from..to])));
        }
        identifiers.read("f".repeat(RUN_MAX + 1).as_bytes());
        assert!(identifiers.filter(64, &mut bits).may_hold(id(7).as_bytes()));
    }

    #[test]
    fn of_short_words_the_beginning_tells_where_there_are_no_long_ones() {
        let mut identifiers = Identifiers::default();
        (0..100).for_each(|i| identifiers.read(format!("blk_{}", &id(i)[..16 + i as usize % 9]).as_bytes()));
        let mut bits = Vec::new();
        let filter = identifiers.filter(1000, &mut bits);
        assert!((0..100).all(|i| filter.may_hold(format!("_{}", &id(i)[..16]).as_bytes())));
        let absent = |i: u64| format!("_{}", &id(i + 500)[..20]);
        assert!((0..100).filter(|i| filter.may_hold(absent(*i).as_bytes())).count() < 20);
        assert!((0..100).all(|i| filter.may_hold(&absent(i).as_bytes()[1..])));
    }

    #[test]
    fn what_has_no_room_is_not_known() {
        let mut identifiers = Identifiers::default();
        (0..100).for_each(|i| identifiers.read(id(i).as_bytes()));
        (0..100).for_each(|i| identifiers.read(&id(i).as_bytes()[..20]));
        let mut bits = Vec::new();
        for (bytes_max, knows_long, knows_short) in [(100, true, true), (40, true, false), (4, false, false)]
        {
            let filter = identifiers.filter(bytes_max, &mut bits);
            assert!(filter.bits.len() <= bytes_max);
            assert_eq!((filter.knows_long, filter.knows_short), (knows_long, knows_short));
            assert!((0..100).all(|i| filter.may_hold(id(i).as_bytes())));
        }
    }

    #[test]
    fn a_uuid_is_seen_byte_by_byte() {
        let text = format!("ab{}0-", uuid(3));
        let mut progress = 0;
        let whole: Vec<usize> = (0..text.len())
            .filter(|at| {
                progress = uuid_step(progress, text.as_bytes()[*at]);
                is_uuid(progress)
            })
            .collect();
        assert_eq!(whole, [2 + UUID_BYTES - 1]);
    }
}
