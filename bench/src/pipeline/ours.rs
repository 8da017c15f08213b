//! Two servers with a role each: pushes go into Kafka by one, and into ClickHouse by the other.

use std::path::Path;

use super::Cost;
use super::engines::Engines;
use crate::format::LOKI_PUSH;
use crate::generator::{Line, StreamLabels};
use crate::ingest::push_all;
use crate::load::label_text;
use crate::push_body;
use crate::server::Server;

/// Lines of a push: nearly 1 MiB, as senders batch by default.
const PUSH_LINES: usize = 4_000;
/// Connections that push at the same time.
const CONNECTIONS: usize = 2;

/// Loki's pushes of all lines.
pub(crate) fn bodies(streams: &[StreamLabels], lines: &[Line]) -> Result<Vec<Vec<u8>>, String> {
    let labels: Vec<String> = streams.iter().map(label_text).collect();
    let pack = |lines: &[Line]| push_body::snappy(&push_body::loki_protobuf(&labels, lines));
    lines.chunks(PUSH_LINES).map(pack).collect()
}

/// Pushes everything and waits until it is in the table.
pub(crate) fn run(
    binary: &Path,
    folder: &Path,
    engines: &Engines,
    database: &str,
    bodies: &[Vec<u8>],
    lines: usize,
) -> Result<Cost, String> {
    let (brokers, url) = (engines.brokers(), engines.warehouse.url());
    let text = format!(
        "sinks:\n  queue: {{required: true, kafka: {{brokers: '{brokers}', topic: {database}}}}}\n  \
         warehouse: {{required: true, clickhouse: {{url: '{url}', database: {database}}}}}\n\
         inputs:\n  queue: {{kafka: {{brokers: '{brokers}', topics: [{database}]}}}}\n"
    );
    let file = folder.join("servers.yaml");
    std::fs::write(&file, text).map_err(|e| e.to_string())?;
    let start = |role: &str| {
        let data = folder.join(role);
        std::fs::create_dir_all(&data).map_err(|e| e.to_string())?;
        let file = file.display().to_string();
        Server::start_with_arguments(binary, &data, &["--config", &file, "--role", role])
    };
    let (ingest, worker) = (start("ingest")?, start("worker")?);
    let at_start = (ingest.cpu_seconds()?, worker.cpu_seconds()?);
    push_all(&ingest, LOKI_PUSH, bodies, CONNECTIONS)?;
    engines.warehouse.wait_for_rows(database, lines)?;
    Ok(Cost {
        sending_cpu_seconds: ingest.stop()? - at_start.0,
        writing_cpu_seconds: worker.stop()? - at_start.1,
    })
}
