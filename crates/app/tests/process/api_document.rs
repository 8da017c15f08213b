//! The server answers as its own OpenAPI document says, asked by a program that reads it: schemathesis.

use std::process::Command;

use serde_json::json;

use crate::clock::now;
use crate::logql::push;
use crate::senders::tool;
use crate::start::server;
use crate::terminal::Said;

/// What every answer is held to.
const CHECKS: &str =
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

#[test]
fn what_the_document_says_is_what_the_server_does() {
    let server = server();
    for number in 0..20 {
        push(&server, &json!({ "app": "shop" }), &[(now(), &format!("level=error order={number} failed"))]);
    }
    let examples = if std::env::var_os("TIMBERYARD_TORTURE").is_some() { "300" } else { "15" };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(tool("python/bin/python"))
        .args(["-m", "schemathesis.cli", "run", &server.url("/openapi.json"), "--no-color", "--seed", "1"])
        .args(["--phases", "examples,fuzzing", "--max-examples", examples, "--checks", CHECKS])
        .args(["--request-timeout", "20", "--workers", "2"])
        // A snapshot for each question would fill the disk; WebSockets have tests of their own.
        .args(["--exclude-path", "/snapshot", "--exclude-path", "/stream"])
        .args(["--exclude-path", "/loki/api/v1/tail"])
        // A format that it cannot write.
        .args(["--exclude-path", "/upload"])
        .current_dir(folder.path())
        .output();
    let said = Said::from(output.expect("schemathesis starts")).succeeded().text();
    if let Some(cases) = said.lines().find(|line| line.contains(" generated, ")) {
        println!("figure: API document: {}", cases.trim());
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
