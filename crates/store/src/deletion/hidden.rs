//! Which rows of one place, a segment's group or a head's entry, are not to be seen: deletions and retention.

use std::sync::Arc;

use timberyard_model::row_condition::RowView;
use timberyard_model::{Labels, Timestamp};

use super::tombstone::Tombstone;
use crate::retention::TenantCutoffs;

/// All that hides rows of a tenant.
#[derive(Clone, Default)]
pub(crate) struct Hiding {
    pub(crate) deletions: Arc<[Arc<Tombstone>]>,
    pub(crate) retention: Arc<TenantCutoffs>,
}

/// What hides rows of one place.
#[derive(Clone, Default)]
pub(crate) struct HiddenRows {
    deletions: Vec<Arc<Tombstone>>,
    /// Nothing when all rows of the place are young enough, whatever their stream.
    retention: Option<Arc<TenantCutoffs>>,
}

/// What of a stream's rows in one place is to be seen.
#[derive(Clone, Debug, Default)]
pub(crate) enum StreamRows {
    /// Every row.
    #[default]
    All,
    /// No row.
    None,
    /// The rows from this time on that none of these hides.
    Part(Timestamp, Arc<[Arc<Tombstone>]>),
}

impl HiddenRows {
    /// What hides rows with sequences up to `last_sequence` and times between `first` and `last`, both included.
    pub(crate) fn of(hiding: &Hiding, last_sequence: u64, first: Timestamp, last: Timestamp) -> Self {
        let reaching = hiding.deletions.iter().filter(|tombstone| {
            tombstone.problem().is_none() && tombstone.reaches(last_sequence, first, last)
        });
        let old = first < hiding.retention.latest();
        Self { deletions: reaching.cloned().collect(), retention: old.then(|| Arc::clone(&hiding.retention)) }
    }

    /// Whether nothing is hidden.
    pub(crate) fn is_empty(&self) -> bool {
        self.deletions.is_empty() && self.retention.is_none()
    }

    /// What is to be seen of a stream with rows between these times, both included. Whatever is counted
    /// without looking at rows is exact for [`StreamRows::All`] and [`StreamRows::None`] only.
    pub(crate) fn stream(&self, labels: &Labels, first: Timestamp, last: Timestamp) -> StreamRows {
        if self.is_empty() {
            return StreamRows::All;
        }
        let since = self.retention.as_ref().map_or(Timestamp::MIN, |retention| retention.rule_of(labels).1);
        if last < since {
            return StreamRows::None;
        }
        let touching = |tombstone: &&Arc<Tombstone>| {
            tombstone.selector.range.overlaps(first, last) && tombstone.accepts_stream(labels)
        };
        let touching: Vec<Arc<Tombstone>> = self.deletions.iter().filter(touching).cloned().collect();
        if touching.iter().any(|tombstone| tombstone.hides_all(first, last)) {
            StreamRows::None
        } else if touching.is_empty() && since <= first {
            StreamRows::All
        } else {
            StreamRows::Part(since, touching.into())
        }
    }
}

impl StreamRows {
    /// Whether a row of the stream is to be seen. Its line may be left out unless [`StreamRows::needs_lines`], its metadata
    /// unless [`StreamRows::needs_metadata`].
    pub(crate) fn shows(&self, row: &dyn RowView) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Part(since, deletions) => {
                *since <= row.timestamp() && !deletions.iter().any(|tombstone| tombstone.hides(row))
            }
        }
    }

    /// Whether rows have to be looked at one by one.
    pub(crate) fn is_partial(&self) -> bool {
        matches!(self, Self::Part(..))
    }

    /// Whether it takes their lines to tell which are to be seen.
    pub(crate) fn needs_lines(&self) -> bool {
        matches!(self, Self::Part(_, deletions) if deletions.iter().any(|tombstone| tombstone.reads_lines()))
    }

    /// Whether it takes their metadata.
    pub(crate) fn needs_metadata(&self) -> bool {
        matches!(self, Self::Part(_, deletions) if deletions.iter().any(|tombstone| tombstone.reads_metadata()))
    }
}
