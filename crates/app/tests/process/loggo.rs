//! System E, log-go: arrays of entries with milliseconds, read back by service.

use serde_json::{Value, json};
use timberyard_testkit::http::Answer;
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::{SECOND, now};
use crate::logql::array;
use crate::start::{SECRET, server, server_with};
use crate::terminal::{curl, timberyard};

/// What holds whatever the store is.
pub(crate) const OVER_ANY_STORE: &[fn()] = &[
    the_documented_curl_examples_are_received_and_read_back,
    an_entry_comes_back_enriched,
    reads_answer_the_newest_of_a_service_first,
    level_and_labels_may_be_absent,
    a_label_that_is_not_a_legal_name_is_not_lost,
    bad_arrays_are_400,
    entries_of_both_kinds_are_read_with_the_fields_of_both,
];

fn post(server: &ServerProcess, entries: &Value) -> Answer {
    server.post("/v1/logs").json(entries).send()
}

#[track_caller]
fn read(server: &ServerProcess, parameters: &[(&str, &str)]) -> Value {
    let request = server.get("/v1/logs");
    let request = parameters.iter().fold(request, |request, (name, value)| request.query(name, value));
    request.send().expect_status(200).json()
}

fn messages(answer: &Value) -> Vec<&str> {
    array(answer).iter().map(|log| log["message"].as_str().expect("a message")).collect()
}

#[test]
fn the_documented_curl_examples_are_received_and_read_back() {
    let server = server();
    let sent = curl(
        &server,
        r#"curl -X POST http://localhost:8080/v1/logs \
          -H "Content-Type: application/json" \
          -d '[{"timestamp":1700000000000,"service":"auth","level":"info","message":"user logged in","labels":{"region":"eu"}}]'"#,
    );
    let sent = sent.json(202);
    assert_eq!(sent["received"], 1);
    assert_eq!(sent["status"], "accepted");
    let found = curl(&server, r#"curl "http://localhost:8080/v1/logs?service=auth&limit=10""#).json(200);
    assert_eq!(messages(&found), ["user logged in"]);
    assert_eq!(found[0]["timestamp"], 1_700_000_000_000_i64);
}

#[test]
fn an_entry_comes_back_enriched() {
    let server = server();
    let before = now() / 1_000_000;
    let time = before - 5000;
    post(
        &server,
        &json!([{ "timestamp": time, "service": "auth", "level": "warn", "message": "late",
                  "labels": { "region": "eu", "tier": "1" } }]),
    )
    .expect_status(202);
    let found = read(&server, &[("service", "auth")]);
    let log = &found[0];
    assert_eq!(log["timestamp"], time);
    assert_eq!(log["service"], "auth");
    assert_eq!(log["level"], "warn");
    assert_eq!(log["message"], "late");
    assert_eq!(log["labels"], json!({ "region": "eu", "tier": "1" }));
    let received = log["received_at"].as_i64().expect("milliseconds");
    assert!(before <= received && received <= now() / 1_000_000, "{log}");
    assert_eq!(log["client_ip"], "127.0.0.1");
    assert!(log["ingested_node_id"].as_str().is_some_and(|node| !node.is_empty()), "{log}");

    let stored =
        crate::logql::entries(&server, r#"{service_name="auth", service="auth", level="warn", region="eu"}"#);
    assert_eq!(stored[0].line, "late");
    assert_eq!(stored[0].labels["client_ip"], "127.0.0.1");
}

#[test]
fn reads_answer_the_newest_of_a_service_first() {
    let server = server();
    let base = now() / 1_000_000 - 60_000;
    let entries: Vec<Value> = (0..10)
        .map(|n| {
            json!({ "timestamp": base + n, "service": if n % 2 == 0 { "even" } else { "odd" },
                         "message": format!("m{n}") })
        })
        .collect();
    assert_eq!(post(&server, &Value::Array(entries)).expect_status(202).json()["received"], 10);
    assert_eq!(messages(&read(&server, &[("service", "even")])), ["m8", "m6", "m4", "m2", "m0"]);
    assert_eq!(messages(&read(&server, &[("service", "odd"), ("limit", "2")])), ["m9", "m7"]);
    assert_eq!(read(&server, &[("service", "absent")]), json!([]));
    assert_eq!(array(&read(&server, &[])).len(), 10, "without a service, all");
}

#[test]
fn level_and_labels_may_be_absent() {
    let server = server();
    let time = now() / 1_000_000;
    post(&server, &json!([{ "timestamp": time, "service": "s", "message": "ERROR: it broke" }]))
        .expect_status(202);
    assert_eq!(messages(&read(&server, &[("service", "s")])), ["ERROR: it broke"]);
    let stored = &crate::logql::entries(&server, r#"{service="s"}"#)[0];
    assert_eq!(stored.labels["detected_level"], "error", "found in the line when none is given");
}

#[test]
fn a_label_that_is_not_a_legal_name_is_not_lost() {
    let server = server();
    let time = now() / 1_000_000;
    post(
        &server,
        &json!([{ "timestamp": time, "service": "s", "message": "m", "labels": { "http.method": "GET" } }]),
    )
    .expect_status(202);
    assert_eq!(read(&server, &[("service", "s")])[0]["labels"], json!({ "http.method": "GET" }));
}

#[test]
fn bad_arrays_are_400() {
    let server = server();
    let time = now() / 1_000_000;
    for (what, entries) in [
        ("an empty array", json!([])),
        ("no service", json!([{ "timestamp": time, "message": "m" }])),
        ("an empty service", json!([{ "timestamp": time, "service": "", "message": "m" }])),
        ("no message", json!([{ "timestamp": time, "service": "s" }])),
        ("a fraction of a millisecond", json!([{ "timestamp": 1.5, "service": "s", "message": "m" }])),
        (
            "labels that are no object",
            json!([{ "timestamp": time, "service": "s", "message": "m", "labels": [] }]),
        ),
        ("the far future", json!([{ "timestamp": time + 3_600_000, "service": "s", "message": "m" }])),
        ("a mixed array", json!([{ "timestamp": time, "service": "s", "message": "m" }, { "message": "m" }])),
    ] {
        let answer = post(&server, &entries);
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    }
    assert_eq!(read(&server, &[]), json!([]));
}

#[test]
fn entries_of_both_kinds_are_read_with_the_fields_of_both() {
    let server = server();
    let time = now();
    post(&server, &json!([{ "timestamp": time / 1_000_000, "service": "go", "message": "from log-go" }]))
        .expect_status(202);
    post(&server, &json!([{ "message": "from logtopus", "source": "topus", "time": crate::clock::rfc3339(time + SECOND) }]))
        .expect_status(202);
    let found = read(&server, &[]);
    assert_eq!(messages(&found), ["from logtopus", "from log-go"]);
    for log in array(&found) {
        assert!(log["timestamp"].is_i64(), "{log}");
        assert!(log["time"].is_string(), "{log}");
        assert!(log["service"].is_string(), "{log}");
        assert!(log["level"].is_string() || log["service"] == "go", "{log}");
        for name in ["received_at", "client_ip", "ingested_node_id", "labels", "session_id", "object"] {
            assert!(log.get(name).is_some(), "{name}: {log}");
        }
    }
    assert_eq!(found[0]["service"], "topus");
}

#[test]
fn an_org_id_names_the_tenant_where_the_key_allows_it() {
    let server = server_with(&[("AUTH_SECRET", SECRET), ("API_KEYS", "operator")]);
    let time = now() / 1_000_000;
    let entries = json!([
        { "timestamp": time, "service": "s", "message": "of red", "org_id": "red" },
        { "timestamp": time, "service": "s", "message": "of nobody" },
    ]);
    let send = |key: &str| server.post("/v1/logs").header("X-API-Key", key).json(&entries).send();
    send("operator").expect_status(202);
    let signed = timberyard(&["keys", "issue", "--client", "web", "--secret", SECRET]).succeeded().text();
    let refused = send(signed.trim());
    assert!(matches!(refused.status, 400 | 403), "{} {}", refused.status, refused.text());
    let seen = |tenant: &str| {
        let request = server.get("/v1/logs").query("service", "s").header("X-API-Key", "operator");
        let request = if tenant.is_empty() { request } else { request.header("X-Scope-OrgID", tenant) };
        request.send().expect_status(200).json()
    };
    assert_eq!(messages(&seen("red")), ["of red"]);
    assert_eq!(messages(&seen("")), ["of nobody"], "nothing of the refused body is kept either");
}

#[test]
fn a_forwarded_address_is_believed_from_a_trusted_proxy_alone() {
    let time = now() / 1_000_000;
    let entries = json!([{ "timestamp": time, "service": "s", "message": "m" }]);
    let client_ip = |server: &ServerProcess, forwarded: &str| {
        server.post("/v1/logs").header("X-Forwarded-For", forwarded).json(&entries).send().expect_status(202);
        read(server, &[("service", "s"), ("limit", "1")])[0]["client_ip"].clone()
    };
    assert_eq!(client_ip(&server(), "203.0.113.7"), "127.0.0.1");
    let behind = server_with(&[("TIMBERYARD_TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8")]);
    assert_eq!(client_ip(&behind, "203.0.113.7"), "203.0.113.7");
    let behind = server_with(&[("TIMBERYARD_TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8")]);
    assert_eq!(
        client_ip(&behind, "1.2.3.4, 203.0.113.7, 10.1.2.3"),
        "203.0.113.7",
        "what the client made up does not count"
    );
    let behind = server_with(&[("TIMBERYARD_TRUSTED_PROXIES", "127.0.0.1")]);
    let unreadable = client_ip(&behind, "not an address");
    assert_eq!(unreadable, "127.0.0.1");
}
