//! What a server of this version needs to find in the database, and what it does not need any more.

use timberyard_model::Timestamp;
use timberyard_model::time::NANOS_PER_SECOND;

use super::failure::PostgresError;
use super::migrations::{MigrationError, Migrations};
use super::partition::drop_before;
use super::pool::PostgresPool;

/// Events that are counted one by one.
const EVENTS_COUNTED_MAX: i64 = 100_000;
const NANOS_PER_DAY: i64 = 86_400 * NANOS_PER_SECOND;

/// Applies the migrations that are missing, where the settings ask for it. Nothing of one that fails is applied.
pub(super) async fn prepare(pool: &PostgresPool) -> Result<(), PostgresError> {
    if !pool.settings().migrate {
        return Ok(());
    }
    let migrations = Migrations::with_folder(pool.settings().migrations_dir.as_deref());
    let applied = match migrations {
        Ok(migrations) => migrations.up(pool).await,
        Err(error) => Err(error),
    };
    match applied {
        Ok(_) => Ok(()),
        Err(MigrationError::Database(error)) => Err(error),
        Err(error) => Err(PostgresError::Unsuitable(error.to_string())),
    }
}

/// Drops the months of events that retention keeps no longer at `now`; says which parts of the table went.
///
/// # Errors
/// What failed; the months before are gone.
pub async fn drop_expired(pool: &PostgresPool, now: Timestamp) -> Result<Vec<String>, PostgresError> {
    let Some(days) = pool.settings().retention_days else { return Ok(Vec::new()) };
    let oldest = now.saturating_add_nanos(-i64::from(days).saturating_mul(NANOS_PER_DAY));
    let connection = pool.get().await?;
    drop_before(&connection, oldest).await
}

/// About how many events there are: exact while they are few, then what the database believes.
pub(super) async fn events_stored(pool: &PostgresPool) -> Result<u64, PostgresError> {
    let connection = pool.get().await?;
    let few = "SELECT count(*) FROM (SELECT FROM event_ids LIMIT 100001) AS few";
    let counted: i64 = connection.query_one(few, &[]).await?.try_get(0)?;
    if counted <= EVENTS_COUNTED_MAX {
        return Ok(counted.unsigned_abs());
    }
    let believed = "SELECT reltuples::bigint FROM pg_class WHERE oid = 'event_ids'::regclass";
    let believed: i64 = connection.query_one(believed, &[]).await?.try_get(0)?;
    Ok(believed.max(counted).unsigned_abs())
}

/// Connects and says what is there, or what is missing.
pub(super) async fn describe(pool: &PostgresPool) -> Result<String, MigrationError> {
    let migrations = Migrations::with_folder(pool.settings().migrations_dir.as_deref())?;
    let connection = pool.connect().await?;
    let row = connection
        .query_one(
            "SELECT current_setting('server_version'), to_regclass('timberyard_migrations') IS NOT NULL",
            &[],
        )
        .await?;
    let (version, is_migrated): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
    drop(connection);
    let missing = match is_migrated {
        true => migrations.status(pool).await?.iter().filter(|state| state.applied_at.is_none()).count(),
        false => 1,
    };
    let database = &pool.settings().database;
    match missing {
        0 => Ok(format!("PostgreSQL {version}, database {database}, all migrations applied")),
        _ if pool.settings().migrate => {
            Ok(format!("PostgreSQL {version}, database {database}, migrations are applied at start"))
        }
        _ => Err(PostgresError::Unsuitable(
            "tables are missing or out of date: run `timberyard migrate up`, or set `migrate: true`"
                .to_owned(),
        )
        .into()),
    }
}
