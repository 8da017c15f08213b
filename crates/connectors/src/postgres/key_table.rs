//! `api_keys`: keys that several servers share, with their use. What a record of a key says is not this crate's.
//!
//! Keys are changed by whoever has seen the last change, so that two servers never undo what the other did. Use is added up by the
//! database, whichever server counted it.

use super::failure::PostgresError;
use super::pool::PostgresPool;
use super::transaction::Transaction;

/// A key as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// The part of the key that is known; no other has it.
    pub id: String,
    /// The digest, hexadecimal.
    pub key_hash: String,
    /// What the operator calls it.
    pub name: String,
    /// Whether it was not taken back.
    pub is_active: bool,
    /// When it was made, in microseconds since 1970.
    pub created_at_us: i64,
    /// From when on it is not good any more, likewise.
    pub expires_at_us: Option<i64>,
    /// Everything.
    pub record: String,
}

/// How often a key was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRowUse {
    /// Whose.
    pub id: String,
    /// Requests.
    pub count: i64,
    /// The last of them, in microseconds since 1970.
    pub last_used_at_us: Option<i64>,
}

const READ: &str = "SELECT v.version, k.record FROM api_keys_version v LEFT JOIN api_keys k ON k.record IS NOT NULL \
    ORDER BY k.id";

const WRITE: &str = "\
    INSERT INTO api_keys (key_id, key_hash, name, is_active, created_at, expires_at, record) \
    SELECT id, hash, name, active, to_timestamp(created / 1000000.0), to_timestamp(expires / 1000000.0), record \
    FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::bigint[], $6::bigint[], $7::text[]) \
        AS new (id, hash, name, active, created, expires, record) \
    ON CONFLICT (key_id) DO UPDATE SET key_hash = excluded.key_hash, name = excluded.name, \
        is_active = excluded.is_active, expires_at = excluded.expires_at, record = excluded.record";

const ADD_USE: &str = "\
    UPDATE api_keys SET usage_count = usage_count + used.count, \
        last_used_at = greatest(last_used_at, to_timestamp(used.last / 1000000.0)) \
    FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS used (id, count, last) WHERE key_id = used.id";

/// The number of the last change, and the records of all keys.
///
/// # Errors
/// That the table cannot be read.
pub async fn read_keys(pool: &PostgresPool) -> Result<(i64, Vec<String>), PostgresError> {
    let connection = pool.get().await?;
    let rows = connection.query(READ, &[]).await?;
    let version =
        rows.first().ok_or_else(|| PostgresError::Failed("api_keys_version has no row".to_owned()))?;
    let version = version.try_get(0)?;
    let mut records = Vec::with_capacity(rows.len());
    for row in &rows {
        records.extend(row.try_get::<_, Option<String>>(1)?);
    }
    Ok((version, records))
}

/// The number of the last change.
///
/// # Errors
/// That the table cannot be read.
pub async fn keys_version(pool: &PostgresPool) -> Result<i64, PostgresError> {
    let connection = pool.get().await?;
    Ok(connection.query_one("SELECT version FROM api_keys_version", &[]).await?.try_get(0)?)
}

/// Replaces all keys, durably, if nobody has changed them since the change with that number. Says whether it did.
///
/// # Errors
/// What failed; nothing is changed then, unless the connection broke at the very end.
pub async fn replace_keys(pool: &PostgresPool, seen: i64, keys: Vec<KeyRow>) -> Result<bool, PostgresError> {
    let mut transaction = Transaction::on(pool.get().await?);
    let connection = transaction.connection()?;
    connection.batch_execute("BEGIN").await?;
    let next = "UPDATE api_keys_version SET version = version + 1 WHERE version = $1";
    if connection.execute(next, &[&seen]).await? == 0 {
        transaction.leave().await;
        return Ok(false);
    }
    let ids: Vec<&str> = keys.iter().map(|key| &*key.id).collect();
    connection.execute("DELETE FROM api_keys WHERE key_id <> ALL ($1::text[])", &[&ids]).await?;
    let hashes: Vec<&str> = keys.iter().map(|key| &*key.key_hash).collect();
    let names: Vec<&str> = keys.iter().map(|key| &*key.name).collect();
    let active: Vec<bool> = keys.iter().map(|key| key.is_active).collect();
    let created: Vec<i64> = keys.iter().map(|key| key.created_at_us).collect();
    let expires: Vec<Option<i64>> = keys.iter().map(|key| key.expires_at_us).collect();
    let records: Vec<&str> = keys.iter().map(|key| &*key.record).collect();
    connection.execute(WRITE, &[&ids, &hashes, &names, &active, &created, &expires, &records]).await?;
    connection.batch_execute("COMMIT").await?;
    transaction.ended();
    Ok(true)
}

/// How often each key was used, by all servers together.
///
/// # Errors
/// That the table cannot be read.
pub async fn read_key_use(pool: &PostgresPool) -> Result<Vec<KeyRowUse>, PostgresError> {
    let connection = pool.get().await?;
    let asked = "SELECT key_id, usage_count, (extract(epoch FROM last_used_at) * 1000000)::bigint FROM api_keys \
                 WHERE key_id IS NOT NULL";
    let rows = connection.query(asked, &[]).await?;
    let used = |row: &tokio_postgres::Row| {
        Ok(KeyRowUse { id: row.try_get(0)?, count: row.try_get(1)?, last_used_at_us: row.try_get(2)? })
    };
    rows.iter().map(used).collect()
}

/// Adds what one server has counted.
///
/// # Errors
/// What failed; nothing is added then, unless the connection broke at the very end.
pub async fn add_key_use(pool: &PostgresPool, used: Vec<KeyRowUse>) -> Result<(), PostgresError> {
    let ids: Vec<&str> = used.iter().map(|used| &*used.id).collect();
    let counts: Vec<i64> = used.iter().map(|used| used.count).collect();
    let last: Vec<Option<i64>> = used.iter().map(|used| used.last_used_at_us).collect();
    let connection = pool.get().await?;
    connection.execute(ADD_USE, &[&ids, &counts, &last]).await?;
    Ok(())
}
