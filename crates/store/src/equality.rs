//! When two rows are the same entry: stream, time, line and metadata are equal.

use std::collections::HashSet;

use timberyard_model::{Labels, Timestamp};
use xxhash_rust::xxh3::Xxh3;

/// Stands for a row in comparisons: 128 bits over everything that makes two rows equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RowIdentity(u128);

impl RowIdentity {
    /// The one that sorts first.
    pub(crate) const MIN: Self = Self(0);

    pub(crate) fn of<'m>(
        labels: &Labels,
        timestamp: Timestamp,
        line: &[u8],
        metadata: impl Iterator<Item = (&'m str, &'m [u8])>,
    ) -> Self {
        let mut hasher = Xxh3::new();
        hasher.update(&labels.stable_hash().to_le_bytes());
        hasher.update(&timestamp.as_nanos().to_le_bytes());
        let mut part = |bytes: &[u8]| {
            // The length first, so that no two rows run together into the same bytes.
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        part(line);
        for (name, value) in metadata {
            part(name.as_bytes());
            part(value);
        }
        Self(hasher.digest128())
    }
}

/// Finds repetitions in rows that come sorted by time. Costs nothing for a row whose time no other has.
#[derive(Default)]
pub(crate) struct Repetitions {
    seen: HashSet<RowIdentity>,
}

impl Repetitions {
    /// Calls `keep` with each place of a run of rows with equal times that is not a repetition
    /// of an earlier one. `identity` is nothing for rows that never merge.
    pub(crate) fn without(
        &mut self,
        run: std::ops::Range<usize>,
        identity: impl Fn(usize) -> Option<RowIdentity>,
        mut keep: impl FnMut(usize),
    ) {
        if run.len() == 1 {
            keep(run.start);
            return;
        }
        self.seen.clear();
        for place in run {
            if identity(place).is_none_or(|identity| self.seen.insert(identity)) {
                keep(place);
            }
        }
    }
}
