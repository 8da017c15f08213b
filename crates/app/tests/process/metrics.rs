//! One Prometheus page for all systems, read by Prometheus' own checker.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::clock::now;
use crate::logql::push;
use crate::senders::tool;
use crate::start::server;
use crate::terminal::Said;

#[test]
fn promtool_is_content_with_the_metrics_after_some_traffic() {
    let server = server();
    let event = json!({ "event_id": "m", "event_type": "error", "event_name": "n", "priority": "high" });
    server.post("/api/v1/ingest").json(&event).send().expect_status(201);
    server.post("/api/v1/ingest").json(&event).send().expect_status(409);
    server.post("/api/v1/ingest").json(&json!({})).send().expect_status(400);
    server.post("/api/v1/batch-ingest").json(&json!({ "logs": [] })).send().expect_status(400);
    server.post("/v1/logs").json(&json!([{ "message": "m" }])).send().expect_status(202);
    push(&server, &json!({ "job": "m" }), &[(now(), "m")]);
    server.get("/query").query("query", r#"{job="m"}"#).send().expect_status(200);
    server.get("/nowhere/at/all").send().expect_status(404);
    server.post("/flush").send();

    let answer = server.get("/metrics").send().expect_status(200);
    let content_type = answer.header("Content-Type").expect("a type").to_owned();
    assert!(
        content_type.starts_with("text/plain") || content_type.starts_with("application/openmetrics"),
        "{content_type}"
    );
    let page = answer.text();
    let mut checker = Command::new(tool("bin/promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool starts");
    checker.stdin.take().expect("a pipe").write_all(page.as_bytes()).expect("promtool reads");
    let said = Said::from(checker.wait_with_output().expect("promtool ends"));
    assert_eq!(said.all(), "", "promtool says nothing when it is content");
    assert_eq!(said.status, Some(0));

    let names: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    for part in [
        "ingest_requests_total",
        "storage_disk_bytes",
        "requests",
        "duration",
        "logs_ingested",
        "batch_size",
        "validation_errors",
        "rate_limit",
        "damaged",
    ] {
        assert!(names.iter().any(|name| name.contains(part)), "{part} among {names:#?}");
    }
    for label in ["method=", "endpoint=", "status=", "type=\"error\"", "priority=\"high\""] {
        assert!(page.contains(label), "{label} in\n{page}");
    }
    assert!(!page.contains("/nowhere/at/all"), "paths that do not exist make no series");
}
