//! A batch as messages of a topic, durable when the brokers have every one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, OwnedHeaders};
use timberyard_model::IngestRecord;
use timberyard_model::sink::{Sink, SinkError, SinkFigures, SinkFuture};

use super::client;
use super::producer::{Outgoing, ProducerSettings, ReliableProducer, SendError};
use super::schema::{self, Message};
use super::settings::KafkaSinkSettings;
use crate::watch::Watcher;

/// How long `connect_check` waits for brokers.
const CHECK_PATIENCE: Duration = Duration::from_secs(10);
/// How long a broker may take to say that it is there; the end of a server waits for it.
const WATCH_PATIENCE: Duration = Duration::from_secs(2);
/// When a sender may try again that found the queue full.
const QUEUE_RETRY_SECONDS: u64 = 1;

/// A topic. Connects when it is first used.
pub struct KafkaSink {
    name: String,
    settings: KafkaSinkSettings,
    producer: Arc<ReliableProducer>,
    counters: Counters,
    watcher: Option<Watcher>,
}

#[derive(Default)]
struct Counters {
    rows: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
}

/// What a sink has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkStatistics {
    /// Rows that the brokers have.
    pub rows: u64,
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
        let mut config = client::config(&settings.brokers, &settings.security);
        config
            .set("linger.ms", settings.linger_milliseconds.to_string())
            .set("compression.type", settings.compression.name());
        let producer = Arc::new(ReliableProducer::new(ProducerSettings {
            config,
            partitioner: settings.partitioner,
            delivery_timeout_seconds: settings.delivery_timeout_seconds,
            queue_bytes_max: settings.queue_bytes_max.0,
            message_bytes_max: settings.message_bytes_max.in_memory(),
        }));
        Ok(Self { name: name.into(), settings, producer, counters: Counters::default(), watcher: None })
    }

    /// The same, watched: from now on it is known whether brokers are there. Must be called on a tokio runtime.
    #[must_use]
    pub fn watched(self) -> Self {
        let (producer, topic) = (Arc::clone(&self.producer), self.settings.topic.clone());
        let ask = move || {
            let (producer, topic) = (Arc::clone(&producer), topic.clone());
            let asked = tokio::task::spawn_blocking(move || {
                let answer = producer.describe_topic(&topic, WATCH_PATIENCE);
                answer.map(drop).map_err(|error| format!("Kafka: {error}{}", producer.last_error()))
            });
            async move { asked.await.unwrap_or_else(|error| Err(error.to_string())) }
        };
        let place = format!("Kafka at {}", self.settings.brokers);
        Self { watcher: Some(Watcher::start(place, ask)), ..self }
    }

    /// What it has done.
    pub fn statistics(&self) -> SinkStatistics {
        SinkStatistics {
            rows: self.counters.rows.load(Ordering::Relaxed),
            messages: self.counters.messages.load(Ordering::Relaxed),
            bytes: self.counters.bytes.load(Ordering::Relaxed),
            failures: self.counters.failures.load(Ordering::Relaxed),
            queued_bytes: self.producer.queued_bytes() as u64,
        }
    }

    /// Asks the brokers for the topic: what was found, or what is wrong and what to do.
    ///
    /// # Errors
    /// No broker answers, or the topic cannot be had.
    pub async fn connect_check(&self) -> Result<String, String> {
        let (producer, topic) = (Arc::clone(&self.producer), self.settings.topic.clone());
        let asked = move || producer.describe_topic(&topic, CHECK_PATIENCE);
        let found = tokio::task::spawn_blocking(asked).await.map_err(|error| error.to_string())?;
        let place = &self.settings.brokers;
        found.map_err(|error| format!("brokers {place}: {error}{}", self.producer.last_error()))
    }

    async fn send(&self, record: &IngestRecord) -> Result<(), SinkError> {
        let settings = &self.settings;
        let messages =
            schema::messages(&record.batch, settings.format, settings.message_bytes_max.in_memory())?;
        let outgoing = messages.iter().map(|message| self.outgoing(message, record)).collect();
        self.producer.send(outgoing).await.map_err(|error| self.sink_error(error))?;
        let bytes: usize = messages.iter().map(|message| message.payload.len()).sum();
        self.counters.rows.fetch_add(record.batch.rows.len() as u64, Ordering::Relaxed);
        self.counters.messages.fetch_add(messages.len() as u64, Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }

    fn outgoing<'m>(&'m self, message: &'m Message, record: &IngestRecord) -> Outgoing<'m> {
        let headers = schema::headers(self.settings.format, &record.batch.tenant, message);
        let add = |headers: OwnedHeaders, (key, value): &(&str, &str)| {
            headers.insert(Header { key, value: Some(*value) })
        };
        Outgoing {
            topic: &self.settings.topic,
            key: Some(message.key.as_bytes()),
            payload: Some(&message.payload),
            headers: headers.iter().fold(OwnedHeaders::new(), add),
        }
    }

    /// What a sender is to do about an error.
    fn sink_error(&self, error: SendError) -> SinkError {
        let topic = &self.settings.topic;
        let overloaded = |reason| SinkError::Overloaded { reason, retry_after_seconds: QUEUE_RETRY_SECONDS };
        let error = match error {
            SendError::Full { .. } => return overloaded(error.to_string()),
            SendError::Kafka(error) => error,
        };
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => SinkError::TooLarge(format!(
                "the brokers refuse a message as too large: raise max.message.bytes of topic {topic}, or lower \
                 message_bytes_max"
            )),
            Some(RDKafkaErrorCode::QueueFull) => overloaded("the Kafka client's queue is full".to_owned()),
            Some(RDKafkaErrorCode::MessageTimedOut) => SinkError::Unavailable(format!(
                "Kafka did not take a message for topic {topic} within {} s{}",
                self.settings.delivery_timeout_seconds,
                self.producer.last_error()
            )),
            _ => {
                SinkError::Unavailable(format!("Kafka, topic {topic}: {error}{}", self.producer.last_error()))
            }
        }
    }
}

impl Sink for KafkaSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn figures(&self) -> Option<SinkFigures> {
        let SinkStatistics { rows, failures, queued_bytes, .. } = self.statistics();
        Some(SinkFigures { rows_written: rows, retries: failures, queued_bytes, ..SinkFigures::default() })
    }

    fn reachability(&self) -> Option<Result<(), String>> {
        self.watcher.as_ref().map(Watcher::seen)
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
