//! Stored keys in a PostgreSQL that several servers share (`auth.store`), instead of a file of the data directory.
//!
//! A server asks once a second whether the keys were changed. While the database is away, keys that were read before stay good for
//! [`PATIENCE`]; of others nobody can say whether they are. Texts of keys that are rotated by interval are handed over in a folder of
//! the server that rotates them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use timberyard_connectors::postgres::{
    KeyRow, KeyRowUse, PostgresError, PostgresPool, PostgresSettings, add_key_use, keys_version,
    read_key_use, read_keys, replace_keys,
};
use timberyard_model::Timestamp;
use timberyard_server::auth::{KeyChange, KeyError, KeyStamp, KeyStore, KeyUse, Secret, StoredKey};
use tokio::runtime::Runtime;

use crate::key_text_folder::KeyTextFolder;

/// How long keys that are known stay good while nobody can be asked whether they were taken back.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How often a change is tried that somebody else has come before.
const TRIES: usize = 20;
/// Connections for keys alone.
const CONNECTIONS_MAX: usize = 2;

/// The table of one database.
pub(crate) struct KeyTable {
    pool: PostgresPool,
    texts: Option<KeyTextFolder>,
    /// What was added up in the table of what this server counts, by key.
    written: Mutex<HashMap<Box<str>, u64>>,
    /// Connections live here, whoever asks and from wherever.
    runtime: Option<Runtime>,
}

impl KeyTable {
    /// The table in the database of a sink. Nothing is connected yet.
    pub(crate) fn new(settings: &PostgresSettings, texts: Option<KeyTextFolder>) -> Result<Self, KeyError> {
        let settings = PostgresSettings { connections_max: CONNECTIONS_MAX, ..settings.clone() };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("keys")
            .enable_all()
            .build()
            .map_err(|error| KeyError::File(error.to_string()))?;
        let pool = PostgresPool::new(settings).map_err(KeyError::File)?;
        Ok(Self { pool, texts, written: Mutex::default(), runtime: Some(runtime) })
    }

    /// Waits for the database, on whatever thread this is.
    fn wait<T: Send + 'static>(
        &self,
        asked: impl Future<Output = Result<T, PostgresError>> + Send + 'static,
    ) -> Result<T, KeyError> {
        let gone = || KeyError::File("the database is not asked any more".to_owned());
        let runtime = self.runtime.as_ref().ok_or_else(gone)?;
        let (answer, answered) = mpsc::channel();
        runtime.spawn(async move {
            // Whoever waited waits on.
            let _ = answer.send(asked.await);
        });
        answered.recv().map_err(|_| gone())?.map_err(|error| KeyError::File(error.to_string()))
    }

    /// The number of the last change, the keys, and what is wrong with records that cannot be read.
    fn read_version(&self) -> Result<(i64, Vec<StoredKey>, Vec<serde_json::Error>), KeyError> {
        let pool = self.pool.clone();
        let (version, records) = self.wait(async move { read_keys(&pool).await })?;
        let (mut keys, mut unreadable) = (Vec::with_capacity(records.len()), Vec::new());
        for record in records {
            match serde_json::from_str(&record) {
                Ok(key) => keys.push(key),
                Err(error) => unreadable.push(error),
            }
        }
        Ok((version, keys, unreadable))
    }
}

impl Drop for KeyTable {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It may be dropped where nothing may wait.
            runtime.shutdown_background();
        }
    }
}

impl KeyStore for KeyTable {
    fn read(&self) -> Result<Vec<StoredKey>, KeyError> {
        let (_, keys, unreadable) = self.read_version()?;
        for error in unreadable {
            tracing::error!(%error, "a record of api_keys cannot be read; its key is not good here");
        }
        Ok(keys)
    }

    fn change(&self, change: &mut KeyChange<'_>) -> Result<Vec<StoredKey>, KeyError> {
        for _ in 0..TRIES {
            let (version, mut keys, unreadable) = self.read_version()?;
            // A later version may know it: it must not be gone from what is written.
            if let Some(error) = unreadable.first() {
                return Err(KeyError::File(format!("a record of api_keys cannot be read: {error}")));
            }
            change(&mut keys)?;
            let rows = keys.iter().map(row_of).collect::<Result<Vec<KeyRow>, KeyError>>()?;
            let pool = self.pool.clone();
            if self.wait(async move { replace_keys(&pool, version, rows).await })? {
                return Ok(keys);
            }
        }
        Err(KeyError::File(format!("other servers changed the keys {TRIES} times meanwhile; try again")))
    }

    fn stamp(&self) -> Result<Option<KeyStamp>, KeyError> {
        let pool = self.pool.clone();
        let version = self.wait(async move { keys_version(&pool).await })?;
        Ok(Some((0, 0, i128::from(version))))
    }

    fn patience(&self) -> Option<Duration> {
        Some(PATIENCE)
    }

    fn rotates(&self) -> bool {
        self.texts.is_some()
    }

    fn read_use(&self) -> Result<HashMap<Box<str>, KeyUse>, KeyError> {
        let pool = self.pool.clone();
        let rows = self.wait(async move { read_key_use(&pool).await })?;
        let used = rows.into_iter().map(|row| {
            let last = row.last_used_at_us.map(|micros| Timestamp::from_nanos(micros.saturating_mul(1000)));
            let usage_count = u64::try_from(row.count).unwrap_or(0);
            (Box::from(row.id), KeyUse { usage_count, last_used_at: last })
        });
        let used: HashMap<Box<str>, KeyUse> = used.collect();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        *written = used.iter().map(|(id, used)| (id.clone(), used.usage_count)).collect();
        Ok(used)
    }

    fn write_use(&self, uses: &HashMap<Box<str>, KeyUse>) -> Result<(), KeyError> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let news: Vec<KeyRowUse> = uses
            .iter()
            .filter_map(|(id, used)| {
                let count = used.usage_count.saturating_sub(written.get(id).copied().unwrap_or(0));
                let last = used.last_used_at.map(micros);
                (count > 0).then(|| KeyRowUse {
                    id: id.to_string(),
                    count: count as i64,
                    last_used_at_us: last,
                })
            })
            .collect();
        if news.is_empty() {
            return Ok(());
        }
        let pool = self.pool.clone();
        self.wait(async move { add_key_use(&pool, news).await })?;
        *written = uses.iter().map(|(id, used)| (id.clone(), used.usage_count)).collect();
        Ok(())
    }

    fn prepare_text(&self, name: &str, text: &Secret) -> Result<(), KeyError> {
        KeyTextFolder::prepare_in(self.texts.as_ref(), name, text)
    }

    fn publish_text(&self, name: &str) -> Result<(), KeyError> {
        KeyTextFolder::publish_in(self.texts.as_ref(), name)
    }

    fn prepared_text(&self, name: &str) -> Option<Secret> {
        self.texts.as_ref()?.prepared(name)
    }
}

fn row_of(key: &StoredKey) -> Result<KeyRow, KeyError> {
    Ok(KeyRow {
        id: key.id.to_string(),
        key_hash: key.digest.0.to_text(),
        name: key.name.to_string(),
        is_active: key.revoked_at.is_none(),
        created_at_us: micros(key.created_at),
        expires_at_us: key.expires_at.map(micros),
        record: serde_json::to_string(key).map_err(|error| KeyError::File(error.to_string()))?,
    })
}

fn micros(time: Timestamp) -> i64 {
    time.as_nanos().div_euclid(1000)
}
