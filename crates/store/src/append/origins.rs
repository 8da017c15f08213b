//! Decides which batches of a group bring a stretch of an origin that is stored already.
//!
//! Only the log thread asks, one group at a time, so that of concurrent equal stretches exactly one is stored.

use std::collections::HashMap;

use timberyard_model::origin::{AlreadyStored, OriginName};
use timberyard_model::{LogBatch, TenantId};

use super::verdict::Verdict;
use crate::core::Core;
use crate::error::StoreError;

/// How far the batches of one group bring their origins.
#[derive(Default)]
pub(super) struct GroupOrigins {
    ends: HashMap<(TenantId, OriginName), u64>,
}

impl GroupOrigins {
    /// Judges a batch.
    pub(super) fn judge(&self, core: &Core, batch: &LogBatch) -> Verdict {
        if batch.origins.is_empty() {
            return Verdict::New;
        }
        let stored = core.state().origins.clone();
        let durable = |name: &OriginName| stored.end(&batch.tenant, name);
        let in_group = |name: &OriginName| self.ends.get(&(batch.tenant.clone(), name.clone())).copied();
        let error = |stored: AlreadyStored| StoreError::AlreadyStored(Box::new(stored));
        match AlreadyStored::of(&batch.origins, |name| durable(name).max(in_group(name))) {
            None => Verdict::New,
            // What the group adds changes the answer: it holds only once the group is durable.
            Some(known) if AlreadyStored::of(&batch.origins, durable).as_ref() != Some(&known) => {
                Verdict::ExistsIfWritten(error(known))
            }
            Some(known) => Verdict::Exists(error(known)),
        }
    }

    /// Notes a batch that is to be written.
    pub(super) fn add(&mut self, batch: &LogBatch) {
        let ends = batch.origins.iter().map(|range| ((batch.tenant.clone(), range.name.clone()), range.to));
        self.ends.extend(ends);
    }
}
