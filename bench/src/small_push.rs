//! One sender, one small push at a time: how long until it is acknowledged, against one `fdatasync` of as many bytes
//! on the same file system, and how long the way there and back takes by itself. They take turns, so that all meet the same
//! machine in the same mood.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use crate::generator::{Line, Workload};
use crate::load::label_text;
use crate::push_body;
use crate::server::{Server, agent};

/// Pushes that are timed, after as many have warmed up as a tenth of them.
const PUSHES: usize = 300;
/// Lines of a push.
const LINES: usize = 4;

/// Times on the wall, medians.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct SmallPush {
    pub(crate) pushes: usize,
    /// Of one push, as it is sent.
    pub(crate) bytes: usize,
    /// From the request to its answer.
    pub(crate) push_us: f64,
    /// Of writing as many bytes over an old file and syncing them.
    pub(crate) sync_us: f64,
    /// From a request that asks for nothing (`GET /ready`) to its answer: what the way there and back costs.
    pub(crate) way_us: f64,
}

/// Measures on a fresh folder of the file system where temporary files are.
pub(crate) fn measure(binary: &Path, seed: u64) -> Result<SmallPush, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let bodies = bodies(seed)?;
    let bytes = bodies.first().map_or(0, Vec::len);
    let told = |e: std::io::Error| format!("{}: {e}", folder.path().display());
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(folder.path().join("synced"))
        .map_err(told)?;
    // The log writes over recycled files, too: nothing is allocated while the clock runs.
    file.write_all(&vec![0; bytes * bodies.len()]).and_then(|()| file.sync_all()).map_err(told)?;
    file.seek(SeekFrom::Start(0)).map_err(told)?;

    let data = folder.path().join("data");
    std::fs::create_dir(&data).map_err(told)?;
    let server = Server::start(binary, &data)?;
    let (agent, url) = (agent(), format!("{}/loki/api/v1/push", server.url));
    let ready = format!("{}/ready", server.url);
    let (mut push_us, mut sync_us, mut way_us) = (Vec::new(), Vec::new(), Vec::new());
    for body in &bodies {
        let started = Instant::now();
        let response = agent
            .post(&url)
            .header("Content-Type", "application/x-protobuf")
            .send(&body[..])
            .map_err(|e| format!("push: {e}"))?;
        push_us.push(started.elapsed().as_secs_f64() * 1e6);
        if response.status() != 204 {
            return Err(format!("push answered {}", response.status()));
        }
        let started = Instant::now();
        file.write_all(&vec![7; bytes]).and_then(|()| file.sync_data()).map_err(told)?;
        sync_us.push(started.elapsed().as_secs_f64() * 1e6);
        let started = Instant::now();
        let mut answer = agent.get(&ready).call().map_err(|e| format!("ready: {e}"))?;
        // An answer that is not read to its end closes the connection, and the next push would have to open one.
        answer.body_mut().read_to_vec().map_err(|e| format!("ready: {e}"))?;
        way_us.push(started.elapsed().as_secs_f64() * 1e6);
    }
    server.stop()?;
    let median = |mut times: Vec<f64>| {
        times.drain(..PUSHES / 10);
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let [push_us, sync_us, way_us] = [push_us, sync_us, way_us].map(median);
    Ok(SmallPush { pushes: PUSHES, bytes, push_us, sync_us, way_us })
}

fn bodies(seed: u64) -> Result<Vec<Vec<u8>>, String> {
    let labels: Vec<String> = Workload::Micro.streams().iter().map(label_text).collect();
    let lines: Vec<Line> = Workload::Micro.lines((PUSHES + PUSHES / 10) * LINES, seed).collect();
    lines.chunks(LINES).map(|lines| push_body::snappy(&push_body::loki_protobuf(&labels, lines))).collect()
}
