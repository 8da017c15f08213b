//! Topics as an input: read as a member of a group, written in large batches, committed when the sinks have them.
//!
//! | file | what it knows |
//! | --- | --- |
//! | `assignment` | the partitions that are ours for now; rebalances, commits, pauses |
//! | `partition` | one of them: what is gathered, what is being written |
//! | `stretch` | messages one behind the other, and what batches they make |
//! | `writer` | brings a stretch to the sinks, whatever they answer |
//! | `recent_ids` | messages that a producer sent twice |
//! | `dead_letters` | messages that cannot be taken |
//!
//! A message is stored at least once, since its offset is committed only when the sinks have its rows; and at most once where a sink
//! keeps the origins of batches (`docs/adr/0025`): the stretch of offsets that rows were read from is stored with them.

mod assignment;
mod counters;
mod dead_letters;
mod partition;
mod recent_ids;
mod stretch;
mod writer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::util::Timeout;
use rdkafka::{Offset, Statistics, TopicPartitionList};
use timberyard_model::Timestamp;
use tokio::runtime::Handle;

use super::client::{self, LastError};
use super::decode::{DecodeSettings, Decoder};
use super::input_settings::KafkaInputSettings;
use assignment::Assignment;
use counters::Counters;
use dead_letters::DeadLetters;
use partition::Bounds;
use writer::Writer;

pub use writer::Destinations;

/// How long one wait for a message is.
const POLL_PATIENCE: Duration = Duration::from_millis(20);
/// How long messages may keep coming before partitions have their turn.
const TURN_EVERY: Duration = Duration::from_millis(5);
/// The pause after an error, and before a message is read again.
const ERROR_PAUSE: Duration = Duration::from_millis(200);
/// How long `connect_check` waits for brokers.
const CHECK_PATIENCE: Duration = Duration::from_secs(10);
/// How often the client library says how far behind we are.
const LAG_EVERY_MILLISECONDS: &str = "2000";

/// Topics that are being read, until it is stopped or dropped.
pub struct KafkaInput {
    name: String,
    shared: Arc<Shared>,
    is_stopping: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What an input has done since it was started, and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InputStatistics {
    /// Messages read.
    pub messages: u64,
    /// Rows that sinks took.
    pub rows: u64,
    /// Messages and rows that were there already, and were not stored again.
    pub repeated: u64,
    /// Messages that could not be taken, wholly or in part, and are in the dead-letter topic.
    pub dead_letters: u64,
    /// Writes that failed and were tried again.
    pub retries: u64,
    /// How often partitions came or went.
    pub rebalances: u64,
    /// Commits that failed.
    pub commit_failures: u64,
    /// Partitions of which something was read since they came.
    pub partitions: usize,
    /// Bytes of rows in memory.
    pub buffered_bytes: usize,
    /// How many messages of each partition are not committed yet, by topic and partition.
    pub lag: BTreeMap<(String, i32), i64>,
}

/// What the thread and those who ask about it share.
struct Shared {
    counters: Arc<Counters>,
    last_error: LastError,
    lag: Mutex<BTreeMap<(String, i32), i64>>,
    held: Mutex<(usize, usize)>,
}

impl KafkaInput {
    /// Begins to read: a thread of its own, which spawns writes on the runtime. Brokers that are away are waited for.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn start(
        name: impl Into<String>,
        settings: &KafkaInputSettings,
        decode: DecodeSettings,
        destinations: Destinations,
        runtime: Handle,
    ) -> Result<Self, String> {
        settings.check()?;
        let name = name.into();
        let counters = Arc::new(Counters::default());
        let writer = Arc::new(Writer {
            name: name.clone(),
            destinations,
            dead_letters: DeadLetters::new(settings),
            counters: Arc::clone(&counters),
        });
        let bounds = Bounds {
            bytes_max: settings.batch_bytes_max.in_memory(),
            rows_max: settings.batch_rows_max,
            age_max: Duration::from_millis(settings.batch_age_milliseconds_max),
        };
        let shared = Arc::new(Shared {
            counters,
            last_error: LastError::default(),
            lag: Mutex::default(),
            held: Mutex::default(),
        });
        let context = Context {
            shared: Arc::clone(&shared),
            assignment: Mutex::new(Assignment::new(
                writer,
                runtime,
                bounds,
                settings.buffer_bytes_max.in_memory(),
            )),
        };
        let consumer = consumer(settings, context).map_err(|error| error.to_string())?;
        let is_stopping = Arc::new(AtomicBool::new(false));
        let reader = Reader {
            name: name.clone(),
            consumer,
            decoder: Decoder::new(decode, settings),
            shared: Arc::clone(&shared),
            is_stopping: Arc::clone(&is_stopping),
        };
        let thread = std::thread::Builder::new()
            .name(format!("kafka-{name}").chars().take(15).collect())
            .spawn(move || reader.run())
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self { name, shared, is_stopping, thread: Mutex::new(Some(thread)) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has done and how it stands.
    pub fn statistics(&self) -> InputStatistics {
        let Shared { counters, lag, held, .. } = &*self.shared;
        let (partitions, buffered_bytes) = *held.lock().unwrap_or_else(PoisonError::into_inner);
        InputStatistics {
            messages: counters.messages.get(),
            rows: counters.rows.get(),
            repeated: counters.repeated.get(),
            dead_letters: counters.dead_letters.get(),
            retries: counters.retries.get(),
            rebalances: counters.rebalances.get(),
            commit_failures: counters.commit_failures.get(),
            partitions,
            buffered_bytes,
            lag: lag.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Ends what is being written, commits it and leaves the group. Blocks until that is done.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(input = self.name, "the input's thread ended badly");
        }
    }

    /// Asks the brokers for the topics: what was found, or what is wrong and what to do. Blocks.
    ///
    /// # Errors
    /// No broker answers.
    pub fn connect_check(settings: &KafkaInputSettings) -> Result<String, String> {
        settings.check()?;
        let config = client::config(&settings.brokers, &settings.security);
        let consumer: BaseConsumer = config.create().map_err(|error| error.to_string())?;
        let describe = |topic: &String| client::describe_topic(consumer.client(), topic, CHECK_PATIENCE);
        let found: Result<Vec<String>, KafkaError> = settings.topics.iter().map(describe).collect();
        let found = found.map_err(|error| format!("brokers {}: {error}", settings.brokers))?;
        Ok(found.join("; "))
    }
}

impl Drop for KafkaInput {
    fn drop(&mut self) {
        self.stop();
    }
}

fn consumer(settings: &KafkaInputSettings, context: Context) -> KafkaResult<BaseConsumer<Context>> {
    let mut config = client::config(&settings.brokers, &settings.security);
    let session_milliseconds = settings.session_timeout_seconds * 1000;
    config
        .set("group.id", &settings.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", session_milliseconds.to_string())
        .set("heartbeat.interval.ms", (session_milliseconds / 10).clamp(500, 3000).to_string())
        // What the library holds beside our own buffer.
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.wait.max.ms", "100")
        // What has room again is to be read on at once.
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.error.backoff.ms", "100")
        .set("statistics.interval.ms", LAG_EVERY_MILLISECONDS)
        .set("topic.metadata.refresh.interval.ms", "10000");
    if let Some(member) = &settings.member {
        config.set("group.instance.id", member);
    }
    let consumer = BaseConsumer::from_config_and_context(&config, context)?;
    let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics)?;
    Ok(consumer)
}

/// The thread that reads.
struct Reader {
    name: String,
    consumer: BaseConsumer<Context>,
    decoder: Decoder,
    shared: Arc<Shared>,
    is_stopping: Arc<AtomicBool>,
}

impl Reader {
    /// Reads until it is told to stop. The consumer leaves the group when it is dropped, which revokes all partitions.
    fn run(self) {
        let mut last_turn = Instant::now();
        while !self.is_stopping.load(Ordering::Acquire) {
            let wants_turn = self.assignment().wait_for_room(POLL_PATIENCE) || self.read();
            if wants_turn || last_turn.elapsed() >= TURN_EVERY {
                last_turn = Instant::now();
                let mut assignment = self.assignment();
                assignment.turn(&self.consumer);
                *self.shared.held.lock().unwrap_or_else(PoisonError::into_inner) = assignment.held();
            }
        }
        tracing::debug!(input = self.name, "leaving the group");
    }

    fn assignment(&self) -> MutexGuard<'_, Assignment> {
        self.consumer.context().assignment()
    }

    /// Reads a message, if one comes. Says whether partitions are to have their turn now.
    fn read(&self) -> bool {
        match self.consumer.poll(POLL_PATIENCE) {
            Some(Ok(message)) => self.take(&message),
            Some(Err(error)) => {
                self.shared.last_error.note(&error, &error.to_string());
                std::thread::sleep(ERROR_PAUSE);
                true
            }
            None => true,
        }
    }

    /// Puts a message to what is gathered of its partition. Says whether the buffer is full.
    fn take(&self, message: &BorrowedMessage<'_>) -> bool {
        let (topic, number, offset) = (message.topic(), message.partition(), message.offset());
        let mut assignment = self.assignment();
        let bounds = assignment.bounds();
        let partition = match assignment.partition(&self.consumer, topic, number, offset) {
            Ok(partition) => partition,
            Err(error) => {
                drop(assignment);
                tracing::warn!(input = self.name, topic, partition = number, %error, "cannot learn how far the group is; trying again");
                std::thread::sleep(ERROR_PAUSE);
                self.read_again(topic, number, offset);
                return true;
            }
        };
        self.shared.counters.messages.add(1);
        let decoded = self.decoder.decode(message, now());
        let id = decoded.as_ref().ok().and_then(|content| content.id);
        let is_repeated = id.is_some_and(|id| !partition.recent_ids.insert(id));
        let stretch = partition.open_stretch(&bounds, Instant::now());
        stretch.pass(offset);
        match decoded {
            Ok(_) if is_repeated => self.shared.counters.repeated.add(1),
            Ok(content) => {
                if let Some(reason) = content.refused {
                    stretch.refuse(message.detach(), reason);
                }
                if !content.batch.rows.is_empty() {
                    stretch.push(offset, content.batch, content.is_ours);
                }
            }
            Err(reason) => stretch.refuse(message.detach(), reason),
        }
        assignment.is_full()
    }

    fn read_again(&self, topic: &str, partition: i32, offset: i64) {
        if let Err(error) = self.consumer.seek(topic, partition, Offset::Offset(offset), COMMAND_PATIENCE) {
            tracing::error!(input = self.name, topic, partition, offset, %error, "cannot go back to a message");
        }
    }
}

/// How long the client library may take to do what it is told.
const COMMAND_PATIENCE: Duration = Duration::from_secs(5);

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// What the consumer calls.
struct Context {
    shared: Arc<Shared>,
    assignment: Mutex<Assignment>,
}

impl Context {
    fn assignment(&self) -> MutexGuard<'_, Assignment> {
        self.assignment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.shared.last_error.note(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let topics = statistics.topics.into_iter();
        let lag = topics.flat_map(|(topic, figures)| {
            let known = figures
                .partitions
                .into_iter()
                .filter(|(number, figures)| *number >= 0 && figures.consumer_lag >= 0);
            known.map(move |(number, figures)| ((topic.clone(), number), figures.consumer_lag))
        });
        *self.shared.lag.lock().unwrap_or_else(PoisonError::into_inner) = lag.collect();
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        self.shared.counters.rebalances.add(1);
        match rebalance {
            Rebalance::Revoke(partitions) => self.assignment().revoke(consumer, partitions),
            Rebalance::Error(_) => {
                let all = consumer.assignment().unwrap_or_else(|_| TopicPartitionList::new());
                self.assignment().revoke(consumer, &all);
            }
            Rebalance::Assign(_) => {}
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            self.assignment().join(consumer, partitions);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            self.shared.counters.commit_failures.add(1);
            tracing::debug!(%error, "a commit failed");
            self.assignment().commit_again();
        }
    }

    fn main_queue_min_poll_interval(&self) -> Timeout {
        Timeout::After(POLL_PATIENCE)
    }
}
