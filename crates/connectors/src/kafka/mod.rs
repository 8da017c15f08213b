//! Kafka: batches go to a topic, and messages of topics are taken in.
//!
//! | file | what it knows |
//! | --- | --- |
//! | `settings` | what is written about a sink |
//! | `security` | how a connection is encrypted, and who we are on it |
//! | `client` | what producer and consumer are told alike; what the brokers said last |
//! | `schema` | what a message looks like: its key, its headers, its bytes |
//! | `sink` | a batch as messages, durable when the brokers have every one |
//! | `producer` | messages on their way to the brokers |
//! | `delivery` | which messages of a batch the brokers have |
//! | `input_settings` | what is written about an input |
//! | `decode` | a message as rows, ours or foreign |
//! | `source` | topics that are read by a group, and written to sinks |
//! | `partitioner` | which partition a service is on |
//!
//! The order of one service is kept: its messages have its name as their key, so they are on one partition, and the
//! producer is idempotent. Batches are not transactions: where a crash lies between two messages of a batch, the sender has
//! no answer yet, sends again, and what was in the topic already is there twice.

mod client;
mod decode;
mod delivery;
mod input_settings;
mod partitioner;
mod producer;
pub mod schema;
mod security;
mod settings;
mod sink;
mod source;

pub use decode::DecodeSettings;
pub use input_settings::{InputFormat, KafkaInputSettings, MappingSettings};
pub use partitioner::fnv1a;
pub use security::{SaslMechanism, SecuritySettings};
pub use settings::{CompressionType, KafkaSinkSettings, MessageFormat, Partitioner};
pub use sink::{KafkaSink, SinkStatistics};
pub use source::{Destinations, InputStatistics, KafkaInput};
