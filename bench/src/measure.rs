//! One workload through one server: push, flush, ask, stop, start again, and what each step cost.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::Arguments;
use crate::push_body;
use crate::queries::{self, Timed};
use crate::server::{Server, agent};
use crate::workload::Workload;

/// Everything measured of one workload.
pub(crate) struct Measured {
    pub(crate) workload: Workload,
    pub(crate) lines: usize,
    pub(crate) raw_bytes: u64,
    pub(crate) push_seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) memory_bytes_peak: u64,
    pub(crate) disk_bytes: u64,
    pub(crate) restart_seconds: f64,
    pub(crate) yardstick_bytes: u64,
    pub(crate) yardstick_seconds: f64,
    pub(crate) questions: Vec<Timed>,
}

/// Measures one workload on a fresh folder, which is removed afterwards.
pub(crate) fn measure(arguments: &Arguments, workload: Workload) -> Result<Measured, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let (bodies, raw_bytes) = push_body::encode_all(workload, arguments.lines)?;
    let (yardstick_bytes, yardstick_seconds) = yardstick(workload, arguments.lines)?;

    let server = Server::start(&arguments.binary, folder.path())?;
    let started = Instant::now();
    push_all(&server, &bodies, arguments.connections)?;
    let push_seconds = started.elapsed().as_secs_f64();
    let memory_bytes_peak = server.memory_bytes_peak()?;
    let cpu_seconds = server.stop()?.0;
    let disk_bytes = bytes_under(folder.path())?;

    let server = Server::start(&arguments.binary, folder.path())?;
    let restart_seconds = server.start_seconds;
    let questions = queries::ask(&server, workload, arguments.lines)?;
    server.stop()?;
    Ok(Measured {
        workload,
        lines: arguments.lines,
        raw_bytes,
        push_seconds,
        cpu_seconds,
        memory_bytes_peak,
        disk_bytes,
        restart_seconds,
        yardstick_bytes,
        yardstick_seconds,
        questions,
    })
}

fn push_all(server: &Server, bodies: &[Vec<u8>], connections: usize) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let senders: Vec<_> =
            (0..connections.max(1)).map(|_| scope.spawn(|| push_some(server, bodies, &next))).collect();
        senders
            .into_iter()
            .try_for_each(|sender| sender.join().map_err(|_| "a sender panicked".to_owned())?)
    })
}

fn push_some(server: &Server, bodies: &[Vec<u8>], next: &AtomicUsize) -> Result<(), String> {
    let agent = agent();
    let url = format!("{}/loki/api/v1/push", server.url);
    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
        loop {
            let mut response = agent
                .post(&url)
                .header("Content-Type", "application/x-protobuf")
                .send(&body[..])
                .map_err(|e| format!("push: {e}"))?;
            match response.status().as_u16() {
                204 => break,
                429 => std::thread::sleep(std::time::Duration::from_millis(50)),
                status => {
                    let text = response.body_mut().read_to_string().unwrap_or_default();
                    return Err(format!("push answered {status}: {text}"));
                }
            }
        }
    }
    Ok(())
}

/// The same lines through zstd at level 1, on one thread: bytes and CPU seconds.
fn yardstick(workload: Workload, count: usize) -> Result<(u64, f64), String> {
    let mut seconds = 0.0;
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).map_err(|e| e.to_string())?;
    let mut chunk = Vec::with_capacity(8 << 20);
    let mut compress = |chunk: &mut Vec<u8>, encoder: &mut zstd::stream::Encoder<'_, Vec<u8>>| {
        let started = thread_cpu_seconds();
        let written = encoder.write_all(chunk).map_err(|e| e.to_string());
        seconds += thread_cpu_seconds() - started;
        chunk.clear();
        written
    };
    for line in workload.lines(count) {
        chunk.extend_from_slice(line.text.as_bytes());
        chunk.push(b'\n');
        if chunk.len() > (8 << 20) - 4096 {
            compress(&mut chunk, &mut encoder)?;
        }
    }
    compress(&mut chunk, &mut encoder)?;
    let bytes = encoder.finish().map_err(|e| e.to_string())?.len() as u64;
    Ok((bytes, seconds))
}

/// CPU seconds of this thread: what other processes take of the machine does not count.
fn thread_cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Bytes of all files below a folder.
fn bytes_under(folder: &Path) -> Result<u64, String> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).map_err(|e| e.to_string())? {
        let entry = entry.map_err(|e| e.to_string())?;
        let kind = entry.metadata().map_err(|e| e.to_string())?;
        bytes += if kind.is_dir() { bytes_under(&entry.path())? } else { kind.len() };
    }
    Ok(bytes)
}
