//! The real Apache Kafka as a child process: one broker that is its own controller (KRaft), with its data in a folder of its own.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::server_process::free_address;

/// How long a start may take: a Java program, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(90);

/// Who may come over TLS.
pub const USER: &str = "timberyard";
/// With what.
pub const PASSWORD: &str = "a password of tests";

/// What a folder needs before a broker starts on it; the ids are any.
const META_PROPERTIES: &str =
    "version=1\ncluster.id=dGltYmVyeWFyZC10ZXN0cw\nnode.id=1\ndirectory.id=dGltYmVyeWFyZC1mb2xkZQ\n";

/// A running broker. Killed when dropped, or when the process that started it ends; its data is removed with it.
#[derive(Debug)]
pub struct KafkaBroker {
    address: String,
    /// Where it asks who one is, over TLS.
    secure_address: Option<String>,
    folder: TempDir,
    child: Child,
}

impl KafkaBroker {
    /// Whether `make deps` could not set Kafka up on this machine and has said which tests are left out.
    pub fn is_left_out() -> bool {
        tools().join("kafka-left-out").exists()
    }

    /// Starts it on an empty folder and free ports, with so many partitions a topic that it makes itself. Panics when
    /// `make deps` has not set it up.
    pub fn start(partitions: u32) -> Self {
        Self::start_with(partitions, None)
    }

    /// The same with one more address, [`secure_address`](Self::secure_address): over TLS, with this key and this certificate
    /// (PEM, one behind the other), for [`USER`] with [`PASSWORD`] by SASL PLAIN alone.
    pub fn start_with_tls(partitions: u32, key_and_certificate: &str) -> Self {
        Self::start_with(partitions, Some(key_and_certificate))
    }

    fn start_with(partitions: u32, key_and_certificate: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = free_address();
        std::fs::create_dir(folder.path().join("data")).expect("a folder for its data");
        std::fs::write(folder.path().join("data/meta.properties"), META_PROPERTIES).expect("written");
        let mut properties = properties(&address, &free_address(), folder.path(), partitions);
        let secure_address = key_and_certificate.map(|pem| {
            let (secure, file) = (free_address(), folder.path().join("broker.pem"));
            std::fs::write(&file, pem).expect("written");
            properties = with_tls(&properties, &secure, &file);
            secure
        });
        std::fs::write(folder.path().join("server.properties"), properties).expect("written");
        let child = spawn(folder.path());
        let mut broker = Self { address, secure_address, folder, child };
        broker.wait_until_ready();
        broker
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `127.0.0.1:PORT`, where it speaks TLS. Panics when it was started without.
    pub fn secure_address(&self) -> &str {
        self.secure_address.as_deref().expect("a broker with TLS")
    }

    /// `kill -9`
    pub fn kill(&mut self) {
        // What watches over the broker kills it when this end is closed.
        drop(self.child.stdin.take());
        self.child.wait().expect("the broker ends");
    }

    /// Starts it again on the same folder and ports.
    pub fn start_again(&mut self) {
        self.child = spawn(self.folder.path());
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let started = Instant::now();
        while TcpStream::connect(&self.address).is_err() {
            let said = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                panic!("kafka ended at start: {status}; it said:\n{}", said());
            }
            assert!(started.elapsed() < PATIENCE, "kafka did not become ready; it said:\n{}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for KafkaBroker {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It may have been killed already.
        let _ = self.child.wait();
    }
}

fn tools() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.tools")
}

fn spawn(folder: &Path) -> Child {
    let libraries = tools().join("kafka");
    assert!(libraries.is_dir(), "{} is missing: run `make deps`", libraries.display());
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .expect("a log file beside the data");
    // The shell ends the broker when its standard input is closed, by us or by our own end.
    let watch = "\"$@\" & broker=$!; read -r _; kill -9 $broker; wait $broker";
    Command::new("sh")
        .args(["-c", watch, "kafka", "java", "-Xmx320m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
        .arg("-cp")
        .arg(libraries.join("*"))
        .arg("kafka.Kafka")
        .arg(folder.join("server.properties"))
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("sh starts")
}

fn properties(address: &str, controller: &str, folder: &Path, partitions: u32) -> String {
    let mut text = String::new();
    let data = folder.join("data").display().to_string();
    let partitions = partitions.to_string();
    for (name, value) in [
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.quorum.voters", &format!("1@{controller}")),
        ("listeners", &format!("PLAINTEXT://{address},CONTROLLER://{controller}")),
        ("advertised.listeners", &format!("PLAINTEXT://{address}")),
        ("controller.listener.names", "CONTROLLER"),
        ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
        ("log.dirs", &data),
        ("num.partitions", &partitions),
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.replication.factor", "1"),
        ("transaction.state.log.num.partitions", "1"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("group.initial.rebalance.delay.ms", "0"),
        // A broker that was killed may come back under its number once this is over.
        ("broker.session.timeout.ms", "2000"),
        ("broker.heartbeat.interval.ms", "500"),
        // A member that was killed is given up soon.
        ("group.min.session.timeout.ms", "1000"),
    ] {
        writeln!(text, "{name}={value}").expect("memory is written to");
    }
    text
}

/// The same with a listener over TLS that wants to know who one is.
fn with_tls(properties: &str, secure: &str, key_and_certificate: &Path) -> String {
    let mut text: String = properties
        .lines()
        .map(|line| match line.split_once('=') {
            Some((name @ ("listeners" | "advertised.listeners"), value)) => {
                format!("{name}=SASL_SSL://{secure},{value}\n")
            }
            Some((name @ "listener.security.protocol.map", value)) => {
                format!("{name}=SASL_SSL:SASL_SSL,{value}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let who = format!(
        "org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";"
    );
    for (name, value) in [
        ("sasl.enabled.mechanisms", "PLAIN"),
        ("listener.name.sasl_ssl.plain.sasl.jaas.config", &who),
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", &key_and_certificate.display().to_string()),
    ] {
        writeln!(text, "{name}={value}").expect("memory is written to");
    }
    text
}
