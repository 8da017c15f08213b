//! The store as an operator sees it, on a server whose sinks hold a part of what it keeps: it is ready when they are.

use std::path::PathBuf;
use std::sync::Arc;

use timberyard_connectors::postgres::PostgresUpkeep;
use timberyard_model::Timestamp;
use timberyard_model::sink::Sink;
use timberyard_server::Operations;
use timberyard_server::operations::{OperationError, OperationFuture, RetentionPreview, StoreStatistics};

/// A store, and what must be there beside it.
pub(crate) struct StoreWithSinks {
    /// The store.
    pub(crate) store: Arc<dyn Operations>,
    /// Sinks that a write needs, but for the store.
    pub(crate) required: Vec<Arc<dyn Sink>>,
    /// Those of them that hold events which the store does not have.
    pub(crate) events: Vec<Arc<PostgresUpkeep>>,
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
        let events: u64 = self.events.iter().map(|upkeep| upkeep.events()).sum();
        StoreStatistics { rows: statistics.rows + events, ..statistics }
    }

    fn readiness(&self) -> Result<(), OperationError> {
        self.store.readiness()?;
        self.required.iter().try_for_each(|sink| {
            let failed = |reason| OperationError::Unavailable(format!("sink `{}`: {reason}", sink.name()));
            sink.readiness().map_err(failed)
        })
    }
}
