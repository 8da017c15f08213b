//! A process under measurement: what the kernel counts for it, and its end in order.
//!
//! CPU is what the kernel counts for the whole process, in nanoseconds: its CPU clock while it runs, and what
//! waiting for it reports (`wait4`, by way of `getrusage` of ended children) once it has ended.

use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

/// How long a start or a stop may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// A running process. Killed when dropped without [`Process::stop`].
pub(crate) struct Process {
    pub(crate) child: Child,
}

/// Looks at the anonymous memory of a process again and again, since the kernel keeps no peak of it.
pub(crate) struct MemoryWatch {
    enough: Arc<AtomicBool>,
    peak_bytes: Arc<AtomicU64>,
    watcher: Option<JoinHandle<()>>,
}

impl Process {
    /// CPU seconds so far, of all its threads, those that have ended included.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, String> {
        cpu_seconds_of(self.child.id())
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
                Some(status) => return Err(format!("process ended badly: {status}")),
                None if asked.elapsed() > PATIENCE => return Err("process did not stop".to_owned()),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Ok(children_cpu_seconds()? - before)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Process {
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

/// CPU seconds so far of a running process, of all its threads, those that have ended included.
pub(crate) fn cpu_seconds_of(process: u32) -> Result<f64, String> {
    let told = |e| format!("CPU clock of a process: {e}");
    let clock = clock_getcpuclockid(Pid::from_raw(process.cast_signed())).map_err(told)?;
    Ok(clock.now().map_err(told)?.num_nanoseconds() as f64 / 1e9)
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
