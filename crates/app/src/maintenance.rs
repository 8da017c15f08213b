//! The thread that looks after the store: cuts old heads, compacts, carries out retention.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use timberyard_store::Store;

use crate::allocator;
use crate::time_argument::now;

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(5);

/// Rounds without anything new after which memory is given back once more: queries have used some.
const IDLE_ROUNDS: u32 = 12;

/// Tells when nothing comes in, which is when giving memory back disturbs nobody.
#[derive(Default)]
struct Idle {
    batches: u64,
    rounds: u32,
}

impl Idle {
    /// Whether nothing has come in since the last round: at the first such round, and every [`IDLE_ROUNDS`] after it.
    fn is_time_to_give_back(&mut self, batches: u64) -> bool {
        if std::mem::replace(&mut self.batches, batches) != batches {
            self.rounds = 0;
            return false;
        }
        self.rounds += 1;
        self.rounds % IDLE_ROUNDS == 1
    }
}

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
            let mut idle = Idle::default();
            // The first round is at once: what retention hides is to be hidden from the first query on.
            loop {
                match store.maintain(now()) {
                    Ok(report) if report == timberyard_store::MaintenanceReport::default() => {}
                    Ok(report) => tracing::debug!(?report, "store maintained"),
                    // The next round tries again; what it could not do is visible in the figures.
                    Err(error) => tracing::error!(%error, "store could not be maintained"),
                }
                if idle.is_time_to_give_back(store.batches_appended()) {
                    allocator::give_back_memory();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_when_nothing_comes_in_and_now_and_then_after() {
        let mut idle = Idle::default();
        let mut given = Vec::new();
        for (round, batches) in [0, 3, 5, 5, 5, 6].into_iter().chain([6; 26]).enumerate() {
            if idle.is_time_to_give_back(batches) {
                given.push(round);
            }
        }
        assert_eq!(given, [0, 3, 6, 18, 30]);
    }
}
