//! Stores besides the one that answers queries, which Logtopus' clients can ask by the kind of subscriber they belong to.

use std::sync::Arc;

use timberyard_model::scan::LogSource;

/// The stores by kind; `None` where a kind is not switched on.
#[derive(Clone, Default)]
pub struct Subscribers {
    /// Files of sessions.
    pub file: Option<Arc<dyn LogSource>>,
    /// ClickHouse.
    pub clickhouse: Option<Arc<dyn LogSource>>,
}
