//! What is done about a PostgreSQL while a server runs: its tables are made ready, it is asked whether it is there, and
//! months that are too old are dropped.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use timberyard_model::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::failure::PostgresError;
use super::pool::PostgresPool;
use super::schema::{drop_expired, events_stored};

/// How often it is asked.
const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// How often retention looks for what is too old.
const RETENTION_INTERVAL: Duration = Duration::from_secs(3600);
/// How often events are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// Looks after a PostgreSQL until it is dropped.
pub struct PostgresUpkeep {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// What was seen last.
struct Seen {
    is_there: Result<(), String>,
    events: u64,
}

impl PostgresUpkeep {
    /// Begins; must be called on a tokio runtime. `now` tells the time.
    pub fn start(pool: PostgresPool, now: fn() -> Timestamp) -> Self {
        let address = pool.settings().address();
        let is_there = Err(format!("PostgreSQL at {address} was not reached yet"));
        let seen = Arc::new(Mutex::new(Seen { is_there, events: 0 }));
        let task = tokio::spawn(look_after(pool, now, Arc::clone(&seen)));
        Self { seen, task }
    }

    /// Whether it was there when it was asked last; if not, why.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn readiness(&self) -> Result<(), String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).is_there.clone()
    }

    /// About how many events it has.
    pub fn events(&self) -> u64 {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).events
    }
}

impl Drop for PostgresUpkeep {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look_after(pool: PostgresPool, now: fn() -> Timestamp, seen: Arc<Mutex<Seen>>) {
    let see = |seen: &Mutex<Seen>, is_there: Result<(), PostgresError>| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = is_there.map_err(|error| error.to_string());
        match (&seen.is_there, &is_there) {
            (Ok(()), Err(reason)) => tracing::warn!(reason, "PostgreSQL cannot be used"),
            (Err(_), Ok(())) => tracing::info!(address = pool.settings().address(), "PostgreSQL can be used"),
            _ => {}
        }
        seen.is_there = is_there;
    };
    // However long migrations take: nobody waits for this connection.
    while let Err(error) = pool.get().await {
        see(&seen, Err(error));
        sleep(ASK_INTERVAL).await;
    }
    let (mut retention_due, mut count_due) = (Instant::now(), Instant::now());
    loop {
        let asked = timeout(pool.settings().connect_timeout(), ask(&pool)).await;
        let asked = asked.unwrap_or_else(|_| {
            let limit = pool.settings().connect_timeout_ms;
            Err(PostgresError::Unreachable(format!("PostgreSQL did not answer within {limit} ms")))
        });
        let is_there = asked.is_ok();
        see(&seen, asked);
        if is_there && Instant::now() >= count_due {
            count_due = Instant::now() + COUNT_INTERVAL;
            // Where it fails, the next question says so.
            if let Ok(events) = events_stored(&pool).await {
                seen.lock().unwrap_or_else(PoisonError::into_inner).events = events;
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
