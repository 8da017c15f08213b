//! When to stop: SIGTERM or SIGINT once to stop in order, twice to stop at once.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code of a process that was told twice.
const EXIT_AT_ONCE: i32 = 130;

/// How long after the first signal further ones are the same one: `timeout`, and some supervisors, signal the process
/// and then its whole group.
const SAME_SIGNAL: Duration = Duration::from_millis(250);

/// The signals that end the server.
pub(crate) struct ShutdownSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl ShutdownSignals {
    /// Takes the signals over from the system's default, which is to die.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Completes on the first signal. A second one ends the process, whatever is under way: what was acknowledged is in
    /// the log.
    pub(crate) async fn first(mut self) {
        self.next().await;
        tracing::info!("stopping; a second signal stops at once");
        tokio::spawn(async move {
            let mut same_signal = pin!(tokio::time::sleep(SAME_SIGNAL));
            loop {
                tokio::select! {
                    () = &mut same_signal => break,
                    () = self.next() => {}
                }
            }
            self.next().await;
            tracing::warn!("stopped at once");
            std::process::exit(EXIT_AT_ONCE);
        });
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
