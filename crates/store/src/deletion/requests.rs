//! What is asked about deletions: a new one, which there are, calling one off.

use std::sync::Arc;

use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_model::{RowSelector, TenantId, TimeRange, Timestamp};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::pending::Pending;
use super::tombstone::{DeletionId, Tombstone};
use crate::core::{Core, lock};
use crate::error::StoreError;
use crate::manifest::Manifest;

/// Deletions of a store that may wait to be carried out. Each is asked about every row it may hide.
const PENDING_MAX: usize = 1000;
/// Deletions that are remembered after they were carried out; the oldest are forgotten first.
const CARRIED_OUT_MAX: usize = 1000;
/// The longest text of a deletion, in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// Rows that are to go.
#[derive(Clone, Debug, PartialEq)]
pub struct DeletionRequest {
    /// Whose rows.
    pub tenant: TenantId,
    /// Which of them.
    pub selector: RowSelector,
    /// The selector as its requester wrote it; only shown.
    pub text: String,
}

/// A deletion that was requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Its name.
    pub id: DeletionId,
    /// The selector as its requester wrote it.
    pub text: Box<str>,
    /// The times it is about.
    pub range: TimeRange,
    /// When it was requested.
    pub created_at: Timestamp,
    /// Whether no file holds a row of it any more.
    pub is_carried_out: bool,
    /// Why its condition is not understood, when it is not: it hides nothing then, and waits.
    pub problem: Option<Box<str>>,
}

/// Why rows are not deleted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeleteError {
    /// Too many wait. Wait until some are carried out, or call some off.
    #[error("{PENDING_MAX} deletions wait to be carried out, which is the limit")]
    TooMany,
    /// The text is too long.
    #[error("the text of a deletion is {0} bytes, limit is {TEXT_BYTES_MAX}")]
    TooLong(usize),
    /// Nobody knows which rows are meant.
    #[error("the condition of the deletion is not understood: {0}")]
    NotUnderstood(String),
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a deletion is not called off.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CancelError {
    /// The tenant has none of this name.
    #[error("there is no deletion {0}")]
    NotFound(DeletionId),
    /// Its rows are gone.
    #[error("deletion {0} has been carried out")]
    CarriedOut(DeletionId),
    /// It may be under way, and nobody insisted.
    #[error("deletion {0} is more than {1} seconds old and may be under way")]
    Late(DeletionId, u64),
    /// It could not be made durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Core {
    /// Hides rows from now on, durably. Only rows that are visible now are concerned.
    pub(crate) fn delete(&self, request: DeletionRequest, now: Timestamp) -> Result<DeletionId, DeleteError> {
        let condition_bytes =
            request.selector.condition.as_ref().map_or(0, |condition| condition.text().len());
        let text_bytes = request.text.len().max(condition_bytes);
        if text_bytes > TEXT_BYTES_MAX {
            return Err(DeleteError::TooLong(text_bytes));
        }
        if let Some(reason) = request.selector.problem() {
            return Err(DeleteError::NotUnderstood(reason.to_owned()));
        }
        let mut manifest = lock(&self.manifest);
        self.check_writing()?;
        let waiting = manifest.deletions.iter().filter(|tombstone| tombstone.carried_out_at.is_none());
        if waiting.count() >= PENDING_MAX {
            return Err(DeleteError::TooMany);
        }
        let mut next = manifest.clone();
        let id = new_id(&manifest, &request, now);
        {
            // In one step with the sequence, so that no cut puts rows from both sides into one segment.
            let mut state = self.state();
            let DeletionRequest { tenant, selector, text } = request;
            let tombstone = Tombstone::new(id, tenant, selector, text.into(), now, state.applied);
            next.deletions.push(Arc::new(tombstone));
            state.deletions = Arc::new(Pending::of(&next.deletions));
        }
        if let Err(error) = self.replace_manifest(&next) {
            self.state().deletions = Arc::new(Pending::of(&manifest.deletions));
            return Err(error.into());
        }
        *manifest = next;
        Ok(id)
    }

    /// The deletions of a tenant, the oldest first.
    pub(crate) fn deletions(&self, tenant: &TenantId) -> Vec<Deletion> {
        let manifest = lock(&self.manifest);
        let own = manifest.deletions.iter().filter(|tombstone| tombstone.tenant == *tenant);
        let shown = own.map(|tombstone| Deletion {
            id: tombstone.id,
            text: tombstone.text.clone(),
            range: tombstone.selector.range,
            created_at: tombstone.created_at,
            is_carried_out: tombstone.carried_out_at.is_some(),
            problem: tombstone.problem().filter(|_| tombstone.carried_out_at.is_none()).map(Box::from),
        });
        shown.collect()
    }

    /// Shows the rows of a deletion again, durably. Past the time for that, rows may be gone already, and it
    /// takes `force`.
    pub(crate) fn cancel_deletion(
        &self,
        tenant: &TenantId,
        id: DeletionId,
        force: bool,
        now: Timestamp,
    ) -> Result<(), CancelError> {
        let mut manifest = lock(&self.manifest);
        let known = manifest.deletions.iter().find(|known| known.id == id && known.tenant == *tenant);
        let tombstone = known.ok_or(CancelError::NotFound(id))?;
        if tombstone.carried_out_at.is_some() {
            return Err(CancelError::CarriedOut(id));
        }
        let under_way = self.is_due(tombstone, now) || self.state().carrying_out.contains(&id);
        if under_way && !force {
            return Err(CancelError::Late(id, self.options.deletion_cancel_seconds));
        }
        self.check_writing()?;
        let mut next = manifest.clone();
        next.deletions.retain(|tombstone| tombstone.id != id);
        self.replace_manifest(&next)?;
        self.state().deletions = Arc::new(Pending::of(&next.deletions));
        *manifest = next;
        Ok(())
    }

    /// Whether the time to call it off is over.
    pub(crate) fn is_due(&self, tombstone: &Tombstone, now: Timestamp) -> bool {
        let seconds = i64::try_from(self.options.deletion_cancel_seconds).unwrap_or(i64::MAX);
        tombstone.created_at.saturating_add_nanos(seconds.saturating_mul(NANOS_PER_SECOND)) < now
    }

    /// Notes that no file holds a row of these any more: they hide nothing from now on.
    pub(crate) fn note_carried_out(&self, ids: &[DeletionId], now: Timestamp) -> Result<(), StoreError> {
        let mut manifest = lock(&self.manifest);
        let mut next = manifest.clone();
        for tombstone in &mut next.deletions {
            if ids.contains(&tombstone.id) && tombstone.carried_out_at.is_none() {
                *tombstone = Arc::new(tombstone.carried_out(now));
            }
        }
        let done = next.deletions.iter().filter(|tombstone| tombstone.carried_out_at.is_some()).count();
        let mut surplus = done.saturating_sub(CARRIED_OUT_MAX);
        next.deletions.retain(|tombstone| {
            let forgotten = surplus > 0 && tombstone.carried_out_at.is_some();
            surplus -= usize::from(forgotten);
            !forgotten
        });
        self.replace_manifest(&next)?;
        self.state().deletions = Arc::new(Pending::of(&next.deletions));
        *manifest = next;
        Ok(())
    }
}

/// An id that no deletion of the store has.
fn new_id(manifest: &Manifest, request: &DeletionRequest, now: Timestamp) -> DeletionId {
    let own = xxh3_64_with_seed(request.tenant.as_str().as_bytes(), now.as_nanos() as u64);
    let mut id = DeletionId(xxh3_64_with_seed(request.text.as_bytes(), own) as u32);
    while manifest.deletions.iter().any(|tombstone| tombstone.id == id) {
        id.0 = id.0.wrapping_add(1);
    }
    id
}
