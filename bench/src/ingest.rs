//! Taking a workload in: push as fast as two senders can, stop in order, and count what it cost.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::format::{LOKI_PUSH, Target};
use crate::load::Load;
use crate::server::{Server, agent};

/// What taking in cost the server.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Ingested {
    pub(crate) lines_per_second: f64,
    /// From the first byte to the last answer.
    pub(crate) cpu_seconds_acknowledged: f64,
    /// From the first byte to the end of the shutdown, everything in the background included.
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes_peak: u64,
    pub(crate) anonymous_bytes_peak: u64,
    /// Every file of the data directory after the shutdown.
    pub(crate) disk_bytes: u64,
    pub(crate) files: usize,
    /// Pushes that were answered 429 and sent again.
    pub(crate) retries: usize,
}

/// Pushes everything into a server on a fresh folder, and stops it.
pub(crate) fn ingest(
    binary: &Path,
    data: &Path,
    load: &Load,
    connections: usize,
) -> Result<Ingested, String> {
    let server = Server::start(binary, data)?;
    let watch = server.watch_memory();
    let (cpu_at_start, started) = (server.cpu_seconds()?, Instant::now());
    let retries = push_all(&server, LOKI_PUSH, &load.bodies, connections)?;
    let push_seconds = started.elapsed().as_secs_f64();
    let cpu_seconds_acknowledged = server.cpu_seconds()? - cpu_at_start;
    let (resident_bytes_peak, anonymous_bytes_peak) = (server.resident_bytes_peak()?, watch.end());
    let cpu_seconds = server.stop()? - cpu_at_start;
    let (disk_bytes, files) = disk_under(data)?;
    Ok(Ingested {
        lines_per_second: load.lines as f64 / push_seconds,
        cpu_seconds_acknowledged,
        cpu_seconds,
        resident_bytes_peak,
        anonymous_bytes_peak,
        disk_bytes,
        files,
        retries,
    })
}

/// Pushes all bodies; how many pushes were answered 429 and sent again.
pub(crate) fn push_all(
    server: &Server,
    target: Target,
    bodies: &[Vec<u8>],
    connections: usize,
) -> Result<usize, String> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..connections.max(1))
            .map(|_| scope.spawn(|| push_some(server, target, bodies, &next)))
            .collect();
        senders
            .into_iter()
            .try_fold(0, |sum, sender| Ok(sum + sender.join().map_err(|_| "a sender panicked".to_owned())??))
    })
}

fn push_some(
    server: &Server,
    target: Target,
    bodies: &[Vec<u8>],
    next: &AtomicUsize,
) -> Result<usize, String> {
    let agent = agent();
    let url = format!("{}{}", server.url, target.path);
    let mut retries = 0;
    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
        loop {
            let mut response = agent
                .post(&url)
                .header("Content-Type", target.content_type)
                .send(&body[..])
                .map_err(|e| format!("push: {e}"))?;
            match response.status().as_u16() {
                200 | 201 | 202 | 204 => break,
                429 => {
                    retries += 1;
                    std::thread::sleep(Duration::from_millis(50));
                }
                status => {
                    let text = response.body_mut().read_to_string().unwrap_or_default();
                    return Err(format!("push answered {status}: {text}"));
                }
            }
        }
    }
    Ok(retries)
}

/// Bytes and number of all files below a folder.
pub(crate) fn disk_under(folder: &Path) -> Result<(u64, usize), String> {
    let (mut bytes, mut files) = (0, 0);
    for entry in std::fs::read_dir(folder).map_err(|e| e.to_string())? {
        let entry = entry.map_err(|e| e.to_string())?;
        let kind = entry.metadata().map_err(|e| e.to_string())?;
        let (more_bytes, more_files) =
            if kind.is_dir() { disk_under(&entry.path())? } else { (kind.len(), 1) };
        bytes += more_bytes;
        files += more_files;
    }
    Ok((bytes, files))
}
