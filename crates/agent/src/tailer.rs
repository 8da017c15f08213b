//! The agent: reads what has changed, makes batches, and takes up what became of them.
//!
//! One request is under way at a time, and the next one is made up meanwhile; when that is full nothing more is read. A position moves
//! when a server has answered for it, and is written down a second later at most.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use timberyard_model::origin::{OriginName, OriginRange};

use crate::batch::{Batch, Shipment};
use crate::checkpoint::{Checkpoint, CheckpointError, PositionsLock};
use crate::discover::Finder;
use crate::follow::Follow;
use crate::inputs::Inputs;
use crate::log_file::{Log, ReadOutcome};
use crate::metrics::AgentMetrics;
use crate::pods::{PodApi, Pods};
use crate::reading::Reading;
use crate::settings::{AgentSettings, SettingsError};
use crate::ship::{Outcome, Shipper};
use crate::transport::Transport;
use crate::watch::{Changes, Waker, Watch};

/// Bytes that are read of one log before it is another one's turn.
const READ_BYTES: usize = 64 << 10;
/// How often positions are written down.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How often files are looked at that tell nothing of changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The shortest time between two looks through folders, and how many times as long as a look took.
const LOOKS_APART: Duration = Duration::from_millis(50);
const LOOKS_APART_FACTOR: u32 = 20;

/// Why an agent ends.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The settings cannot be meant.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Positions cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The system refused.
    #[error("the agent cannot start: {0}")]
    Io(#[from] std::io::Error),
}

/// Reads files and sends their lines.
pub struct Agent {
    follow: Follow,
    watch: Watch,
    batch: Batch,
    checkpoint: Checkpoint,
    positions_file: PathBuf,
    /// Held as long as positions may be written.
    _lock: PositionsLock,
    inputs: Inputs,
    bytes_max: usize,
    /// Lines that are still to be sent one by one, after a request was refused.
    singly: u64,
    wait: Duration,
    poll: Duration,
    metrics: Arc<AgentMetrics>,
    stopping: Arc<AtomicBool>,
    under_way: Option<Shipment>,
    batch_begun: Option<Instant>,
    unsaved: bool,
    saved_at: Instant,
    looked_at: Option<Instant>,
    look_wanted: bool,
    /// How long after a look the next one may come.
    looks_apart: Duration,
    /// Whose turn it is to be read.
    next_turn: u64,
    buffer: Vec<u8>,
}

impl Agent {
    /// Says what is wrong with settings, without touching anything.
    pub fn check(settings: &AgentSettings) -> Result<(), AgentError> {
        let (_, settings) = Inputs::of(settings);
        for (number, target) in settings.targets.iter().enumerate() {
            Finder::new(number, target)?;
            Reading::new(&settings, number, None)?;
        }
        Ok(())
    }

    /// An agent that goes on where it was.
    pub fn new(
        settings: &AgentSettings,
        metrics: Arc<AgentMetrics>,
        pod_api: Option<Box<dyn PodApi>>,
    ) -> Result<Self, AgentError> {
        let pods = pod_api.map(|api| Arc::new(Pods::new(api)));
        let (inputs, settings) = Inputs::of(settings);
        let lock = PositionsLock::take(&settings.positions_file)?;
        let (known, since) = match Checkpoint::load(&settings.positions_file)? {
            Some(checkpoint) => {
                let since = checkpoint.seen_until_nanos;
                (checkpoint, since)
            }
            None => (Checkpoint::new(), now_nanos()),
        };
        let files = || settings.targets.iter().enumerate();
        let finders =
            files().map(|(number, target)| Finder::new(number, target)).collect::<Result<_, _>>()?;
        let readings = files()
            .map(|(number, _)| Reading::new(&settings, number, pods.as_ref()))
            .collect::<Result<_, _>>()?;
        let starts = files().map(|(_, target)| target.start).collect();
        Ok(Self {
            follow: Follow::new(finders, readings, starts, &known.logs, since),
            watch: Watch::new()?,
            batch: Batch::default(),
            checkpoint: known,
            positions_file: settings.positions_file,
            _lock: lock,
            inputs,
            bytes_max: settings.batch.bytes_max,
            singly: 0,
            wait: Duration::from_millis(settings.batch.wait_ms),
            poll: Duration::from_millis(settings.poll_ms),
            metrics,
            stopping: Arc::default(),
            under_way: None,
            batch_begun: None,
            unsaved: true,
            saved_at: Instant::now(),
            looked_at: None,
            look_wanted: true,
            looks_apart: LOOKS_APART,
            next_turn: 0,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Ends [`Agent::run`] when it is called; may be called from any thread.
    pub fn stopper(&self) -> impl Fn() + Clone + Send + Sync + 'static {
        let (stopping, waker) = (Arc::clone(&self.stopping), self.watch.waker());
        move || {
            stopping.store(true, Ordering::Relaxed);
            waker.wake();
        }
    }

    /// Reads and sends until it is stopped.
    pub fn run(mut self, servers: Vec<Box<dyn Transport>>) -> Result<(), AgentError> {
        let (to_shipper, shipments) = sync_channel::<Shipment>(1);
        let (outcome_sender, outcomes) = sync_channel::<Outcome>(1);
        let mut shipper = Shipper::new(servers, Arc::clone(&self.metrics), Arc::clone(&self.stopping));
        let waker = self.watch.waker();
        let stop = self.stopper();
        self.inputs.start(&self.stopping, stop)?;
        std::thread::scope(|scope| {
            scope.spawn(move || ship_all(&mut shipper, &shipments, &outcome_sender, &waker));
            // The channel closes when this returns, and with it the other thread ends.
            let ran = self.run_with(to_shipper, &outcomes);
            self.inputs.stop();
            self.stopping.store(true, Ordering::Relaxed);
            ran
        })
    }

    #[expect(clippy::needless_pass_by_value, reason = "dropping it ends the other thread")]
    fn run_with(
        &mut self,
        to_shipper: SyncSender<Shipment>,
        outcomes: &Receiver<Outcome>,
    ) -> Result<(), AgentError> {
        // The name of the agent is durable before anything is sent under it.
        self.save()?;
        while !self.stopping.load(Ordering::Relaxed) {
            let changes = self.watch.wait(self.timeout());
            self.take_up(&changes);
            match outcomes.try_recv() {
                Ok(outcome) => {
                    self.settle(&outcome);
                    self.remove_sent_buffers();
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
            }
            self.look_if_due();
            let read = self.read_what_is_there();
            self.ship_if_due(&to_shipper)?;
            if self.unsaved && self.saved_at.elapsed() >= SAVE_EVERY {
                self.save()?;
            }
            if !read && !changes.written.is_empty() {
                // Files that are written to all the time are read a few times a second, not once for each write.
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if let Some(shipment) = self.under_way.take()
            && let Ok(Outcome::Stored) = outcomes.recv_timeout(Duration::from_secs(2))
        {
            self.note_stored(&shipment.origins);
        }
        self.save()?;
        Ok(())
    }

    /// How long nothing needs to be done unless something changes.
    fn timeout(&self) -> Duration {
        let has_room = self.has_room();
        let is_readable = |log: &Log| log.dirty && log.content.is_some() && self.batch.has_place(log.id);
        if has_room && self.follow.logs.values().any(is_readable) {
            return Duration::ZERO;
        }
        let mut timeout = self.poll.min(LOOK_EVERY * 10);
        if !self.watch.is_complete() {
            timeout = timeout.min(LOOK_EVERY);
        }
        if let (Some(begun), None) = (self.batch_begun, &self.under_way) {
            timeout = timeout.min(self.wait.saturating_sub(begun.elapsed()));
        }
        if self.look_wanted {
            let since = self.looked_at.map_or(self.looks_apart, |at| at.elapsed());
            timeout = timeout.min(self.looks_apart.saturating_sub(since));
        }
        if let Some(at) = self.follow.look_again_at {
            let nanos = u64::try_from(at.saturating_sub(now_nanos())).unwrap_or(0);
            timeout = timeout.min(Duration::from_nanos(nanos));
        }
        if self.unsaved {
            timeout = timeout.min(SAVE_EVERY.saturating_sub(self.saved_at.elapsed()));
        }
        if self.follow.logs.values().any(Log::has_group) {
            timeout = timeout.min(Duration::from_millis(100));
        }
        timeout
    }

    fn has_room(&self) -> bool {
        self.batch.bytes() < self.bytes_max && (!self.batch.is_single() || self.batch.is_empty())
    }

    fn take_up(&mut self, changes: &Changes) {
        self.look_wanted |= changes.names || changes.missed;
        for path in &changes.written {
            match self.follow.at_path(path) {
                Some(log) => log.dirty = true,
                None => self.look_wanted |= self.follow.was_empty(path),
            }
        }
    }

    fn look_if_due(&mut self) {
        let now = now_nanos();
        let polled = if self.watch.is_complete() { self.poll } else { LOOK_EVERY.min(self.poll) };
        let again = self.follow.look_again_at.is_some_and(|at| at <= now);
        let apart = self.looked_at.is_none_or(|at| at.elapsed() >= self.looks_apart);
        if !(self.look_wanted && apart || again || self.looked_at.is_none_or(|at| at.elapsed() >= polled)) {
            return;
        }
        self.look_wanted = false;
        let begun = Instant::now();
        self.unsaved |= self.follow.look(&mut self.batch, &self.metrics, now);
        self.looks_apart = LOOKS_APART.max(begun.elapsed() * LOOKS_APART_FACTOR).min(LOOK_EVERY);
        self.looked_at = Some(Instant::now());
        self.remove_sent_buffers();
        if self.watch.watch(&self.follow.folders) {
            // What came before the folder was watched.
            self.look_wanted = true;
        }
    }

    /// The logs that have something new or a group that waits, in the order of their turns: all others come before one comes again.
    fn turns(&self) -> Vec<u64> {
        let has_work = |(_, log): &(&u64, &Log)| log.dirty && log.content.is_some() || log.has_group();
        let logs = &self.follow.logs;
        let first = logs.range(self.next_turn..).filter(has_work);
        first.chain(logs.range(..self.next_turn).filter(has_work)).map(|(id, _)| *id).collect()
    }

    /// Reads a piece of each log that has something new, while there is room.
    fn read_what_is_there(&mut self) -> bool {
        let now = now_nanos();
        let mut read = false;
        for id in self.turns() {
            if !self.has_room() {
                // Whose turn it was not comes first when there is room again.
                self.next_turn = id;
                break;
            }
            let Some(log) = self.follow.logs.get_mut(&id) else { continue };
            let Some(reading) = self.follow.readings.get(log.target) else { continue };
            if !self.batch.has_place(id) {
                continue;
            }
            log.end_due_group(reading, &mut self.batch, now);
            if !log.dirty || log.content.is_none() {
                continue;
            }
            match log.read(reading, &mut self.buffer, &mut self.batch, &self.metrics, now) {
                Ok(ReadOutcome::More) => read = true,
                Ok(ReadOutcome::End) => {
                    if let Some(content) = log.content.as_ref().filter(|content| content.is_packed()) {
                        log.packed_done = content.identity().ok().map(|(_, _, bytes, _)| bytes);
                    }
                }
                Ok(ReadOutcome::Replaced) => {
                    self.metrics.truncations.add(1);
                    log.lose(reading, &mut self.batch, now);
                    self.look_wanted = true;
                }
                Err(error) => {
                    // A compressed file that is still being written; it is tried again at the next look.
                    tracing::debug!(file = %log.path.display(), %error, "file cannot be read now");
                    log.dirty = false;
                    self.follow.look_again_at = Some(now + 1_000_000_000);
                }
            }
        }
        if !self.batch.is_empty() {
            self.batch_begun.get_or_insert_with(Instant::now);
        }
        read
    }

    fn ship_if_due(&mut self, to_shipper: &SyncSender<Shipment>) -> Result<(), AgentError> {
        let due = self.batch_begun.is_some_and(|begun| begun.elapsed() >= self.wait) || !self.has_room();
        if self.under_way.is_some() || self.batch.is_empty() || !due {
            return Ok(());
        }
        let logs = &self.follow.logs;
        // What a log is known by is durable before the server has anything of it: else, after a kill, another one might be taken for it.
        let is_known = |log: &Log| log.written_down == Some(log.fingerprint);
        if !self.batch.logs().all(|id| logs.get(&id).is_some_and(is_known)) {
            self.save()?;
        }
        self.batch_begun = None;
        let agent = self.checkpoint.agent.clone();
        let name = |log: u64| OriginName::new(&format!("{agent}/{log:016x}")).ok();
        let lines = self.batch.lines();
        let Some(shipment) = self.batch.ship(name, &self.metrics) else {
            tracing::warn!(lines, "what steps make of lines is over 4 GiB: they are sent one by one");
            self.send_singly(lines);
            return Ok(());
        };
        if shipment.rows == 0 {
            // Steps have dropped all of it, as they will again after a kill.
            self.note_stored(&shipment.origins);
            if self.batch.is_single() {
                self.forget_what_was_not_taken(&shipment);
            }
        } else {
            // The channel has room for one, and none is under way.
            let _ = to_shipper.try_send(shipment.clone());
            if self.batch.is_single() {
                self.forget_what_was_not_taken(&shipment);
            }
            self.under_way = Some(shipment);
        }
        Ok(())
    }

    /// Has everything behind the one line of a request read again.
    fn forget_what_was_not_taken(&mut self, shipment: &Shipment) {
        for log in self.follow.logs.values_mut() {
            let sent = shipment.origins.iter().find(|range| log_of(&range.name) == Some(log.id));
            let place = sent.map_or(log.stored, |range| range.to);
            if log.emitted > place {
                log.go_to(place);
            }
        }
        self.singly = self.singly.saturating_sub(1);
        self.batch.set_single(self.singly > 0);
    }

    /// Takes up what became of the request that was under way.
    fn settle(&mut self, outcome: &Outcome) {
        let Some(shipment) = self.under_way.take() else { return };
        match outcome {
            Outcome::Stored => {
                self.note_stored(&shipment.origins);
            }
            Outcome::StoredInPart(ends) => {
                tracing::info!(
                    logs = ends.len(),
                    "the server is further than was written down: reading on from there"
                );
                for range in &shipment.origins {
                    let end = ends.iter().find(|end| end.name == range.name).map(|end| end.end);
                    self.read_again(range, end.unwrap_or(range.from));
                }
            }
            Outcome::Refused(problem) if shipment.lines <= 1 => {
                tracing::error!(problem, "a line is refused and left out");
                self.metrics.lines_refused.add(1);
                self.note_stored(&shipment.origins);
            }
            Outcome::Refused(problem) => {
                tracing::warn!(
                    problem,
                    lines = shipment.lines,
                    "a request is refused: its lines are sent one by one"
                );
                self.send_singly(shipment.lines);
            }
            Outcome::GivenUp => {}
        }
    }

    /// Has everything that is not stored read again, and so many lines sent one by one.
    fn send_singly(&mut self, lines: u64) {
        self.batch = Batch::default();
        self.batch_begun = None;
        for log in self.follow.logs.values_mut().filter(|log| log.emitted > log.stored) {
            log.go_to(log.stored);
        }
        self.singly = lines;
        self.batch.set_single(true);
    }

    fn note_stored(&mut self, origins: &[OriginRange]) {
        for range in origins {
            if let Some(log) = log_of(&range.name).and_then(|id| self.follow.logs.get_mut(&id)) {
                log.stored = log.stored.max(range.to);
            }
        }
        self.unsaved = true;
    }

    /// Removes the files of buffers of which the server has everything.
    fn remove_sent_buffers(&mut self) {
        if self.inputs.is_empty() {
            return;
        }
        let readings = &self.follow.readings;
        let is_sent = |log: &Log| {
            log.rotated
                && log.is_settled()
                && readings.get(log.target).is_some_and(|reading| reading.spooled)
                && fs::metadata(&log.path).is_ok_and(|file| {
                    (file.dev(), file.ino(), file.len()) == (log.device, log.inode, log.stored)
                })
        };
        let sent: Vec<u64> = self.follow.logs.values().filter(|log| is_sent(log)).map(|log| log.id).collect();
        for log in sent.iter().filter_map(|id| self.follow.logs.remove(id)) {
            if let Err(error) = fs::remove_file(&log.path) {
                tracing::error!(file = %log.path.display(), %error, "a buffer that was sent cannot be removed");
            }
            self.unsaved = true;
        }
    }

    /// Reads a log again from a place; what was read behind it is taken out of the next request.
    fn read_again(&mut self, range: &OriginRange, place: u64) {
        let Some(id) = log_of(&range.name) else { return };
        self.batch.remove(id);
        if let Some(log) = self.follow.logs.get_mut(&id) {
            log.stored = log.stored.max(place);
            log.go_to(place);
        }
        self.unsaved = true;
    }

    fn save(&mut self) -> Result<(), AgentError> {
        self.checkpoint.logs = self.follow.logs.values().map(Log::saved).collect();
        self.checkpoint.seen_until_nanos = self.follow.seen_until;
        self.checkpoint.save(&self.positions_file)?;
        self.follow.logs.values_mut().for_each(|log| log.written_down = Some(log.fingerprint));
        (self.unsaved, self.saved_at) = (false, Instant::now());
        let backlog = self.follow.logs.values().map(|log| log.next.saturating_sub(log.stored)).sum();
        self.metrics.backlog_bytes.set(backlog);
        Ok(())
    }
}

/// Sends what comes until the other thread ends.
fn ship_all(
    shipper: &mut Shipper,
    shipments: &Receiver<Shipment>,
    outcomes: &SyncSender<Outcome>,
    waker: &Waker,
) {
    while let Ok(shipment) = shipments.recv() {
        if outcomes.send(shipper.send(&shipment)).is_err() {
            return;
        }
        waker.wake();
    }
}

/// The id of a log in its name for servers.
fn log_of(name: &OriginName) -> Option<u64> {
    u64::from_str_radix(name.as_str().rsplit_once('/')?.1, 16).ok()
}

fn now_nanos() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
