//! What each step did, since start.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::counters::Counter;

/// Counters of one step.
#[derive(Debug, Default)]
pub struct StepCounters {
    /// Rows that the step changed.
    pub rows_changed: Counter,
    /// Rows that it dropped; their senders were told that they are stored.
    pub rows_dropped: Counter,
    /// Rows with which it could not do all that it is for: a text that is not what it should be, or a limit in the way.
    pub rows_failed: Counter,
}

/// The counters of all steps by their names, which stay when steps are read again.
pub type CountersByStep = BTreeMap<String, Arc<StepCounters>>;
