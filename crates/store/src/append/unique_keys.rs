//! Decides which batches of a group bring a unique key that exists already.
//!
//! Only the log thread asks, one group at a time, so that of concurrent equal keys exactly one
//! wins. A key exists in the head, in a segment (asked through its filter), or earlier in the group.

use std::collections::HashSet;
use std::sync::Arc;

use timberyard_model::batch::UniqueKey;
use timberyard_model::{LogBatch, TenantId};

use super::verdict::Verdict;
use crate::core::Core;
use crate::error::StoreError;
use crate::segment::{Segment, key_hash};

/// The keys of one group.
#[derive(Default)]
pub(super) struct GroupKeys {
    keys: HashSet<(TenantId, Box<str>)>,
}

impl GroupKeys {
    /// Judges a batch; the keys of a batch that is new count from then on.
    pub(super) fn judge(&mut self, core: &Core, batch: &LogBatch) -> Verdict {
        if batch.unique_keys.is_empty() {
            return Verdict::New;
        }
        let mut own = HashSet::new();
        let mut in_group = None;
        for key in &batch.unique_keys {
            if !own.insert(&*key.key) {
                return Verdict::Exists(duplicate(key));
            }
            if self.keys.contains(&(batch.tenant.clone(), key.key.clone())) {
                in_group.get_or_insert_with(|| duplicate(key));
            }
        }
        if let Some(key) = stored(core, batch) {
            return Verdict::Exists(duplicate(key));
        }
        if let Some(error) = in_group {
            return Verdict::ExistsIfWritten(error);
        }
        self.keys.extend(batch.unique_keys.iter().map(|key| (batch.tenant.clone(), key.key.clone())));
        Verdict::New
    }
}

fn duplicate(key: &UniqueKey) -> StoreError {
    StoreError::Duplicate { key: key.key.clone(), row: key.row }
}

/// The first key of the batch that a stored row has.
fn stored<'a>(core: &Core, batch: &'a LogBatch) -> Option<&'a UniqueKey> {
    // Heads and segments under one lock: a key moves from one to the other in one step.
    let segments: Vec<Arc<Segment>> = {
        let state = core.state();
        let known = batch.unique_keys.iter().find(|key| state.heads.contains_key(&batch.tenant, &key.key));
        if known.is_some() {
            return known;
        }
        state.segments.of_tenant(&batch.tenant).filter(|segment| segment.summary.keys > 0).cloned().collect()
    };
    let hashes: Vec<u64> = batch.unique_keys.iter().map(|key| key_hash(&key.key)).collect();
    // The newest segments first: retries are what mostly repeats a key.
    for segment in segments.iter().rev() {
        for (key, hash) in batch.unique_keys.iter().zip(&hashes) {
            match segment.contains_key(*hash, &key.key) {
                Ok(true) => return Some(key),
                Ok(false) => {}
                Err(error) => {
                    // The keys of a damaged segment are lost with it; the others are still known.
                    core.note_damage(segment, &error);
                    break;
                }
            }
        }
    }
    None
}
