//! The rows of one family that are in the head.

use std::collections::BTreeMap;
use std::sync::Arc;

use timberyard_model::batch::UniqueKey;
use timberyard_model::{TenantId, Timestamp};

use super::entry::HeadEntry;

/// A tenant and a `service_name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FamilyId {
    pub(crate) tenant: TenantId,
    pub(crate) name: Arc<str>,
}

/// What a family has in the head.
#[derive(Default)]
pub(super) struct Family {
    pub(super) days: BTreeMap<i32, Vec<Arc<HeadEntry>>>,
    /// Memory that its rows hold.
    pub(super) bytes: usize,
    /// What its rows will be in groups, in raw bytes, roughly.
    pub(super) group_bytes: usize,
    pub(super) rows: u64,
    pub(super) line_bytes: u64,
    /// The sequence of its oldest entry.
    pub(super) first_sequence: u64,
    /// When its oldest entry was received.
    pub(super) received_at: Timestamp,
    /// By sequence, each with the day of its row.
    pub(super) keys: Vec<(u64, i32, UniqueKey)>,
}

/// The rows of a family that are to become segments.
pub(crate) struct FamilyCut {
    pub(crate) family: FamilyId,
    pub(crate) days: Vec<(i32, Vec<Arc<HeadEntry>>)>,
    /// By sequence, each with the day of its row.
    pub(crate) keys: Vec<(u64, i32, UniqueKey)>,
}

impl Family {
    pub(super) fn insert(&mut self, day: i32, entry: HeadEntry) {
        if self.days.is_empty() {
            self.first_sequence = entry.sequence;
            self.received_at = entry.received_at;
        }
        self.bytes += entry.bytes;
        self.group_bytes += entry.group_bytes;
        self.rows += entry.len() as u64;
        self.line_bytes += entry.line_bytes;
        self.days.entry(day).or_default().push(Arc::new(entry));
    }

    /// Whether rows of the batch that was inserted last, with this sequence, are here.
    pub(super) fn has(&self, sequence: u64) -> bool {
        self.days.values().filter_map(|entries| entries.last()).any(|entry| entry.sequence == sequence)
    }

    /// Takes out the entries up to a sequence.
    pub(super) fn remove(&mut self, up_to: u64) {
        for entries in self.days.values_mut() {
            let end = entries.partition_point(|entry| entry.sequence <= up_to);
            for entry in entries.drain(..end) {
                self.bytes -= entry.bytes;
                self.group_bytes -= entry.group_bytes;
                self.rows -= entry.len() as u64;
                self.line_bytes -= entry.line_bytes;
            }
        }
        self.days.retain(|_, entries| !entries.is_empty());
        let oldest = self.days.values().filter_map(|entries| entries.first());
        let oldest = oldest.min_by_key(|entry| entry.sequence);
        if let Some(entry) = oldest {
            self.first_sequence = entry.sequence;
            self.received_at = entry.received_at;
        }
    }
}
