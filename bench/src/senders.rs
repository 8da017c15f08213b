//! What a sender's format costs the whole server: the same lines sent over HTTP in each of them, each time into a fresh server.
//!
//! CPU is user plus system time of the server's process: until the last answer, when everything is synced, and until the end of
//! the shutdown, with everything that is done in the background. The lines are of microservices, in bodies of nearly 1 MiB of
//! lines, not compressed but for Loki's protobuf, over two connections.

use std::fmt::Write as _;
use std::path::Path;

use crate::format::{FORMATS, Target};
use crate::generator::{Line, Workload};
use crate::ingest::{disk_under, push_all};
use crate::server::Server;

/// Lines of a body.
const BODY_LINES: usize = 4_000;
/// Connections that send at the same time.
const CONNECTIONS: usize = 2;

/// What taking the lines in cost.
struct Cost {
    cpu_seconds_acknowledged: f64,
    cpu_seconds: f64,
    disk_bytes: u64,
}

/// A Markdown table of the formats whose names have `only` in them; ratios are against the first one of it, Loki's push in
/// protobuf when all are measured.
pub(crate) fn measure(binary: &Path, lines: usize, only: Option<&str>) -> Result<String, String> {
    let streams = Workload::Micro.streams();
    let lines: Vec<Line> = Workload::Micro.lines(lines, 1).collect();
    let line_bytes: usize = lines.iter().map(|line| line.text.len()).sum();
    let gigabytes = line_bytes as f64 / 1e9;
    let mut table = String::from(
        "| format | CPU-s a raw GB until the last answer | ÷ Loki push | with all that follows | ÷ Loki push | disk ÷ raw |\n\
         | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let mut loki: Option<(f64, f64)> = None;
    for format in FORMATS.iter().filter(|format| only.is_none_or(|part| format.name.contains(part))) {
        let Some(target) = format.target else { continue };
        let mut bodies = Vec::new();
        for lines in lines.chunks(BODY_LINES) {
            bodies.extend((format.encode)(&streams, lines)?);
        }
        let cost = send(binary, target, &bodies).map_err(|e| format!("{}: {e}", format.name))?;
        let (answered, all) = (cost.cpu_seconds_acknowledged, cost.cpu_seconds);
        let (loki_answered, loki_all) = *loki.get_or_insert((answered, all));
        writeln!(
            table,
            "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.3} |",
            format.name,
            answered / gigabytes,
            answered / loki_answered,
            all / gigabytes,
            all / loki_all,
            cost.disk_bytes as f64 / line_bytes as f64,
        )
        .map_err(|e| e.to_string())?;
    }
    Ok(table)
}

fn send(binary: &Path, target: Target, bodies: &[Vec<u8>]) -> Result<Cost, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let server = Server::start(binary, folder.path())?;
    let cpu_at_start = server.cpu_seconds()?;
    push_all(&server, target, bodies, CONNECTIONS)?;
    let cpu_seconds_acknowledged = server.cpu_seconds()? - cpu_at_start;
    let cpu_seconds = server.stop()? - cpu_at_start;
    let (disk_bytes, _) = disk_under(folder.path())?;
    Ok(Cost { cpu_seconds_acknowledged, cpu_seconds, disk_bytes })
}
