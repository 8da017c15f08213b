//! The rows of one family that are in the head.

use std::collections::BTreeMap;
use std::sync::Arc;

use timberyard_model::batch::UniqueKey;
use timberyard_model::{TenantId, Timestamp};

use super::entry::{HeadBatch, HeadEntry};

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
    /// Its share of the memory of its batches.
    pub(super) bytes: usize,
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
            self.first_sequence = entry.batch.sequence;
            self.received_at = entry.batch.batch.received_at;
        }
        self.bytes += share(&entry);
        self.rows += entry.len() as u64;
        self.line_bytes += line_bytes(&entry);
        self.days.entry(day).or_default().push(Arc::new(entry));
    }

    /// Takes out the entries up to a sequence and calls `released` with each of their batches.
    pub(super) fn remove(&mut self, up_to: u64, mut released: impl FnMut(&HeadBatch)) {
        for entries in self.days.values_mut() {
            let end = entries.partition_point(|entry| entry.batch.sequence <= up_to);
            for entry in entries.drain(..end) {
                self.bytes -= share(&entry);
                self.rows -= entry.len() as u64;
                self.line_bytes -= line_bytes(&entry);
                released(&entry.batch);
            }
        }
        self.days.retain(|_, entries| !entries.is_empty());
        let oldest = self.days.values().filter_map(|entries| entries.first());
        let oldest = oldest.min_by_key(|entry| entry.batch.sequence);
        if let Some(entry) = oldest {
            self.first_sequence = entry.batch.sequence;
            self.received_at = entry.batch.batch.received_at;
        }
    }
}

/// A batch's memory, divided among its rows.
fn share(entry: &HeadEntry) -> usize {
    let rows = entry.batch.batch.rows.len().max(1);
    (entry.batch.bytes as u128 * entry.len() as u128 / rows as u128) as usize
}

fn line_bytes(entry: &HeadEntry) -> u64 {
    (0..entry.len()).map(|place| entry.row(place).line().len() as u64).sum()
}
