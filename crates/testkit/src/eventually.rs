//! Waiting for what another process does: asked again until the answer is there or patience ends.

use std::time::{Duration, Instant};

/// How long [`eventually`] waits.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until there is an answer. Panics after [`PATIENCE`], naming what was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
