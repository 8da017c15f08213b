//! What is done about a PostgreSQL while a server runs: its tables are made ready, it is asked whether it is there, and
//! months that are too old are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use timberyard_model::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::failure::PostgresError;
use super::pool::PostgresPool;
use super::schema::{drop_expired, events_stored};
use super::server_metrics::write_metrics;
use crate::watch::{ASK_INTERVAL, Watch};

/// How often retention looks for what is too old.
const RETENTION_INTERVAL: Duration = Duration::from_secs(3600);
/// How often `server_metrics` gets rows.
const METRICS_INTERVAL: Duration = Duration::from_secs(60);
/// How often events are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// Looks after a PostgreSQL until it is dropped.
pub struct PostgresUpkeep {
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

/// What was seen last.
struct Seen {
    watch: Watch,
    events: AtomicU64,
}

impl PostgresUpkeep {
    /// Begins; must be called on a tokio runtime. `now` tells the time.
    pub fn start(pool: PostgresPool, now: fn() -> Timestamp) -> Self {
        let address = pool.settings().address();
        let watch = Watch::new(format!("PostgreSQL at {address}"));
        let seen = Arc::new(Seen { watch, events: AtomicU64::new(0) });
        let task = tokio::spawn(look_after(pool, now, Arc::clone(&seen)));
        Self { seen, task }
    }

    /// Whether it was there when it was asked last; if not, why.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn readiness(&self) -> Result<(), String> {
        self.seen.watch.seen()
    }

    /// About how many events it has.
    pub fn events(&self) -> u64 {
        self.seen.events.load(Ordering::Relaxed)
    }
}

impl Drop for PostgresUpkeep {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look_after(pool: PostgresPool, now: fn() -> Timestamp, seen: Arc<Seen>) {
    // However long migrations take: nobody waits for this connection.
    while let Err(error) = pool.get().await {
        seen.watch.note(Err(error.to_string()));
        sleep(ASK_INTERVAL).await;
    }
    let (mut retention_due, mut count_due) = (Instant::now(), Instant::now());
    let mut metrics_due = Instant::now();
    loop {
        let asked = timeout(pool.settings().connect_timeout(), ask(&pool)).await;
        let asked = asked.unwrap_or_else(|_| {
            let limit = pool.settings().connect_timeout_ms;
            Err(PostgresError::Unreachable(format!("PostgreSQL did not answer within {limit} ms")))
        });
        let is_there = asked.is_ok();
        seen.watch.note(asked.map_err(|error| error.to_string()));
        if is_there && Instant::now() >= count_due {
            count_due = Instant::now() + COUNT_INTERVAL;
            // Where it fails, the next question says so.
            if let Ok(events) = events_stored(&pool).await {
                seen.events.store(events, Ordering::Relaxed);
            }
        }
        if is_there && Instant::now() >= metrics_due {
            metrics_due = Instant::now() + METRICS_INTERVAL;
            if let Err(error) = write_metrics(&pool, now(), seen.events.load(Ordering::Relaxed)).await {
                tracing::debug!(%error, "a minute has no rows in server_metrics");
            }
        }
        if is_there && Instant::now() >= retention_due {
            retention_due = Instant::now() + RETENTION_INTERVAL;
            match drop_expired(&pool, now()).await {
                Ok(dropped) if dropped.is_empty() => {}
                Ok(dropped) => tracing::info!(?dropped, "months of events were too old"),
                Err(error) => tracing::warn!(%error, "months of events that are too old stay for now"),
            }
        }
        sleep(ASK_INTERVAL).await;
    }
}

async fn ask(pool: &PostgresPool) -> Result<(), PostgresError> {
    Ok(pool.get().await?.batch_execute("").await?)
}
