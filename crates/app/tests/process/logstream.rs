//! System C, LogStream: one entry at a time with a service, a level and metadata.

use serde_json::{Value, json};
use timberyard_testkit::http::Answer;
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::{SECOND, now, parse};
use crate::logql::array;
use crate::start::server;
use crate::terminal::curl;

/// What holds whatever the store is.
pub(crate) const OVER_ANY_STORE: &[fn()] = &[
    the_documented_curl_examples_are_queued_and_read_back,
    an_entry_comes_back_with_its_id_and_its_metadata_as_json_text,
    reads_filter_by_service_and_level_and_answer_the_newest_first,
    a_hundred_entries_are_answered_unless_a_limit_says_otherwise,
    each_bad_field_is_named,
];

fn ingest(server: &ServerProcess, entry: &Value) -> Answer {
    server.post("/api/ingest").json(entry).send()
}

#[track_caller]
fn read(server: &ServerProcess, parameters: &[(&str, &str)]) -> Value {
    let request = server.get("/api/ingest/logs");
    let request = parameters.iter().fold(request, |request, (name, value)| request.query(name, value));
    request.send().expect_status(200).json()
}

fn messages(answer: &Value) -> Vec<&str> {
    array(&answer["data"]).iter().map(|log| log["message"].as_str().expect("a message")).collect()
}

#[test]
fn the_documented_curl_examples_are_queued_and_read_back() {
    let server = server();
    let sent = curl(
        &server,
        r#"curl -X POST http://localhost:8080/api/ingest \
          -H "Content-Type: application/json" \
          -d '{"service":"payment-service","level":"ERROR","message":"Payment failed","metadata":{"userId":"123","amount":50.00}}'"#,
    );
    let sent = sent.json(202);
    assert_eq!(sent["status"], "queued");
    let found = curl(
        &server,
        r#"curl "http://localhost:8080/api/ingest/logs?service=payment-service&level=ERROR&limit=10""#,
    );
    let found = found.json(200);
    assert_eq!(found["status"], "success");
    assert_eq!(found["result"], 1);
    assert_eq!(found["data"][0]["id"], sent["id"]);
    assert_eq!(curl(&server, "curl http://localhost:8080/api/health").json(200)["status"], "ok");
}

#[test]
fn an_entry_comes_back_with_its_id_and_its_metadata_as_json_text() {
    let server = server();
    let before = now();
    let metadata = json!({ "z": 1.0, "a": { "deep": [1, "2", null] }, "text": "é" });
    let sent = ingest(
        &server,
        &json!({ "service": "cart", "level": "WARN", "message": "slow é", "metadata": metadata }),
    );
    let sent = sent.expect_status(202).json();
    let id = sent["id"].as_str().expect("an id");
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12], "{id} is a UUID");

    let answer = read(&server, &[]);
    let log = &answer["data"][0];
    assert_eq!(log["id"], id);
    assert_eq!(log["service"], "cart");
    assert_eq!(log["level"], "WARN");
    assert_eq!(log["message"], "slow é");
    let meta: Value = serde_json::from_str(log["meta"].as_str().expect("text")).expect("JSON in the text");
    assert_eq!(meta, metadata);
    let time = parse(log["timestamp"].as_str().expect("a time"));
    assert!(before - SECOND < time && time <= now(), "{log}");

    let stored = &crate::logql::entries(&server, r#"{service="cart", service_name="cart", level="WARN"}"#)[0];
    assert_eq!(stored.labels["id"], id);
    assert_eq!(stored.labels["metadata"], metadata.to_string());
}

#[test]
fn reads_filter_by_service_and_level_and_answer_the_newest_first() {
    let server = server();
    for (service, level, message) in [
        ("a", "INFO", "one"),
        ("b", "INFO", "two"),
        ("a", "ERROR", "three"),
        ("a", "FATAL", "four"),
        ("a", "DEBUG", "five"),
    ] {
        ingest(&server, &json!({ "service": service, "level": level, "message": message }))
            .expect_status(202);
    }
    assert_eq!(messages(&read(&server, &[])), ["five", "four", "three", "two", "one"]);
    assert_eq!(messages(&read(&server, &[("service", "a")])), ["five", "four", "three", "one"]);
    assert_eq!(messages(&read(&server, &[("level", "info")])), ["two", "one"]);
    assert_eq!(messages(&read(&server, &[("service", "a"), ("level", "ERROR")])), ["three"]);
    let two = read(&server, &[("limit", "2")]);
    assert_eq!(messages(&two), ["five", "four"]);
    assert_eq!(two["result"], 2);
    assert_eq!(read(&server, &[("service", "absent")])["data"], json!([]));
    server.get("/api/ingest/logs?limit=few").send().expect_status(400);
}

#[test]
fn a_hundred_entries_are_answered_unless_a_limit_says_otherwise() {
    let server = server();
    for n in 0..101 {
        ingest(&server, &json!({ "service": "s", "level": "INFO", "message": format!("m{n}") }))
            .expect_status(202);
    }
    assert_eq!(read(&server, &[])["result"], 100);
    assert_eq!(read(&server, &[("limit", "101")])["result"], 101);
}

#[test]
fn each_bad_field_is_named() {
    let server = server();
    let cases: [(Value, &[&str]); 9] = [
        (json!({}), &["level", "message", "service"]),
        (json!({ "service": "", "level": "INFO", "message": "m" }), &["service"]),
        (json!({ "service": "s", "level": "LOUD", "message": "m" }), &["level"]),
        (json!({ "service": "s", "level": "INFO", "message": "" }), &["message"]),
        (json!({ "service": "s", "level": "INFO" }), &["message"]),
        (json!({ "service": 1, "level": "INFO", "message": "m" }), &["service"]),
        (json!({ "service": "s", "level": 3, "message": [] }), &["level", "message"]),
        (json!({ "service": "s", "level": "INFO", "message": "m", "metadata": "text" }), &["metadata"]),
        (json!({ "service": "s", "level": "INFO", "message": "m", "metadata": [] }), &["metadata"]),
    ];
    for (entry, fields) in cases {
        let answer = ingest(&server, &entry);
        assert_eq!(answer.status, 400, "{entry}: {}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["error"], "Validation Failed", "{entry}");
        let mut named: Vec<&str> =
            array(&answer["details"]).iter().map(|d| d["field"].as_str().expect("a field")).collect();
        named.sort_unstable();
        assert_eq!(named, fields, "{entry}: {answer}");
    }
    for body in ["", "{", "[]", "null", "\"text\""] {
        let answer = server.post("/api/ingest").header("Content-Type", "application/json").body(body).send();
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
    assert_eq!(read(&server, &[])["result"], 0);
}
