//! What is written about an input that reads topics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use timberyard_model::TenantId;
use timberyard_wire::field_mapping::FieldMapping;

use super::security::SecuritySettings;
use super::settings::{check_brokers, check_numbers, check_topic};
use crate::ByteSize;

/// What is added to a topic's name for the topic of its messages that cannot be taken.
const DEAD_LETTER_SUFFIX: &str = "-dead-letter";

/// An input that reads topics as a member of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaInputSettings {
    /// Where to find brokers: `HOST:PORT`, several separated by commas.
    pub brokers: String,
    /// The topics.
    pub topics: Vec<String>,
    /// The group: its members share the partitions.
    pub group: String,
    /// A name of this member that outlives it: after a restart within the session time-out it has its partitions again.
    pub member: Option<String>,
    /// What messages are that do not say so in a header.
    pub format: InputFormat,
    /// Which fields of JSON objects mean what.
    pub mapping: MappingSettings,
    /// Labels of raw lines; `service_name` is the topic unless it is here.
    pub labels: BTreeMap<String, String>,
    /// Whose rows they are, where a message does not say so in a header.
    pub tenant: String,
    /// Where messages go that cannot be taken; the topic's name with `-dead-letter` when absent.
    pub dead_letter_topic: Option<String>,
    /// The most bytes of rows that are written at once.
    pub batch_bytes_max: ByteSize,
    /// The most rows that are written at once.
    pub batch_rows_max: usize,
    /// How long a row waits for others, in milliseconds.
    pub batch_age_milliseconds_max: u64,
    /// The most bytes of rows in memory, of all partitions; they are paused above.
    pub buffer_bytes_max: ByteSize,
    /// How long the group waits for a member that is silent, in seconds.
    pub session_timeout_seconds: u64,
    /// How connections are secured.
    pub security: SecuritySettings,
}

impl Default for KafkaInputSettings {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            topics: vec!["timberyard".to_owned()],
            group: "timberyard".to_owned(),
            member: None,
            format: InputFormat::Json,
            mapping: MappingSettings::default(),
            labels: BTreeMap::new(),
            tenant: TenantId::default().as_str().to_owned(),
            dead_letter_topic: None,
            batch_bytes_max: ByteSize(8 << 20),
            batch_rows_max: 100_000,
            batch_age_milliseconds_max: 500,
            buffer_bytes_max: ByteSize(64 << 20),
            session_timeout_seconds: 45,
            security: SecuritySettings::default(),
        }
    }
}

/// What a message is that does not say so in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputFormat {
    /// One JSON object.
    Json,
    /// JSON objects, one a line.
    Ndjson,
    /// An OTLP export request, as JSON or protobuf.
    Otlp,
    /// A Loki push, as JSON or as protobuf in a Snappy block.
    Loki,
    /// Lines of text.
    Lines,
    /// LogStream's JSON.
    Logstream,
}

/// Which fields of a JSON object mean what; what is not written is as for NDJSON over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MappingSettings {
    /// Fields that hold the line; the first that is there counts.
    pub line_fields: Option<Vec<String>>,
    /// Fields that hold the time.
    pub time_fields: Option<Vec<String>>,
    /// Fields that become labels.
    pub label_fields: Option<Vec<String>>,
}

impl MappingSettings {
    pub(super) fn mapping(&self) -> FieldMapping {
        let usual = FieldMapping::default();
        FieldMapping {
            line_fields: self.line_fields.clone().unwrap_or(usual.line_fields),
            time_fields: self.time_fields.clone().unwrap_or(usual.time_fields),
            label_fields: self.label_fields.clone().unwrap_or(usual.label_fields),
        }
    }
}

impl KafkaInputSettings {
    /// What is wrong, as far as that is seen without a connection.
    ///
    /// # Errors
    /// The setting, and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        check_brokers(&self.brokers)?;
        if self.topics.is_empty() {
            return Err("topics: must name one at least".to_owned());
        }
        for topic in &self.topics {
            check_topic("topics", topic)?;
            let dead = self.dead_letter_topic_of(topic);
            check_topic("dead_letter_topic", &dead)?;
            if self.topics.contains(&dead) {
                return Err(format!("dead_letter_topic: `{dead}` is one of the topics that are read"));
            }
        }
        if self.group.is_empty() {
            return Err("group: must be written".to_owned());
        }
        TenantId::new(&self.tenant).map_err(|error| format!("tenant: {error}"))?;
        if let Some(name) = self.labels.keys().find(|name| !timberyard_model::labels::is_label_name(name)) {
            return Err(format!("labels: `{name}` is not the name of a label"));
        }
        check_numbers(&[
            ("batch_bytes_max", self.batch_bytes_max.0, 1 << 10, 1 << 30),
            ("batch_rows_max", self.batch_rows_max as u64, 1, 4 << 20),
            ("batch_age_milliseconds_max", self.batch_age_milliseconds_max, 1, 60_000),
            ("buffer_bytes_max", self.buffer_bytes_max.0, self.batch_bytes_max.0, 1 << 40),
            ("session_timeout_seconds", self.session_timeout_seconds, 6, 1800),
        ])?;
        self.security.check()
    }

    /// Where messages of a topic go that cannot be taken.
    pub(super) fn dead_letter_topic_of(&self, topic: &str) -> String {
        self.dead_letter_topic.clone().unwrap_or_else(|| format!("{topic}{DEAD_LETTER_SUFFIX}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let good = || KafkaInputSettings { brokers: "k:9092".to_owned(), ..KafkaInputSettings::default() };
        assert_eq!(good().check(), Ok(()));
        let text = |text: &str| text.to_owned();
        let bad = [
            (KafkaInputSettings { topics: Vec::new(), ..good() }, "topics: must name"),
            (KafkaInputSettings { tenant: text("a b"), ..good() }, "tenant: "),
            (KafkaInputSettings { group: String::new(), ..good() }, "group: "),
            (
                KafkaInputSettings { dead_letter_topic: Some(text("timberyard")), ..good() },
                "dead_letter_topic: `timberyard` is one of",
            ),
            (
                KafkaInputSettings { labels: BTreeMap::from([(text("a-b"), text("c"))]), ..good() },
                "labels: `a-b`",
            ),
            (
                KafkaInputSettings { buffer_bytes_max: ByteSize(1), ..good() },
                "buffer_bytes_max: must be from",
            ),
        ];
        for (settings, expected) in bad {
            let reason = settings.check().expect_err(expected);
            assert!(reason.starts_with(expected), "{reason}");
        }
    }
}
