//! Whether an engine is there: it is asked again and again, and what came of it last is kept for those who want to know at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How often an engine is asked.
pub(crate) const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// How long an answer may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// What was seen of an engine last.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The engine and where it is, for people.
    place: String,
    seen: Mutex<Result<(), String>>,
}

impl Watch {
    /// Nothing is seen yet of the engine at that place.
    pub(crate) fn new(place: String) -> Self {
        let seen = Mutex::new(Err(format!("{place} was not reached yet")));
        Self { place, seen }
    }

    /// Whether it was there, and if not why.
    pub(crate) fn seen(&self) -> Result<(), String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what was seen now.
    pub(crate) fn note(&self, now: Result<(), String>) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*seen, &now) {
            (Ok(()), Err(reason)) => tracing::warn!(reason, "{} cannot be used", self.place),
            (Err(_), Ok(())) => tracing::info!("{} can be used", self.place),
            _ => {}
        }
        *seen = now;
    }
}

/// Asks an engine until it is dropped.
pub(crate) struct Watcher {
    watch: Arc<Watch>,
    task: JoinHandle<()>,
}

impl Watcher {
    /// Begins; must be called on a tokio runtime. `ask` fails with the reason, for people.
    pub(crate) fn start<A>(place: String, ask: impl Fn() -> A + Send + 'static) -> Self
    where
        A: Future<Output = Result<(), String>> + Send,
    {
        let watch = Arc::new(Watch::new(place));
        let noted = Arc::clone(&watch);
        let task = tokio::spawn(async move {
            loop {
                let silent = |_| Err(format!("{} did not answer within {ANSWER_PATIENCE:?}", noted.place));
                noted.note(timeout(ANSWER_PATIENCE, ask()).await.unwrap_or_else(silent));
                sleep(ASK_INTERVAL).await;
            }
        });
        Self { watch, task }
    }

    /// Whether it was there when it was asked last, and if not why.
    pub(crate) fn seen(&self) -> Result<(), String> {
        self.watch.seen()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}
