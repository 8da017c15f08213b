//! Which messages of a batch the brokers have.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use tokio::sync::oneshot;

use super::client::{self, LastError};
use super::partitioner::Fnv1aPartitioner;

/// Bytes on their way to the brokers, with their limit.
#[derive(Debug)]
pub(super) struct Queue {
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Queue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), bytes_max }
    }

    /// Takes room for so many bytes, or says that there is none. An empty queue has room for anything.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        let fits = |now: usize| (now == 0 || now + bytes <= self.bytes_max).then_some(now + bytes);
        self.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).ok()?;
        Some(Reservation { queue: Arc::clone(self), bytes })
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Room in the queue, given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    queue: Arc<Queue>,
    bytes: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.queue.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// The messages of one batch on their way. Its room in the queue is its own until the last of them is settled, whether
/// anyone waits for that or not.
#[derive(Debug)]
pub(super) struct Delivery {
    left: AtomicUsize,
    outcome: Mutex<Outcome>,
}

#[derive(Debug)]
struct Outcome {
    reservation: Option<Reservation>,
    first_error: Option<KafkaError>,
    done: Option<oneshot::Sender<Result<(), KafkaError>>>,
}

impl Delivery {
    /// One of so many messages; the receiver hears when all are settled.
    pub(super) fn new(
        messages: usize,
        reservation: Reservation,
    ) -> (Arc<Self>, oneshot::Receiver<Result<(), KafkaError>>) {
        let (done, settled) = oneshot::channel();
        let outcome = Outcome { reservation: Some(reservation), first_error: None, done: Some(done) };
        (Arc::new(Self { left: AtomicUsize::new(messages), outcome: Mutex::new(outcome) }), settled)
    }

    /// One message more is settled.
    pub(super) fn settle(&self, result: Result<(), KafkaError>) {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = result {
            outcome.first_error.get_or_insert(error);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(done) = outcome.done.take()
        {
            outcome.reservation.take();
            // Whoever waited may have gone.
            let _ = done.send(outcome.first_error.take().map_or(Ok(()), Err));
        }
    }
}

/// What the producer calls.
pub(super) struct Context {
    pub(super) last_error: Arc<LastError>,
    pub(super) partitioner: Option<Fnv1aPartitioner>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.last_error.note(&error, reason);
    }
}

impl ProducerContext<Fnv1aPartitioner> for Context {
    type DeliveryOpaque = Arc<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Arc<Delivery>) {
        delivery.settle(result.as_ref().map(|_| ()).map_err(|(error, _)| error.clone()));
    }

    fn get_custom_partitioner(&self) -> Option<&Fnv1aPartitioner> {
        self.partitioner.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_takes_nothing_until_something_is_settled() {
        let queue = Arc::new(Queue::new(10));
        let large = queue.reserve(100).expect("an empty queue has room for anything");
        assert!(queue.reserve(1).is_none());
        let (delivery, mut settled) = Delivery::new(2, large);
        delivery.settle(Ok(()));
        assert!(settled.try_recv().is_err(), "one is on its way");
        delivery.settle(Err(KafkaError::Canceled));
        assert_eq!(settled.try_recv(), Ok(Err(KafkaError::Canceled)));
        assert_eq!(queue.bytes(), 0);
    }
}
