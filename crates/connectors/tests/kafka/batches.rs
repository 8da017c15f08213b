//! Batches to send, and what arrives in a topic.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message, OwnedMessage};
use timberyard_model::batch::EqualEntries;
use timberyard_model::limits::RecordLimits;
use timberyard_model::{BatchBuilder, IngestRecord, Labels, TenantId, Timestamp};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A batch of a tenant; each row is a service and a line.
pub(crate) fn record(tenant: &str, rows: &[(&str, &str)]) -> IngestRecord {
    let tenant = TenantId::new(tenant).expect("valid");
    let now = Timestamp::from_nanos(1_793_491_200_000_000_000);
    let mut batch = BatchBuilder::new(tenant, now, EqualEntries::Keep, &RecordLimits::default());
    for (service, line) in rows {
        let stream = batch.stream(&Labels::from_pairs([("service_name", service)]));
        batch.push(stream, now, line.as_bytes(), &[]).expect("within limits");
    }
    batch.finish().into()
}

/// So many messages of a topic from its beginning, in the order of their partitions and offsets.
pub(crate) fn arrived(brokers: &str, topic: &str, count: usize) -> Vec<OwnedMessage> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "reader")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("metadata");
    let mut partitions = rdkafka::TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        partitions
            .add_partition_offset(topic, partition.id(), rdkafka::Offset::Beginning)
            .expect("an offset");
    }
    consumer.assign(&partitions).expect("assigned");
    let mut messages = Vec::new();
    let started = Instant::now();
    while messages.len() < count {
        assert!(started.elapsed() < PATIENCE, "{} of {count} messages arrived", messages.len());
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            messages.push(message.expect("a message").detach());
        }
    }
    messages.sort_by_key(|message| (message.partition(), message.offset()));
    messages
}

/// A message's header as text.
pub(crate) fn header(message: &OwnedMessage, name: &str) -> Option<String> {
    let headers = message.headers()?;
    let value = headers.iter().find(|header| header.key == name)?.value?;
    Some(String::from_utf8_lossy(value).into_owned())
}
