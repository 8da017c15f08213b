//! Messages that cannot be taken go to a topic as they came, with the reason and the place they were read from.

use rdkafka::message::{Header, Headers, Message, OwnedHeaders};

use super::super::client;
use super::super::input_settings::KafkaInputSettings;
use super::super::producer::{Outgoing, ProducerSettings, ReliableProducer, SendError};
use super::super::settings::Partitioner;
use super::stretch::Letter;

/// The header with the reason.
const REASON_HEADER: &str = "timberyard-reason";
/// The headers with the place that a message was read from.
const TOPIC_HEADER: &str = "timberyard-topic";
const PARTITION_HEADER: &str = "timberyard-partition";
const OFFSET_HEADER: &str = "timberyard-offset";
/// More of a reason is cut off, in bytes.
const REASON_BYTES_MAX: usize = 1024;
/// The most that brokers take as one message, however they are set up.
const MESSAGE_BYTES_MAX: usize = 500_000_000;

pub(super) struct DeadLetters {
    settings: KafkaInputSettings,
    producer: ReliableProducer,
}

impl DeadLetters {
    /// Connects to nothing until there is a letter.
    pub(super) fn new(settings: &KafkaInputSettings) -> Self {
        let producer = ReliableProducer::new(ProducerSettings {
            config: client::config(&settings.brokers, &settings.security),
            partitioner: Partitioner::Murmur2Random,
            delivery_timeout_seconds: 30,
            queue_bytes_max: settings.buffer_bytes_max.0,
            message_bytes_max: MESSAGE_BYTES_MAX,
        });
        Self { settings: settings.clone(), producer }
    }

    /// Sends some letters and waits until the brokers have them.
    pub(super) async fn send(&self, letters: &[Letter]) -> Result<(), SendError> {
        let topics: Vec<String> =
            letters.iter().map(|letter| self.settings.dead_letter_topic_of(letter.message.topic())).collect();
        let outgoing = letters.iter().zip(&topics).map(|(letter, topic)| Outgoing {
            topic,
            key: letter.message.key(),
            payload: letter.message.payload(),
            headers: headers(letter),
        });
        self.producer.send(outgoing.collect()).await
    }
}

/// Its own headers, then ours.
fn headers(letter: &Letter) -> OwnedHeaders {
    let own = letter.message.headers().map(|headers| headers.iter());
    let kept = own.into_iter().flatten().fold(OwnedHeaders::new(), |all, header| all.insert(header));
    let mut reason_bytes = letter.reason.len().min(REASON_BYTES_MAX);
    while !letter.reason.is_char_boundary(reason_bytes) {
        reason_bytes -= 1;
    }
    let reason = letter.reason.get(..reason_bytes).unwrap_or_default();
    let place = [
        (REASON_HEADER, reason.to_owned()),
        (TOPIC_HEADER, letter.message.topic().to_owned()),
        (PARTITION_HEADER, letter.message.partition().to_string()),
        (OFFSET_HEADER, letter.message.offset().to_string()),
    ];
    place.iter().fold(kept, |all, (key, value)| all.insert(Header { key, value: Some(value) }))
}
