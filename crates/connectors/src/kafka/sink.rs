//! A batch as messages of a topic, durable when the brokers have every one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use timberyard_model::IngestRecord;
use timberyard_model::sink::{Sink, SinkError, SinkFuture};

use super::client::{self, LastError};
use super::delivery::{Context, Delivery, Queue};
use super::partitioner::Fnv1aPartitioner;
use super::schema::{self, Message};
use super::settings::{KafkaSinkSettings, Partitioner};

type TopicProducer = ThreadedProducer<Context, Fnv1aPartitioner>;

/// How long `connect_check` waits for brokers.
const CHECK_PATIENCE: Duration = Duration::from_secs(10);
/// When a sender may try again that found the queue full.
const QUEUE_RETRY_SECONDS: u64 = 1;
/// What the client library may take longer than the limit it was told to say that it was passed.
const REPORT_PATIENCE: Duration = Duration::from_secs(5);

/// A topic. Connects when it is first used.
pub struct KafkaSink {
    name: String,
    settings: KafkaSinkSettings,
    producer: Mutex<Option<Arc<TopicProducer>>>,
    last_error: Arc<LastError>,
    queue: Arc<Queue>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    messages: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
}

/// What a sink has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkStatistics {
    /// Messages that the brokers have.
    pub messages: u64,
    /// Their bytes, before compression.
    pub bytes: u64,
    /// Batches that the brokers did not take, wholly or in part.
    pub failures: u64,
    /// Bytes on their way now.
    pub queued_bytes: u64,
}

impl KafkaSink {
    /// A sink of that name.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(name: impl Into<String>, settings: KafkaSinkSettings) -> Result<Self, String> {
        settings.check()?;
        let queue_bytes_max = usize::try_from(settings.queue_bytes_max).unwrap_or(usize::MAX);
        Ok(Self {
            name: name.into(),
            settings,
            producer: Mutex::default(),
            last_error: Arc::default(),
            queue: Arc::new(Queue::new(queue_bytes_max)),
            counters: Counters::default(),
        })
    }

    /// What it has done.
    pub fn statistics(&self) -> SinkStatistics {
        SinkStatistics {
            messages: self.counters.messages.load(Ordering::Relaxed),
            bytes: self.counters.bytes.load(Ordering::Relaxed),
            failures: self.counters.failures.load(Ordering::Relaxed),
            queued_bytes: self.queue.bytes() as u64,
        }
    }

    /// Asks the brokers for the topic: what was found, or what is wrong and what to do.
    ///
    /// # Errors
    /// No broker answers, or the topic cannot be had.
    pub async fn connect_check(&self) -> Result<String, String> {
        let producer = self.producer().map_err(|error| error.to_string())?;
        let topic = self.settings.topic.clone();
        let asked = move || client::describe_topic(producer.client(), &topic, CHECK_PATIENCE);
        let found = tokio::task::spawn_blocking(asked).await.map_err(|error| error.to_string())?;
        found.map_err(|error| {
            format!("brokers {}: {error}{}", self.settings.brokers, self.last_error.suffix())
        })
    }

    /// The producer, made anew when the last one has come to its end.
    fn producer(&self) -> Result<Arc<TopicProducer>, SinkError> {
        let mut slot = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(producer) if producer.client().fatal_error().is_none() => return Ok(Arc::clone(producer)),
            Some(_) => tracing::warn!(sink = self.name, "Kafka producer has failed for good; making another"),
            None => {}
        }
        let made = self.make_producer().map_err(|error| SinkError::Unavailable(error.to_string()))?;
        let made = Arc::new(made);
        *slot = Some(Arc::clone(&made));
        Ok(made)
    }

    fn make_producer(&self) -> Result<TopicProducer, KafkaError> {
        let settings = &self.settings;
        let mut config = client::config(&settings.brokers, &settings.security);
        let timeout_milliseconds = settings.delivery_timeout_seconds * 1000;
        // Our own queue is the bound: a batch enters it whole or not at all.
        let queue_kilobytes = (settings.queue_bytes_max / 512).clamp(64 << 10, i32::MAX as u64);
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", timeout_milliseconds.to_string())
            .set("request.timeout.ms", timeout_milliseconds.min(30_000).to_string())
            .set("linger.ms", settings.linger_milliseconds.to_string())
            .set("compression.type", settings.compression.name())
            // Headers and what is said about a message count too.
            .set("message.max.bytes", (settings.message_bytes_max + (1 << 16)).min(1_000_000_000).to_string())
            .set("queue.buffering.max.kbytes", queue_kilobytes.to_string())
            .set("queue.buffering.max.messages", "0");
        let partitioner = match settings.partitioner {
            Partitioner::Murmur2Random => Some("murmur2_random"),
            Partitioner::Consistent => Some("consistent"),
            Partitioner::Fnv1a => None,
        };
        if let Some(name) = partitioner {
            config.set("partitioner", name);
        }
        let context = Context {
            last_error: Arc::clone(&self.last_error),
            partitioner: partitioner.is_none().then_some(Fnv1aPartitioner),
        };
        TopicProducer::from_config_and_context(&config, context)
    }

    async fn send(&self, record: &IngestRecord) -> Result<(), SinkError> {
        let settings = &self.settings;
        let messages = schema::messages(&record.batch, settings.format, settings.message_bytes_max)?;
        if messages.is_empty() {
            return Ok(());
        }
        let bytes = messages.iter().map(|message| message.key.len() + message.payload.len()).sum();
        let Some(reservation) = self.queue.reserve(bytes) else {
            return Err(SinkError::Overloaded {
                reason: format!(
                    "{} bytes are on their way to Kafka, limit is {} (queue_bytes_max)",
                    self.queue.bytes(),
                    settings.queue_bytes_max
                ),
                retry_after_seconds: QUEUE_RETRY_SECONDS,
            });
        };
        let producer = self.producer()?;
        let (delivery, settled) = Delivery::new(messages.len(), reservation);
        for message in &messages {
            self.enqueue(&producer, message, record, &delivery);
        }
        drop(delivery);
        let patience = Duration::from_secs(settings.delivery_timeout_seconds) + REPORT_PATIENCE;
        let outcome = match tokio::time::timeout(patience, settled).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(KafkaError::Canceled),
            Err(_) => Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut)),
        };
        outcome.map_err(|error| self.sink_error(&error))?;
        self.last_error.clear();
        self.counters.messages.fetch_add(messages.len() as u64, Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }

    fn enqueue(
        &self,
        producer: &TopicProducer,
        message: &Message,
        record: &IngestRecord,
        delivery: &Arc<Delivery>,
    ) {
        let headers = schema::headers(self.settings.format, &record.batch.tenant)
            .into_iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value) })
            });
        let sent = BaseRecord::with_opaque_to(&self.settings.topic, Arc::clone(delivery))
            .key(&*message.key)
            .payload(&message.payload)
            .headers(headers);
        if let Err((error, _)) = producer.send(sent) {
            delivery.settle(Err(error));
        }
    }

    /// What a sender is to do about an error.
    fn sink_error(&self, error: &KafkaError) -> SinkError {
        let topic = &self.settings.topic;
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => SinkError::TooLarge(format!(
                "the brokers refuse a message as too large: raise max.message.bytes of topic {topic}, or lower \
                 message_bytes_max"
            )),
            Some(RDKafkaErrorCode::QueueFull) => SinkError::Overloaded {
                reason: "the Kafka client's queue is full".to_owned(),
                retry_after_seconds: QUEUE_RETRY_SECONDS,
            },
            Some(RDKafkaErrorCode::MessageTimedOut) => SinkError::Unavailable(format!(
                "Kafka did not take a message for topic {topic} within {} s{}",
                self.settings.delivery_timeout_seconds,
                self.last_error.suffix()
            )),
            _ => SinkError::Unavailable(format!("Kafka, topic {topic}: {error}{}", self.last_error.suffix())),
        }
    }
}

impl Sink for KafkaSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn write(&self, record: IngestRecord) -> SinkFuture<'_> {
        Box::pin(async move {
            let sent = self.send(&record).await;
            if sent.is_err() {
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
            }
            sent
        })
    }
}
