//! What an agent's file may say: LogPulse's and Promtail's as they are, steps, and where containers run.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use timberyard_testkit::eventually::eventually;
use timberyard_testkit::server_process::{ServerProcess, clean_command};

use crate::agent::AgentProcess;
use crate::logql::{Entry, entries, texts};
use crate::start::server;

/// Waits for so many entries.
#[track_caller]
fn come(server: &ServerProcess, agent: &AgentProcess, query: &str, count: usize) -> Vec<Entry> {
    eventually(&format!("{count} entries; the agent said {}", agent.log()), || {
        let entries = entries(server, query);
        (entries.len() >= count).then_some(entries)
    })
}

/// The entries' lines, in the order of letters.
fn lines(entries: &[Entry]) -> Vec<&str> {
    let mut lines: Vec<&str> = entries.iter().map(|entry| entry.line.as_str()).collect();
    lines.sort_unstable();
    lines
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, text).expect("written");
}

#[test]
fn logpulses_agent_file_works_as_it_is() {
    let server = server();
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("logs/app/a.log"), "ERROR one is lost\nINFO two is found\n");
    let config = format!(
        "server:\n  url: {}\n  api_key: \"\"\n\npositions_file: ./positions.json\n\ntargets:\n  - path: {}/logs/app/*.log\n    labels:\n      service: payments\n      env: prod\n",
        server.url(""),
        folder.path().display()
    );
    write(&folder.path().join("agent.yaml"), &config);
    let agent = AgentProcess::start(folder.path());
    let entries = come(&server, &agent, r#"{service="payments", env="prod"}"#, 2);
    assert_eq!(lines(&entries), ["ERROR one is lost", "INFO two is found"]);
    // Each line has its own level, and LogPulse's own query finds it.
    let found = server.get("/query").query("query", r#"{service="payments"} |= "lost""#).send().json();
    assert_eq!(found["logs"][0]["level"], "error", "{found}");
    assert!(texts(&server.get("/labels").send().json()).contains(&"env"));
    eventually("positions", || folder.path().join("positions.json").exists().then_some(()));
}

#[test]
fn a_scrape_file_of_promtail_is_read_and_what_is_ignored_is_said() {
    let server = server();
    let folder = tempfile::tempdir().expect("a folder");
    write(
        &folder.path().join("logs/a.log"),
        "{\"level\":\"warn\",\"msg\":\"slow\",\"ts\":\"2024-05-01T00:00:00Z\"}\n{\"level\":\"debug\",\"msg\":\"no\"}\n",
    );
    let config = format!(
        r"
server: {{http_listen_port: 0, grpc_listen_port: 0}}
positions: {{filename: {folder}/positions.yaml}}
clients:
  - url: {url}
scrape_configs:
  - job_name: app
    static_configs:
      - targets: [localhost]
        labels: {{job: app, __path__: {folder}/logs/*.log}}
    pipeline_stages:
      - json: {{expressions: {{level: level, message: msg}}}}
      - drop: {{source: level, value: debug}}
      - labels: {{level: ''}}
      - metrics: {{}}
      - output: {{source: message}}
",
        folder = folder.path().display(),
        url = server.url("/loki/api/v1/push"),
    );
    write(&folder.path().join("promtail.yaml"), &config);
    let flags = ["--promtail", "promtail.yaml"];
    let agent = AgentProcess::start_with(folder.path(), &flags, Stdio::null());
    let entries = come(&server, &agent, r#"{job="app", level="warn"}"#, 1);
    assert_eq!(lines(&entries), ["slow"]);
    let ignored = agent.log();
    assert!(
        ignored.contains("promtail.yaml: ignored: scrape_configs[0].pipeline_stages[3].metrics"),
        "{ignored}"
    );
    assert!(ignored.contains("server.grpc_listen_port"), "{ignored}");
}

#[test]
fn steps_times_and_the_pod_of_a_path_reach_the_server() {
    let server = server();
    let folder = tempfile::tempdir().expect("a folder");
    let now = crate::clock::now() / 1_000_000_000;
    write(
        &folder.path().join("pods/shop_api-1_0f5c/web/0.log"),
        &format!(
            "2026-11-21T10:00:00Z stdout F at={now} user=a@example.org\n2026-11-21T10:00:00Z stderr F GET /health\n"
        ),
    );
    let config = format!(
        "server: {{url: {}}}\nsteps:\n  - redact: {{rules: [email]}}\ntargets:\n  - path: {}/pods/*/*/*.log\n    path_label: ''\n    format: cri\n    \
         kubernetes: true\n    time: {{field: at, format: unix}}\n    steps:\n      - drop: {{line: GET /health}}\n      - parse: {{format: logfmt, fields: [at]}}\n",
        server.url(""),
        folder.path().display()
    );
    write(&folder.path().join("agent.yaml"), &config);
    let agent = AgentProcess::start(folder.path());
    let query = r#"{namespace="shop", pod="api-1", container="web", stream="stdout"}"#;
    let entries = come(&server, &agent, query, 1);
    assert_eq!(lines(&entries), [format!("at={now} user=<email>")]);
    assert_eq!(entries[0].time_ns / 1_000_000_000, now);
    eventually("the dropped line is done with", || {
        let positions: Value =
            serde_json::from_slice(&fs::read(folder.path().join("positions.json")).ok()?).ok()?;
        let log = fs::metadata(folder.path().join("pods/shop_api-1_0f5c/web/0.log")).ok()?;
        (positions["logs"][0]["stored"] == log.len()).then_some(())
    });
}

/// Answers for one pod as Kubernetes does, to whoever has the token; gives its address.
fn kubernetes_with_one_pod() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
            while let Some(Ok(line)) = lines.next()
                && !line.is_empty()
            {
                head.push(line.to_ascii_lowercase());
            }
            let is_allowed = head.contains(&"authorization: bearer let-me-in".to_owned());
            let is_there = head[0].starts_with("get /api/v1/namespaces/shop/pods/api-1 ");
            let (status, body) = match (is_allowed, is_there) {
                (false, _) => ("403 Forbidden", r#"{"kind":"Status"}"#),
                (true, false) => ("404 Not Found", r#"{"kind":"Status"}"#),
                (true, true) => (
                    "200 OK",
                    r#"{"kind":"Pod","metadata":{"name":"api-1","labels":{"app.kubernetes.io/name":"checkout","tier":"web"}}}"#,
                ),
            };
            // An agent that is gone wants no answer.
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    format!("http://{address}")
}

#[test]
fn labels_of_a_pod_are_asked_of_kubernetes() {
    let server = server();
    let folder = tempfile::tempdir().expect("a folder");
    write(&folder.path().join("pods/shop_api-1_0f5c/web/0.log"), "2026-11-21T10:00:00Z stdout F known\n");
    write(&folder.path().join("pods/shop_other-1_77aa/web/0.log"), "2026-11-21T10:00:00Z stdout F unknown\n");
    write(&folder.path().join("token"), "let-me-in\n");
    let config = format!(
        "server: {{url: {}}}\nkubernetes: {{api: '{}', token_file: token}}\ntargets:\n  - path: {}/pods/*/*/*.log\n    path_label: ''\n    \
         format: cri\n    kubernetes: true\n    pod_labels: {{app: app.kubernetes.io/name, team: example.org/team}}\n",
        server.url(""),
        kubernetes_with_one_pod(),
        folder.path().display()
    );
    write(&folder.path().join("agent.yaml"), &config);
    let agent = AgentProcess::start(folder.path());
    let known = come(&server, &agent, r#"{namespace="shop", pod="api-1", app="checkout", team=""}"#, 1);
    assert_eq!(lines(&known), ["known"]);
    let unknown = come(&server, &agent, r#"{namespace="shop", pod="other-1", app=""}"#, 1);
    assert_eq!(lines(&unknown), ["unknown"]);
    assert!(!agent.log().contains("Kubernetes"), "{}", agent.log());
}

#[test]
fn every_file_in_the_guide_is_valid() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/agent.md");
    let page = fs::read_to_string(page).expect("read");
    let examples: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() > 3, "{} examples", examples.len());
    let folder = tempfile::tempdir().expect("a folder");
    for example in examples {
        let (fine, said) = check(folder.path(), example);
        assert!(fine, "{example}\n{said}");
    }
}

/// Whether a file is valid, and what is said of it.
fn check(folder: &Path, text: &str) -> (bool, String) {
    write(&folder.join("agent.yaml"), text);
    let output = clean_command(Path::new(env!("CARGO_BIN_EXE_timberyard")))
        .args(["agent", "--check", "--config", "agent.yaml"])
        .current_dir(folder)
        .output()
        .expect("it starts");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn settings_are_checked_without_a_server() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(check(folder.path(), "targets: [{path: /var/log/*.log}]").0);
    for (text, named) in [
        ("targets: [{path: a, steps: [{drop: {line: '('}}]}]", "targets[0]"),
        ("targets: [{path: a, steps: [{redcat: {}}]}]", "redcat"),
        ("targets: [{path: a, time: {field: ts, format: iso}}]", "time.format"),
        ("targets: [{path: a, multiline: {}}]", "targets[0].multiline"),
        ("targets: [{path: '['}]", "targets[0].path"),
        ("targets: [{path: a, journal: {}}]", "targets[0].path"),
        ("targets: [{path: '-'}, {path: '-'}]", "standard input"),
        ("targets: [{journal: {}}, {journal: {}}]", "the same of the journal"),
        ("targets: [{journal: {matches: [--file=x]}}]", "--file=x"),
    ] {
        let (fine, said) = check(folder.path(), text);
        assert!(!fine && said.contains(named), "{text}: {said}");
    }
    assert!(!folder.path().join("positions.json").exists());
}
