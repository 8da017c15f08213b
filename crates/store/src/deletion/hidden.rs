//! Which rows of one place, a segment's group or a head's entry, are not to be seen.

use std::sync::Arc;

use timberyard_model::{Labels, Timestamp};

use super::tombstone::Tombstone;

/// The deletions that reach one place.
#[derive(Clone, Default)]
pub(crate) struct HiddenRows {
    deletions: Vec<Arc<Tombstone>>,
}

/// What of a stream's rows in one place is to be seen.
#[derive(Clone, Debug, Default)]
pub(crate) enum StreamRows {
    /// Every row.
    #[default]
    All,
    /// No row.
    None,
    /// The rows that none of these hides.
    Without(Arc<[Arc<Tombstone>]>),
}

impl HiddenRows {
    /// What hides rows with sequences up to `last_sequence` and times between `first` and `last`, both included.
    pub(crate) fn of(
        pending: &[Arc<Tombstone>],
        last_sequence: u64,
        first: Timestamp,
        last: Timestamp,
    ) -> Self {
        let reaching = pending.iter().filter(|tombstone| tombstone.reaches(last_sequence, first, last));
        Self { deletions: reaching.cloned().collect() }
    }

    /// Whether nothing is hidden.
    pub(crate) fn is_empty(&self) -> bool {
        self.deletions.is_empty()
    }

    /// What is to be seen of a stream with rows between these times, both included. Whatever is counted
    /// without looking at rows is exact for [`StreamRows::All`] and [`StreamRows::None`] only.
    pub(crate) fn stream(&self, labels: &Labels, first: Timestamp, last: Timestamp) -> StreamRows {
        if self.is_empty() {
            return StreamRows::All;
        }
        let touching = |tombstone: &&Arc<Tombstone>| {
            tombstone.selector.range.overlaps(first, last) && tombstone.accepts_stream(labels)
        };
        let touching: Vec<Arc<Tombstone>> = self.deletions.iter().filter(touching).cloned().collect();
        if touching.is_empty() {
            StreamRows::All
        } else if touching.iter().any(|tombstone| tombstone.hides_all(first, last)) {
            StreamRows::None
        } else {
            StreamRows::Without(touching.into())
        }
    }
}

impl StreamRows {
    /// Whether a row of the stream is to be seen.
    pub(crate) fn shows(&self, time: Timestamp, line: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Without(tombstones) => !tombstones.iter().any(|tombstone| tombstone.hides(time, line)),
        }
    }

    /// Whether rows have to be looked at one by one.
    pub(crate) fn is_partial(&self) -> bool {
        matches!(self, Self::Without(_))
    }
}
