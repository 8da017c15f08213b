//! `timberyard migrate`: changes the tables of databases that sinks write to, forth and back.

use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use timberyard_connectors::postgres::{MigrationState, Migrations, PostgresPool, write_new};

use crate::cli::{MigrateArguments, MigrateCommand};
use crate::config::{Engine, Settings};
use crate::failure::Failure;
use crate::server::load;

/// Does what was asked for, and says what changed.
pub(crate) fn run(command: &MigrateCommand) -> Result<(), Failure> {
    match command {
        MigrateCommand::Up(arguments) => of_each(arguments, &async |migrations, pool| {
            let applied = migrations.up(pool).await?;
            Ok(said(&applied, "applied", "nothing to apply"))
        }),
        MigrateCommand::Down { steps, arguments } => of_each(arguments, &async |migrations, pool| {
            let taken_back = migrations.down(pool, *steps).await?;
            Ok(said(&taken_back, "taken back", "nothing to take back"))
        }),
        MigrateCommand::Status(arguments) => of_each(arguments, &async |migrations, pool| {
            Ok(migrations.status(pool).await?.iter().map(status_line).collect())
        }),
        MigrateCommand::New { name, dir } => new(name, dir),
    }
}

/// Runs something on every database of the settings, or on the one that was named.
fn of_each<W>(arguments: &MigrateArguments, work: &W) -> Result<(), Failure>
where
    W: AsyncFn(
        &Migrations,
        &PostgresPool,
    ) -> Result<Vec<String>, timberyard_connectors::postgres::MigrationError>,
{
    let settings = load(&arguments.settings)?.settings;
    let pools = pools(&settings, arguments.sink.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    for (name, pool) in pools {
        let failed = |error: &dyn std::fmt::Display| Failure::new(format!("sink `{name}`: {error}"));
        let folder = pool.settings().migrations_dir.as_deref();
        let migrations = Migrations::with_folder(folder).map_err(|error| failed(&error))?;
        let lines = runtime.block_on(work(&migrations, &pool)).map_err(|error| failed(&error))?;
        for line in lines {
            writeln!(io::stdout(), "{name}: {line}").map_err(|error| Failure::output(&error))?;
        }
    }
    Ok(())
}

fn pools(settings: &Settings, wanted: Option<&str>) -> Result<Vec<(String, PostgresPool)>, Failure> {
    let mut pools = Vec::new();
    for (name, sink) in settings.sinks.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == *name))
    {
        if let Some(Engine::Postgres(postgres)) = sink.engine() {
            let pool = PostgresPool::new(postgres.clone())
                .map_err(|reason| Failure::usage(format!("sink `{name}`: {reason}")))?;
            pools.push((name.clone(), pool));
        }
    }
    match (pools.is_empty(), wanted) {
        (false, _) => Ok(pools),
        (true, Some(name)) => {
            Err(Failure::usage(format!("there is no sink `{name}` whose tables can be changed")))
        }
        (true, None) => Err(Failure::usage(
            "no sink has tables that can be changed: write one with `postgres` under `sinks`, or set DB_HOST"
                .to_owned(),
        )),
    }
}

fn said(changed: &[MigrationState], what: &str, nothing: &str) -> Vec<String> {
    match changed {
        [] => vec![nothing.to_owned()],
        _ => changed.iter().map(|state| format!("{what}: {} {}", state.version, state.name)).collect(),
    }
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
