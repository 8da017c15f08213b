//! What stands where the embedded store would be, on a server that keeps nothing itself.

use std::path::PathBuf;

use timberyard_model::counting::Cuts;
use timberyard_model::scan::{
    BlockStream, CountVisitor, LogSource, ScanError, ScanEstimate, ScanRequest, SeriesRequest,
};
use timberyard_model::{Labels, TenantId, Timestamp};
use timberyard_server::deletions::{
    CancelError, DeleteError, Deletion, DeletionFuture, WantedCancellation, WantedDeletion,
};
use timberyard_server::operations::{OperationError, OperationFuture, RetentionPreview, StoreStatistics};
use timberyard_server::{Deletions, Operations};

/// What is said where a store would be needed.
const NOTHING_KEPT: &str = "this server keeps nothing itself (store.embedded is false)";

/// The absence of a store.
pub(crate) struct NoStore;

fn unavailable<T>() -> Result<T, OperationError> {
    Err(OperationError::Unavailable(NOTHING_KEPT.to_owned()))
}

impl Operations for NoStore {
    /// There is nothing that is not written yet.
    fn flush(&self) -> OperationFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn snapshot(&self) -> OperationFuture<'_, PathBuf> {
        Box::pin(async { unavailable() })
    }

    fn preview_retention(&self, _at: Timestamp) -> OperationFuture<'_, RetentionPreview> {
        Box::pin(async { Ok(RetentionPreview::default()) })
    }

    fn statistics(&self) -> StoreStatistics {
        StoreStatistics::default()
    }

    fn readiness(&self) -> Result<(), OperationError> {
        Ok(())
    }
}

impl Deletions for NoStore {
    fn delete(&self, _: WantedDeletion, _: Timestamp) -> DeletionFuture<'_, String, DeleteError> {
        Box::pin(async { unavailable().map_err(DeleteError::Store) })
    }

    fn list(&self, _: TenantId) -> OperationFuture<'_, Vec<Deletion>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn cancel(&self, _: WantedCancellation, _: Timestamp) -> DeletionFuture<'_, (), CancelError> {
        Box::pin(async { Err(CancelError::NotFound) })
    }
}

fn nothing_to_read<T>() -> Result<T, ScanError> {
    Err(ScanError::Unavailable(format!("{NOTHING_KEPT}, and no sink answers queries (query.source)")))
}

impl LogSource for NoStore {
    fn scan<'a>(&'a self, _: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        nothing_to_read()
    }

    fn estimate(&self, _: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        nothing_to_read()
    }

    fn series(&self, _: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        nothing_to_read()
    }

    fn count(&self, _: &SeriesRequest, _: Cuts, _: &mut CountVisitor<'_>) -> Result<(), ScanError> {
        nothing_to_read()
    }
}
