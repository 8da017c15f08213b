//! The process under measurement: started on a fresh folder and a free loopback port, stopped with SIGTERM.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ureq::Agent;

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running server. Killed when dropped without [`Server::stop`].
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    /// From the start of the process until it was ready.
    pub(crate) start_seconds: f64,
}

/// CPU seconds of processes, read where the kernel counts them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CpuSeconds(pub(crate) f64);

impl Server {
    pub(crate) fn start(binary: &Path, data: &Path) -> Result<Self, String> {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|e| format!("no free port: {e}"))?
            .port();
        let started = Instant::now();
        let child = Command::new(binary)
            .args(["server", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(data)
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| format!("{}: {e}", binary.display()))?;
        let mut server = Self { child, url: format!("http://127.0.0.1:{port}"), start_seconds: 0.0 };
        while ureq::get(format!("{}/ready", server.url)).call().is_err() {
            if started.elapsed() > PATIENCE {
                return Err("server did not become ready".to_owned());
            }
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("server ended at start: {status}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        server.start_seconds = started.elapsed().as_secs_f64();
        Ok(server)
    }

    /// CPU seconds so far.
    pub(crate) fn cpu(&self) -> Result<CpuSeconds, String> {
        cpu_fields(&format!("/proc/{}/stat", self.child.id()), 13)
    }

    /// The largest resident set so far, in bytes.
    pub(crate) fn memory_bytes_peak(&self) -> Result<u64, String> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .map_err(|e| e.to_string())?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kibibytes.map(|k| k * 1024).ok_or_else(|| "no VmHWM in /proc".to_owned())
    }

    /// Ends it in order, and says what the whole process used from start to end.
    pub(crate) fn stop(mut self) -> Result<CpuSeconds, String> {
        let before = children_cpu()?;
        let pid = self.child.id().to_string();
        let signalled = Command::new("kill").args(["-TERM", &pid]).status().map_err(|e| e.to_string())?;
        if !signalled.success() {
            return Err("kill -TERM failed".to_owned());
        }
        let started = Instant::now();
        loop {
            match self.child.try_wait().map_err(|e| e.to_string())? {
                Some(status) if status.success() => break,
                Some(status) => return Err(format!("server ended badly: {status}")),
                None if started.elapsed() > PATIENCE => return Err("server did not stop".to_owned()),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Ok(CpuSeconds(children_cpu()?.0 - before.0))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Nothing can be done about a process that cannot be killed.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// CPU of all children that have ended and were waited for.
fn children_cpu() -> Result<CpuSeconds, String> {
    cpu_fields("/proc/self/stat", 15)
}

/// Sum of two neighbouring fields of a `stat` page (proc(5): 14 utime, 15 stime, 16 cutime, 17 cstime).
fn cpu_fields(path: &str, first: usize) -> Result<CpuSeconds, String> {
    let stat = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    // The name in parentheses may hold anything; fields are counted after it.
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        rest.split_whitespace().skip(first - 2).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    // USER_HZ is 100 on every Linux that this runs on.
    Ok(CpuSeconds(ticks as f64 / 100.0))
}

/// A client that keeps its connection and shows every status.
pub(crate) fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(300)))
        .build()
        .into()
}
