//! `timberyard migrate`: changes the tables of databases that sinks write to, forth and back.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use timberyard_connectors::clickhouse::{ClickHouseServer, SchemaStep};
use timberyard_connectors::postgres::{MigrationState, Migrations, PostgresPool, write_new};

use crate::cli::{MigrateArguments, MigrateCommand};
use crate::config::{Engine, Settings};
use crate::failure::Failure;
use crate::server::load;

/// Tables that can be changed.
enum Database {
    Postgres(PostgresPool),
    ClickHouse(Arc<ClickHouseServer>),
}

/// Does what was asked for, and says what changed.
pub(crate) fn run(command: &MigrateCommand) -> Result<(), Failure> {
    match command {
        MigrateCommand::Up(arguments) => of_each(arguments, &async |database| match database {
            Database::Postgres(pool) => {
                let applied = migrations(pool)?.up(pool).await.map_err(text)?;
                Ok(said(&applied, "applied", "nothing to apply"))
            }
            Database::ClickHouse(server) => {
                let applied = server.migrate().await.map_err(text)?;
                Ok(said_names(applied.iter().map(|name| format!("applied: {name}")), "nothing to apply"))
            }
        }),
        MigrateCommand::Down { steps, arguments } => of_each(arguments, &async |database| match database {
            Database::Postgres(pool) => {
                let taken_back = migrations(pool)?.down(pool, *steps).await.map_err(text)?;
                Ok(said(&taken_back, "taken back", "nothing to take back"))
            }
            Database::ClickHouse(_) => {
                Err("tables in ClickHouse have no way back: drop them by hand".to_owned())
            }
        }),
        MigrateCommand::Status(arguments) => of_each(arguments, &async |database| match database {
            Database::Postgres(pool) => {
                Ok(migrations(pool)?.status(pool).await.map_err(text)?.iter().map(status_line).collect())
            }
            Database::ClickHouse(server) => {
                let steps = server.steps().await.map_err(text)?;
                let line = |(step, is_applied): &(SchemaStep, bool)| {
                    let not = if *is_applied { "" } else { "not " };
                    format!("{} {}: {not}applied", step.version, step.name)
                };
                Ok(steps.iter().map(line).collect())
            }
        }),
        MigrateCommand::New { name, dir } => new(name, dir),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn migrations(pool: &PostgresPool) -> Result<Migrations, String> {
    Migrations::with_folder(pool.settings().migrations_dir.as_deref()).map_err(text)
}

/// Runs something on every database of the settings, or on the one that was named.
fn of_each<W>(arguments: &MigrateArguments, work: &W) -> Result<(), Failure>
where
    W: AsyncFn(&Database) -> Result<Vec<String>, String>,
{
    let settings = load(&arguments.settings)?.settings;
    let databases = databases(&settings, arguments.sink.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    for (name, database) in databases {
        let lines = runtime
            .block_on(work(&database))
            .map_err(|reason| Failure::new(format!("sink `{name}`: {reason}")))?;
        for line in lines {
            writeln!(io::stdout(), "{name}: {line}").map_err(|error| Failure::output(&error))?;
        }
    }
    Ok(())
}

fn databases(settings: &Settings, wanted: Option<&str>) -> Result<Vec<(String, Database)>, Failure> {
    let mut databases = Vec::new();
    for (name, sink) in settings.sinks.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name))
    {
        let refused = |reason: String| Failure::usage(format!("sink `{name}`: {reason}"));
        let database = match sink.engine() {
            Some(Engine::Postgres(postgres)) => {
                Database::Postgres(PostgresPool::new(postgres.clone()).map_err(refused)?)
            }
            Some(Engine::ClickHouse(clickhouse)) => {
                Database::ClickHouse(ClickHouseServer::new(clickhouse.clone()).map_err(refused)?)
            }
            _ => continue,
        };
        databases.push((name.clone(), database));
    }
    match (databases.is_empty(), wanted) {
        (false, _) => Ok(databases),
        (true, Some(name)) => {
            Err(Failure::usage(format!("there is no sink `{name}` whose tables can be changed")))
        }
        (true, None) => Err(Failure::usage(
            "no sink has tables that can be changed: write one with `clickhouse` or `postgres` under `sinks`, or set \
             DB_HOST or CLICKHOUSE_HOST"
                .to_owned(),
        )),
    }
}

fn said(changed: &[MigrationState], what: &str, nothing: &str) -> Vec<String> {
    said_names(changed.iter().map(|state| format!("{what}: {} {}", state.version, state.name)), nothing)
}

fn said_names(lines: impl Iterator<Item = String>, nothing: &str) -> Vec<String> {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { vec![nothing.to_owned()] } else { lines }
}

fn status_line(state: &MigrationState) -> String {
    let since = match &state.applied_at {
        Some(time) if state.is_known => format!("applied {time}"),
        Some(time) => format!("applied {time}, not known here"),
        None => "not applied".to_owned(),
    };
    format!("{} {}: {since}", state.version, state.name)
}

/// Writes the files of a new migration, numbered by the time.
fn new(name: &str, folder: &Path) -> Result<(), Failure> {
    let time = Timestamp::now().to_zoned(TimeZone::UTC);
    let version = time.strftime("%Y%m%d%H%M%S").to_string().parse();
    let version = version.map_err(|error| Failure::new(format!("cannot number a migration: {error}")))?;
    let written = write_new(folder, version, name).map_err(|error| Failure::usage(error.to_string()))?;
    for path in written {
        writeln!(io::stdout(), "{}", path.display()).map_err(|error| Failure::output(&error))?;
    }
    Ok(())
}
