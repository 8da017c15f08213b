//! Hands each batch to every sink: to the required ones before the sender is answered, to the
//! best-effort ones afterwards, through a bounded queue of their own.
//!
//! A best-effort sink never delays or fails a write, and never blocks another sink.

use std::sync::Arc;

use timberyard_model::sink::{Sink, SinkError};
use timberyard_model::{IngestRecord, LogBatch};

use crate::sink_driver::SinkDriver;

/// All destinations of a server.
#[derive(Default)]
pub struct Broker {
    required: Vec<Arc<dyn Sink>>,
    best_effort: Vec<SinkDriver>,
}

impl Broker {
    /// Adds a sink that must have a batch before it is acknowledged.
    #[must_use]
    pub fn require(mut self, sink: Arc<dyn Sink>) -> Self {
        self.required.push(sink);
        self
    }

    /// Adds a sink that gets what it can keep up with.
    #[must_use]
    pub fn offer(mut self, driver: SinkDriver) -> Self {
        self.best_effort.push(driver);
        self
    }

    /// Writes to the required sinks in the order they were added and stops at the first failure, so
    /// that what one refuses (a duplicate, a full disk) is not in the ones after it. Each is written what `part` has for
    /// it, by its number; nothing when that is empty.
    pub async fn write_required(
        &self,
        part: impl Fn(usize) -> Option<IngestRecord>,
    ) -> Result<(), SinkError> {
        for (number, sink) in self.required.iter().enumerate() {
            if let Some(record) = part(number) {
                sink.write(record).await?;
            }
        }
        Ok(())
    }

    /// Queues for the best-effort sinks what `part` has for each, by its number.
    pub fn write_best_effort(&self, part: impl Fn(usize) -> Option<Arc<LogBatch>>) {
        for (number, driver) in self.best_effort.iter().enumerate() {
            if let Some(batch) = part(number) {
                driver.offer(&batch);
            }
        }
    }

    /// The names of the sinks: the required ones, then the others.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let required = self.required.iter().map(|sink| sink.name());
        required.chain(self.best_effort.iter().map(SinkDriver::name))
    }

    /// How many sinks must have a batch before it is acknowledged.
    pub fn required_count(&self) -> usize {
        self.required.len()
    }

    /// The best-effort sinks, for metrics.
    pub fn best_effort(&self) -> &[SinkDriver] {
        &self.best_effort
    }

    /// Lets the best-effort sinks finish what is queued, then stops them.
    pub async fn close(&self) {
        for driver in &self.best_effort {
            driver.close().await;
        }
    }
}
