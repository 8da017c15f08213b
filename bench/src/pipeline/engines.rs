//! The real Apache Kafka and the real engine of ClickHouse, as the tests start them (`make deps`).

use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};
use timberyard_testkit::parts::kafka::KafkaBroker;

use crate::process::PATIENCE;
use crate::warehouse::Warehouse;

/// Partitions of each topic.
const PARTITIONS: u32 = 3;

/// Both of them, running.
pub(crate) struct Engines {
    kafka: KafkaBroker,
    pub(crate) warehouse: Warehouse,
}

impl Engines {
    /// Starts both.
    pub(crate) fn start(binary: &Path, folder: &Path) -> Result<Self, String> {
        if KafkaBroker::is_left_out() {
            return Err("Apache Kafka could not be set up by `make deps`".to_owned());
        }
        Ok(Self { kafka: KafkaBroker::start(PARTITIONS), warehouse: Warehouse::start(binary, folder) })
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn brokers(&self) -> &str {
        self.kafka.address()
    }

    /// Makes a topic, so that nobody has to wait for it.
    pub(crate) fn make_topic(&self, topic: &str) -> Result<(), String> {
        let client: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.brokers())
            .create()
            .map_err(|e| e.to_string())?;
        let begun = Instant::now();
        loop {
            // To be asked for a topic has the broker make it.
            let known = client.client().fetch_metadata(Some(topic), PATIENCE).map_err(|e| e.to_string())?;
            if known.topics().iter().any(|topic| topic.partitions().len() == PARTITIONS as usize) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("the broker does not make topic {topic}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
