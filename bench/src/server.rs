//! The process under measurement: started on a folder and a free loopback port, stopped with SIGTERM.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ureq::Agent;

use crate::process::{MemoryWatch, PATIENCE, Process};

/// Longer than the server pauses between two looks at what there is to do.
const IDLE: Duration = Duration::from_secs(7);
/// What an idle server may use in that time.
const IDLE_CPU_SECONDS_MAX: f64 = 0.05;

/// A running server. Killed when dropped without [`Server::stop`].
pub(crate) struct Server {
    process: Process,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    /// From the start of the process until it was ready.
    pub(crate) start_seconds: f64,
}

impl Server {
    pub(crate) fn start(binary: &Path, data: &Path) -> Result<Self, String> {
        Self::start_with(binary, data, &[])
    }

    /// The same with settings, as environment variables.
    pub(crate) fn start_with(binary: &Path, data: &Path, settings: &[(&str, &str)]) -> Result<Self, String> {
        Self::spawn(binary, data, |command| command.envs(settings.iter().copied()))
    }

    /// The same with settings, on the command line.
    pub(crate) fn start_with_arguments(
        binary: &Path,
        data: &Path,
        arguments: &[&str],
    ) -> Result<Self, String> {
        Self::spawn(binary, data, |command| command.args(arguments))
    }

    fn spawn(
        binary: &Path,
        data: &Path,
        settings: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<Self, String> {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|e| format!("no free port: {e}"))?
            .port();
        let started = Instant::now();
        let mut command = Command::new(binary);
        command
            .args(["server", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
            .arg(data)
            .env("RUST_LOG", "warn");
        let child = settings(&mut command)
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| format!("{}: {e}", binary.display()))?;
        let mut server =
            Self { process: Process { child }, url: format!("http://127.0.0.1:{port}"), start_seconds: 0.0 };
        while ureq::get(format!("{}/ready", server.url)).call().is_err() {
            if started.elapsed() > PATIENCE {
                return Err("server did not become ready".to_owned());
            }
            if let Ok(Some(status)) = server.process.child.try_wait() {
                return Err(format!("server ended at start: {status}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        server.start_seconds = started.elapsed().as_secs_f64();
        Ok(server)
    }

    /// CPU seconds so far, of all its threads, those that have ended included.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, String> {
        self.process.cpu_seconds()
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
        self.process.resident_bytes_peak()
    }

    /// Begins to watch its anonymous memory.
    pub(crate) fn watch_memory(&self) -> MemoryWatch {
        self.process.watch_memory()
    }

    /// Ends it in order, and says how many CPU seconds the whole process used from start to end.
    pub(crate) fn stop(self) -> Result<f64, String> {
        self.process.stop()
    }
}

/// A client that keeps its connection and shows every status.
pub(crate) fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(600)))
        .build()
        .into()
}
