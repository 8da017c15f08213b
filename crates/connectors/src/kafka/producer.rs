//! Messages on their way to the brokers: idempotent, acknowledged by all replicas, bounded in bytes.
//!
//! What is handed over together enters the queue whole or not at all. The client library is made when it is first
//! needed, and made anew when it has failed for good.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

use super::client::{self, LastError};
use super::delivery::{Context, Delivery, Queue};
use super::partitioner::Fnv1aPartitioner;
use super::settings::Partitioner;

type LibraryProducer = ThreadedProducer<Context, Fnv1aPartitioner>;

/// What the client library may take longer than the limit it was told to say that it was passed.
const REPORT_PATIENCE: Duration = Duration::from_secs(5);

/// How a producer is to be.
#[derive(Clone, Debug)]
pub(super) struct ProducerSettings {
    /// What every connection is told.
    pub(super) config: ClientConfig,
    /// Which partition a key is on.
    pub(super) partitioner: Partitioner,
    /// How long the brokers may take to have a message, in seconds.
    pub(super) delivery_timeout_seconds: u64,
    /// The most bytes on their way.
    pub(super) queue_bytes_max: u64,
    /// The most bytes of a message.
    pub(super) message_bytes_max: usize,
}

/// A message for a topic.
pub(super) struct Outgoing<'a> {
    pub(super) topic: &'a str,
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: Option<&'a [u8]>,
    pub(super) headers: OwnedHeaders,
}

/// Why messages did not go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SendError {
    /// Nothing of them was sent.
    #[error("{queued_bytes} bytes are on their way to Kafka, limit is {limit_bytes} (queue_bytes_max)")]
    Full { queued_bytes: usize, limit_bytes: u64 },
    /// A part of them may have been sent.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

/// A producer for any topic.
pub(super) struct ReliableProducer {
    settings: ProducerSettings,
    library: Mutex<Option<Arc<LibraryProducer>>>,
    last_error: Arc<LastError>,
    queue: Arc<Queue>,
}

impl ReliableProducer {
    /// Connects to nothing yet.
    pub(super) fn new(mut settings: ProducerSettings) -> Self {
        let timeout_milliseconds = settings.delivery_timeout_seconds * 1000;
        // Our own queue is the bound.
        let queue_kilobytes = (settings.queue_bytes_max / 512).clamp(64 << 10, i32::MAX as u64);
        settings
            .config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", timeout_milliseconds.to_string())
            .set("request.timeout.ms", timeout_milliseconds.min(30_000).to_string())
            // Headers and what is said about a message count too.
            .set("message.max.bytes", (settings.message_bytes_max + (1 << 16)).min(1_000_000_000).to_string())
            .set("queue.buffering.max.kbytes", queue_kilobytes.to_string())
            .set("queue.buffering.max.messages", "0");
        if let Some(name) = settings.partitioner.librdkafka_name() {
            settings.config.set("partitioner", name);
        }
        let queue_bytes_max = usize::try_from(settings.queue_bytes_max).unwrap_or(usize::MAX);
        Self {
            settings,
            library: Mutex::default(),
            last_error: Arc::default(),
            queue: Arc::new(Queue::new(queue_bytes_max)),
        }
    }

    /// Bytes on their way.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// What the brokers said last, as the end of a sentence.
    pub(super) fn last_error(&self) -> String {
        self.last_error.suffix()
    }

    /// Sends messages and waits until the brokers have them all.
    pub(super) async fn send(&self, messages: Vec<Outgoing<'_>>) -> Result<(), SendError> {
        if messages.is_empty() {
            return Ok(());
        }
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let bytes = messages.iter().map(|message| length(message.key) + length(message.payload)).sum();
        let Some(reservation) = self.queue.reserve(bytes) else {
            let limit_bytes = self.settings.queue_bytes_max;
            return Err(SendError::Full { queued_bytes: self.queue.bytes(), limit_bytes });
        };
        let library = self.library()?;
        let (delivery, settled) = Delivery::new(messages.len(), reservation);
        for message in messages {
            let mut record =
                BaseRecord::<[u8], [u8], _>::with_opaque_to(message.topic, Arc::clone(&delivery))
                    .headers(message.headers);
            record.key = message.key;
            record.payload = message.payload;
            if let Err((error, _)) = library.send(record) {
                delivery.settle(Err(error));
            }
        }
        drop(delivery);
        let patience = Duration::from_secs(self.settings.delivery_timeout_seconds) + REPORT_PATIENCE;
        match tokio::time::timeout(patience, settled).await {
            Ok(Ok(outcome)) => outcome?,
            Ok(Err(_)) => return Err(KafkaError::Canceled.into()),
            Err(_) => return Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut).into()),
        }
        self.last_error.clear();
        Ok(())
    }

    /// What the brokers say about a topic. Blocks.
    pub(super) fn describe_topic(&self, topic: &str, patience: Duration) -> Result<String, KafkaError> {
        client::describe_topic(self.library()?.client(), topic, patience)
    }

    fn library(&self) -> Result<Arc<LibraryProducer>, KafkaError> {
        let mut slot = self.library.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(library) if library.client().fatal_error().is_none() => return Ok(Arc::clone(library)),
            Some(_) => tracing::warn!("Kafka producer has failed for good; making another"),
            None => {}
        }
        let context = Context {
            last_error: Arc::clone(&self.last_error),
            partitioner: (self.settings.partitioner == Partitioner::Fnv1a).then_some(Fnv1aPartitioner),
        };
        let made = Arc::new(LibraryProducer::from_config_and_context(&self.settings.config, context)?);
        *slot = Some(Arc::clone(&made));
        Ok(made)
    }
}
