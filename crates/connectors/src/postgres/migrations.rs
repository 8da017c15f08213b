//! Changes of the tables, forth and back, each in a transaction of its own.
//!
//! The built-in ones have small numbers; those of a folder begin with the time they were made
//! (`20261121173000_name.up.sql` and `.down.sql`), so that they come after. Which ones are applied stands in the table
//! `timberyard_migrations`. A lock lets one server migrate at a time.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use deadpool_postgres::Object;

use super::failure::PostgresError;
use super::pool::PostgresPool;

/// The key of the lock under which tables change, of this project alone.
pub(super) const LOCK_KEY: i64 = 0x7469_6d62_6572;
/// How long a change waits for others to let go of a table, in milliseconds.
const LOCK_TIMEOUT_MS: u32 = 60_000;
/// The longest name of a migration, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// One change of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its place in the order.
    pub version: i64,
    /// What it does, in a word.
    pub name: String,
    up: String,
    down: String,
}

/// A change, and whether it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    /// Its place in the order.
    pub version: i64,
    /// What it does, in a word.
    pub name: String,
    /// When it was applied, as the database writes it; `None` when it is not.
    pub applied_at: Option<String>,
    /// Whether its files are there: one that is applied and unknown was made by somebody else, or by a later version.
    pub is_known: bool,
}

/// Why migrations could not be read, or applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A folder or a file of it.
    #[error("{}: {reason}", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] PostgresError),
    /// One change failed, and is not made; those before it are.
    #[error("migration {version} ({name}): {error}")]
    Failed {
        /// Its place in the order.
        version: i64,
        /// Its name.
        name: String,
        /// What the database says.
        error: PostgresError,
    },
    /// It cannot be taken back, since nobody knows how.
    #[error("migration {version} is applied and is not among those known here: it cannot be taken back")]
    Unknown {
        /// Its place in the order.
        version: i64,
    },
}

impl From<tokio_postgres::Error> for MigrationError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// All changes that are known, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrations(Vec<Migration>);

impl Migrations {
    /// Those that are built in.
    pub fn built_in() -> Self {
        let built_in = |version, name: &str, up: &str, down: &str| Migration {
            version,
            name: name.to_owned(),
            up: up.to_owned(),
            down: down.to_owned(),
        };
        Self(vec![
            built_in(
                1,
                "events",
                include_str!("migrations/0001_events.up.sql"),
                include_str!("migrations/0001_events.down.sql"),
            ),
            built_in(
                2,
                "shared_keys",
                include_str!("migrations/0002_shared_keys.up.sql"),
                include_str!("migrations/0002_shared_keys.down.sql"),
            ),
        ])
    }

    /// Those that are built in, and those of a folder.
    ///
    /// # Errors
    /// That the folder cannot be read, or a file has no partner or the number of another one.
    pub fn with_folder(folder: Option<&Path>) -> Result<Self, MigrationError> {
        let mut all = Self::built_in();
        let Some(folder) = folder else { return Ok(all) };
        for migration in read_folder(folder)? {
            if let Some(other) = all.0.iter().find(|other| other.version == migration.version) {
                let reason = format!("{} has the number of {}", migration.name, other.name);
                return Err(MigrationError::Folder { path: folder.to_owned(), reason });
            }
            all.0.push(migration);
        }
        all.0.sort_by_key(|migration| migration.version);
        Ok(all)
    }

    /// Applies what is not applied yet; says what was.
    pub async fn up(&self, pool: &PostgresPool) -> Result<Vec<MigrationState>, MigrationError> {
        let lock = Lock::take(pool).await?;
        let applied = lock.applied().await?;
        let mut done = Vec::new();
        for migration in self.0.iter().filter(|migration| !applied.contains_key(&migration.version)) {
            let note = "INSERT INTO timberyard_migrations (version, name) VALUES ($1, $2)";
            lock.change(migration, &migration.up, note).await?;
            done.push(migration.version);
        }
        let states = self.states(&lock.applied().await?);
        Ok(states.into_iter().filter(|state| done.contains(&state.version)).collect())
    }

    /// Takes back the last `count` that are applied; says which.
    pub async fn down(
        &self,
        pool: &PostgresPool,
        count: usize,
    ) -> Result<Vec<MigrationState>, MigrationError> {
        let lock = Lock::take(pool).await?;
        let before = lock.applied().await?;
        let mut done = Vec::new();
        for version in before.keys().rev().take(count).copied() {
            let known = self.0.iter().find(|migration| migration.version == version);
            let migration = known.ok_or(MigrationError::Unknown { version })?;
            let note = "DELETE FROM timberyard_migrations WHERE version = $1 AND name = $2";
            lock.change(migration, &migration.down, note).await?;
            done.push(version);
        }
        Ok(self.states(&before).into_iter().filter(|state| done.contains(&state.version)).collect())
    }

    /// All that are known or applied, in their order.
    pub async fn status(&self, pool: &PostgresPool) -> Result<Vec<MigrationState>, MigrationError> {
        Ok(self.states(&Lock::take(pool).await?.applied().await?))
    }

    fn states(&self, applied: &Applied) -> Vec<MigrationState> {
        let mut states: BTreeMap<i64, MigrationState> = BTreeMap::new();
        for (version, (name, applied_at)) in applied {
            let (name, applied_at) = (name.clone(), Some(applied_at.clone()));
            states.insert(*version, MigrationState { version: *version, name, applied_at, is_known: false });
        }
        for Migration { version, name, .. } in &self.0 {
            let state = states.entry(*version).or_insert_with(|| MigrationState {
                version: *version,
                name: name.clone(),
                applied_at: None,
                is_known: true,
            });
            state.is_known = true;
        }
        states.into_values().collect()
    }
}

/// Names and times of what is applied, by version.
type Applied = BTreeMap<i64, (String, String)>;

/// A connection that alone may change the tables, until it is dropped.
struct Lock(Option<Object>);

impl Lock {
    async fn take(pool: &PostgresPool) -> Result<Self, MigrationError> {
        let connection = pool.connect().await?;
        let (schema, lock) = (&pool.settings().schema, LOCK_KEY);
        connection
            .batch_execute(&format!("SET lock_timeout = {LOCK_TIMEOUT_MS}; SELECT pg_advisory_lock({lock})"))
            .await?;
        // From here on the connection is closed when it is dropped, which gives the lock back.
        let this = Self(Some(connection));
        let there =
            this.connection()?.query_opt("SELECT FROM pg_namespace WHERE nspname = $1", &[schema]).await?;
        if there.is_none() {
            this.connection()?.batch_execute(&format!("CREATE SCHEMA {schema}")).await?;
        }
        this.connection()?
            .batch_execute(
                "CREATE TABLE IF NOT EXISTS timberyard_migrations (version bigint PRIMARY KEY, name text NOT NULL, \
                 applied_at timestamptz NOT NULL DEFAULT now())",
            )
            .await?;
        Ok(this)
    }

    fn connection(&self) -> Result<&Object, PostgresError> {
        self.0.as_ref().ok_or_else(|| PostgresError::Failed("connection was given back".to_owned()))
    }

    async fn applied(&self) -> Result<Applied, MigrationError> {
        let statement = "SELECT version, name, to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') \
                         FROM timberyard_migrations ORDER BY version";
        let rows = self.connection()?.query(statement, &[]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?)))).collect()
    }

    async fn change(&self, migration: &Migration, script: &str, note: &str) -> Result<(), MigrationError> {
        let Migration { version, name, .. } = migration;
        let connection = self.connection()?;
        let change = async {
            connection.batch_execute("BEGIN").await?;
            connection.batch_execute(script).await?;
            connection.execute(note, &[version, name]).await?;
            connection.batch_execute("COMMIT").await
        };
        let changed: Result<(), tokio_postgres::Error> = change.await;
        if let Err(error) = changed {
            // Whether this succeeds or not: the connection is closed, which ends the transaction.
            let _ = connection.batch_execute("ROLLBACK").await;
            return Err(MigrationError::Failed {
                version: *version,
                name: name.clone(),
                error: error.into(),
            });
        }
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

/// Writes the two files of a new migration, and says which.
///
/// # Errors
/// That the name is none, or the files cannot be written.
pub fn write_new(folder: &Path, version: i64, name: &str) -> Result<[PathBuf; 2], MigrationError> {
    let refused = |reason: String| MigrationError::Folder { path: folder.to_owned(), reason };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        let rule = format!("1 to {NAME_BYTES_MAX} letters, digits, `_` or `-`");
        return Err(refused(format!("name of a migration must be {rule}, not `{name}`")));
    }
    fs::create_dir_all(folder).map_err(|error| refused(error.to_string()))?;
    let write = |direction: &str, text: &str| {
        let path = folder.join(format!("{version}_{name}.{direction}.sql"));
        let written =
            fs::File::create_new(&path).and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
        written.map_err(|error| MigrationError::Folder { path: path.clone(), reason: error.to_string() })?;
        Ok::<_, MigrationError>(path)
    };
    let up = write("up", "-- What changes. All of it happens, or nothing.\n")?;
    let down = write("down", "-- What takes that back.\n")?;
    Ok([up, down])
}

fn read_folder(folder: &Path) -> Result<Vec<Migration>, MigrationError> {
    let failed = |path: &Path, reason: String| MigrationError::Folder { path: path.to_owned(), reason };
    let unreadable = |error: io::Error| failed(folder, error.to_string());
    let mut halves: BTreeMap<(i64, String), [Option<String>; 2]> = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(stem) = file_name.strip_suffix(".sql") else { continue };
        let (stem, side) = match (stem.strip_suffix(".up"), stem.strip_suffix(".down")) {
            (Some(stem), _) => (stem, 0),
            (None, Some(stem)) => (stem, 1),
            (None, None) => return Err(failed(&path, "must end with .up.sql or .down.sql".to_owned())),
        };
        let parsed =
            stem.split_once('_').and_then(|(version, name)| Some((version.parse().ok()?, name.to_owned())));
        let key = parsed.ok_or_else(|| failed(&path, "must begin with a number and `_`".to_owned()))?;
        let text = fs::read_to_string(&path).map_err(|error| failed(&path, error.to_string()))?;
        if let Some(half) = halves.entry(key).or_default().get_mut(side) {
            *half = Some(text);
        }
    }
    let joined = halves.into_iter().map(|((version, name), sides)| match sides {
        [Some(up), Some(down)] => Ok(Migration { version, name, up, down }),
        _ => Err(failed(folder, format!("{version}_{name} needs both .up.sql and .down.sql"))),
    });
    joined.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_migration_is_two_files_that_are_read_back_after_the_built_in_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("migrations");
        write_new(&path, 20_261_121_173_000, "add_index").expect("written");
        let all = Migrations::with_folder(Some(&path)).expect("readable");
        let names = |all: &Migrations| -> Vec<(i64, String)> {
            all.0.iter().map(|migration| (migration.version, migration.name.clone())).collect()
        };
        let mut expected = names(&Migrations::built_in());
        expected.push((20_261_121_173_000, "add_index".to_owned()));
        assert_eq!(names(&all), expected);
        assert!(write_new(&path, 20_261_121_173_000, "add_index").is_err(), "nothing is written over");
        assert!(write_new(&path, 1, "../x").is_err());
        fs::remove_file(path.join("20261121173000_add_index.down.sql")).expect("removed");
        let error = Migrations::with_folder(Some(&path)).expect_err("half of it").to_string();
        assert!(error.contains("needs both"), "{error}");
    }
}
