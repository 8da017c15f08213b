//! The agent and the server as processes, killed again and again while files are rotated: every line is stored once.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use timberyard_testkit::http::Request;
use timberyard_testkit::server_process::{ServerProcess, clean_command, free_address};

use crate::logql::count;
use crate::start::{server, settings};

fn torture() -> bool {
    std::env::var_os("TIMBERYARD_TORTURE").is_some()
}

/// An agent; killed when dropped.
pub(crate) struct AgentProcess {
    folder: PathBuf,
    child: Child,
}

impl AgentProcess {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, &["--config", "agent.yaml"], Stdio::null())
    }

    /// With other flags, and something to read.
    pub(crate) fn start_with(folder: &Path, flags: &[&str], stdin: Stdio) -> Self {
        Self { folder: folder.to_owned(), child: Self::spawn(folder, flags, stdin) }
    }

    fn spawn(folder: &Path, flags: &[&str], stdin: Stdio) -> Child {
        let log = OpenOptions::new().create(true).append(true).open(folder.join("agent.log")).expect("a log");
        clean_command(Path::new(env!("CARGO_BIN_EXE_timberyard")))
            .arg("agent")
            .args(flags)
            .current_dir(folder)
            .stdin(stdin)
            .stderr(log)
            .spawn()
            .expect("the binary starts")
    }

    /// Where it reads from, if something was put there.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a pipe")
    }

    /// Waits until it ends.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("ends")
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ends");
    }

    pub(crate) fn start_again(&mut self) {
        self.child = Self::spawn(&self.folder, &["--config", "agent.yaml"], Stdio::null());
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("agent.log")).unwrap_or_default()
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        // One that has ended already is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configure(folder: &Path, server: &ServerProcess, rest: &str) {
    let url = server.url("");
    let text = format!(
        "server:\n  url: {url}\npositions_file: {0}/positions/agent.json\nbatch: {{wait_ms: 30, bytes_max: 20000}}\npoll_ms: 500\n\
         targets:\n  - path: {0}/logs/*.log\n    path_label: ''\n    labels: {{job: agent}}\n{rest}",
        folder.display()
    );
    fs::create_dir_all(folder.join("logs")).expect("made");
    fs::write(folder.join("agent.yaml"), text).expect("written");
}

/// Writes numbered lines to one file and rotates it, as logrotate does.
struct Writer {
    folder: PathBuf,
    name: String,
    file: File,
    number: usize,
}

impl Writer {
    fn new(folder: &Path, name: &str) -> Self {
        let folder = folder.join("logs");
        let file = Self::open(&folder.join(format!("{name}.log")));
        Self { folder, name: name.to_owned(), file, number: 0 }
    }

    fn open(path: &Path) -> File {
        OpenOptions::new().create(true).append(true).open(path).expect("opened")
    }

    fn at(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.log{ending}", self.name))
    }

    fn write(&mut self, lines: usize) {
        let mut text = String::new();
        for _ in 0..lines {
            self.number += 1;
            text.push_str(&format!("{} {:07} {}\n", self.name, self.number, "x".repeat(self.number % 70)));
        }
        self.file.write_all(text.as_bytes()).expect("written");
    }

    fn rotate(&mut self, way: usize) {
        for number in (1..=200).rev() {
            for packed in ["", ".gz"] {
                let from = self.at(&format!(".{number}{packed}"));
                if from.exists() {
                    fs::rename(from, self.at(&format!(".{}{packed}", number + 1))).expect("renamed");
                }
            }
        }
        if way == 0 {
            fs::copy(self.at(""), self.at(".1")).expect("copied");
            self.file.set_len(0).expect("cut");
            return;
        }
        fs::rename(self.at(""), self.at(".1")).expect("renamed");
        self.file = Self::open(&self.at(""));
        if way == 1 {
            let text = fs::read(self.at(".1")).expect("read");
            let packed = File::create(self.at(".1.gz")).expect("made");
            let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
            packed.write_all(&text).expect("written");
            packed.finish().expect("written");
            fs::remove_file(self.at(".1")).expect("removed");
        }
    }
}

fn wait_for(server: &ServerProcess, agent: &AgentProcess, lines: usize) {
    let begun = Instant::now();
    while count(server, r#"{job="agent"}"#) < lines as u64 {
        assert!(
            begun.elapsed() < Duration::from_secs(300),
            "{} of {lines} lines came; the agent said:\n{}",
            count(server, r#"{job="agent"}"#),
            agent.log()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn killing_agent_and_server_while_files_are_rotated_loses_and_repeats_nothing() {
    // Under load a round takes longer, and what happens in it stays the same.
    let (rounds, span) =
        if torture() { (usize::MAX, Duration::from_secs(300)) } else { (120, Duration::MAX) };
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = settings()
        .env("TIMBERYARD_STORAGE_HEAD_BYTES_MAX", "256KiB")
        .env("TIMBERYARD_STORAGE_WAL_BYTES_MAX", "8MiB")
        .start();
    configure(folder.path(), &server, "");
    let mut agent = AgentProcess::start(folder.path());
    let mut writers = ["one", "two", "three"].map(|name| Writer::new(folder.path(), name));
    let mut random = fastrand::Rng::with_seed(5);
    let begun = Instant::now();
    let (mut agent_kills, mut server_kills, mut rotations) = (0, 0, 0);
    for _ in 0..rounds {
        if begun.elapsed() >= span {
            break;
        }
        for writer in &mut writers {
            writer.write(random.usize(1..200));
            if random.u8(..) < 40 {
                writer.rotate(random.usize(..3));
                rotations += 1;
            }
            if random.u8(..) < 12 {
                // Twice, and nobody has seen the file between.
                writer.write(random.usize(20..100));
                writer.rotate(2);
                writer.write(random.usize(20..100));
                writer.rotate(2);
                rotations += 2;
            }
        }
        match random.u8(..) {
            0..20 => {
                agent.kill();
                agent_kills += 1;
                std::thread::sleep(Duration::from_millis(random.u64(..300)));
                agent.start_again();
            }
            20..32 => {
                server.kill();
                server_kills += 1;
                std::thread::sleep(Duration::from_millis(random.u64(..300)));
                server.start_again();
            }
            _ => std::thread::sleep(Duration::from_millis(random.u64(..60))),
        }
    }
    let written: usize = writers.iter().map(|writer| writer.number).sum();
    wait_for(&server, &agent, written);
    // Counted from the rows, by file: nothing is lost, and nothing is there twice.
    for writer in &writers {
        let query = format!(r#"{{job="agent"}} |~ "^{} ""#, writer.name);
        assert_eq!(count(&server, &query), writer.number as u64, "{}:\n{}", writer.name, agent.log());
        let mut times: BTreeMap<usize, usize> = BTreeMap::new();
        for thousand in 0..=writer.number / 1000 {
            let query = format!(r#"{{job="agent"}} |= "{} {thousand:04}""#, writer.name);
            for line in crate::logql::lines(&server, &query) {
                let number = line.split(' ').nth(1).and_then(|number| number.parse().ok()).expect("a number");
                *times.entry(number).or_default() += 1;
            }
        }
        let missing: Vec<usize> =
            (1..=writer.number).filter(|number| !times.contains_key(number)).take(20).collect();
        let repeated: Vec<(usize, usize)> = times
            .iter()
            .filter(|(_, count)| **count > 1)
            .take(20)
            .map(|(number, count)| (*number, *count))
            .collect();
        assert_eq!((missing, repeated), (vec![], vec![]), "{}:\n{}", writer.name, agent.log());
    }
    println!(
        "figure: agent: {written} lines in {} files, {rotations} rotations, {agent_kills} kills of the agent and {server_kills} of the server in {} s: 0 lost, 0 repeated",
        writers.len(),
        begun.elapsed().as_secs()
    );
}

#[test]
fn the_status_page_tells_what_was_read_and_stored() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server();
    let address = free_address();
    configure(folder.path(), &server, &format!("status_listen: {address}\n"));
    let agent = AgentProcess::start(folder.path());
    Writer::new(folder.path(), "one").write(10);
    wait_for(&server, &agent, 10);
    let page = |path: &str| Request::get(&format!("http://{address}{path}"));
    let begun = Instant::now();
    while !page("/metrics").send().text().contains("timberyard_agent_lines_stored_total 10\n") {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", page("/metrics").send().text());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(page("/ready").send().status, 200);
    assert!(page("/").send().text().contains("10  Lines read"));
    assert_eq!(page("/elsewhere").send().status, 404);
}
