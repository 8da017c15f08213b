//! Numbers for the distinct values among many: a hash table of numbers, whose values lie with the caller.

/// Slots to begin with.
const SLOTS_MIN: usize = 64;
const EMPTY: u32 = u32::MAX;
/// So many hashes are counted at most.
pub(super) const COUNTED_MAX: usize = 128;

/// The values seen so far, by their hashes.
#[derive(Default)]
pub(super) struct Distinct {
    /// The number of a value each, at most half of them taken. Their count is a power of two.
    slots: Vec<u32>,
    /// The hash of each value.
    hashes: Vec<u64>,
}

impl Distinct {
    /// Forgets all values and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.hashes.clear();
        self.slots.clear();
        self.slots.resize(SLOTS_MIN, EMPTY);
    }

    /// The number of the value with this hash: that of the known value that `is_value` says it is, or else the next, which
    /// the caller adds to its values.
    #[inline]
    pub(super) fn number(&mut self, hash: u64, is_value: impl Fn(u32) -> bool) -> u32 {
        let mask = self.slots.len() - 1;
        // The high bits are the best of a product.
        let mut at = (hash >> 32) as usize & mask;
        loop {
            let number = self.slots[at];
            if number == EMPTY {
                break;
            }
            if self.hashes[number as usize] == hash && is_value(number) {
                return number;
            }
            at = (at + 1) & mask;
        }
        let number = self.hashes.len() as u32;
        self.hashes.push(hash);
        self.slots[at] = number;
        if self.hashes.len() * 2 > self.slots.len() {
            self.grow();
        }
        number
    }

    #[inline(never)]
    fn grow(&mut self) {
        let slots = self.slots.len() * 4;
        self.slots.clear();
        self.slots.resize(slots, EMPTY);
        for (number, hash) in self.hashes.iter().enumerate() {
            let mut at = (hash >> 32) as usize & (slots - 1);
            while self.slots[at] != EMPTY {
                at = (at + 1) & (slots - 1);
            }
            self.slots[at] = number as u32;
        }
    }
}

/// How many different hashes there are among at most [`COUNTED_MAX`]. That two differ only in the last bit is passed over.
pub(super) fn count(hashes: &[u64]) -> usize {
    debug_assert!(hashes.len() <= COUNTED_MAX);
    /// Most columns are short, and a small table is cleared sooner.
    const SHORT: usize = COUNTED_MAX / 8;
    if hashes.len() <= SHORT {
        count_within(hashes, &mut [0; 4 * SHORT])
    } else {
        count_within(hashes, &mut [0; 4 * COUNTED_MAX])
    }
}

/// The same, with a table of zeros that is larger than the number of hashes.
#[inline]
fn count_within<const SLOTS: usize>(hashes: &[u64], seen: &mut [u64; SLOTS]) -> usize {
    let mut count = 0;
    for hash in hashes {
        let hash = hash | 1;
        let mut at = (hash >> 32) as usize % SLOTS;
        while seen[at] != hash {
            if seen[at] == 0 {
                seen[at] = hash;
                count += 1;
                break;
            }
            at = (at + 1) % SLOTS;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_counted_once() {
        let mix = |i: u64| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for different in [1_u64, 2, 24, 100, 128] {
            let hashes: Vec<u64> = (0..128).map(|i| mix(i % different)).collect();
            assert_eq!(count(&hashes), different as usize);
        }
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&[0, 0, 7 << 32, 7 << 32]), 2);
    }

    #[test]
    fn equal_values_have_one_number_in_the_order_of_their_first() {
        let mut distinct = Distinct::default();
        for _ in 0..2 {
            distinct.clear();
            let mut known: Vec<u64> = Vec::new();
            for i in 0..5000_u64 {
                let value = i * i % 1999;
                // Few hashes, so that values share them.
                let number = distinct.number((value % 700) << 32, |number| known[number as usize] == value);
                if number as usize == known.len() {
                    known.push(value);
                }
                assert_eq!(known[number as usize], value);
            }
            assert_eq!(distinct.hashes.len(), known.len());
        }
    }
}
