//! Batches into PostgreSQL: ids first, which says whether one of them is taken, then the rows by COPY, in one
//! transaction.
//!
//! Of a connection that is lost while it commits nobody knows whether it did. The batch is then written again, and the
//! ids say it: if all are there with the numbers that this batch gave them, it was stored. So nothing is stored twice,
//! and nothing that was acknowledged is missing.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use deadpool_postgres::Object;
use futures_util::SinkExt as _;
use futures_util::future::try_join3;
use timberyard_model::sink::{Sink, SinkError, SinkFigures, SinkFuture};
use timberyard_model::{IngestRecord, LogBatch};
use tokio::time::{Instant, sleep, timeout_at};

use super::copy_rows::CopyRows;
use super::event_row::{COPIED, EventRow, stream_number};
use super::failure::PostgresError;
use super::partition::KnownPartitions;
use super::pool::PostgresPool;
use super::transaction::Transaction;
use super::upkeep::PostgresUpkeep;

/// Bytes of a COPY that are sent at once.
const CHUNK_BYTES: usize = 256 << 10;
/// How long the first retry waits; each one after it twice as long.
const RETRY_DELAY_FIRST: Duration = Duration::from_millis(50);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(1);

/// Writes batches of events.
pub struct PostgresSink {
    name: Box<str>,
    pool: PostgresPool,
    partitions: KnownPartitions,
    statistics: Arc<PostgresStatistics>,
    upkeep: Option<Arc<PostgresUpkeep>>,
}

/// What happened since start.
#[derive(Debug, Default)]
pub struct PostgresStatistics {
    /// Rows stored.
    pub rows_written: AtomicU64,
    /// Batches that were tried once more.
    pub retries: AtomicU64,
    /// Batches that were found stored after their connection was lost.
    pub found_stored: AtomicU64,
}

/// What became of an attempt.
enum Attempt {
    Stored,
    /// Some ids are there already: no id of the batch is written.
    Taken,
}

impl PostgresSink {
    /// A sink of that name; nothing is connected.
    pub fn new(name: &str, pool: PostgresPool) -> Self {
        Self {
            name: name.into(),
            pool,
            partitions: KnownPartitions::default(),
            statistics: Arc::default(),
            upkeep: None,
        }
    }

    /// It is looked after by that upkeep, which knows whether the server is there.
    #[must_use]
    pub fn with_upkeep(self, upkeep: Arc<PostgresUpkeep>) -> Self {
        Self { upkeep: Some(upkeep), ..self }
    }

    /// What happened since start.
    pub fn statistics(&self) -> &Arc<PostgresStatistics> {
        &self.statistics
    }

    /// Stores a batch, with as many attempts as there is time for.
    async fn store(&self, batch: &LogBatch) -> Result<(), SinkError> {
        if let Some((first, again)) = first_repeated(batch) {
            debug_assert!(first < again);
            return Err(duplicate(batch, again));
        }
        let deadline = Instant::now() + self.pool.settings().write_timeout();
        let mut delay = RETRY_DELAY_FIRST;
        let mut may_be_stored = false;
        loop {
            let attempt = timeout_at(deadline, self.attempt(batch, &mut may_be_stored)).await;
            let error = match attempt {
                Ok(Ok(None)) => return Ok(()),
                Ok(Ok(Some(taken))) => return Err(duplicate(batch, taken)),
                Ok(Err(error)) => error,
                Err(_) => {
                    let (address, limit) =
                        (self.pool.settings().address(), self.pool.settings().write_timeout_ms);
                    return Err(SinkError::Unavailable(format!(
                        "PostgreSQL at {address} did not store the batch within {limit} ms"
                    )));
                }
            };
            // Without an id a row cannot be told from another one.
            let is_safe = !may_be_stored || batch.unique_keys.len() == batch.rows.len();
            if !error.is_passing() || !is_safe || Instant::now() + delay >= deadline {
                return Err(error.into());
            }
            self.statistics.retries.fetch_add(1, Ordering::Relaxed);
            sleep(delay).await;
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    /// Stores a batch, or finds it stored; gives the place of the first key that another batch has taken.
    async fn attempt(
        &self,
        batch: &LogBatch,
        may_be_stored: &mut bool,
    ) -> Result<Option<usize>, PostgresError> {
        let connection = self.pool.get().await?;
        self.partitions.prepare(&connection, batch).await?;
        let mut transaction = Transaction::on(connection);
        let attempt = self.write_rows(&transaction, batch, may_be_stored).await;
        match attempt {
            Ok(Attempt::Stored) => {
                transaction.ended();
                self.statistics.rows_written.fetch_add(batch.rows.len() as u64, Ordering::Relaxed);
                Ok(None)
            }
            Ok(Attempt::Taken) => {
                transaction.connection()?.batch_execute("ROLLBACK").await?;
                let taken = taken(transaction.connection()?, batch).await?;
                transaction.ended();
                self.judge(batch, &taken, *may_be_stored)
            }
            Err(PostgresError::Failed(reason)) if reason.contains("no partition") => {
                self.partitions.forget();
                Err(PostgresError::Conflict(reason))
            }
            Err(error) => Err(error),
        }
    }

    /// What it means that some ids are there.
    fn judge(
        &self,
        batch: &LogBatch,
        taken: &HashMap<String, i64>,
        may_be_stored: bool,
    ) -> Result<Option<usize>, PostgresError> {
        let ours = |(key, number): (&str, i64)| taken.get(key) == Some(&number);
        if may_be_stored && keys_and_numbers(batch).all(ours) {
            self.statistics.found_stored.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        match batch.unique_keys.iter().position(|unique| taken.contains_key(&*unique.key)) {
            Some(place) => Ok(Some(place)),
            // Whoever had it has taken it back.
            None => Err(PostgresError::Conflict("an event was being removed".to_owned())),
        }
    }

    async fn write_rows(
        &self,
        transaction: &Transaction,
        batch: &LogBatch,
        may_be_stored: &mut bool,
    ) -> Result<Attempt, PostgresError> {
        let connection = transaction.connection()?;
        let tenant = batch.tenant.as_str();
        let streams = connection
            .prepare_cached(
                "INSERT INTO event_streams (tenant, stream, labels) SELECT $1::text, s, l::jsonb \
                 FROM unnest($2::bigint[], $3::text[]) AS u (s, l) ON CONFLICT DO NOTHING",
            )
            .await?;
        let ids = connection
            .prepare_cached(
                "INSERT INTO event_ids (tenant, event_id, id, timestamp_ns) SELECT $1::text, e, i, t \
                 FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS u (e, i, t) ON CONFLICT DO NOTHING",
            )
            .await?;
        let (stream_numbers, labels) = streams_of(batch);
        let (keys, numbers, times) = ids_of(batch);
        // Sent one behind the other, without waiting for an answer in between.
        let (.., new) = try_join3(
            connection.batch_execute("BEGIN"),
            connection.execute(&streams, &[&tenant, &stream_numbers, &labels]),
            connection.execute(&ids, &[&tenant, &keys, &numbers, &times]),
        )
        .await?;
        if new < keys.len() as u64 {
            return Ok(Attempt::Taken);
        }
        copy(connection, batch).await?;
        *may_be_stored = true;
        let committed = connection.batch_execute("COMMIT").await.map_err(PostgresError::from);
        // What the server refuses to commit it has taken back.
        *may_be_stored = matches!(committed, Err(PostgresError::Unreachable(_)));
        committed.map(|()| Attempt::Stored)
    }

    /// Connects, and looks at the tables.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub async fn connect_check(&self) -> Result<String, String> {
        super::schema::describe(&self.pool).await.map_err(|error| error.to_string())
    }
}

impl Sink for PostgresSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn figures(&self) -> Option<SinkFigures> {
        Some(SinkFigures {
            rows_written: self.statistics.rows_written.load(Ordering::Relaxed),
            retries: self.statistics.retries.load(Ordering::Relaxed),
            ..SinkFigures::default()
        })
    }

    fn reachability(&self) -> Option<Result<(), String>> {
        self.upkeep.as_ref().map(|upkeep| upkeep.readiness())
    }

    fn write(&self, record: IngestRecord) -> SinkFuture<'_> {
        Box::pin(async move {
            match record.batch.rows.is_empty() {
                true => Ok(()),
                false => self.store(&record.batch).await,
            }
        })
    }
}

async fn copy(connection: &Object, batch: &LogBatch) -> Result<(), PostgresError> {
    let statement = format!("COPY analytics_logs ({COPIED}) FROM STDIN BINARY");
    let statement = connection.prepare_cached(&statement).await?;
    let mut out = pin!(connection.copy_in::<_, Bytes>(&statement).await?);
    let mut rows = CopyRows::new();
    for row in batch.rows.iter() {
        EventRow::new(row).write(&mut rows, batch.tenant.as_str());
        if rows.len() >= CHUNK_BYTES {
            out.send(rows.take()).await?;
        }
    }
    rows.end();
    out.send(rows.take()).await?;
    let written = out.as_mut().finish().await?;
    match written == batch.rows.len() as u64 {
        true => Ok(()),
        false => Err(PostgresError::Failed(format!("{written} of {} rows were taken", batch.rows.len()))),
    }
}

/// Numbers and labels of the streams of a batch, in the order of their numbers: two transactions that write the same
/// ones in different orders would wait for each other.
fn streams_of(batch: &LogBatch) -> (Vec<i64>, Vec<String>) {
    let mut streams: Vec<(i64, String)> = Vec::new();
    for row in batch.rows.iter() {
        let number = stream_number(row);
        if !streams.iter().any(|(other, _)| *other == number) {
            let members = row.labels().iter().map(|(name, value)| (name.to_owned(), value.into()));
            streams.push((number, serde_json::Value::Object(members.collect()).to_string()));
        }
    }
    streams.sort_unstable();
    streams.into_iter().unzip()
}

/// Keys, numbers and times of a batch, in the order of the keys, for the same reason.
fn ids_of(batch: &LogBatch) -> (Vec<&str>, Vec<i64>, Vec<i64>) {
    let times =
        batch.unique_keys.iter().map(|unique| batch.rows.get(unique.row as usize).timestamp().as_nanos());
    let mut ids: Vec<(&str, i64, i64)> =
        keys_and_numbers(batch).zip(times).map(|((key, number), time)| (key, number, time)).collect();
    ids.sort_unstable();
    let numbers = ids.iter().map(|id| id.1).collect();
    (ids.iter().map(|id| id.0).collect(), numbers, ids.iter().map(|id| id.2).collect())
}

fn keys_and_numbers(batch: &LogBatch) -> impl Iterator<Item = (&str, i64)> {
    batch.unique_keys.iter().map(|unique| {
        let row = batch.rows.get(unique.row as usize);
        (&*unique.key, EventRow::new(row).id())
    })
}

/// The numbers of those keys of a batch that are taken.
async fn taken(connection: &Object, batch: &LogBatch) -> Result<HashMap<String, i64>, PostgresError> {
    let keys: Vec<&str> = batch.unique_keys.iter().map(|unique| &*unique.key).collect();
    let statement = "SELECT event_id, id FROM event_ids WHERE tenant = $1 AND event_id = ANY($2)";
    let rows = connection.query(statement, &[&batch.tenant.as_str(), &keys]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The places of a key that stands twice in a batch.
fn first_repeated(batch: &LogBatch) -> Option<(usize, usize)> {
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(batch.unique_keys.len());
    let mut keys = batch.unique_keys.iter().enumerate();
    keys.find_map(|(place, unique)| places.insert(&unique.key, place).map(|first| (first, place)))
}

fn duplicate(batch: &LogBatch, place: usize) -> SinkError {
    match batch.unique_keys.get(place) {
        Some(unique) => SinkError::Duplicate { key: unique.key.clone(), row: unique.row },
        None => SinkError::Unavailable("an id of the batch is taken".to_owned()),
    }
}
