//! Feeds one best-effort sink: through a queue bounded in bytes and a spool on disk.
//!
//! What came is written to the spool, unsynced, and delivered from there, so that it outlives the sink's absence and the end of
//! the process. What neither has room for is dropped and counted; the sink's slowness stays its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use timberyard_model::LogBatch;
use timberyard_model::sink::{Sink, SinkFigures};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::counters::Counter;
use crate::spool::{BatchCodec, Delivery, DeliveryCounters, Spool, SpoolError, now_seconds};

/// Rows that a best-effort sink will never see, by reason.
#[derive(Debug, Default)]
pub struct DroppedRows {
    /// The queue to the spool was full: the disk is slower than what comes in.
    pub queue_full: Counter,
    /// The spool was full: the sink is slower, or away.
    pub spool_full: Counter,
    /// The spool could not be written.
    pub spool_failed: Counter,
}

/// The queue of a sink, its spool, and the tasks that empty them.
pub struct SinkDriver {
    sink: Arc<dyn Sink>,
    queue: Mutex<Option<mpsc::UnboundedSender<Arc<LogBatch>>>>,
    spooling: Mutex<Option<JoinHandle<()>>>,
    queued_bytes: Arc<AtomicUsize>,
    queued_bytes_max: usize,
    spool: Arc<Spool>,
    delivery: Arc<Delivery>,
    dropped: Arc<DroppedRows>,
}

impl SinkDriver {
    /// Starts the tasks on the current tokio runtime. The queue holds at most `queued_bytes_max` bytes.
    pub fn start(
        sink: Arc<dyn Sink>,
        queued_bytes_max: usize,
        spool: Spool,
        codec: Arc<dyn BatchCodec>,
    ) -> Self {
        // The channel itself is unbounded; `queued_bytes` is the bound.
        let (sender, receiver) = mpsc::unbounded_channel();
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let dropped = Arc::new(DroppedRows::default());
        let spool = Arc::new(spool);
        let delivery = Arc::new(Delivery::start(Arc::clone(&sink), Arc::clone(&spool), Arc::clone(&codec)));
        let spooling = Spooling {
            name: sink.name().to_owned(),
            spool: Arc::clone(&spool),
            codec,
            delivery: Arc::clone(&delivery),
            queued_bytes: Arc::clone(&queued_bytes),
            dropped: Arc::clone(&dropped),
        };
        Self {
            sink,
            queue: Mutex::new(Some(sender)),
            spooling: Mutex::new(Some(tokio::spawn(spooling.run(receiver)))),
            queued_bytes,
            queued_bytes_max,
            spool,
            delivery,
            dropped,
        }
    }

    /// Queues the batch, or drops and counts it when there is no room.
    pub fn offer(&self, batch: &Arc<LogBatch>) {
        let bytes = batch.rows.bytes();
        let room = self.queued_bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
            (now + bytes <= self.queued_bytes_max).then_some(now + bytes)
        });
        let sent = room.is_ok() && {
            let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.as_ref().is_some_and(|sender| sender.send(Arc::clone(batch)).is_ok())
        };
        if !sent {
            if room.is_ok() {
                self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
            }
            self.dropped.queue_full.add(batch.rows.len() as u64);
        }
    }

    /// The sink's name.
    pub fn name(&self) -> &str {
        self.sink.name()
    }

    /// Whether the sink's engine was there when it was asked last; nothing of one that needs none.
    pub fn is_up(&self) -> Option<bool> {
        Some(self.sink.reachability()?.is_ok())
    }

    /// Bytes waiting, in memory and on disk.
    pub fn queued_bytes(&self) -> u64 {
        let spooled = if self.spool.is_empty() { 0 } else { self.spool.held_bytes() };
        spooled + self.queued_bytes.load(Ordering::Relaxed) as u64
    }

    /// What the sink has done, and what waits for it.
    pub fn figures(&self) -> SinkFigures {
        let counters = self.counters();
        SinkFigures {
            rows_written: counters.rows_written.get(),
            retries: counters.retries.get(),
            queued_bytes: self.queued_bytes(),
            oldest_age_seconds: counters.oldest_age_seconds(),
        }
    }

    /// What the sink took and refused.
    pub fn counters(&self) -> &DeliveryCounters {
        self.delivery.counters()
    }

    /// What it will never see.
    pub fn dropped(&self) -> &DroppedRows {
        &self.dropped
    }

    /// Rows that the sink does not have and never will.
    pub fn rows_dropped(&self) -> u64 {
        let dropped = &self.dropped;
        let lost = [&dropped.queue_full, &dropped.spool_full, &dropped.spool_failed];
        lost.into_iter().chain([&self.counters().rows_refused]).map(Counter::get).sum()
    }

    /// Takes nothing more, writes what is queued to the spool, and delivers while the sink takes it.
    pub async fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let spooling = self.spooling.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(spooling) = spooling
            && let Err(error) = spooling.await
        {
            tracing::error!(sink = self.name(), %error, "spooling ended badly");
        }
        self.delivery.close().await;
    }
}

/// What writes the queue to the spool.
struct Spooling {
    name: String,
    spool: Arc<Spool>,
    codec: Arc<dyn BatchCodec>,
    delivery: Arc<Delivery>,
    queued_bytes: Arc<AtomicUsize>,
    dropped: Arc<DroppedRows>,
}

impl Spooling {
    async fn run(self, mut queue: mpsc::UnboundedReceiver<Arc<LogBatch>>) {
        while let Some(batch) = queue.recv().await {
            let rows = batch.rows.len() as u64;
            let bytes = batch.rows.bytes();
            let (spool, codec) = (Arc::clone(&self.spool), Arc::clone(&self.codec));
            let append = move || spool.append(&codec.encode(&batch), now_seconds(), false);
            match tokio::task::spawn_blocking(append).await {
                Ok(Ok(())) => self.delivery.wake(),
                Ok(Err(SpoolError::Full { .. })) => self.dropped.spool_full.add(rows),
                Ok(Err(error)) => self.failed(rows, &error),
                Err(error) => self.failed(rows, &error),
            }
            self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
        }
    }

    fn failed(&self, rows: u64, error: &dyn std::fmt::Display) {
        self.dropped.spool_failed.add(rows);
        tracing::error!(sink = self.name, rows, %error, "rows for the sink are lost: they cannot be spooled");
    }
}
