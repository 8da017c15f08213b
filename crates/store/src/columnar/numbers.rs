//! Numbers of a column in as few bytes each as they were stored in: what decoding every line reads of all columns at once
//! has to fit into the caches.

/// Some numbers.
pub(crate) enum Numbers {
    /// Each this and a byte.
    Bytes(u64, Vec<u8>),
    /// Each this and two bytes.
    Pairs(u64, Vec<u16>),
    /// Each by itself.
    Long(Vec<u64>),
}

impl Numbers {
    /// One of them, if there are so many.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<u64> {
        match self {
            Self::Bytes(least, bytes) => bytes.get(index).map(|byte| least.wrapping_add(u64::from(*byte))),
            Self::Pairs(least, pairs) => pairs.get(index).map(|pair| least.wrapping_add(u64::from(*pair))),
            Self::Long(numbers) => numbers.get(index).copied(),
        }
    }

    /// What `of` says of each.
    pub(super) fn map<T>(&self, of: impl Fn(u64) -> T) -> Vec<T> {
        match self {
            Self::Bytes(least, bytes) => {
                bytes.iter().map(|byte| of(least.wrapping_add(u64::from(*byte)))).collect()
            }
            Self::Pairs(least, pairs) => {
                pairs.iter().map(|pair| of(least.wrapping_add(u64::from(*pair)))).collect()
            }
            Self::Long(numbers) => numbers.iter().map(|number| of(*number)).collect(),
        }
    }

    /// The largest.
    pub(super) fn most(&self) -> Option<u64> {
        match self {
            Self::Bytes(least, bytes) => bytes.iter().max().map(|byte| least.wrapping_add(u64::from(*byte))),
            Self::Pairs(least, pairs) => pairs.iter().max().map(|pair| least.wrapping_add(u64::from(*pair))),
            Self::Long(numbers) => numbers.iter().max().copied(),
        }
    }
}
