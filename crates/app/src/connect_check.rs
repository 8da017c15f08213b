//! `timberyard config check --connect`: tries every connection that the settings name, and says what it found.

use std::time::Duration;

use timberyard_connectors::clickhouse::ClickHouseServer;
use timberyard_connectors::files::FilesSettings;
use timberyard_connectors::kafka::KafkaSink;
use timberyard_connectors::parquet::ParquetSink;
use timberyard_connectors::postgres::{PostgresPool, PostgresSink};
use tokio::time::timeout;

use crate::config::{Engine, Settings};
use crate::failure::Failure;

/// How long one connection may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tries all of them, one behind the other; a line for each. Fails when one cannot be used, and then names all that cannot.
pub(crate) fn run(settings: &Settings) -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let (mut found, mut wrong) = (String::new(), Vec::new());
    for (name, description) in &settings.sinks {
        let Some(engine) = description.engine() else { continue };
        let checked = runtime.block_on(async {
            let late = || Err(format!("no answer within {} s", PATIENCE.as_secs()));
            timeout(PATIENCE, check(name, engine)).await.unwrap_or_else(|_| late())
        });
        match checked {
            Ok(what) => found.push_str(&format!("sink `{name}`: {what}\n")),
            Err(reason) => wrong.push(format!("sink `{name}`: {reason}")),
        }
    }
    match wrong.is_empty() {
        true => Ok(found),
        false => Err(Failure::new(wrong.join("\n"))),
    }
}

async fn check(name: &str, engine: Engine<'_>) -> Result<String, String> {
    match engine {
        Engine::ClickHouse(clickhouse) => ClickHouseServer::new(clickhouse.clone())?.connect_check().await,
        Engine::Files(files) => check_folder(files),
        Engine::Kafka(kafka) => KafkaSink::new(name, kafka.clone())?.connect_check().await,
        Engine::Parquet(parquet) => ParquetSink::connect_check(parquet).await,
        Engine::Postgres(postgres) => {
            PostgresSink::new(name, PostgresPool::new(postgres.clone())?).connect_check().await
        }
    }
}

/// A folder that is there, or can be made, and written to.
fn check_folder(files: &FilesSettings) -> Result<String, String> {
    let dir = &files.dir;
    let unusable = |error: std::io::Error| format!("files: {}: {error}", dir.display());
    std::fs::create_dir_all(dir).map_err(unusable)?;
    make_and_remove_file(dir).map_err(unusable)?;
    Ok(format!("folder {} can be written to", dir.display()))
}

/// Makes a file that nobody else has, and removes it.
fn make_and_remove_file(dir: &std::path::Path) -> std::io::Result<()> {
    let path = dir.join(format!(".timberyard-check-{}", std::process::id()));
    std::fs::File::create_new(&path)?;
    std::fs::remove_file(path)
}
