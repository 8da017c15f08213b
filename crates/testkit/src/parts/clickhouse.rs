//! The real engine of ClickHouse behind its HTTP interface: a child process with its data in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::http::Request;
use crate::server_process::free_address;

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running engine. Killed when dropped, or when the process of the test ends; its data is removed with it.
#[derive(Debug)]
pub struct ClickHouse {
    address: String,
    folder: TempDir,
    child: Child,
}

impl ClickHouse {
    /// Starts it on an empty folder and a free port, and waits until it answers. Panics when `make deps` has not set it up.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = free_address();
        let child = spawn(&address, folder.path());
        let mut engine = Self { address, folder, child };
        engine.wait_until_ready();
        engine
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The answer to a query as tab separated text. Panics with the engine's words when it refuses.
    pub fn query(&self, sql: &str) -> String {
        let answer = Request::post(&self.url()).body(sql).send();
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text());
        answer.text().trim_end().to_owned()
    }

    /// `kill -9`
    pub fn kill(&mut self) {
        self.child.kill().expect("the engine can be killed");
        self.child.wait().expect("the engine ends");
    }

    /// Starts it again on the same folder and port.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.address, self.folder.path());
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let started = Instant::now();
        let ready = Request::get(&format!("{}/ping", self.url()));
        while !ready.try_send().is_ok_and(|answer| answer.status == 200) {
            let said = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                panic!("clickhouse ended at start: {status}; it said:\n{}", said());
            }
            assert!(started.elapsed() < PATIENCE, "clickhouse did not become ready; it said:\n{}", said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(address: &str, folder: &Path) -> Child {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".tools/python/bin/python");
    assert!(python.exists(), "{} is missing: run `make deps`", python.display());
    let (_, port) = address.rsplit_once(':').expect("an address with a port");
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("a log file beside the data");
    Command::new(python)
        .arg(root.join("scripts/python/clickhouse_http.py"))
        .arg(folder)
        .arg(port)
        // When it ends, so does the program: a value that lives as long as its process is never dropped.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("python starts")
}
