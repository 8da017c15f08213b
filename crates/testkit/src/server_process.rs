//! The real binary as a child process: started on a free loopback port and a folder of its own, killed or ended
//! in order, started again on the same folder.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::http::Request;

/// How long a start or an orderly stop may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server. Killed when dropped; its folder is removed with it.
#[derive(Debug)]
pub struct ServerProcess {
    settings: ServerSettings,
    folder: Folder,
    data: PathBuf,
    address: String,
    child: Child,
}

/// How to start a server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    binary: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    scheme: &'static str,
}

#[derive(Debug)]
enum Folder {
    Own(tempfile::TempDir),
    Given(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Given(path) => path,
        }
    }
}

impl ServerSettings {
    /// The binary with nothing but a port and a folder; in a test, `env!("CARGO_BIN_EXE_timberyard")`.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), arguments: Vec::new(), environment: Vec::new(), scheme: "http" }
    }

    /// Adds a command line argument.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// It is told elsewhere to speak TLS: asks it so. Its certificate is not checked.
    #[must_use]
    pub fn over_tls(mut self) -> Self {
        self.scheme = "https";
        self
    }

    /// Starts it on a new folder and waits until it is ready.
    pub fn start(self) -> ServerProcess {
        let folder = tempfile::tempdir().expect("a temporary folder");
        self.start_on(Folder::Own(folder))
    }

    /// Starts it on a folder that outlives it and waits until it is ready.
    pub fn start_in(self, folder: &Path) -> ServerProcess {
        self.start_on(Folder::Given(folder.to_owned()))
    }

    fn start_on(self, folder: Folder) -> ServerProcess {
        let address = free_address();
        let child = self.spawn(&address, folder.path());
        let mut server =
            ServerProcess { settings: self, data: data_path(folder.path()), folder, address, child };
        server.wait_until_ready();
        server
    }

    /// Starts it where it is expected to refuse, and waits for its end: the status and what it said.
    pub fn start_refused(self, listen: &str) -> (ExitStatus, String) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = self.command(listen, folder.path()).output().expect("the binary starts");
        let said = [output.stdout, output.stderr].concat();
        (output.status, String::from_utf8_lossy(&said).into_owned())
    }

    fn command(&self, address: &str, folder: &Path) -> Command {
        let mut command = clean_command(&self.binary);
        command
            .args(["server", "--listen", address, "--data-dir"])
            .arg(data_path(folder))
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null());
        command
    }

    fn spawn(&self, address: &str, folder: &Path) -> Child {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log_path(folder))
            .expect("a log file beside the data");
        let errors = log.try_clone().expect("a second handle");
        self.command(address, folder).stdout(log).stderr(errors).spawn().expect("the binary starts")
    }
}

impl ServerProcess {
    /// `http://127.0.0.1:PORT` followed by `path`, or `https`.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.settings.scheme, self.address)
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `GET path`
    pub fn get(&self, path: &str) -> Request {
        Request::get(&self.url(path))
    }

    /// `POST path`
    pub fn post(&self, path: &str) -> Request {
        Request::post(&self.url(path))
    }

    /// What it wrote to standard output and standard error since its folder was made.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(self.folder.path())).unwrap_or_default()
    }

    /// `kill -9`: nothing can be saved or said.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process ends");
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let signalled = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(signalled.success(), "the process takes a signal");
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "did not stop after SIGTERM; it said:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts it again on the same folder and port after [`ServerProcess::kill`] or [`ServerProcess::terminate`].
    pub fn start_again(&mut self) {
        self.child = self.settings.spawn(&self.address, self.folder.path());
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let started = Instant::now();
        let ready = Request::get(&self.url("/ready"));
        while !ready.try_send().is_ok_and(|answer| answer.status == 200) {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                panic!("server ended at start: {status}; it said:\n{}", self.log());
            }
            assert!(started.elapsed() < PATIENCE, "server did not become ready; it said:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // A process that cannot be killed is beyond a test's reach.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A command whose settings come from the test alone, not from the environment of the shell that runs it.
pub fn clean_command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env_clear();
    // What programs, temporary files, backtraces and coverage need.
    for name in ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

fn data_path(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// What the server says lies beside its data.
fn log_path(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

/// A loopback address that was free a moment ago, and that nobody else is given: not another test of this process, and no
/// client's connection, for which systems take ports from 32,768 (Linux) or 49,152 (RFC 6335) on.
pub fn free_address() -> String {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    // Processes that test at the same time begin at different places.
    let begin = std::process::id().wrapping_mul(7919);
    loop {
        let port = FIRST + begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = format!("127.0.0.1:{port}");
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}
