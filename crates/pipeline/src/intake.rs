//! The one door in, for every protocol.
//!
//! `Ok` from [`Intake::submit`] is a promise: every required sink has made the batch durable.

use std::sync::Arc;
use std::time::Duration;

use timberyard_model::limits::RecordLimits;
use timberyard_model::sink::SinkError;
use timberyard_model::{IngestRecord, LogBatch, Surface, TenantId};

use crate::admission::Admission;
use crate::broker::Broker;
use crate::counters::IntakeCounters;
use crate::drain::DrainGauge;
use crate::process::chain::Processed;
use crate::process::destinations::{Routes, TAIL};
use crate::process::label_demotion::LabelDemotion;
use crate::processing::Processing;
use crate::tail_hub::TailHub;

/// A batch of more bytes than that is processed on a thread of its own.
const INLINE_BYTES_MAX: usize = 128 << 10;

/// The numbers of destinations: of live tails, and of the broker's first sink.
const TAIL_NUMBER: usize = 0;
const FIRST_SINK_NUMBER: usize = 1;

/// Where a batch came from, and what its rows may be.
#[derive(Clone, Debug)]
pub struct WayIn {
    /// The way in.
    pub surface: Surface,
    /// The limits that hold for its rows, before and after processing.
    pub limits: RecordLimits,
    /// How long it may wait for room before it is refused.
    pub patience: Duration,
}

/// Processing, admission, broker and tail hub, in that order.
pub struct Intake {
    admission: Admission,
    broker: Broker,
    tail_hub: Arc<TailHub>,
    counters: IntakeCounters,
    demotion: Option<Arc<LabelDemotion>>,
    processing: Arc<Processing>,
}

/// What was made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Rows of the batch.
    pub rows: u64,
    /// Bytes of their lines.
    pub line_bytes: u64,
}

impl Receipt {
    fn of(batch: &LogBatch) -> Self {
        Self { rows: batch.rows.len() as u64, line_bytes: batch.rows.line_bytes() }
    }
}

/// Why a batch was not taken; nothing of it is in the store. The kinds are a sink's.
pub type IntakeError = SinkError;

impl Intake {
    /// A door to the broker's sinks with at most `in_flight_bytes_max` bytes on their way.
    pub fn new(broker: Broker, tail_hub: Arc<TailHub>, in_flight_bytes_max: usize) -> Self {
        Self {
            admission: Admission::new(in_flight_bytes_max, DrainGauge::default()),
            broker,
            tail_hub,
            counters: IntakeCounters::default(),
            demotion: None,
            processing: Arc::default(),
        }
    }

    /// Demotes labels with too many values before batches are stored; tails see batches as they were sent.
    #[must_use]
    pub fn with_demotion(mut self, demotion: Arc<LabelDemotion>) -> Self {
        self.demotion = Some(demotion);
        self
    }

    /// Applies the steps in force to a batch from outside, and stores what is left of it. The receipt is of what came.
    ///
    /// When the caller stops waiting (its client is gone), the batch is still either stored whole or not at all.
    pub async fn submit_from(
        &self,
        way_in: WayIn,
        record: impl Into<IngestRecord>,
    ) -> Result<Receipt, IntakeError> {
        let record = record.into();
        let receipt = Receipt::of(&record.batch);
        let (patience, surface) = (way_in.patience, Some(way_in.surface));
        let Some(processed) = self.process(way_in, &record).await? else {
            self.store(record, surface, &Routes::default(), receipt, patience).await?;
            return Ok(receipt);
        };
        let Processed { batch, routes, rows_dropped } = processed;
        // The body as it came does not stand for the batch any more.
        let left = IngestRecord { batch: Arc::new(batch), received: None };
        self.store(left, surface, &routes, receipt, patience).await?;
        self.counters.rows_dropped.add(rows_dropped);
        Ok(receipt)
    }

    /// Stores a batch from outside that went through the steps of another server, as it is.
    ///
    /// # Errors
    /// As [`Intake::submit_from`].
    pub async fn submit_processed(
        &self,
        way_in: WayIn,
        record: impl Into<IngestRecord>,
    ) -> Result<Receipt, IntakeError> {
        let record = record.into();
        let receipt = Receipt::of(&record.batch);
        self.store(record, Some(way_in.surface), &Routes::default(), receipt, way_in.patience).await?;
        Ok(receipt)
    }

    /// Stores a batch of the server's own as it is, all of it or nothing. An empty one is stored at once.
    pub async fn submit(&self, record: impl Into<IngestRecord>) -> Result<Receipt, IntakeError> {
        let record = record.into();
        let receipt = Receipt::of(&record.batch);
        self.store(record, None, &Routes::default(), receipt, Duration::ZERO).await?;
        Ok(receipt)
    }

    /// What the steps in force make of the batch; `None` when it stays as it is.
    async fn process(&self, way_in: WayIn, record: &IngestRecord) -> Result<Option<Processed>, IntakeError> {
        let rules = self.processing.rules();
        if rules.is_empty() {
            return Ok(None);
        }
        let batch = Arc::clone(&record.batch);
        let bytes = batch.rows.bytes();
        let apply = move || rules.apply(&batch, Some(way_in.surface), &way_in.limits);
        let processed = match bytes {
            0..=INLINE_BYTES_MAX => apply(),
            _ => tokio::task::spawn_blocking(apply)
                .await
                .map_err(|error| SinkError::Unavailable(format!("processing failed: {error}")))?,
        };
        processed.map_err(|full| SinkError::TooLarge(full.to_string()))
    }

    /// Hands every sink its part, and counts what came.
    async fn store(
        &self,
        sent: IngestRecord,
        surface: Option<Surface>,
        routes: &Routes,
        receipt: Receipt,
        patience: Duration,
    ) -> Result<(), IntakeError> {
        let mut record = sent.clone();
        if !sent.batch.rows.is_empty() {
            let demoted = self.demotion.as_ref().map_or(Ok(None), |demotion| demotion.apply(&sent.batch));
            match demoted {
                Ok(Some(changed)) => record = changed.into(),
                Ok(None) => {}
                Err(full) => return Err(SinkError::Unavailable(full.to_string())),
            }
            if let Err(error) = self.write_required(&record, surface, routes, patience).await {
                self.counters.rows_refused.add(receipt.rows);
                return Err(error);
            }
            if let Some(shown) = routes.part(&sent.batch, TAIL_NUMBER) {
                self.tail_hub.publish(&shown);
            }
            let best_effort = FIRST_SINK_NUMBER + self.broker.required_count();
            let part = |number: usize| routes.part(&record.batch, best_effort + number);
            self.broker.write_best_effort(surface, part);
            let required = FIRST_SINK_NUMBER..best_effort;
            let past = required.map(|number| routes.missing(number)).max().unwrap_or_default();
            self.counters.rows_routed_past.add(past);
        }
        self.counters.rows_accepted.add(receipt.rows);
        self.counters.line_bytes_accepted.add(receipt.line_bytes);
        self.counters.batches_accepted.add(u64::from(receipt.rows > 0));
        Ok(())
    }

    async fn write_required(
        &self,
        record: &IngestRecord,
        surface: Option<Surface>,
        routes: &Routes,
        patience: Duration,
    ) -> Result<(), IntakeError> {
        let mut permit = self.admission.admit(record.held_bytes(), patience).await?;
        let part = |number: usize| {
            let batch = routes.part(&record.batch, FIRST_SINK_NUMBER + number)?;
            Some(IngestRecord { batch, ..record.clone() })
        };
        let stored = self.broker.write_required(surface, part).await;
        if stored.is_err() {
            permit.give_up();
        }
        stored
    }

    /// The names of all destinations that a step can route to, by their numbers.
    pub fn destinations(&self) -> Vec<String> {
        std::iter::once(TAIL).chain(self.broker.names()).map(str::to_owned).collect()
    }

    /// The rules in force.
    pub fn processing(&self) -> &Arc<Processing> {
        &self.processing
    }

    /// What came in since start.
    pub fn counters(&self) -> &IntakeCounters {
        &self.counters
    }

    /// The sinks, for metrics.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// The labels of a tenant that became structured metadata, sorted.
    pub fn demoted_labels_of(&self, tenant: &TenantId) -> Vec<Box<str>> {
        self.demotion.as_ref().map_or_else(Vec::new, |demotion| demotion.demoted(tenant))
    }

    /// Labels that became structured metadata because they had too many values.
    pub fn demoted_labels(&self) -> usize {
        self.demotion.as_ref().map_or(0, |demotion| demotion.demoted_count())
    }

    /// Bytes admitted and not yet durable.
    pub fn in_flight_bytes(&self) -> usize {
        self.admission.in_flight_bytes()
    }

    /// Ends tails and lets best-effort sinks finish. Call after the last `submit`.
    pub async fn close(&self) {
        self.tail_hub.close();
        self.broker.close().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use timberyard_model::batch::EqualEntries;
    use timberyard_model::limits::RecordLimits;
    use timberyard_model::sink::{Sink, SinkFuture};
    use timberyard_model::{BatchBuilder, Labels, LogBatch, TenantId, Timestamp};

    use std::path::Path;

    use super::*;
    use crate::broker::Taken;
    use crate::sink_driver::SinkDriver;
    use crate::spool::Spool;
    use crate::spool::tests::Texts;

    fn driver(sink: Arc<dyn Sink>, folder: &Path) -> SinkDriver {
        SinkDriver::start(sink, 1 << 20, Spool::open(folder, 1 << 20).expect("opened"), Arc::new(Texts))
    }

    #[derive(Default)]
    struct Recorder {
        rows: Mutex<usize>,
        refuse: bool,
    }

    impl Sink for Recorder {
        fn name(&self) -> &str {
            "recorder"
        }

        fn write(&self, record: IngestRecord) -> SinkFuture<'_> {
            Box::pin(async move {
                if self.refuse {
                    return Err(SinkError::Full("no room".to_owned()));
                }
                *self.rows.lock().expect("not poisoned") += record.batch.rows.len();
                Ok(())
            })
        }
    }

    fn one_row() -> LogBatch {
        let now = Timestamp::from_nanos(1);
        let mut batch =
            BatchBuilder::new(TenantId::default(), now, EqualEntries::Keep, &RecordLimits::default());
        let stream = batch.stream(&Labels::from_pairs([("app", "api")]));
        batch.push(stream, now, b"hello", &[]).expect("within limits");
        batch.finish()
    }

    #[tokio::test]
    async fn what_a_required_sink_refuses_is_shown_to_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let extra = Arc::new(Recorder::default());
        let broker = Broker::default()
            .require(Arc::new(Recorder { refuse: true, ..Recorder::default() }), Taken::Everything)
            .offer(driver(Arc::clone(&extra) as Arc<dyn Sink>, folder.path()), Taken::Everything);
        let hub = TailHub::new(1);
        let mut tail = hub.subscribe(TenantId::default(), Vec::new(), 9).expect("first");
        let intake = Intake::new(broker, hub, 1 << 20);
        assert!(matches!(intake.submit(one_row()).await, Err(SinkError::Full(_))));
        intake.close().await;
        assert!(tail.next().await.is_none());
        assert_eq!(*extra.rows.lock().expect("not poisoned"), 0);
        assert_eq!((intake.counters().rows_refused.get(), intake.counters().rows_accepted.get()), (1, 0));
    }

    #[tokio::test]
    async fn stored_rows_reach_tails_and_best_effort_sinks() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Recorder::default());
        let slow = Arc::new(Recorder::default());
        let broker = Broker::default()
            .require(Arc::clone(&store) as Arc<dyn Sink>, Taken::Everything)
            .offer(driver(Arc::clone(&slow) as Arc<dyn Sink>, folder.path()), Taken::Everything);
        let hub = TailHub::new(1);
        let mut tail = hub.subscribe(TenantId::default(), Vec::new(), 9).expect("first");
        let intake = Intake::new(broker, hub, 1 << 20);
        let receipt = intake.submit(one_row()).await.expect("stored");
        assert_eq!(receipt, Receipt { rows: 1, line_bytes: 5 });
        assert_eq!(tail.next().await.expect("shown").batch.rows.get(0).line(), b"hello");
        intake.close().await;
        assert_eq!(*store.rows.lock().expect("not poisoned"), 1);
        assert_eq!(*slow.rows.lock().expect("not poisoned"), 1);
        assert_eq!(intake.broker().best_effort().next().expect("one").counters().rows_written.get(), 1);
    }
}
