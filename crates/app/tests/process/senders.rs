//! Clients that nobody here wrote push and are found again: python-logging-loki, pino-loki, winston-loki, and
//! OpenTelemetry's SDK for Python; and one that is made of our own `.proto` file.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use timberyard_testkit::eventually::eventually;
use timberyard_testkit::server_process::ServerProcess;
use timberyard_testkit::websocket::WebSocket;

use crate::logql::{Entry, array, entries};
use crate::start::{server, server_with};
use crate::terminal::Said;

/// A program that `make deps` has put in `.tools`.
#[track_caller]
pub(crate) fn tool(path: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools").join(path);
    assert!(tool.exists(), "{} is missing; run: make deps", tool.display());
    tool
}

fn client(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// Runs a Python client with arguments.
#[track_caller]
pub(crate) fn python(script: &str, arguments: &[&str]) -> Said {
    let output = Command::new(tool("python/bin/python")).arg(client(script)).args(arguments).output();
    Said::from(output.expect("Python starts")).succeeded()
}

/// Runs a Node client with arguments; it finds its packages in `.tools`.
#[track_caller]
fn node(script: &str, arguments: &[&str]) {
    let output = Command::new("node")
        .arg(client(script))
        .args(arguments)
        .env("TIMBERYARD_TEST_PACKAGES", tool("node/node_modules").join("../package.json"))
        .output();
    Said::from(output.expect("Node starts")).succeeded();
}

pub(crate) fn found(server: &ServerProcess, query: &str, count: usize) -> Vec<Entry> {
    eventually(query, || Some(entries(server, query)).filter(|found| found.len() >= count))
}

/// A tail of everything that has a label `sender`.
fn tail(server: &ServerProcess) -> WebSocket {
    let path = "/loki/api/v1/tail?query=%7Bsender%3D~%22.%2B%22%7D";
    WebSocket::connect(server.address(), path, &[]).expect("accepted")
}

fn shows(message: &Value, text: &str) -> Option<()> {
    array(&message["streams"])
        .iter()
        .flat_map(|stream| array(&stream["values"]).to_vec())
        .any(|value| value[1].as_str().is_some_and(|line| line.contains(text)))
        .then_some(())
}

#[test]
fn python_logging_loki_pushes_and_its_lines_are_found_and_tailed() {
    let server = server();
    let mut tail = tail(&server);
    python("python_logging_loki.py", &[&server.url("/loki/api/v1/push"), "20"]);
    let found = found(&server, r#"{sender="python", logger="shop"}"#, 20);
    assert_eq!(found.len(), 20);
    assert!(found.iter().any(|entry| entry.line == "order 7 é \"quoted\""), "{found:?}");
    assert_eq!(entries(&server, r#"{sender="python", severity="error", extra="tag"}"#).len(), 2);
    tail.find("the last line", |message| shows(message, "order 19"));
}

#[test]
fn python_logging_loki_sends_its_key_as_a_password() {
    let server = server_with(&[("API_KEYS", "k")]);
    python("python_logging_loki.py", &[&server.url("/loki/api/v1/push"), "3", "k"]);
    assert_eq!(found_with_key(&server, r#"{sender="python"}"#), 3);
}

#[test]
fn opentelemetry_pushes_otlp_in_gzip_over_http_and_grpc_and_its_records_are_found() {
    for path in ["/v1/logs", "/otlp/v1/logs", "grpc"] {
        let server = server();
        let url = match path {
            "grpc" => format!("grpc://{}", server.address()),
            path => server.url(path),
        };
        python("python_opentelemetry.py", &[&url, "20"]);
        let found = found(&server, r#"{service_name="otel-shop", deployment_environment="test"}"#, 20);
        assert_eq!(found.len(), 20, "{path}");
        assert!(found.iter().any(|entry| entry.line == "order 7 é \"quoted\""), "{found:?}");
        let failed =
            r#"{service_name="otel-shop"} | host_name="h-1" | detected_level="error" | user_id="u-19""#;
        let failed = entries(&server, failed);
        assert_eq!(failed.len(), 1, "{path}");
        assert_eq!(failed[0].line, "order 19 failed");
        assert_eq!(failed[0].labels["scope_name"], "shop.orders");
        assert_eq!(failed[0].labels["severity_number"], "17");
    }
}

#[test]
fn opentelemetry_sends_its_key_as_a_header_and_as_metadata() {
    let server = server_with(&[("API_KEYS", "k")]);
    let grpc = format!("grpc://{}", server.address());
    for (url, count) in [(server.url("/v1/logs"), 3), (grpc, 6)] {
        python("python_opentelemetry.py", &[&url, "3", "k"]);
        assert_eq!(found_with_key(&server, r#"{service_name="otel-shop"}"#), count);
    }
}

/// How many lines are found by who has the key `k`.
fn found_with_key(server: &ServerProcess, query: &str) -> usize {
    let asked = server.get("/loki/api/v1/query_range").query("query", query).header("X-API-Key", "k");
    crate::logql::entries_of(&asked.send().expect_status(200).json()).len()
}

#[test]
fn a_client_made_of_our_proto_file_pushes_and_each_batch_is_acknowledged() {
    let server = server_with(&[("API_KEYS", "k")]);
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto").display().to_string();
    let said = python("python_push.py", &[server.address(), &protos, "200", "k"]).text();
    let acknowledged: Vec<&str> = said.lines().collect();
    let expected: Vec<String> = (1..=20).map(|number: u32| number.to_string()).collect();
    assert_eq!(acknowledged, expected);
    assert_eq!(found_with_key(&server, r#"{sender="python-push"} | order="17" |= "order 17 é""#), 1);
    // Pushed in the last seconds, so all are in the range that is asked for when nothing is said.
    assert_eq!(
        found_with_key(&server, r#"{sender="python-push"} | order!="17""#),
        100,
        "the limit of a query"
    );
}

#[test]
fn pino_loki_pushes_and_its_lines_are_found_and_tailed() {
    let server = server();
    let mut tail = tail(&server);
    node("pino_loki.mjs", &[&server.url(""), "20"]);
    let found = found(&server, r#"{sender="pino"} | json"#, 20);
    assert_eq!(found.len(), 20);
    assert!(found.iter().any(|entry| entry.labels["msg"] == "order 7 é \"quoted\""), "{found:?}");
    assert_eq!(entries(&server, r#"{sender="pino"} | json | order=7"#).len(), 1);
    tail.find("the last line", |message| shows(message, "order 19"));
}

#[test]
fn winston_loki_pushes_protobuf_and_its_lines_are_found_and_tailed() {
    winston("protobuf");
}

#[test]
fn winston_loki_pushes_json_and_its_lines_are_found_and_tailed() {
    winston("json");
}

fn winston(format: &str) {
    let server = server();
    let mut tail = tail(&server);
    node("winston_loki.mjs", &[&server.url(""), "20", format]);
    let found = found(&server, &format!(r#"{{sender="winston-{format}", level="info"}}"#), 20);
    assert_eq!(found.len(), 20);
    assert!(found.iter().any(|entry| entry.line.contains("order 7 é")), "{found:?}");
    tail.find("the last line", |message| shows(message, "order 19"));
}
