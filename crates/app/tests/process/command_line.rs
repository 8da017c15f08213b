//! Commands as a user types them, against a running server.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use timberyard_testkit::eventually::eventually;
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::{SECOND, now, rfc3339};
use crate::logql::{count, lines, push};
use crate::start::{SECRET, server, server_with, settings};
use crate::terminal::{command, timberyard, timberyard_reading};

/// Sixteen small files such as programs of all kinds leave behind, each with its lines as they must be found.
fn odd_files(folder: &std::path::Path) -> Vec<(String, PathBuf, Vec<Vec<u8>>)> {
    let long = "x".repeat(200_000);
    let many: String =
        (0..3000).map(|n| format!("081109 20{n:04} INFO dfs.DataNode: block blk_{n}\n")).collect();
    let texts: [(&str, &[u8]); 16] = [
        ("plain", b"one\ntwo\nthree\n"),
        ("no-newline-at-end", b"one\ntwo"),
        ("windows", b"one\r\ntwo\r\n"),
        ("empty-lines", b"one\n\n\ntwo\n\n"),
        ("empty", b""),
        ("one-newline", b"\n"),
        ("not-utf8", b"caf\xe9\n\xff\xfe\nplain\n"),
        ("very-long", long.as_bytes()),
        ("many", many.as_bytes()),
        ("equal", b"same\nsame\nsame\n"),
        ("json", b"{\"level\":\"error\",\"n\":1}\n{\"level\":\"info\",\"n\":2}\n"),
        ("logfmt", b"level=warn msg=\"a b\"\nlevel=info msg=c\n"),
        ("spaces", b"  leading\ntrailing  \n\ttab\n \n"),
        ("escapes", b"quote \" backslash \\ brace {} \x1b[31mred\x1b[0m\n"),
        ("nul", b"a\0b\n"),
        ("unicode", "é \u{1f980} \u{202e}rtl\nΑθήνα\n".as_bytes()),
    ];
    texts
        .iter()
        .map(|(name, text)| {
            let path = folder.join(format!("{name}.log"));
            std::fs::write(&path, text).expect("a file");
            let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            // After the last newline there is no line.
            if lines.last().is_some_and(Vec::is_empty) {
                lines.pop();
            }
            ((*name).to_owned(), path, lines)
        })
        .collect()
}

/// The lines of a file that are found, as JSON shows them: U+FFFD for what is not UTF-8.
fn shown(lines: &[Vec<u8>]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

fn without_carriage_return(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| line.strip_suffix('\r').unwrap_or(line).to_owned()).collect()
}

#[track_caller]
fn check_files(server: &ServerProcess, files: &[(String, PathBuf, Vec<Vec<u8>>)]) {
    for (name, _, expected) in files {
        let selector = format!(r#"{{file="{name}"}}"#);
        let found = without_carriage_return(&lines(server, &selector));
        let expected = without_carriage_return(&shown(expected));
        // An empty line is a line for whoever counts, but Loki's clients may leave it out.
        assert_eq!(found, expected, "{name}");
        assert_eq!(count(server, &selector), found.len() as u64, "{name} counted");
    }
}

#[test]
fn pushed_files_are_found_line_by_line_and_counted_exactly() {
    let mut server = server();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = odd_files(folder.path());
    for (name, path, _) in &files {
        let label = format!("file={name}");
        timberyard(&[
            "push",
            &path.display().to_string(),
            "--label",
            &label,
            "--label",
            "job=files",
            "--url",
            &server.url(""),
        ])
        .succeeded();
    }
    check_files(&server, &files);
    let total: usize = files.iter().map(|(_, _, lines)| lines.len()).sum();
    assert_eq!(count(&server, r#"{job="files"}"#), total as u64);
    server.kill();
    server.start_again();
    check_files(&server, &files);
    server.post("/flush").send();
    check_files(&server, &files);
}

#[test]
fn a_push_outlives_a_server_that_is_killed_under_it_and_doubles_nothing() {
    let mut server = server();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("long.log");
    let mut text = String::new();
    for n in 0..60_000 {
        text.push_str(&format!("line {n} of a file that takes a while to push\n"));
    }
    std::fs::write(&path, &text).expect("a file");
    let pushing = command(&[
        "push",
        &path.display().to_string(),
        "--label",
        "job=retried",
        "--batch-bytes",
        "16KiB",
        "--url",
        &server.url(""),
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .expect("the binary starts");
    for more in [1, 5000, 10_000] {
        eventually("some of the push", || (count(&server, r#"{job="retried"}"#) >= more).then_some(()));
        server.kill();
        server.start_again();
    }
    let said = crate::terminal::Said::from(pushing.wait_with_output().expect("the push ends"));
    said.succeeded();
    assert_eq!(count(&server, r#"{job="retried"}"#), 60_000);
    for n in [0, 1, 29_999, 59_999] {
        let query = format!(r#"{{job="retried"}} |= "line {n} of""#);
        assert_eq!(lines(&server, &query).len(), 1, "line {n}");
    }
}

#[test]
fn pushing_the_same_files_again_with_the_same_start_adds_nothing() {
    let server = server();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("again.log");
    std::fs::write(&path, "same\nsame\nother\n").expect("a file");
    let start = rfc3339(now() - SECOND);
    let file = path.display().to_string();
    for _ in 0..2 {
        timberyard(&["push", &file, "--label", "job=again", "--start", &start, "--url", &server.url("")])
            .succeeded();
    }
    assert_eq!(lines(&server, r#"{job="again"}"#), ["same", "same", "other"]);
}

#[test]
fn standard_input_is_pushed_line_by_line() {
    let server = server();
    timberyard_reading(&["push", "-", "--label", "job=stdin", "--url", &server.url("")], b"a\nb\nc")
        .succeeded();
    assert_eq!(lines(&server, r#"{job="stdin"}"#), ["a", "b", "c"]);
}

#[test]
fn what_cannot_be_pushed_is_said() {
    let server = server();
    let missing = timberyard(&["push", "/nowhere/at/all.log", "--url", &server.url("")]).failed();
    assert!(missing.errors.contains("/nowhere/at/all.log"), "{}", missing.errors);
    let label =
        timberyard_reading(&["push", "-", "--label", "a-b=c", "--url", &server.url("")], b"x\n").failed();
    assert!(label.errors.contains("a-b"), "{}", label.errors);
    let closed =
        timberyard_reading(&["push", "-", "--retry-for", "0s", "--url", "http://127.0.0.1:1"], b"x\n")
            .failed();
    assert!(closed.errors.contains("127.0.0.1:1"), "{}", closed.errors);
    let long = [vec![b'x'; 300_000], b"\nshort\n".to_vec()].concat();
    let said = timberyard_reading(&["push", "-", "--label", "job=long", "--url", &server.url("")], &long);
    assert!(said.errors.contains("262144"), "a line that is left out is reported: {}", said.errors);
    assert_eq!(lines(&server, r#"{job="long"}"#), ["short"], "its neighbours are sent");
}

#[test]
fn query_prints_lines_in_each_form() {
    let server = server();
    push(
        &server,
        &json!({ "job": "q", "env": "e" }),
        &[(now() - 2 * SECOND, "first"), (now() - SECOND, "second")],
    );
    let url = server.url("");
    let query = |more: &[&str]| {
        let all = [&["query", r#"{job="q"}"#, "--url", &url][..], more].concat();
        timberyard(&all).succeeded().text()
    };
    assert_eq!(query(&["--output", "raw"]), "second\nfirst\n");
    assert_eq!(query(&["--output", "raw", "--direction", "forward"]), "first\nsecond\n");
    assert_eq!(query(&["--output", "raw", "--limit", "1"]), "second\n");
    assert_eq!(query(&["--output", "raw", "--since", "1ms"]), "");
    let plain = query(&[]);
    assert!(plain.contains("first") && plain.contains("env"), "{plain}");
    let objects = query(&["--output", "jsonl"]);
    assert_eq!(objects.lines().count(), 2);
    for line in objects.lines() {
        let object: Value = serde_json::from_str(line).expect("JSON on each line");
        assert_eq!(object["labels"]["env"], "e", "{object}");
        assert!(object["line"].is_string() && !object["timestamp"].is_null(), "{object}");
    }
    let counted =
        timberyard(&["query", r#"sum(count_over_time({job="q"}[5m]))"#, "--instant", "--url", &url])
            .succeeded();
    assert!(counted.text().contains('2'), "{}", counted.text());
    let wrong = timberyard(&["query", r#"{job="q""#, "--url", &url]).failed();
    assert!(wrong.errors.contains("line 1") || wrong.errors.contains("col"), "{}", wrong.errors);
    timberyard(&["query", r#"{job="q"}"#, "--url", "http://127.0.0.1:1"]).failed();
}

#[test]
fn query_and_push_show_their_key_and_tenant() {
    let server = server_with(&[("API_KEYS", "k")]);
    let url = server.url("");
    let client = ["--url", &url, "--api-key", "k", "--tenant", "red"];
    timberyard_reading(&[&["push", "-", "--label", "job=keyed"][..], &client].concat(), b"x\n").succeeded();
    let found =
        timberyard(&[&["query", r#"{job="keyed"}"#, "--output", "raw"][..], &client].concat()).succeeded();
    assert_eq!(found.text(), "x\n");
    let other =
        timberyard(&["query", r#"{job="keyed"}"#, "--output", "raw", "--url", &url, "--api-key", "k"])
            .succeeded();
    assert_eq!(other.text(), "");
    let refused = timberyard(&["query", r#"{job="keyed"}"#, "--url", &url]).failed();
    assert!(refused.errors.contains("401") || refused.errors.contains("key"), "{}", refused.errors);
    let mut from_environment = command(&["query", r#"{job="keyed"}"#, "--output", "raw", "--tenant", "red"]);
    let said = from_environment.env("LOGPULSE_SERVER_URL", &url).env("LOGPULSE_API_KEY", "k").output();
    assert_eq!(said.expect("the binary starts").stdout, b"x\n");
}

/// A running `timberyard tail` and the lines that it prints. Ended when dropped, also by a test that fails.
struct Tail {
    child: Child,
    lines: Receiver<String>,
}

impl Tail {
    fn start(server: &ServerProcess, query: &str) -> Self {
        let url = server.url("");
        let mut child = command(&["tail", query, "--output", "raw", "--since", "1m", "--url", &url])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        // Ends with the pipe, or when nobody listens any longer.
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line).map_err(drop))
        });
        Self { child, lines }
    }

    #[track_caller]
    fn expect(&self, line: &str) {
        assert_eq!(self.lines.recv_timeout(Duration::from_secs(20)).expect("a line"), line);
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn tail_prints_lines_as_they_come() {
    let server = server();
    let tail = Tail::start(&server, r#"{job="tailed"} |= "show""#);
    push(&server, &json!({ "job": "tailed" }), &[(now(), "show one"), (now() + 1, "hide")]);
    tail.expect("show one");
    push(&server, &json!({ "job": "tailed" }), &[(now(), "show two")]);
    tail.expect("show two");
}

#[test]
fn tail_goes_on_after_the_server_was_killed_and_misses_nothing() {
    let mut server = server();
    let tail = Tail::start(&server, r#"{job="reconnected"}"#);
    let labels = json!({ "job": "reconnected" });
    push(&server, &labels, &[(now(), "before")]);
    tail.expect("before");
    server.kill();
    server.start_again();
    push(&server, &labels, &[(now(), "after")]);
    tail.expect("after");
}

#[test]
fn keys_are_issued_and_verified_with_the_secret_of_flag_or_environment() {
    let issued = timberyard(&["keys", "issue", "--client", "web", "--secret", "s"]).succeeded().text();
    // HMAC-SHA256("s", "web"), computed with another tool.
    assert_eq!(issued, "web.hHC7ST6nJy0ISCb8Ob7nxRKu8uJ_DRhy2FpVtPuhRlQ\n");
    let from_environment = command(&["keys", "issue", "--client", "web"]).env("AUTH_SECRET", "s").output();
    assert_eq!(from_environment.expect("the binary starts").stdout, issued.as_bytes());
    let verified = timberyard(&["keys", "verify", issued.trim(), "--secret", "s"]).succeeded();
    assert!(verified.text().contains("web"), "{}", verified.text());
    let dotted = timberyard(&["keys", "issue", "--client", "a.b.c", "--secret", SECRET]).succeeded().text();
    let said =
        command(&["keys", "verify", dotted.trim()]).env("AUTH_SECRET", SECRET).output().expect("it starts");
    assert!(String::from_utf8_lossy(&said.stdout).contains("a.b.c"));
    for key in ["web", "web.", "web.AAAA", "other.key"] {
        timberyard(&["keys", "verify", key, "--secret", "s"]).failed();
    }
    timberyard(&["keys", "verify", issued.trim(), "--secret", "another"]).failed();
    let without = timberyard(&["keys", "issue", "--client", "web"]).failed();
    assert!(without.errors.contains("AUTH_SECRET"), "{}", without.errors);
}

#[test]
fn loadgen_sends_exactly_so_many_entries_in_each_format() {
    for format in ["loggo", "logtopus", "logpulse", "logstream", "change66", "loki"] {
        let server = server();
        timberyard(&[
            "loadgen",
            "--url",
            &server.url(""),
            "--format",
            format,
            "--total",
            "55",
            "--batch",
            "10",
        ])
        .succeeded();
        assert_eq!(count(&server, r#"{service_name=~".+"}"#), 55, "{format}");
    }
}

#[test]
fn loadgen_of_log_go_has_four_services_and_weighted_levels() {
    let server = server();
    timberyard(&[
        "loadgen",
        "--url",
        &server.url(""),
        "--total",
        "400",
        "--seed",
        "1",
        "--labels",
        "--delay",
        "1",
    ])
    .succeeded();
    let services = server.get("/labels/service/values").send().expect_status(200).json();
    assert_eq!(services.as_array().expect("an array").len(), 4, "{services}");
    let levels = server.get("/labels/level/values").send().expect_status(200).json();
    assert!(levels.as_array().expect("an array").len() >= 3, "{levels}");
}

/// LogPulse's own server file, as its users have it.
const LOGPULSE_FILE: &str = "server:\n  port: 9090\nstorage:\n  path: /var/lib/logpulse\n  chunk_size_bytes: 1048576\n  \
    retention_days: 7\ningest:\n  buffer_size: 10000\nauth:\n  enabled: true\n  api_key: pulse-key\n";

#[test]
fn settings_are_checked_and_shown_with_where_each_came_from() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("logpulse.yaml");
    std::fs::write(&file, LOGPULSE_FILE).expect("a file");
    let file = file.display().to_string();
    timberyard(&["config", "check", "--config", &file]).succeeded();
    let shown = command(&["config", "print", "--config", &file])
        .env("LOGPULSE_PORT", "9191")
        .output()
        .expect("it starts");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let line = |part: &str| {
        shown
            .lines()
            .find(|line| line.contains(part))
            .unwrap_or_else(|| panic!("{part} in\n{shown}"))
            .to_owned()
    };
    assert!(line("port: 9191").contains("LOGPULSE_PORT"), "{shown}");
    assert!(line("/var/lib/logpulse").contains("logpulse.yaml"), "{shown}");
    assert!(line("retention_days").contains('7'), "{shown}");
    assert!(line("node_id").contains("default"), "{shown}");
    assert!(!shown.contains("pulse-key"), "secrets are masked: {shown}");

    let server = settings().argument("--config").argument(&file).start();
    server.get("/labels").send().expect_status(401);
    server.get("/labels").header("X-API-Key", "pulse-key").send().expect_status(200);

    for (yaml, named) in [
        ("listn: 127.0.0.1:1\n", "listn"),
        ("storage:\n  retention_day: 3\n", "retention_day"),
        ("server:\n  port: high\n", "port"),
        ("kafka:\n  brokers: [a]\n", "kafka"),
        ("storage: [\n", "line"),
    ] {
        std::fs::write(&file, yaml).expect("a file");
        let said = timberyard(&["config", "check", "--config", &file]).failed();
        assert!(said.all().contains(named), "{yaml}: {}", said.all());
        let refused = timberyard(&["server", "--config", &file, "--listen", "127.0.0.1:0"]).failed();
        assert!(refused.all().contains(named), "{yaml}: {}", refused.all());
    }
    let absent = timberyard(&["config", "check", "--config", "/nowhere.yaml"]).failed();
    assert!(absent.all().contains("/nowhere.yaml"), "{}", absent.all());
}

#[test]
fn flags_count_before_environment_and_environment_before_the_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("t.yaml");
    std::fs::write(&file, "listen: 127.0.0.1:1111\nnode_id: of-file\n").expect("a file");
    let print = |flags: &[&str], variables: &[(&str, &str)]| {
        let all = [&["config", "print", "--config", file.to_str().expect("UTF-8")][..], flags].concat();
        let output = command(&all).envs(variables.iter().copied()).output().expect("it starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(print(&[], &[]).contains("127.0.0.1:1111"));
    assert!(print(&[], &[("TIMBERYARD_NODE_ID", "of-environment")]).contains("of-environment"));
    let flagged = print(&["--listen", "127.0.0.1:3333"], &[("TIMBERYARD_LISTEN", "127.0.0.1:2222")]);
    assert!(flagged.contains("127.0.0.1:3333") && !flagged.contains("2222"), "{flagged}");
    let ported = print(&[], &[("PORT", "4444")]);
    assert!(ported.contains("4444") && ported.contains("PORT"), "{ported}");
}

#[test]
fn an_environment_file_is_read() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(b"# keys\nAPI_KEYS=\"from-file\"\n").expect("a file");
    let server = settings().argument("--env-file").argument(&file.path().display().to_string()).start();
    server.get("/labels").send().expect_status(401);
    server.get("/labels").header("X-API-Key", "from-file").send().expect_status(200);
}

#[test]
fn help_names_every_command() {
    let help = timberyard(&["--help"]).succeeded().text();
    for name in [
        "server",
        "query",
        "tail",
        "push",
        "keys",
        "loadgen",
        "config",
        "retention",
        "verify",
        "snapshot",
        "restore",
    ] {
        assert!(help.contains(name), "{name}: {help}");
    }
    assert!(timberyard(&["--version"]).succeeded().text().contains("timberyard"));
    timberyard(&["serve"]).failed();
}
