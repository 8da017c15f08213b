//! The process under measurement: started on a folder and a free loopback port, stopped with SIGTERM.
//!
//! CPU is what the kernel counts for the whole process, in nanoseconds: its CPU clock while it runs, and what
//! waiting for it reports (`wait4`, by way of `getrusage` of ended children) once it has ended.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use ureq::Agent;

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Longer than the server pauses between two looks at what there is to do.
const IDLE: Duration = Duration::from_secs(7);
/// What an idle server may use in that time.
const IDLE_CPU_SECONDS_MAX: f64 = 0.05;

/// A running server. Killed when dropped without [`Server::stop`].
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    /// From the start of the process until it was ready.
    pub(crate) start_seconds: f64,
}

/// Looks at the anonymous memory of a process again and again, since the kernel keeps no peak of it.
pub(crate) struct MemoryWatch {
    enough: Arc<AtomicBool>,
    peak_bytes: Arc<AtomicU64>,
    watcher: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(binary: &Path, data: &Path) -> Result<Self, String> {
        Self::start_with(binary, data, &[])
    }

    /// The same with settings, as environment variables.
    pub(crate) fn start_with(binary: &Path, data: &Path, settings: &[(&str, &str)]) -> Result<Self, String> {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|e| format!("no free port: {e}"))?
            .port();
        let started = Instant::now();
        let child = Command::new(binary)
            .args(["server", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(data)
            .env("RUST_LOG", "warn")
            .envs(settings.iter().copied())
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

    /// CPU seconds so far, of all its threads, those that have ended included.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, String> {
        let clock = clock_getcpuclockid(self.pid()).map_err(|e| format!("CPU clock of the server: {e}"))?;
        let time = clock.now().map_err(|e| format!("CPU clock of the server: {e}"))?;
        Ok(time.num_nanoseconds() as f64 / 1e9)
    }

    /// Waits until it has nothing left to do, such as compaction, and says how many CPU seconds it used until then, all
    /// that it used since its start.
    pub(crate) fn settle(&self) -> Result<f64, String> {
        let started = Instant::now();
        let mut before = self.cpu_seconds()?;
        loop {
            std::thread::sleep(IDLE);
            let now = self.cpu_seconds()?;
            if now - before < IDLE_CPU_SECONDS_MAX {
                return Ok(now);
            }
            if started.elapsed() > PATIENCE {
                return Err("server does not come to rest".to_owned());
            }
            before = now;
        }
    }

    /// The largest resident set so far, in bytes.
    pub(crate) fn resident_bytes_peak(&self) -> Result<u64, String> {
        memory_bytes(self.child.id(), "VmHWM:").ok_or_else(|| "no VmHWM in /proc".to_owned())
    }

    /// Begins to watch its anonymous memory.
    pub(crate) fn watch_memory(&self) -> MemoryWatch {
        let (enough, peak_bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (seen_enough, peak, process) = (Arc::clone(&enough), Arc::clone(&peak_bytes), self.child.id());
        let watcher = std::thread::spawn(move || {
            while !seen_enough.load(Ordering::Relaxed) {
                peak.fetch_max(memory_bytes(process, "RssAnon:").unwrap_or_default(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        MemoryWatch { enough, peak_bytes, watcher: Some(watcher) }
    }

    /// Ends it in order, and says how many CPU seconds the whole process used from start to end.
    pub(crate) fn stop(mut self) -> Result<f64, String> {
        let before = children_cpu_seconds()?;
        kill(self.pid(), Signal::SIGTERM).map_err(|e| format!("SIGTERM: {e}"))?;
        let asked = Instant::now();
        loop {
            match self.child.try_wait().map_err(|e| e.to_string())? {
                Some(status) if status.success() => break,
                Some(status) => return Err(format!("server ended badly: {status}")),
                None if asked.elapsed() > PATIENCE => return Err("server did not stop".to_owned()),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Ok(children_cpu_seconds()? - before)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
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

impl MemoryWatch {
    /// The largest anonymous memory that was seen, in bytes.
    pub(crate) fn end(mut self) -> u64 {
        self.enough.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            // A watcher that panicked has left what it saw.
            let _ = watcher.join();
        }
        self.peak_bytes.load(Ordering::Relaxed)
    }
}

/// CPU seconds of all children that have ended and were waited for.
pub(crate) fn children_cpu_seconds() -> Result<f64, String> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|e| format!("getrusage: {e}"))?;
    Ok((usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6)
}

fn memory_bytes(process: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// A client that keeps its connection and shows every status.
pub(crate) fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(600)))
        .build()
        .into()
}
