//! The thread that looks after the store: cuts old heads, compacts, carries out retention.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use timberyard_store::Store;

use crate::time_argument::now;

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(5);

/// A running thread; stops when told to, between two rounds.
pub(crate) struct Maintenance {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Maintenance {
    /// Starts it.
    pub(crate) fn start(store: Arc<Store>) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("maintenance".to_owned()).spawn(move || {
            // The first round is at once: what retention hides is to be hidden from the first query on.
            loop {
                match store.maintain(now()) {
                    Ok(report) if report == timberyard_store::MaintenanceReport::default() => {}
                    Ok(report) => tracing::debug!(?report, "store maintained"),
                    // The next round tries again; what it could not do is visible in the figures.
                    Err(error) => tracing::error!(%error, "store could not be maintained"),
                }
                if stopped.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Stops it after the round under way.
    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the maintenance thread had panicked");
        }
    }
}
