//! Batches become rows of the table: those that come within a moment are one insert, and each is answered after it.
//!
//! `Ok` is given when ClickHouse has written and synced the rows. An insert whose connection broke is sent again with the same
//! token and the same entries, so it is there once whatever became of the first; what still fails is the sender's to
//! send again. Rows of one batch that lie in several days are several parts of the table: when ClickHouse itself dies between
//! two of them, a part of the batch may be there before the batch is sent again.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use timberyard_model::sink::{Sink, SinkError, SinkFigures, SinkFuture};
use timberyard_model::{IngestRecord, LogBatch};
use tokio::sync::{Mutex as AsyncMutex, Semaphore, mpsc, oneshot};

use super::adopted::{AdoptedRows, AdoptedTable};
use super::connection::ClickHouseError;
use super::ledger::{Ledger, is_guarded};
use super::recent_batches::RecentBatches;
use super::relation::Relation;
use super::row_encoding::{INSERTED_COLUMNS, batch_hash, put_batch};
use super::server::ClickHouseServer;
use super::settings::ClickHouseSettings;
use crate::watch::Watcher;

/// Inserts under way at the same time: one is put together while another one is answered.
const INSERTS_MAX: usize = 2;
/// How often an insert is sent whose connection breaks.
const TRIES: u32 = 3;
/// The pause before the second try; before the third it is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// What a sink has done, for metrics.
#[derive(Debug, Default)]
pub struct ClickHouseSinkCounters {
    /// Rows that are stored.
    pub rows: AtomicU64,
    /// Inserts that succeeded.
    pub inserts: AtomicU64,
    /// Inserts that were sent again.
    pub retries: AtomicU64,
}

/// How many batches of a spool are handed over together.
pub(super) const WRITES_AT_ONCE: usize = 64;

/// Writes batches to a ClickHouse table.
pub struct ClickHouseSink {
    name: String,
    shared: Arc<Shared>,
    queue: OnceLock<mpsc::UnboundedSender<Waiting>>,
    watcher: Option<Watcher>,
}

/// A batch whose sender waits.
pub(super) struct Waiting {
    pub(super) batch: Arc<LogBatch>,
    answer: oneshot::Sender<Result<(), SinkError>>,
}

pub(super) struct Shared {
    pub(super) server: Arc<ClickHouseServer>,
    /// Whether somebody else judges what may be stored.
    pub(super) is_copy: bool,
    /// How many of the next batches may have been stored by whoever was here before.
    pub(super) unsure: AtomicUsize,
    recent: Mutex<RecentBatches>,
    /// Held from when batches are judged until they are stored.
    judging: AsyncMutex<()>,
    counters: ClickHouseSinkCounters,
}

/// Rows on their way to a table.
pub(super) enum Outgoing<'g> {
    /// Our own, which is told by `entry` what it has already.
    Own(Bytes),
    /// Another system's.
    Adopted {
        /// The table.
        table: &'g AdoptedTable,
        /// All rows.
        rows: &'g AdoptedRows,
        /// Whether some may be there already.
        are_repeated: bool,
    },
}

impl ClickHouseSink {
    /// A sink of that name in settings, metrics and errors.
    pub fn new(name: &str, server: Arc<ClickHouseServer>) -> Self {
        Self::with(name, server, false)
    }

    /// A sink of copies: some other one judges whether event ids are taken.
    pub fn of_copies(name: &str, server: Arc<ClickHouseServer>) -> Self {
        Self::with(name, server, true)
    }

    fn with(name: &str, server: Arc<ClickHouseServer>, is_copy: bool) -> Self {
        let shared = Shared {
            server,
            is_copy,
            unsure: AtomicUsize::new(WRITES_AT_ONCE),
            recent: Mutex::default(),
            judging: AsyncMutex::default(),
            counters: ClickHouseSinkCounters::default(),
        };
        Self { name: name.to_owned(), shared: Arc::new(shared), queue: OnceLock::new(), watcher: None }
    }

    /// The same, watched: from now on it is known whether the server is there. Must be called on a tokio runtime.
    #[must_use]
    pub fn watched(self) -> Self {
        let server = Arc::clone(&self.shared.server);
        let place = format!("ClickHouse at {}", server.settings.url);
        let ask = move || {
            let server = Arc::clone(&server);
            async move { server.ping().await.map_err(|error| error.to_string()) }
        };
        Self { watcher: Some(Watcher::start(place, ask)), ..self }
    }

    /// What it has done.
    pub fn counters(&self) -> &ClickHouseSinkCounters {
        &self.shared.counters
    }

    fn queue(&self) -> &mpsc::UnboundedSender<Waiting> {
        self.queue.get_or_init(|| {
            // What waits is bounded by the admission of whoever waits for the answers.
            let (sender, receiver) = mpsc::unbounded_channel();
            tokio::spawn(put_together(Arc::clone(&self.shared), receiver));
            sender
        })
    }
}

impl Sink for ClickHouseSink {
    fn name(&self) -> &str {
        &self.name
    }

    /// What waits at the same time is one insert.
    fn writes_at_once(&self) -> usize {
        WRITES_AT_ONCE
    }

    fn figures(&self) -> Option<SinkFigures> {
        let counters = self.counters();
        Some(SinkFigures {
            rows_written: counters.rows.load(Ordering::Relaxed),
            retries: counters.retries.load(Ordering::Relaxed),
            ..SinkFigures::default()
        })
    }

    fn reachability(&self) -> Option<Result<(), String>> {
        self.watcher.as_ref().map(Watcher::seen)
    }

    fn write(&self, record: IngestRecord) -> SinkFuture<'_> {
        Box::pin(async move {
            if record.batch.rows.is_empty() {
                return Ok(());
            }
            let (answer, answered) = oneshot::channel();
            let stopping = || SinkError::Unavailable(format!("sink `{}` is stopping", self.name));
            self.queue().send(Waiting { batch: record.batch, answer }).map_err(|_| stopping())?;
            answered.await.map_err(|_| stopping())?
        })
    }
}

/// Takes batches as they come and inserts them in groups, until there is no sink any more.
async fn put_together(shared: Arc<Shared>, mut queue: mpsc::UnboundedReceiver<Waiting>) {
    let places = Arc::new(Semaphore::new(INSERTS_MAX));
    let ClickHouseSettings { batch_rows_max, batch_bytes_max, batch_age_ms, .. } = shared.server.settings;
    let batch_bytes_max = batch_bytes_max.in_memory();
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(first) => first,
            None => match queue.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let age = tokio::time::sleep(Duration::from_millis(batch_age_ms));
        tokio::pin!(age);
        let (mut rows, mut bytes) = (first.batch.rows.len(), first.batch.rows.bytes());
        let mut group = vec![first];
        while rows < batch_rows_max && bytes < batch_bytes_max {
            let came = tokio::select! {
                biased;
                came = queue.recv() => came,
                () = &mut age => None,
            };
            let Some(waiting) = came else { break };
            rows += waiting.batch.rows.len();
            bytes += waiting.batch.rows.bytes();
            if rows > batch_rows_max || bytes > batch_bytes_max {
                next = Some(waiting);
                break;
            }
            group.push(waiting);
        }
        // Nobody closes it.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            shared.store(group).await;
            drop(place);
        });
    }
}

impl Shared {
    /// Stores a group and answers everybody in it.
    async fn store(&self, group: Vec<Waiting>) {
        match self.server.make_ready().await {
            Err(error) => return answer_all(group, &Err(error.into())),
            Ok(Relation::Adopted(table)) => return self.store_in(table, group).await,
            Ok(Relation::Own { .. }) => {}
        }
        let (guarded, free): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|waiting| is_guarded(&waiting.batch));
        if guarded.is_empty() {
            return self.insert(free).await;
        }
        let _judging = self.judging.lock().await;
        let batches = guarded.iter().map(|waiting| &*waiting.batch);
        let mut admitted = free;
        match Ledger::read(&self.server.connection, &self.server.schema, batches).await {
            Err(error) => answer_all(guarded, &Err(error.into())),
            Ok(mut ledger) => {
                for waiting in guarded {
                    match ledger.admit(&waiting.batch) {
                        Ok(()) => admitted.push(waiting),
                        Err(refused) => answer_all(vec![waiting], &Err(refused)),
                    }
                }
            }
        }
        self.insert(admitted).await;
    }

    async fn insert(&self, group: Vec<Waiting>) {
        if group.is_empty() {
            return;
        }
        let hashes = self.begin(&group);
        let mut bytes = Vec::new();
        for (waiting, hash) in group.iter().zip(&hashes) {
            put_batch(&mut bytes, &waiting.batch, *hash);
        }
        let rows = Bytes::from(bytes);
        let sql = format!("INSERT INTO {} ({INSERTED_COLUMNS}) FORMAT RowBinary", self.server.schema.rows());
        let outcome = self.send(&sql, token(&hashes), &Outgoing::Own(rows)).await;
        self.finish(group, hashes, outcome);
    }

    /// What the batches of a group are known by.
    pub(super) fn begin(&self, group: &[Waiting]) -> Vec<u64> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        group.iter().map(|waiting| recent.begin(batch_hash(&waiting.batch))).collect()
    }

    /// Remembers what became of a group, and answers everybody in it.
    pub(super) fn finish(&self, group: Vec<Waiting>, hashes: Vec<u64>, outcome: Result<(), ClickHouseError>) {
        {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            for hash in hashes {
                if outcome.is_ok() { recent.stored(hash) } else { recent.failed(hash) }
            }
        }
        if outcome.is_ok() {
            let rows: usize = group.iter().map(|waiting| waiting.batch.rows.len()).sum();
            self.counters.rows.fetch_add(rows as u64, Ordering::Relaxed);
            self.counters.inserts.fetch_add(1, Ordering::Relaxed);
        }
        answer_all(group, &outcome.map_err(SinkError::from));
    }

    /// Sends rows, and sends them again while the connection breaks.
    pub(super) async fn send(
        &self,
        sql: &str,
        token: u64,
        outgoing: &Outgoing<'_>,
    ) -> Result<(), ClickHouseError> {
        let mut pause = PAUSE;
        for number in 1..=TRIES {
            let sent = async {
                match self.rows_of(outgoing, number > 1).await? {
                    rows if rows.is_empty() => Ok(()),
                    rows => self.server.connection.insert(sql, token, rows).await,
                }
            };
            match sent.await {
                Err(error) if error.is_broken_connection() && number < TRIES => {
                    tracing::debug!(%error, "insert is sent again");
                }
                outcome => return outcome,
            }
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Ok(())
    }
}

/// What an insert of batches with these hashes is known by.
pub(super) fn token(hashes: &[u64]) -> u64 {
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect();
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

pub(super) fn answer_all(group: Vec<Waiting>, outcome: &Result<(), SinkError>) {
    for waiting in group {
        // Whoever waited may have given up.
        let _ = waiting.answer.send(outcome.clone());
    }
}
