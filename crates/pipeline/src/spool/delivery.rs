//! Empties a spool into its sink, in order, for as long as the server runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use timberyard_model::IngestRecord;
use timberyard_model::sink::{Sink, SinkError};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;

use super::{BatchCodec, Spool, SpoolError, Spooled};
use crate::counters::Counter;

/// The first pause before a failed write is tried again; each further one is twice as long.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// The longest pause between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long the end of the server waits for what is left; the rest is delivered after the next start.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes that are handed over at the same time, as they lie in the spool.
const TOGETHER_BYTES_MAX: usize = 8 << 20;

/// What became of what was in a spool.
#[derive(Debug, Default)]
pub struct DeliveryCounters {
    /// Rows the sink has.
    pub rows_written: Counter,
    /// Rows the sink refused for good, or that could not be read from the spool.
    pub rows_refused: Counter,
    /// Writes that failed and were tried again.
    pub retries: Counter,
    /// When the oldest record went in that is not delivered, in seconds since the epoch; 0 when there is none.
    oldest_at_seconds: AtomicU64,
}

impl DeliveryCounters {
    /// How long the oldest record has waited, in seconds; 0 when none does.
    pub fn oldest_age_seconds(&self) -> u64 {
        match self.oldest_at_seconds.load(Ordering::Relaxed) {
            0 => 0,
            since => now_seconds().saturating_sub(since),
        }
    }
}

/// Seconds since the epoch.
pub(crate) fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The task that does it.
pub(crate) struct Delivery {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    sink: Arc<dyn Sink>,
    spool: Arc<Spool>,
    codec: Arc<dyn BatchCodec>,
    wake: Notify,
    closing: AtomicBool,
    counters: DeliveryCounters,
}

impl Delivery {
    /// Starts the task on the current tokio runtime.
    pub(crate) fn start(sink: Arc<dyn Sink>, spool: Arc<Spool>, codec: Arc<dyn BatchCodec>) -> Self {
        let shared = Arc::new(Shared {
            sink,
            spool,
            codec,
            wake: Notify::new(),
            closing: AtomicBool::new(false),
            counters: DeliveryCounters::default(),
        });
        let task = tokio::spawn(deliver(Arc::clone(&shared)));
        Self { shared, task: Mutex::new(Some(task)) }
    }

    /// Says that something is in the spool.
    pub(crate) fn wake(&self) {
        self.shared.wake.notify_one();
    }

    /// What became of what was in the spool.
    pub(crate) fn counters(&self) -> &DeliveryCounters {
        &self.shared.counters
    }

    /// Delivers what is left while the sink takes it, and ends. What it does not take stays on disk.
    pub(crate) async fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        self.wake();
        let Some(mut task) = self.task.lock().await.take() else { return };
        match tokio::time::timeout(CLOSE_PATIENCE, &mut task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(sink = self.shared.sink.name(), %error, "sink task ended badly");
            }
            Err(_) => task.abort(),
        }
    }
}

/// Dropped without being closed, it ends where it is, so that nobody else opens a spool which it still empties.
impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().take() {
            task.abort();
        }
    }
}

async fn deliver(shared: Arc<Shared>) {
    let mut pause = BACKOFF_FIRST;
    loop {
        let spooled = match shared.gather().await {
            Ok(spooled) => spooled,
            Err(error) => {
                tracing::error!(sink = shared.sink.name(), %error, "what waits for the sink cannot be read");
                if shared.closing.load(Ordering::Acquire) {
                    return;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(BACKOFF_MAX);
                continue;
            }
        };
        let Some(first) = spooled.first() else {
            shared.counters.oldest_at_seconds.store(0, Ordering::Relaxed);
            if shared.closing.load(Ordering::Acquire) {
                return;
            }
            shared.wake.notified().await;
            continue;
        };
        shared.counters.oldest_at_seconds.store(first.at_seconds, Ordering::Relaxed);
        let settled = join_all(spooled.iter().map(|record| shared.write(record))).await;
        let count = settled.iter().take_while(|settled| **settled).count();
        if let Some(last) = count.checked_sub(1).and_then(|last| spooled.into_iter().nth(last)) {
            pause = BACKOFF_FIRST;
            if let Err(error) = shared.delivered(last).await {
                tracing::error!(sink = shared.sink.name(), %error, "cannot write down what the sink has");
            }
        }
        if count < settled.len() {
            if shared.closing.load(Ordering::Acquire) {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }
}

impl Shared {
    /// The oldest records, as many as the sink takes at the same time.
    async fn gather(self: &Arc<Self>) -> Result<Vec<Spooled>, SpoolError> {
        let shared = Arc::clone(self);
        let gathered = tokio::task::spawn_blocking(move || {
            let mut records: Vec<Spooled> = shared.spool.oldest()?.into_iter().collect();
            let mut bytes = 0;
            while let Some(last) = records.last()
                && records.len() < shared.sink.writes_at_once()
            {
                bytes += last.payload.len();
                if bytes > TOGETHER_BYTES_MAX {
                    break;
                }
                // What is wrong with a later one is told when it is the oldest.
                let Ok(Some(next)) = shared.spool.after(last) else { break };
                records.push(next);
            }
            Ok(records)
        });
        gathered.await.unwrap_or_else(|error| Err(self.spool.failed(std::io::Error::other(error))))
    }

    async fn delivered(self: &Arc<Self>, record: Spooled) -> Result<(), SpoolError> {
        let shared = Arc::clone(self);
        let moved = tokio::task::spawn_blocking(move || shared.spool.delivered(&record)).await;
        moved.unwrap_or_else(|error| Err(self.spool.failed(std::io::Error::other(error))))
    }

    /// Whether the record is done with: the sink has it, or never will.
    async fn write(&self, record: &Spooled) -> bool {
        let batch = match self.codec.decode(&record.payload) {
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(sink = self.sink.name(), error, "a record of the spool cannot be read");
                self.counters.rows_refused.add(1);
                return true;
            }
        };
        let rows = batch.rows.len() as u64;
        match self.sink.write(IngestRecord::from(batch)).await {
            Ok(()) | Err(SinkError::AlreadyStored(_)) => self.counters.rows_written.add(rows),
            Err(error @ (SinkError::Duplicate { .. } | SinkError::TooLarge(_))) => {
                self.counters.rows_refused.add(rows);
                tracing::warn!(sink = self.sink.name(), rows, %error, "sink refused rows for good");
            }
            Err(error) => {
                self.counters.retries.add(1);
                tracing::debug!(sink = self.sink.name(), rows, %error, "sink does not take rows now");
                return false;
            }
        }
        true
    }
}
