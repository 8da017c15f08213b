//! What a server of this version needs to find in the database, and what it does not need any more.

use timberyard_model::Timestamp;
use timberyard_model::time::NANOS_PER_SECOND;

use super::failure::PostgresError;
use super::migrations::{MigrationError, MigrationState, Migrations};
use super::partition::drop_before;
use super::pool::PostgresPool;

const NANOS_PER_DAY: i64 = 86_400 * NANOS_PER_SECOND;

/// Applies the migrations that are missing, where the settings ask for it; says which they were.
///
/// # Errors
/// What failed. Nothing of the migration that failed is applied.
pub async fn prepare(pool: &PostgresPool) -> Result<Vec<MigrationState>, MigrationError> {
    match pool.settings().migrate {
        true => Migrations::with_folder(pool.settings().migrations_dir.as_deref())?.up(pool).await,
        false => Ok(Vec::new()),
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

/// Connects and says what is there, or what is missing.
pub(super) async fn describe(pool: &PostgresPool) -> Result<String, MigrationError> {
    let migrations = Migrations::with_folder(pool.settings().migrations_dir.as_deref())?;
    let connection = pool.get().await?;
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
