//! A store that finds pages of events by itself, beside the other rows that Change66's endpoints see as events.

use std::sync::Arc;

use timberyard_model::events::EventStore;
use timberyard_model::scan::LogSource;

/// Where events are, and where everything else is.
#[derive(Clone)]
pub struct Events {
    /// Has events, and finds pages of them.
    pub store: Arc<dyn EventStore>,
    /// Has all other rows. Where some of them pass a request, both are walked as one source.
    pub others: Arc<dyn LogSource>,
}
