//! The real Apache Kafka and the real engine of ClickHouse behind HTTP, as the tests start them (`make deps`), and the tables in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer};
use timberyard_testkit::parts::clickhouse::ClickHouse;
use timberyard_testkit::parts::kafka::KafkaBroker;

use crate::process::{PATIENCE, cpu_seconds_of};

/// Partitions of each topic.
const PARTITIONS: u32 = 3;

/// Both of them, running.
pub(crate) struct Engines {
    kafka: KafkaBroker,
    clickhouse: ClickHouse,
    binary: PathBuf,
    folder: PathBuf,
}

impl Engines {
    /// Starts both.
    pub(crate) fn start(binary: &Path, folder: &Path) -> Result<Self, String> {
        if KafkaBroker::is_left_out() {
            return Err("Apache Kafka could not be set up by `make deps`".to_owned());
        }
        let (kafka, clickhouse) = (KafkaBroker::start(PARTITIONS), ClickHouse::start());
        Ok(Self { kafka, clickhouse, binary: binary.to_owned(), folder: folder.to_owned() })
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn brokers(&self) -> &str {
        self.kafka.address()
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn clickhouse_url(&self) -> String {
        self.clickhouse.url()
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

    /// CPU seconds of ClickHouse's process so far.
    pub(crate) fn clickhouse_cpu_seconds(&self) -> Result<f64, String> {
        cpu_seconds_of(self.clickhouse.id())
    }

    /// Makes Timberyard's tables in a database.
    pub(crate) fn make_tables(&self, database: &str) -> Result<(), String> {
        let file = self.folder.join(format!("{database}.tables.yaml"));
        let url = self.clickhouse_url();
        let text = format!("sinks: {{warehouse: {{clickhouse: {{url: '{url}', database: {database}}}}}}}\n");
        std::fs::write(&file, text).map_err(|e| e.to_string())?;
        let made = Command::new(&self.binary)
            .args(["migrate", "up", "--config"])
            .arg(&file)
            .output()
            .map_err(|e| format!("{}: {e}", self.binary.display()))?;
        if made.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&made.stderr).into_owned()) }
    }

    /// Waits until so many rows are in a database.
    pub(crate) fn wait_for_rows(&self, database: &str, rows: usize) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let there = self.clickhouse.query(&format!("SELECT count() FROM {database}.logs"));
            match there.parse::<usize>() {
                Ok(there) if there >= rows => return Ok(()),
                _ if begun.elapsed() > PATIENCE => {
                    return Err(format!("{there} of {rows} rows arrived in {database}"));
                }
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Compares what a database holds with what was sent.
    pub(crate) fn check(&self, database: &str, rows: usize, line_bytes: usize) -> Result<(), String> {
        let asked = format!("SELECT count(), sum(length(line)) FROM {database}.logs FINAL");
        let (found, sent) = (self.clickhouse.query(&asked), format!("{rows}\t{line_bytes}"));
        if found == sent { Ok(()) } else { Err(format!("{database} holds {found}, sent was {sent}")) }
    }
}
