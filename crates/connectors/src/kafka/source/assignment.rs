//! The partitions that are ours for now: what was read is gathered, handed to writers, and committed when the sinks have it.
//!
//! Everything here runs on the input's own thread, in turns between two messages or inside a rebalance. A partition that goes to
//! another member has its write ended first, and its offset committed; what could not be ended is found out by the origins.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::partition::{Bounds, InFlight, Partition};
use super::stretch::{Place, Stretch};
use super::writer::Writer;

/// How long a partition that goes to another member is waited for.
const REVOKE_PATIENCE: Duration = Duration::from_secs(20);
/// The pause after a commit that failed.
const COMMIT_PAUSE: Duration = Duration::from_millis(500);
/// How long the buffer may be full before partitions are paused.
const STALL_PATIENCE: Duration = Duration::from_secs(2);
/// How long the brokers may take to say how far a group is.
const COMMITTED_PATIENCE: Duration = Duration::from_secs(10);
/// What begins the text that is kept with a group's offset.
const EPOCH_PREFIX: &str = "timberyard:";

type Key = (Box<str>, i32);

/// What a writer reports when it has come to its end.
struct Finished {
    key: Key,
    generation: u64,
    /// The offset to commit, unless it was told to give up.
    written_to: Option<i64>,
}

pub(super) struct Assignment {
    partitions: BTreeMap<Key, Partition>,
    generations: u64,
    bounds: Bounds,
    buffer_bytes_max: usize,
    writer: Arc<Writer>,
    runtime: Handle,
    finished: mpsc::Receiver<Finished>,
    finish: mpsc::Sender<Finished>,
    full_since: Option<Instant>,
    commit_not_before: Option<Instant>,
    is_paused: bool,
}

impl Assignment {
    pub(super) fn new(writer: Arc<Writer>, runtime: Handle, bounds: Bounds, buffer_bytes_max: usize) -> Self {
        let (finish, finished) = mpsc::channel();
        Self {
            partitions: BTreeMap::new(),
            generations: 0,
            bounds,
            buffer_bytes_max,
            writer,
            runtime,
            finished,
            finish,
            full_since: None,
            commit_not_before: None,
            is_paused: false,
        }
    }

    /// The partition, which is made known when the first message of it is read.
    ///
    /// # Errors
    /// The brokers do not say, or take, what is kept with the group's offset.
    pub(super) fn partition<C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        topic: &str,
        number: i32,
        offset: i64,
    ) -> KafkaResult<&mut Partition> {
        match self.partitions.entry((topic.into(), number)) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let epoch = epoch_of(consumer, topic, number, offset)?;
                self.generations += 1;
                let key = Place { topic: topic.into(), partition: number, epoch };
                Ok(place.insert(Partition::new(key, self.generations)))
            }
        }
    }

    /// Settles what was written, writes what is due, and pauses or resumes by how much is held.
    pub(super) fn turn<C: ConsumerContext>(&mut self, consumer: &BaseConsumer<C>) {
        while let Ok(finished) = self.finished.try_recv() {
            self.settle(&finished);
        }
        if self.commit_not_before.is_none_or(|time| Instant::now() >= time) {
            self.commit_not_before = None;
            self.commit(consumer, CommitMode::Async, |_| true);
        }
        let (now, hurry) = (Instant::now(), self.is_full() || self.is_paused);
        let due: Vec<(Key, Stretch)> = self
            .partitions
            .iter_mut()
            .filter_map(|(key, partition)| Some((key.clone(), partition.take_due(&self.bounds, hurry, now)?)))
            .collect();
        for (key, stretch) in due {
            self.start_write(&key, stretch);
        }
        self.pause(consumer);
    }

    fn start_write(&mut self, key: &Key, stretch: Stretch) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let cancel = CancellationToken::new();
        partition.in_flight = Some(InFlight { bytes: stretch.bytes, cancel: cancel.clone() });
        let (writer, finish) = (Arc::clone(&self.writer), self.finish.clone());
        let (place, generation, key) = (partition.place.clone(), partition.generation, key.clone());
        self.runtime.spawn(async move {
            let end = stretch.end;
            let written_to = writer.write(stretch, &place, &cancel).await.is_ok().then_some(end);
            // The input may have ended.
            let _ = finish.send(Finished { key, generation, written_to });
        });
    }

    fn settle(&mut self, finished: &Finished) {
        if let Some(partition) = self.partitions.get_mut(&finished.key)
            && partition.generation == finished.generation
        {
            partition.in_flight = None;
            partition.is_commit_due |= finished.written_to.is_some();
            partition.written_to = finished.written_to.or(partition.written_to);
        }
    }

    /// Commits how far partitions are written.
    fn commit<C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        mode: CommitMode,
        wanted: impl Fn(&Key) -> bool,
    ) {
        let mut offsets = TopicPartitionList::new();
        for (key, partition) in &mut self.partitions {
            if wanted(key)
                && std::mem::take(&mut partition.is_commit_due)
                && let Some(offset) = partition.written_to
            {
                add_offset(&mut offsets, &partition.place, offset);
            }
        }
        if offsets.count() > 0
            && let Err(error) = consumer.commit(&offsets, mode)
        {
            // What is written is not written twice: the origins say so.
            tracing::warn!(input = self.writer.name, %error, "cannot commit offsets");
            self.writer.counters.commit_failures.add(1);
        }
    }

    /// A commit failed: all that is written is committed with the next one, in a while.
    pub(super) fn commit_again(&mut self) {
        self.commit_not_before = Some(Instant::now() + COMMIT_PAUSE);
        for partition in self.partitions.values_mut() {
            partition.is_commit_due = partition.written_to.is_some();
        }
    }

    /// Pauses all partitions when the buffer has been full for long, and resumes them when it is half empty. Where sinks are
    /// merely slow nothing is paused: to be read again takes a partition a second.
    fn pause<C: ConsumerContext>(&mut self, consumer: &BaseConsumer<C>) {
        self.full_since = match self.is_full() {
            true => Some(self.full_since.unwrap_or_else(Instant::now)),
            false => None,
        };
        let (wanted, changed) = match self.is_paused {
            false => (true, self.full_since.is_some_and(|since| since.elapsed() >= STALL_PATIENCE)),
            true => (false, self.bytes() <= self.buffer_bytes_max / 2),
        };
        if !changed {
            return;
        }
        let done = consumer.assignment().and_then(|partitions| match wanted {
            true => consumer.pause(&partitions),
            false => consumer.resume(&partitions),
        });
        match done {
            Ok(()) => self.is_paused = wanted,
            Err(error) => {
                tracing::warn!(input = self.writer.name, %error, "cannot pause or resume partitions");
            }
        }
    }

    /// Waits for a write to end, a moment at most, when no message is to be read until one has. Rebalances wait too, so that
    /// this is not for long: partitions are paused then, and messages may be asked for.
    pub(super) fn wait_for_room(&mut self, patience: Duration) -> bool {
        if self.is_paused || !self.is_full() {
            return false;
        }
        if let Ok(finished) = self.finished.recv_timeout(patience) {
            self.settle(&finished);
        }
        true
    }

    /// Partitions came: they are to wait as the others do.
    pub(super) fn join<C: ConsumerContext>(&mut self, consumer: &BaseConsumer<C>, came: &TopicPartitionList) {
        if self.is_paused
            && let Err(error) = consumer.pause(came)
        {
            tracing::warn!(input = self.writer.name, %error, "cannot pause partitions");
        }
    }

    /// Lets partitions go: what is being written is waited for, what is only gathered is the next member's to read.
    pub(super) fn revoke<C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        revoked: &TopicPartitionList,
    ) {
        let keys: Vec<Key> =
            revoked.elements().iter().map(|element| (element.topic().into(), element.partition())).collect();
        for key in &keys {
            if let Some(in_flight) =
                self.partitions.get(key).and_then(|partition| partition.in_flight.as_ref())
            {
                in_flight.cancel.cancel();
            }
        }
        let deadline = Instant::now() + REVOKE_PATIENCE;
        let is_writing = |assignment: &Self| {
            let partitions = keys.iter().filter_map(|key| assignment.partitions.get(key));
            partitions.filter(|partition| partition.in_flight.is_some()).count() > 0
        };
        while is_writing(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(finished) = self.finished.recv_timeout(left) else {
                tracing::warn!(input = self.writer.name, "a write did not end before its partition went");
                break;
            };
            self.settle(&finished);
        }
        if consumer.assignment_lost() {
            tracing::warn!(input = self.writer.name, "the group took partitions away");
        } else {
            self.commit(consumer, CommitMode::Sync, |key| keys.contains(key));
        }
        for key in &keys {
            self.partitions.remove(key);
        }
    }

    /// Whether the buffer holds as much as it should.
    pub(super) fn is_full(&self) -> bool {
        self.bytes() >= self.buffer_bytes_max
    }

    fn bytes(&self) -> usize {
        self.partitions.values().map(Partition::bytes).sum()
    }

    /// How much is written at once.
    pub(super) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// How many partitions are held, and bytes of rows in them.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.partitions.len(), self.bytes())
    }
}

fn add_offset(offsets: &mut TopicPartitionList, place: &Place, offset: i64) {
    let mut element = offsets.add_partition(&place.topic, place.partition);
    element.set_metadata(format!("{EPOCH_PREFIX}{}", place.epoch));
    if let Err(error) = element.set_offset(Offset::Offset(offset)) {
        tracing::error!(%error, offset, "an offset cannot be committed");
    }
}

/// What tells the offsets of this partition apart from those of another topic that had its name, as it is kept with the group's
/// offset; drawn and kept there when the group has none. Kafka forgets it with the topic.
fn epoch_of<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    offset: i64,
) -> KafkaResult<Box<str>> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, partition);
    let committed = consumer.committed_offsets(asked, COMMITTED_PATIENCE)?;
    let elements = committed.elements();
    let kept = elements.first().and_then(|element| element.metadata().strip_prefix(EPOCH_PREFIX));
    let is_epoch = |text: &&str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(epoch) = kept.filter(is_epoch) {
        return Ok(epoch.into());
    }
    let epoch: Box<str> = format!("{:012x}", fastrand::u64(..1 << 48)).into();
    let place = Place { topic: topic.into(), partition, epoch };
    let mut offsets = TopicPartitionList::new();
    add_offset(&mut offsets, &place, offset);
    consumer.commit(&offsets, CommitMode::Sync)?;
    Ok(place.epoch)
}
