//! The simplest loops that bring lines through Kafka into ClickHouse: one process reads lines and produces, another one consumes
//! and inserts. Kafka's client, compression, acknowledgements and the size of an insert are those of Timberyard's defaults.
//!
//! They take nothing from a network, check nothing, know of no tenant, detect no level, send nothing again, and a line that is read
//! twice after a crash is there twice.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clickhouse::{Client, Compression};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::Cost;
use super::engines::Engines;
use super::line_file::LineReader;
use super::table_row::{BINARY_COLUMNS, Stream, put_binary, put_json};
use crate::generator::Line;
use crate::process::{PATIENCE, children_cpu_seconds};

/// Lines that are put together to messages, one a service.
const TOGETHER_LINES: usize = 4_000;
/// What is inserted at once.
const INSERT_BYTES_MAX: usize = 8 << 20;
const INSERT_AGE_MAX: Duration = Duration::from_millis(500);

/// What a message is, and so what an insert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Loops {
    /// A line a message, in JSON, which ClickHouse reads.
    JsonLines,
    /// The lines of a service together, in JSON, which ClickHouse reads.
    JsonBatches,
    /// The lines of a service together, in the form that ClickHouse reads with the least work, so that nothing is left to do
    /// between it and Kafka.
    BinaryBatches,
}

impl Loops {
    pub(crate) const ALL: [Self; 3] = [Self::JsonLines, Self::JsonBatches, Self::BinaryBatches];

    /// As reports say it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::JsonLines => "loops: a line a message, JSON",
            Self::JsonBatches => "loops: lines of a service a message, JSON",
            Self::BinaryBatches => "loops: lines of a service a message, ready-made `RowBinary`",
        }
    }

    /// Its database, and its topic.
    pub(crate) fn database(self) -> &'static str {
        match self {
            Self::JsonLines => "json_lines",
            Self::JsonBatches => "json_batches",
            Self::BinaryBatches => "binary_batches",
        }
    }

    fn put(self, out: &mut Vec<u8>, number: u64, stream: &Stream, line: &Line) -> Result<(), String> {
        match self {
            Self::JsonLines => put_json(out, number, stream, line),
            Self::JsonBatches => {
                put_json(out, number, stream, line)?;
                out.push(b'\n');
                Ok(())
            }
            Self::BinaryBatches => {
                put_binary(out, number, stream, line);
                Ok(())
            }
        }
    }
}

/// One of the two processes.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct LoopArguments {
    #[arg(long, value_enum)]
    messages: Loops,
    #[arg(long)]
    brokers: String,
    /// Lines to produce.
    #[arg(long)]
    from: Option<PathBuf>,
    /// Where to insert, until standard input ends.
    #[arg(long, required_unless_present = "from")]
    url: Option<String>,
}

/// Runs both and waits for them.
pub(crate) fn measure(
    loops: Loops,
    file: &Path,
    engines: &Engines,
    database: &str,
    lines: usize,
) -> Result<Cost, String> {
    use clap::ValueEnum as _;
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let name = loops.to_possible_value().ok_or("a loop without a name")?;
    let start = |arguments: &[&str]| {
        Command::new(&program)
            .args(["loop", "--messages", name.get_name(), "--brokers", engines.brokers()])
            .args(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())
    };
    let producing = start(&["--from", &file.display().to_string()])?;
    let inserting = start(&["--url", &engines.warehouse.url()])?;
    let sending_cpu_seconds = ended(producing)?;
    engines.warehouse.wait_for_rows(database, lines)?;
    Ok(Cost { sending_cpu_seconds, writing_cpu_seconds: ended(inserting)? })
}

/// Waits for the end of a process that has nothing left to do, and says how many CPU seconds it used.
fn ended(mut child: Child) -> Result<f64, String> {
    let before = children_cpu_seconds()?;
    // Closes its standard input.
    drop(child.stdin.take());
    let status = child.wait().map_err(|e| e.to_string())?;
    if !status.success() {
        return Err(format!("a loop ended badly: {status}"));
    }
    Ok(children_cpu_seconds()? - before)
}

/// Is one of the two processes.
pub(crate) fn run(arguments: &LoopArguments) -> Result<(), String> {
    match (&arguments.from, &arguments.url) {
        (Some(from), _) => produce(arguments, from),
        (None, Some(url)) => insert(arguments, url),
        (None, None) => Err("neither --from nor --url".to_owned()),
    }
}

fn produce(arguments: &LoopArguments, from: &Path) -> Result<(), String> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &arguments.brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "zstd")
        .set("linger.ms", "5")
        .set("message.max.bytes", "2000000")
        .create()
        .map_err(|e| e.to_string())?;
    let (loops, topic) = (arguments.messages, arguments.messages.database());
    let lines = LineReader::open(from)?;
    let streams: Vec<Stream> =
        lines.streams.iter().enumerate().map(|(number, labels)| Stream::new(number, labels)).collect();
    // The messages that lines are put together to, in the order of their services.
    let mut together: Vec<(&str, Vec<u8>)> = Vec::new();
    let mut payload = Vec::new();
    for (number, line) in lines.enumerate() {
        let stream = streams.get(line.stream).ok_or("a line of no stream")?;
        if loops == Loops::JsonLines {
            payload.clear();
            loops.put(&mut payload, number as u64, stream, &line)?;
            send(&producer, topic, &stream.service, &payload)?;
            continue;
        }
        let place = match together.iter().position(|(service, _)| *service == stream.service) {
            Some(place) => place,
            None => {
                together.push((&stream.service, Vec::new()));
                together.len() - 1
            }
        };
        if let Some((_, rows)) = together.get_mut(place) {
            loops.put(rows, number as u64, stream, &line)?;
        }
        if number % TOGETHER_LINES == TOGETHER_LINES - 1 {
            send_all(&producer, topic, &mut together)?;
        }
    }
    send_all(&producer, topic, &mut together)?;
    producer.flush(PATIENCE).map_err(|e| e.to_string())
}

fn send_all(producer: &BaseProducer, topic: &str, together: &mut [(&str, Vec<u8>)]) -> Result<(), String> {
    for (service, rows) in together.iter_mut().filter(|(_, rows)| !rows.is_empty()) {
        send(producer, topic, service, rows)?;
        rows.clear();
    }
    Ok(())
}

fn send(producer: &BaseProducer, topic: &str, key: &str, payload: &[u8]) -> Result<(), String> {
    loop {
        match producer.send(BaseRecord::to(topic).key(key).payload(payload)) {
            Ok(()) => {
                producer.poll(Duration::ZERO);
                return Ok(());
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => return Err(error.to_string()),
        }
    }
}

fn insert(arguments: &LoopArguments, url: &str) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let client = Client::default().with_url(url).with_compression(Compression::Lz4);
    let table = format!("{}.logs", arguments.messages.database());
    let sql = match arguments.messages {
        Loops::BinaryBatches => format!("INSERT INTO {table} ({BINARY_COLUMNS}) FORMAT RowBinary"),
        _ => format!("INSERT INTO {table} FORMAT JSONEachRow"),
    };
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &arguments.brokers)
        .set("group.id", "loop")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .create()
        .map_err(|e| e.to_string())?;
    let topic = arguments.messages.database();
    consumer.subscribe(&[topic]).map_err(|e| e.to_string())?;
    let is_over = Arc::new(AtomicBool::new(false));
    let seen_over = Arc::clone(&is_over);
    std::thread::spawn(move || {
        // Whatever ends it.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        seen_over.store(true, Ordering::Relaxed);
    });
    let (mut rows, mut since) = (Vec::new(), Instant::now());
    while !is_over.load(Ordering::Relaxed) {
        if let Some(message) = consumer.poll(Duration::from_millis(20)) {
            let message = message.map_err(|e| e.to_string())?;
            if rows.is_empty() {
                since = Instant::now();
            }
            rows.extend_from_slice(message.payload().unwrap_or_default());
            if arguments.messages == Loops::JsonLines {
                rows.push(b'\n');
            }
        }
        let is_due = rows.len() >= INSERT_BYTES_MAX || since.elapsed() >= INSERT_AGE_MAX;
        if is_due && !rows.is_empty() {
            let rows = std::mem::take(&mut rows);
            runtime.block_on(insert_rows(&client, &sql, rows)).map_err(|e| e.to_string())?;
            consumer.commit_consumer_state(CommitMode::Async).map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

async fn insert_rows(client: &Client, sql: &str, rows: Vec<u8>) -> Result<(), clickhouse::error::Error> {
    let mut insert = client.insert_formatted_with(sql);
    let mut rest = bytes::Bytes::from(rows);
    while !rest.is_empty() {
        insert.send(rest.split_to(rest.len().min(256 << 10))).await?;
    }
    insert.end().await
}
