//! What is written about Kafka, with defaults, and what is refused before anything is connected.

use serde::{Deserialize, Serialize};

use super::security::SecuritySettings;
use crate::ByteSize;

/// A sink that is a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSinkSettings {
    /// Where to find brokers: `HOST:PORT`, several separated by commas.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// What a message is.
    pub format: MessageFormat,
    /// Which partition a service is on.
    pub partitioner: Partitioner,
    /// How several messages together are compressed.
    pub compression: CompressionType,
    /// The most bytes of messages on their way to the brokers; what comes above is refused for now.
    pub queue_bytes_max: ByteSize,
    /// The most bytes of one message, before compression. The topic's `max.message.bytes` must not be lower.
    pub message_bytes_max: ByteSize,
    /// How long the brokers may take to have a message, in seconds, with all tries. 1 to 600.
    pub delivery_timeout_seconds: u64,
    /// How long a message waits for others to go with, in milliseconds. Up to 1000.
    pub linger_milliseconds: u64,
    /// How connections are secured.
    pub security: SecuritySettings,
}

impl Default for KafkaSinkSettings {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            topic: "timberyard".to_owned(),
            format: MessageFormat::Batch,
            partitioner: Partitioner::Murmur2Random,
            compression: CompressionType::Zstd,
            queue_bytes_max: ByteSize(64 << 20),
            message_bytes_max: ByteSize(1_000_000),
            delivery_timeout_seconds: 10,
            linger_milliseconds: 5,
            security: SecuritySettings::default(),
        }
    }
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageFormat {
    /// Rows of one tenant and service, as the write-ahead log keeps them: nothing of them is lost.
    Batch,
    /// One log as LogStream's JSON.
    Logstream,
}

/// Which partition a service is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Partitioner {
    /// As the Java client decides.
    Murmur2Random,
    /// By the CRC-32 of the service, as librdkafka decides.
    Consistent,
    /// By its 32-bit FNV-1a, modulo the number of partitions, as log-go decides.
    Fnv1a,
}

impl Partitioner {
    /// What the client library calls it, where it knows it.
    pub(super) fn librdkafka_name(self) -> Option<&'static str> {
        match self {
            Self::Murmur2Random => Some("murmur2_random"),
            Self::Consistent => Some("consistent"),
            Self::Fnv1a => None,
        }
    }
}

/// How messages are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CompressionType {
    /// zstd, level 3.
    Zstd,
    /// LZ4.
    Lz4,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// Not at all.
    None,
}

impl CompressionType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::None => "none",
        }
    }
}

impl KafkaSinkSettings {
    /// What is wrong, as far as that is seen without a connection.
    ///
    /// # Errors
    /// The setting, and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        check_brokers(&self.brokers)?;
        check_topic("topic", &self.topic)?;
        let numbers = [
            ("queue_bytes_max", self.queue_bytes_max.0, 1 << 20, 1 << 40),
            ("message_bytes_max", self.message_bytes_max.0, 1000, 1_000_000_000),
            ("delivery_timeout_seconds", self.delivery_timeout_seconds, 1, 600),
            ("linger_milliseconds", self.linger_milliseconds, 0, 1000),
        ];
        check_numbers(&numbers)?;
        self.security.check()
    }
}

/// Checks that each number is between two others; `(name, number, least, most)`.
pub(super) fn check_numbers(numbers: &[(&str, u64, u64, u64)]) -> Result<(), String> {
    match numbers.iter().find(|(_, number, least, most)| number < least || number > most) {
        Some((name, number, least, most)) => {
            Err(format!("{name}: must be from {least} to {most}, not {number}"))
        }
        None => Ok(()),
    }
}

/// Checks a list of brokers.
pub(super) fn check_brokers(brokers: &str) -> Result<(), String> {
    if brokers.trim().is_empty() {
        return Err("brokers: must be written: HOST:PORT, several separated by commas".to_owned());
    }
    for broker in brokers.split(',') {
        let port = broker.trim().rsplit_once(':').map_or(Some(9092), |(_, port)| port.parse::<u16>().ok());
        if broker.trim().is_empty() || broker.contains("://") || port.is_none() {
            return Err(format!("brokers: `{}` is not HOST:PORT", broker.trim()));
        }
    }
    Ok(())
}

/// Checks the name of a topic by Kafka's rule.
pub(super) fn check_topic(setting: &str, topic: &str) -> Result<(), String> {
    const BYTES_MAX: usize = 249;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match topic {
        "" | "." | ".." => Err(format!("{setting}: `{topic}` is not the name of a topic")),
        _ if topic.len() > BYTES_MAX || !topic.bytes().all(allowed) => {
            Err(format!("{setting}: must be 1 to {BYTES_MAX} letters, digits or `._-`, not `{topic}`"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let good = || KafkaSinkSettings { brokers: "a:9092, b".to_owned(), ..KafkaSinkSettings::default() };
        assert_eq!(good().check(), Ok(()));
        let bad = [
            (KafkaSinkSettings::default(), "brokers: must be written"),
            (KafkaSinkSettings { brokers: "http://a".to_owned(), ..good() }, "brokers: `http://a` is not"),
            (KafkaSinkSettings { brokers: "a:x".to_owned(), ..good() }, "brokers: `a:x` is not HOST:PORT"),
            (KafkaSinkSettings { topic: "a b".to_owned(), ..good() }, "topic: must be 1 to 249"),
            (KafkaSinkSettings { topic: "..".to_owned(), ..good() }, "topic: `..` is not"),
            (
                KafkaSinkSettings { delivery_timeout_seconds: 0, ..good() },
                "delivery_timeout_seconds: must be from 1 to 600, not 0",
            ),
        ];
        for (settings, expected) in bad {
            let reason = settings.check().expect_err(expected);
            assert!(reason.starts_with(expected), "{reason}");
        }
    }

    #[test]
    fn settings_are_read_as_they_are_written() {
        let text = r#"{"brokers":"k:9092","format":"logstream","partitioner":"fnv1a","compression":"lz4",
                       "security":{"sasl":"SCRAM-SHA-256","user":"u","password":"p"}}"#;
        let settings: KafkaSinkSettings = serde_json::from_str(text).expect("valid");
        assert_eq!(settings.format, MessageFormat::Logstream);
        assert_eq!(settings.partitioner, Partitioner::Fnv1a);
        assert_eq!(settings.compression, CompressionType::Lz4);
        assert_eq!(settings.topic, "timberyard");
        assert_eq!(settings.check(), Ok(()));
        assert!(serde_json::from_str::<KafkaSinkSettings>(r#"{"broker":"k"}"#).is_err());
    }
}
