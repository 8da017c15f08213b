//! The store as an operator sees it, on a server whose sinks hold a part of what it keeps: it is ready when they are.

use std::path::PathBuf;
use std::sync::Arc;

use timberyard_model::Timestamp;
use timberyard_server::Operations;
use timberyard_server::operations::{OperationError, OperationFuture, RetentionPreview, StoreStatistics};

use crate::sinks::WatchedSink;

/// A store, and what is looked after beside it.
pub(crate) struct StoreWithSinks {
    /// The store.
    pub(crate) store: Arc<dyn Operations>,
    /// The others.
    pub(crate) sinks: Vec<WatchedSink>,
}

impl Operations for StoreWithSinks {
    fn flush(&self) -> OperationFuture<'_, ()> {
        self.store.flush()
    }

    fn snapshot(&self) -> OperationFuture<'_, PathBuf> {
        self.store.snapshot()
    }

    fn preview_retention(&self, at: Timestamp) -> OperationFuture<'_, RetentionPreview> {
        self.store.preview_retention(at)
    }

    fn statistics(&self) -> StoreStatistics {
        let statistics = self.store.statistics();
        let required = || self.sinks.iter().filter(|sink| sink.required);
        let events: u64 = required().map(|sink| sink.upkeep.events()).sum();
        StoreStatistics { rows: statistics.rows + events, ..statistics }
    }

    fn readiness(&self) -> Result<(), OperationError> {
        self.store.readiness()?;
        self.sinks.iter().filter(|sink| sink.required).try_for_each(|sink| {
            let failed = |reason| OperationError::Unavailable(format!("sink `{}`: {reason}", sink.name));
            sink.upkeep.readiness().map_err(failed)
        })
    }
}
