//! Telling work that nobody waits for its result any longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Why work was called off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// The client closed its connection.
    ClientGone,
    /// The time limit passed.
    TimedOut,
    /// The process is stopping.
    Stopping,
}

/// A flag that work looks at between blocks and whoever waits may raise. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<AtomicU8>);

impl Cancellation {
    /// Raises the flag; the first reason stays.
    pub fn cancel(&self, reason: CancelReason) {
        let code = match reason {
            CancelReason::ClientGone => 1,
            CancelReason::TimedOut => 2,
            CancelReason::Stopping => 3,
        };
        // A flag that is already up keeps its reason.
        let _ = self.0.compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Why the work was called off, if it was. Costs a relaxed load.
    pub fn reason(&self) -> Option<CancelReason> {
        match self.0.load(Ordering::Relaxed) {
            1 => Some(CancelReason::ClientGone),
            2 => Some(CancelReason::TimedOut),
            3 => Some(CancelReason::Stopping),
            _ => None,
        }
    }
}
