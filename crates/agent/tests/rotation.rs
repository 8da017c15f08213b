//! Every line of files that are rotated in every way arrives once, though answers are lost, the server is away at times, and the agent
//! is ended and goes on from positions that it had written down earlier.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use timberyard_agent::{Agent, AgentMetrics, AgentSettings, Answer, SendError, Transport};
use timberyard_model::origin::{AlreadyStored, OriginEnd, OriginName};
use timberyard_model::{Limits, TenantId, Timestamp};
use timberyard_wire::{DecodeContext, LabelAttributes, loki_push_proto, origin_header};

/// A server in memory that stores each stretch once.
#[derive(Clone, Default)]
struct MemoryServer(Arc<Mutex<Stored>>);

#[derive(Default)]
struct Stored {
    ends: BTreeMap<OriginName, u64>,
    lines: Vec<(String, String)>,
    requests: u64,
    /// Whether nobody answers.
    away: bool,
    /// Every so many requests one is stored and its answer lost, and another is refused for now.
    trouble_every: u64,
    /// Lines with this in them are refused, with the request that they are in.
    refused: Option<&'static str>,
}

impl MemoryServer {
    fn lock(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> Vec<String> {
        self.lock().lines.iter().map(|(_, line)| line.clone()).collect()
    }
}

impl Transport for MemoryServer {
    fn address(&self) -> String {
        "memory".to_owned()
    }

    fn post(&self, _: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, SendError> {
        let mut stored = self.lock();
        if stored.away {
            return Err(SendError { reason: "nobody is there".to_owned(), not_sent: true });
        }
        stored.requests += 1;
        let trouble = stored.requests.checked_rem(stored.trouble_every).unwrap_or(u64::MAX);
        if trouble == 1 {
            return Ok(Answer { status: 503, ..Answer::default() });
        }
        let (_, origins) = headers.iter().find(|(name, _)| *name == origin_header::ORIGIN).expect("origins");
        let origins = origin_header::read_ranges(origins).expect("valid");
        if let Some(known) = AlreadyStored::of(&origins, |name| stored.ends.get(name).copied()) {
            let status = if known.whole { 204 } else { 409 };
            let ends = Some(origin_header::write_ends(&known.ends));
            return Ok(Answer { status, stored: ends, duplicate: known.whole, ..Answer::default() });
        }
        let (tenant, limits) = (TenantId::default(), Limits::default());
        let context = DecodeContext {
            tenant: &tenant,
            received_at: Timestamp::from_nanos(i64::MAX),
            client_ip: None,
            node_id: "test",
            limits: &limits,
            label_attributes: LabelAttributes::loki(),
            discover_service_name: false,
            detect_level: false,
        };
        let batch = loki_push_proto::decode(body, &context).expect("a push").batch;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let lines: Vec<(String, String)> =
            batch.rows.iter().map(|row| (row.labels().to_string(), text(row.line()))).collect();
        if let Some(bad) = stored.refused
            && lines.iter().any(|(_, line)| line.contains(bad))
        {
            return Ok(Answer { status: 400, ..Answer::default() });
        }
        stored.lines.extend(lines);
        stored.ends.extend(origins.iter().map(|range| (range.name.clone(), range.to)));
        if trouble == 2 {
            return Err(SendError { reason: "the answer is lost".to_owned(), not_sent: false });
        }
        let ends: Vec<OriginEnd> =
            origins.iter().map(|range| OriginEnd { name: range.name.clone(), end: range.to }).collect();
        Ok(Answer { status: 204, stored: Some(origin_header::write_ends(&ends)), ..Answer::default() })
    }
}

/// An agent on a thread of its own.
struct Running {
    stop: Box<dyn Fn() + Send + Sync>,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    fn start(settings: &AgentSettings, server: &MemoryServer) -> Self {
        let agent = Agent::new(settings, Arc::new(AgentMetrics::default()), None).expect("starts");
        let stop = Box::new(agent.stopper());
        let server = server.clone();
        let thread = std::thread::spawn(move || agent.run(vec![Box::new(server)]).expect("runs"));
        Self { stop, thread }
    }

    fn stop(self) {
        (self.stop)();
        self.thread.join().expect("ends");
    }
}

fn settings(folder: &Path, target: &str) -> AgentSettings {
    let text = format!(
        "server: {{url: memory}}\npositions_file: {}/state/positions.json\nbatch: {{wait_ms: 20, bytes_max: 4096}}\n\
         poll_ms: 500\ntargets:\n  - path: {}/app.log\n{target}",
        folder.display(),
        folder.display()
    );
    AgentSettings::read(&text).expect("valid")
}

/// Waits until the server has so many lines, and a little longer for more than that.
fn wait_for(server: &MemoryServer, lines: usize) {
    let begun = Instant::now();
    while server.lock().lines.len() < lines && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Writes lines to `app.log` and rotates it.
struct Writer {
    folder: PathBuf,
    file: File,
    number: usize,
}

impl Writer {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), file: Self::open(folder), number: 0 }
    }

    fn open(folder: &Path) -> File {
        OpenOptions::new().create(true).append(true).open(folder.join("app.log")).expect("opened")
    }

    fn write(&mut self, lines: usize) {
        for _ in 0..lines {
            self.number += 1;
            writeln!(self.file, "line {:06} {}", self.number, "x".repeat(self.number % 90)).expect("written");
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes `app.log.1` free, as logrotate does.
    fn shift(&self) {
        for number in (1..20).rev() {
            for ending in ["", ".gz"] {
                let from = self.at(&format!("app.log.{number}{ending}"));
                if from.exists() {
                    fs::rename(from, self.at(&format!("app.log.{}{ending}", number + 1))).expect("renamed");
                }
            }
        }
    }

    fn rename(&mut self) {
        self.shift();
        fs::rename(self.at("app.log"), self.at("app.log.1")).expect("renamed");
        self.file = Self::open(&self.folder);
    }

    fn copy_and_truncate(&mut self) {
        self.shift();
        fs::copy(self.at("app.log"), self.at("app.log.1")).expect("copied");
        self.file.set_len(0).expect("cut");
    }

    fn rename_and_compress(&mut self) {
        self.rename();
        let text = fs::read(self.at("app.log.1")).expect("read");
        let packed = File::create(self.at("app.log.1.gz")).expect("made");
        let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        packed.write_all(&text).expect("written");
        packed.finish().expect("written");
        fs::remove_file(self.at("app.log.1")).expect("removed");
    }
}

#[test]
fn every_line_arrives_once_over_rotation_restarts_and_lost_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = MemoryServer::default();
    server.lock().trouble_every = 7;
    let settings = settings(folder.path(), "");
    let positions = folder.path().join("state/positions.json");
    let mut random = fastrand::Rng::with_seed(7);
    let mut writer = Writer::new(folder.path());
    let mut agent = Running::start(&settings, &server);
    for round in 0..24 {
        writer.write(random.usize(50..400));
        match round % 6 {
            0 => writer.rename(),
            1 => writer.copy_and_truncate(),
            2 => writer.rename_and_compress(),
            3 => {
                // Twice, before anybody has looked.
                writer.rename();
                writer.write(120);
                writer.rename();
            }
            4 => {
                // As after a kill: what was written down last is older than what was stored.
                server.lock().away = true;
                let written_down = fs::read(&positions).expect("read");
                agent.stop();
                fs::write(&positions, written_down).expect("written");
                server.lock().away = false;
                writer.write(100);
                if random.bool() {
                    writer.copy_and_truncate();
                } else {
                    writer.rename_and_compress();
                }
                writer.write(100);
                agent = Running::start(&settings, &server);
            }
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(random.u64(0..120)));
    }
    wait_for(&server, writer.number);
    std::thread::sleep(Duration::from_millis(300));
    agent.stop();
    let mut numbers: Vec<usize> =
        server.lines().iter().map(|line| line[5..11].parse().expect("a number")).collect();
    numbers.sort_unstable();
    let missing: Vec<usize> =
        (1..=writer.number).filter(|number| numbers.binary_search(number).is_err()).collect();
    let repeated: Vec<usize> =
        numbers.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    let some = |numbers: &[usize]| numbers.iter().take(20).copied().collect::<Vec<_>>();
    let counts = (missing.len(), repeated.len());
    assert_eq!(counts, (0, 0), "of {}: {:?} {:?}", writer.number, some(&missing), some(&repeated));
}

#[test]
fn a_line_that_is_refused_is_left_out_and_its_neighbours_arrive() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = MemoryServer::default();
    server.lock().refused = Some("000007");
    let mut writer = Writer::new(folder.path());
    writer.write(30);
    let agent = Running::start(&settings(folder.path(), ""), &server);
    wait_for(&server, 29);
    agent.stop();
    let lines = server.lines();
    assert_eq!(lines.len(), 29);
    assert!(lines.iter().all(|line| !line.contains("000007")));
    assert!(lines.is_sorted(), "in their order");
}

#[test]
fn lines_are_decoded_joined_and_labelled() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = MemoryServer::default();
    let text = "2026-11-21T10:00:00Z stdout P first \n2026-11-21T10:00:00Z stdout F half\n\
                2026-11-21T10:00:01Z stderr F Exception: x\n2026-11-21T10:00:01Z stderr F \tat a.b(C.java:1)\n";
    fs::write(folder.path().join("app.log"), text).expect("written");
    let target = "    labels: {app: shop}\n    path_label: ''\n    format: cri\n    multiline: {preset: java, wait_ms: 100}\n";
    let agent = Running::start(&settings(folder.path(), target), &server);
    wait_for(&server, 2);
    agent.stop();
    let expected = [
        (r#"{app="shop", stream="stdout"}"#, "first half"),
        (r#"{app="shop", stream="stderr"}"#, "Exception: x\n\tat a.b(C.java:1)"),
    ];
    assert_eq!(server.lock().lines, expected.map(|(labels, line)| (labels.to_owned(), line.to_owned())));
}
