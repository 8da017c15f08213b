//! Which sinks the rows of a batch go to.

use std::sync::Arc;

use timberyard_model::LogBatch;
use timberyard_model::batch::UniqueKey;

/// The name of live tails among the destinations.
pub const TAIL: &str = "tail";

/// The most destinations that there can be.
pub(super) const DESTINATIONS_MAX: usize = 32;

/// A set of destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destinations(u32);

impl Destinations {
    /// Every sink, whatever its number.
    pub const ALL: Self = Self(u32::MAX);
    /// No sink.
    pub(super) const NONE: Self = Self(0);

    /// The set with one more.
    #[must_use]
    pub(super) fn with(self, number: usize) -> Self {
        Self(self.0 | 1u32.checked_shl(number as u32).unwrap_or(0))
    }

    /// Whether a destination is among them.
    pub fn contains(self, number: usize) -> bool {
        self.0.checked_shr(number as u32).unwrap_or(0) & 1 == 1
    }
}

/// Where each row of a batch goes.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<Destinations>);

impl Routes {
    /// The destinations of each row, in their order.
    pub(super) fn new(destinations: Vec<Destinations>) -> Self {
        let everywhere = destinations.iter().all(|to| *to == Destinations::ALL);
        Self(if everywhere { Vec::new() } else { destinations })
    }

    /// How many of the batch's rows do not go to a destination.
    pub fn missing(&self, destination: usize) -> u64 {
        self.0.iter().filter(|to| !to.contains(destination)).count() as u64
    }

    /// What goes to a destination: the batch itself, a part of it, or nothing.
    pub fn part(&self, batch: &Arc<LogBatch>, destination: usize) -> Option<Arc<LogBatch>> {
        if self.missing(destination) == 0 {
            return Some(Arc::clone(batch));
        }
        let numbers = self.0.iter().enumerate().filter(|(_, to)| to.contains(destination));
        let numbers: Vec<u32> = numbers.map(|(number, _)| number as u32).collect();
        let part = LogBatch {
            rows: batch.rows.selected(&numbers),
            unique_keys: keys_of(&batch.unique_keys, &numbers),
            ..batch.clone_without_rows()
        };
        (!numbers.is_empty()).then(|| Arc::new(part))
    }
}

/// The keys of the rows with these numbers, which are sorted, at their new places.
pub(super) fn keys_of(keys: &[UniqueKey], numbers: &[u32]) -> Vec<UniqueKey> {
    let moved = |key: &UniqueKey| {
        let row = numbers.binary_search(&key.row).ok()? as u32;
        Some(UniqueKey { row, key: key.key.clone() })
    };
    keys.iter().filter_map(moved).collect()
}
