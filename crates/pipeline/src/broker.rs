//! Hands each batch to every sink: to the required ones before the sender is answered, to the
//! best-effort ones afterwards, through a bounded queue of their own.
//!
//! A best-effort sink never delays or fails a write, and never blocks another sink.

use std::sync::Arc;

use timberyard_model::sink::{Sink, SinkError, SinkFigures};
use timberyard_model::{IngestRecord, LogBatch, Surface};

use crate::sink_driver::SinkDriver;

/// Which batches a sink gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Taken {
    /// All.
    #[default]
    Everything,
    /// What came by these ways in; nothing of the server's own.
    Only(Vec<Surface>),
    /// What came by others, and the server's own.
    AllBut(Vec<Surface>),
}

impl Taken {
    /// Whether a batch that came that way is among them; the server's own came by none.
    pub fn takes(&self, surface: Option<Surface>) -> bool {
        let named = |surfaces: &[Surface]| surface.is_some_and(|surface| surfaces.contains(&surface));
        match self {
            Self::Everything => true,
            Self::Only(surfaces) => named(surfaces),
            Self::AllBut(surfaces) => !named(surfaces),
        }
    }
}

/// All destinations of a server.
#[derive(Default)]
pub struct Broker {
    required: Vec<(Arc<dyn Sink>, Taken)>,
    best_effort: Vec<(SinkDriver, Taken)>,
}

impl Broker {
    /// Adds a sink that must have what it takes before that is acknowledged.
    #[must_use]
    pub fn require(mut self, sink: Arc<dyn Sink>, taken: Taken) -> Self {
        self.required.push((sink, taken));
        self
    }

    /// Adds a sink that gets what it can keep up with.
    #[must_use]
    pub fn offer(mut self, driver: SinkDriver, taken: Taken) -> Self {
        self.best_effort.push((driver, taken));
        self
    }

    /// Writes to the required sinks in the order they were added and stops at the first failure, so
    /// that what one refuses (a duplicate, a full disk) is not in the ones after it; one that has all of it already is no failure to
    /// the others, and told when they have it too. Each is written what `part` has for
    /// it, by its number; nothing when that is empty.
    pub async fn write_required(
        &self,
        surface: Option<Surface>,
        part: impl Fn(usize) -> Option<IngestRecord>,
    ) -> Result<(), SinkError> {
        let mut stored_already = None;
        for (number, (sink, taken)) in self.required.iter().enumerate() {
            if taken.takes(surface)
                && let Some(record) = part(number)
            {
                match sink.write(record).await {
                    // A try before this one may have come this far and no further.
                    Err(SinkError::AlreadyStored(stored)) if stored.whole => stored_already = Some(stored),
                    written => written?,
                }
            }
        }
        stored_already.map_or(Ok(()), |stored| Err(SinkError::AlreadyStored(stored)))
    }

    /// Queues for the best-effort sinks what `part` has for each, by its number.
    pub fn write_best_effort(&self, surface: Option<Surface>, part: impl Fn(usize) -> Option<Arc<LogBatch>>) {
        for (number, (driver, taken)) in self.best_effort.iter().enumerate() {
            if taken.takes(surface)
                && let Some(batch) = part(number)
            {
                driver.offer(&batch);
            }
        }
    }

    /// The names of the sinks: the required ones, then the others.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let required = self.required.iter().map(|(sink, _)| sink.name());
        required.chain(self.best_effort().map(SinkDriver::name))
    }

    /// What the required sinks that count it have done, by name.
    pub fn required_figures(&self) -> impl Iterator<Item = (&str, SinkFigures)> {
        self.required.iter().filter_map(|(sink, _)| Some((sink.name(), sink.figures()?)))
    }

    /// Whether the engines of those sinks that need one were there when they were asked last, by name.
    pub fn up(&self) -> impl Iterator<Item = (&str, bool)> {
        let required = self.required.iter();
        let required = required.filter_map(|(sink, _)| Some((sink.name(), sink.reachability()?.is_ok())));
        required.chain(self.best_effort().filter_map(|driver| Some((driver.name(), driver.is_up()?))))
    }

    /// How many sinks must have a batch before it is acknowledged.
    pub fn required_count(&self) -> usize {
        self.required.len()
    }

    /// The best-effort sinks, for metrics.
    pub fn best_effort(&self) -> impl Iterator<Item = &SinkDriver> {
        self.best_effort.iter().map(|(driver, _)| driver)
    }

    /// Lets the best-effort sinks finish what is queued, then stops them.
    pub async fn close(&self) {
        for driver in self.best_effort() {
            driver.close().await;
        }
    }
}
