//! What senders get wrong or do on purpose: each is answered with what, where and the limit, and the server goes on.

mod connections;
mod open_requests;
mod payloads;
mod protobuf;
mod sizes;
mod times;

use serde_json::json;
use timberyard_testkit::http::Answer;
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::now;
use crate::logql::{lines, push};

/// Every path that takes JSON.
const JSON_PATHS: [&str; 6] =
    ["/v1/logs", "/ingest", "/api/ingest", "/api/v1/ingest", "/api/v1/batch-ingest", "/loki/api/v1/push"];

fn post_json(server: &ServerProcess, path: &str, body: impl Into<Vec<u8>>) -> Answer {
    server.post(path).header("Content-Type", "application/json").body(body).send()
}

fn push_protobuf(server: &ServerProcess, body: impl Into<Vec<u8>>) -> Answer {
    server.post("/loki/api/v1/push").header("Content-Type", "application/x-protobuf").body(body).send()
}

/// The server still takes and answers.
#[track_caller]
fn still_works(server: &ServerProcess) {
    let line = format!("still here at {}", now());
    push(server, &json!({ "job": "alive" }), &[(now(), &line)]);
    assert!(lines(server, r#"{job="alive"}"#).contains(&line));
}
