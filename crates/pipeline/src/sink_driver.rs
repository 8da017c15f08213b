//! Feeds one best-effort sink from a queue bounded in bytes, retrying with exponential backoff.
//!
//! What the queue has no room for is dropped and counted; the sink's slowness stays its own.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use timberyard_model::sink::{Sink, SinkError};
use timberyard_model::{IngestRecord, LogBatch};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::counters::Counter;

/// The first pause before a failed write is tried again; each further one is twice as long.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// The longest pause between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Counters of one best-effort sink.
#[derive(Debug, Default)]
pub struct SinkCounters {
    /// Rows the sink has.
    pub rows_written: Counter,
    /// Rows dropped because the queue was full or the sink refused them for good.
    pub rows_dropped: Counter,
    /// Writes that failed and were tried again.
    pub retries: Counter,
}

/// The queue of a sink and the task that empties it.
pub struct SinkDriver {
    name: String,
    queue: Mutex<Option<mpsc::UnboundedSender<Arc<LogBatch>>>>,
    task: Mutex<Option<JoinHandle<()>>>,
    queued_bytes: Arc<AtomicUsize>,
    queued_bytes_max: usize,
    counters: Arc<SinkCounters>,
}

impl SinkDriver {
    /// Starts the task on the current tokio runtime. The queue holds at most `queued_bytes_max` bytes.
    pub fn start(sink: Arc<dyn Sink>, queued_bytes_max: usize) -> Self {
        // The channel itself is unbounded; `queued_bytes` is the bound.
        let (sender, receiver) = mpsc::unbounded_channel();
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let counters = Arc::new(SinkCounters::default());
        let name = sink.name().to_owned();
        let task = tokio::spawn(drain(sink, receiver, Arc::clone(&queued_bytes), Arc::clone(&counters)));
        Self {
            name,
            queue: Mutex::new(Some(sender)),
            task: Mutex::new(Some(task)),
            queued_bytes,
            queued_bytes_max,
            counters,
        }
    }

    /// Queues the batch, or drops and counts it when there is no room.
    pub fn offer(&self, batch: &Arc<LogBatch>) {
        let bytes = batch.rows.bytes();
        let room = self.queued_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
            (now + bytes <= self.queued_bytes_max).then_some(now + bytes)
        });
        let sent = room.is_ok() && {
            let queue = self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            queue.as_ref().is_some_and(|sender| sender.send(Arc::clone(batch)).is_ok())
        };
        if !sent {
            if room.is_ok() {
                self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
            }
            self.counters.rows_dropped.add(batch.rows.len() as u64);
        }
    }

    /// The sink's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes waiting in the queue.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Relaxed)
    }

    /// The sink's counters.
    pub fn counters(&self) -> &SinkCounters {
        &self.counters
    }

    /// Takes nothing more, and waits until what is queued has been written or refused.
    pub async fn close(&self) {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let task = self.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(sink = self.name, %error, "sink task ended badly");
        }
    }
}

async fn drain(
    sink: Arc<dyn Sink>,
    mut queue: mpsc::UnboundedReceiver<Arc<LogBatch>>,
    queued_bytes: Arc<AtomicUsize>,
    counters: Arc<SinkCounters>,
) {
    while let Some(batch) = queue.recv().await {
        let rows = batch.rows.len() as u64;
        let bytes = batch.rows.bytes();
        match write_until_settled(&*sink, &batch, &queue, &counters).await {
            Ok(()) => counters.rows_written.add(rows),
            Err(error) => {
                counters.rows_dropped.add(rows);
                tracing::warn!(sink = sink.name(), rows, %error, "sink refused rows");
            }
        }
        queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// Retries while the sink is merely unwell; gives up when it refuses for good or the driver is closed.
async fn write_until_settled(
    sink: &dyn Sink,
    batch: &Arc<LogBatch>,
    queue: &mpsc::UnboundedReceiver<Arc<LogBatch>>,
    counters: &SinkCounters,
) -> Result<(), SinkError> {
    let mut pause = BACKOFF_FIRST;
    loop {
        let record = IngestRecord { batch: Arc::clone(batch), received: None };
        match sink.write(record).await {
            Ok(()) => return Ok(()),
            Err(error @ (SinkError::Duplicate { .. } | SinkError::AlreadyStored(_))) => return Err(error),
            Err(error) if queue.is_closed() => return Err(error),
            Err(_) => counters.retries.add(1),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF_MAX);
    }
}
