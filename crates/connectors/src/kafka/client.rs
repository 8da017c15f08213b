//! What producer and consumer are told alike, and what the brokers said last.

use std::sync::Mutex;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::security::SecuritySettings;

/// Settings of every connection.
pub(super) fn config(brokers: &str, security: &SecuritySettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", "timberyard")
        // A broker that comes back is not to be waited for longer than that.
        .set("reconnect.backoff.max.ms", "2000")
        .set("socket.connection.setup.timeout.ms", "10000")
        .set_log_level(RDKafkaLogLevel::Warning);
    security.apply(&mut config);
    config
}

/// The last thing that went wrong between us and the brokers: what a message timed out by says less.
#[derive(Debug, Default)]
pub(super) struct LastError(Mutex<Option<String>>);

impl LastError {
    /// Notes it. That all brokers are down is known from what was said of each.
    pub(super) fn note(&self, error: &KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka client reports");
        let all_down = Some(rdkafka::types::RDKafkaErrorCode::AllBrokersDown);
        if error.rdkafka_error_code() != all_down {
            *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(reason.to_owned());
        }
    }

    /// What was noted, as the end of a sentence.
    pub(super) fn suffix(&self) -> String {
        let last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        last.as_ref().map_or_else(String::new, |reason| format!(" (the last that was heard: {reason})"))
    }

    /// Forgets it: the brokers are well again.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    }
}

/// Hands a line of the client library to our own log.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(facility, message, "Kafka client");
        }
        // It repeats what is an error only while brokers are away, of which sinks and inputs speak themselves.
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::debug!(facility, message, "Kafka client");
        }
        _ => tracing::trace!(facility, message, "Kafka client"),
    }
}

/// What the brokers say about a topic, in words for a person.
pub(super) fn describe_topic<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    patience: Duration,
) -> Result<String, KafkaError> {
    let metadata = client.fetch_metadata(Some(topic), patience)?;
    let brokers = metadata.brokers().len();
    let brokers = format!("Kafka, {brokers} broker{}", if brokers == 1 { "" } else { "s" });
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    Ok(match found.map(|found| (found.error(), found.partitions().len())) {
        Some((None, partitions @ 1..)) => format!("{brokers}, topic {topic}, partitions: {partitions}"),
        _ => format!(
            "{brokers}; topic {topic} is not there yet: the brokers make it with its first message where \
             auto.create.topics.enable allows it, else make it with kafka-topics.sh --create --topic {topic}"
        ),
    })
}
