//! A sink with a spool behind it: what it cannot take now is on the disk of this machine, and delivered later.
//!
//! A write is done when the sink has it, or the disk, synced. While anything waits in the spool everything goes there, so
//! that rows arrive in the order in which they came.

use std::sync::Arc;

use timberyard_model::IngestRecord;
use timberyard_model::sink::{Sink, SinkError, SinkFigures, SinkFuture};

use super::delivery::{Delivery, DeliveryCounters, now_seconds};
use super::{BatchCodec, Spool, SpoolError};

/// When a sender may try again whose batch finds the spool full, in seconds.
const FULL_RETRY_SECONDS: u64 = 5;

/// A sink that can be away.
pub struct SpooledSink {
    sink: Arc<dyn Sink>,
    spool: Arc<Spool>,
    codec: Arc<dyn BatchCodec>,
    delivery: Delivery,
}

impl SpooledSink {
    /// Starts delivering what is in the spool, on the current tokio runtime.
    pub fn start(sink: Arc<dyn Sink>, spool: Spool, codec: Arc<dyn BatchCodec>) -> Self {
        let spool = Arc::new(spool);
        let delivery = Delivery::start(Arc::clone(&sink), Arc::clone(&spool), Arc::clone(&codec));
        delivery.wake();
        Self { sink, spool, codec, delivery }
    }

    /// Bytes that wait on disk.
    pub fn spooled_bytes(&self) -> u64 {
        if self.spool.is_empty() { 0 } else { self.spool.held_bytes() }
    }

    /// What became of what waited.
    pub fn counters(&self) -> &DeliveryCounters {
        self.delivery.counters()
    }

    /// Delivers what waits while the sink takes it, and ends; the rest stays on disk.
    pub async fn close(&self) {
        self.delivery.close().await;
    }

    async fn spool(&self, record: IngestRecord) -> Result<(), SinkError> {
        let (spool, codec) = (Arc::clone(&self.spool), Arc::clone(&self.codec));
        let append = move || spool.append(&codec.encode(&record.batch), now_seconds(), true);
        let appended = tokio::task::spawn_blocking(append).await;
        match appended {
            Ok(Ok(())) => {
                self.delivery.wake();
                Ok(())
            }
            Ok(Err(error @ SpoolError::Full { .. })) => Err(SinkError::Overloaded {
                reason: format!("{} is away, and its {error}", self.sink.name()),
                retry_after_seconds: FULL_RETRY_SECONDS,
            }),
            Ok(Err(error)) => Err(SinkError::Unavailable(error.to_string())),
            Err(error) => Err(SinkError::Unavailable(format!("spooling failed: {error}"))),
        }
    }
}

impl Sink for SpooledSink {
    fn name(&self) -> &str {
        self.sink.name()
    }

    /// Those of the sink, with what waits on disk.
    fn figures(&self) -> Option<SinkFigures> {
        let (sink, counters) = (self.sink.figures().unwrap_or_default(), self.counters());
        Some(SinkFigures {
            rows_written: sink.rows_written,
            retries: sink.retries + counters.retries.get(),
            queued_bytes: sink.queued_bytes + self.spooled_bytes(),
            oldest_age_seconds: sink.oldest_age_seconds.max(counters.oldest_age_seconds()),
        })
    }

    fn reachability(&self) -> Option<Result<(), String>> {
        self.sink.reachability()
    }

    /// While the spool has room, nobody misses the sink.
    fn readiness(&self) -> Result<(), String> {
        match self.sink.readiness() {
            Err(reason) if self.spool.is_full() => Err(format!("{reason}, and its spool is full")),
            _ => Ok(()),
        }
    }

    fn write(&self, record: IngestRecord) -> SinkFuture<'_> {
        Box::pin(async move {
            if !self.spool.is_empty() {
                return self.spool(record).await;
            }
            match self.sink.write(record.clone()).await {
                Err(SinkError::Unavailable(reason)) => {
                    tracing::warn!(sink = self.name(), reason, "sink is away: its rows wait on disk");
                    self.spool(record).await
                }
                settled => settled,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::super::tests::{Texts, lines};
    use super::*;

    /// A sink that can be switched off.
    #[derive(Default)]
    struct Switched {
        is_away: AtomicBool,
        lines: Mutex<Vec<String>>,
    }

    impl Switched {
        fn lines(&self) -> Vec<String> {
            self.lines.lock().expect("not poisoned").clone()
        }
    }

    impl Sink for Switched {
        fn name(&self) -> &str {
            "switched"
        }

        fn write(&self, record: IngestRecord) -> SinkFuture<'_> {
            Box::pin(async move {
                if self.is_away.load(Ordering::Relaxed) {
                    return Err(SinkError::Unavailable("it is away".to_owned()));
                }
                let lines = record.batch.rows.iter();
                let lines = lines.map(|row| String::from_utf8_lossy(row.line()).into_owned());
                self.lines.lock().expect("not poisoned").extend(lines);
                Ok(())
            })
        }
    }

    fn spooled(sink: &Arc<Switched>, folder: &Path, bytes_max: u64) -> SpooledSink {
        let spool = Spool::open(folder, bytes_max).expect("opened");
        SpooledSink::start(Arc::clone(sink) as Arc<dyn Sink>, spool, Arc::new(Texts))
    }

    async fn write(sink: &SpooledSink, text: &str) -> Result<(), SinkError> {
        sink.write(IngestRecord::from(lines(&[text]))).await
    }

    /// Waits until the sink has that many lines.
    async fn until(sink: &Switched, count: usize) -> Vec<String> {
        for _ in 0..1000 {
            if sink.lines().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sink.lines()
    }

    #[tokio::test]
    async fn what_came_while_the_sink_was_away_is_delivered_in_order_when_it_is_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let away = Arc::new(Switched::default());
        let sink = spooled(&away, folder.path(), 1 << 20);
        write(&sink, "one").await.expect("taken");
        assert_eq!(away.lines(), ["one"], "done means that the sink has it");
        away.is_away.store(true, Ordering::Relaxed);
        write(&sink, "two").await.expect("on disk");
        write(&sink, "three").await.expect("on disk");
        assert!(sink.spooled_bytes() > 0);
        away.is_away.store(false, Ordering::Relaxed);
        write(&sink, "four").await.expect("taken or on disk");
        assert_eq!(until(&away, 4).await, ["one", "two", "three", "four"]);
        sink.close().await;
    }

    #[tokio::test]
    async fn what_waits_outlives_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let away = Arc::new(Switched::default());
        away.is_away.store(true, Ordering::Relaxed);
        let sink = spooled(&away, folder.path(), 1 << 20);
        write(&sink, "one").await.expect("on disk");
        // As a kill does it: nothing is closed.
        drop(sink);
        away.is_away.store(false, Ordering::Relaxed);
        let sink = spooled(&away, folder.path(), 1 << 20);
        assert_eq!(until(&away, 1).await, ["one"]);
        sink.close().await;
    }

    #[tokio::test]
    async fn a_full_spool_asks_senders_to_come_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let away = Arc::new(Switched::default());
        away.is_away.store(true, Ordering::Relaxed);
        let sink = spooled(&away, folder.path(), 100);
        write(&sink, &"x".repeat(80)).await.expect("on disk");
        let refused = write(&sink, "more than fits").await.expect_err("full");
        assert!(matches!(refused, SinkError::Overloaded { .. }), "{refused}");
        assert!(refused.to_string().contains("limit is 100"), "{refused}");
    }
}
