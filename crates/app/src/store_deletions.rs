//! Deletions in the embedded store, as the server asks about them.

use timberyard_model::{TenantId, Timestamp};
use timberyard_server::Deletions;
use timberyard_server::deletions::{
    CancelError, DeleteError, Deletion, DeletionFuture, WantedCancellation, WantedDeletion,
};
use timberyard_server::operations::{OperationError, OperationFuture};
use timberyard_store::DeletionRequest;

use crate::store_slot::StoreSlot;

impl Deletions for StoreSlot {
    fn delete(&self, wanted: WantedDeletion, now: Timestamp) -> DeletionFuture<'_, String, DeleteError> {
        let WantedDeletion { tenant, selector, query } = wanted;
        Box::pin(async move {
            let store = self.operated()?;
            let request = DeletionRequest { tenant, selector, text: query };
            let work = move || store.delete(request, now);
            let outcome = tokio::task::spawn_blocking(work).await.map_err(|_| stopped())?;
            outcome.map(|id| id.to_string()).map_err(|error| match error {
                timberyard_store::DeleteError::Store(error) => DeleteError::Store(failed(&error)),
                refused => DeleteError::Refused(refused.to_string()),
            })
        })
    }

    fn list(&self, tenant: TenantId) -> OperationFuture<'_, Vec<Deletion>> {
        Box::pin(async move {
            let store = self.operated()?;
            let work = move || store.deletions(&tenant);
            let listed = tokio::task::spawn_blocking(work).await.map_err(|_| stopped())?;
            let shown = listed.into_iter().map(|deletion| Deletion {
                id: deletion.id.to_string(),
                query: deletion.text.into(),
                range: deletion.range,
                created_at: deletion.created_at,
                is_carried_out: deletion.is_carried_out,
                problem: deletion.problem.map(String::from),
            });
            Ok(shown.collect())
        })
    }

    fn cancel(&self, wanted: WantedCancellation, now: Timestamp) -> DeletionFuture<'_, (), CancelError> {
        let WantedCancellation { tenant, id, force } = wanted;
        Box::pin(async move {
            let store = self.operated()?;
            let id = id.parse().map_err(|_| CancelError::NotFound)?;
            let work = move || store.cancel_deletion(&tenant, id, force, now);
            let outcome = tokio::task::spawn_blocking(work).await.map_err(|_| stopped())?;
            outcome.map_err(|error| match error {
                timberyard_store::CancelError::NotFound(_) => CancelError::NotFound,
                timberyard_store::CancelError::CarriedOut(_) => CancelError::CarriedOut,
                timberyard_store::CancelError::Late(_, period_seconds) => {
                    CancelError::Late { period_seconds }
                }
                timberyard_store::CancelError::Store(error) => CancelError::Store(failed(&error)),
            })
        })
    }
}

fn failed(error: &timberyard_store::StoreError) -> OperationError {
    OperationError::Failed(error.to_string())
}

fn stopped() -> OperationError {
    OperationError::Failed("store stopped before it answered".to_owned())
}
