//! System B, LogPulse: streams in, LogQL and label lists out, a live stream over WebSocket.

use std::time::Duration;

use serde_json::{Value, json};
use timberyard_testkit::http::Answer;
use timberyard_testkit::server_process::ServerProcess;
use timberyard_testkit::websocket::WebSocket;

use crate::clock::{SECOND, now, parse, rfc3339};
use crate::logql::{array, texts};
use crate::start::server;
use crate::terminal::curl;

/// What holds whatever the store is.
pub(crate) const OVER_ANY_STORE: &[fn()] = &[
    the_documented_curl_examples_are_accepted_and_read_back,
    a_log_query_answers_entries_and_statistics,
    queries_keep_to_their_range_and_limit,
    a_metric_query_answers_an_aggregation,
    a_query_that_does_not_parse_is_400_with_its_position,
    labels_and_their_values_are_arrays_of_strings,
    streams_that_break_the_rules_are_400_and_nothing_of_them_is_kept,
    the_live_stream_says_what_it_filters_and_follows_a_changed_filter,
    a_live_stream_without_filter_carries_every_surface,
    a_slow_reader_does_not_slow_ingestion_and_is_told_what_it_missed,
    health_tells_status_uptime_and_counts,
];

fn ingest(server: &ServerProcess, labels: &Value, entries: &[(i64, &str)]) -> Answer {
    let entries: Vec<Value> =
        entries.iter().map(|(time, line)| json!({ "ts": rfc3339(*time), "line": line })).collect();
    server.post("/ingest").json(&json!({ "streams": [{ "labels": labels, "entries": entries }] })).send()
}

#[track_caller]
fn query(server: &ServerProcess, query: &str, parameters: &[(&str, &str)]) -> Value {
    let request = server.get("/query").query("query", query);
    let request = parameters.iter().fold(request, |request, (name, value)| request.query(name, value));
    request.send().expect_status(200).json()
}

fn messages(answer: &Value) -> Vec<&str> {
    array(&answer["logs"]).iter().map(|log| log["message"].as_str().expect("a message")).collect()
}

#[test]
fn the_documented_curl_examples_are_accepted_and_read_back() {
    let server = server();
    let sent = curl(
        &server,
        r#"curl -X POST http://localhost:8080/ingest \
          -H "Content-Type: application/json" \
          -d '{"streams":[{"labels":{"service":"api","level":"error","env":"prod"},"entries":[{"ts":"2024-01-15T10:30:00Z","line":"Connection refused to database"},{"ts":"2024-01-15T10:30:01Z","line":"Retrying connection"}]}]}'"#,
    );
    assert_eq!(sent.json(200)["accepted"], 2);

    let found = curl(
        &server,
        r#"curl -G http://localhost:8080/query --data-urlencode 'query={service="api", level="error"} |= "Connection"' --data-urlencode 'start=2024-01-15T00:00:00Z'"#,
    );
    assert_eq!(messages(&found.json(200)), ["Connection refused to database"]);
    assert_eq!(curl(&server, "curl http://localhost:8080/health").json(200)["status"], "healthy");
    assert!(texts(&curl(&server, "curl http://localhost:8080/labels").json(200)).contains(&"service"));
}

#[test]
fn a_log_query_answers_entries_and_statistics() {
    let server = server();
    let time = now() - SECOND;
    let labels = json!({ "service": "api", "level": "warn" });
    assert_eq!(ingest(&server, &labels, &[(time, "slow"), (time, "slow")]).json()["accepted"], 2);

    let answer = query(&server, r#"{service="api"}"#, &[]);
    assert!(answer.get("aggregation").is_none_or(Value::is_null), "only metric queries have one: {answer}");
    let logs = array(&answer["logs"]);
    assert_eq!(logs.len(), 2, "equal entries are two: {answer}");
    assert_ne!(logs[0]["id"], logs[1]["id"], "ids tell equal entries apart");
    let log = &logs[0];
    assert!(log["id"].as_str().is_some_and(|id| !id.is_empty()), "{log}");
    assert_eq!(parse(log["timestamp"].as_str().expect("a time")), time);
    assert_eq!(log["level"], "warn");
    assert_eq!(log["message"], "slow");
    assert_eq!(log["labels"]["service"], "api");
    assert_eq!(log["labels"]["service_name"], "api", "every stream has a service_name");
    for name in ["queriedChunks", "scannedLines", "matchedLines", "executionTime"] {
        assert!(answer["stats"][name].is_number(), "{name}: {answer}");
    }
    assert_eq!(answer["stats"]["matchedLines"], 2);
    let again = query(&server, r#"{service="api"}"#, &[]);
    assert_eq!(again["logs"][0]["id"], log["id"], "an id is derived, not made up");
}

#[test]
fn queries_keep_to_their_range_and_limit() {
    let server = server();
    let base = now() - 600 * SECOND;
    let entries: Vec<(i64, String)> = (0..150).map(|n| (base + n * SECOND, format!("line {n}"))).collect();
    let entries: Vec<(i64, &str)> = entries.iter().map(|(time, line)| (*time, line.as_str())).collect();
    ingest(&server, &json!({ "app": "range" }), &entries).expect_status(200);
    ingest(&server, &json!({ "app": "range" }), &[(now() - 2 * 3600 * SECOND, "before the hour")])
        .expect_status(200);

    let all = r#"{app="range"}"#;
    assert_eq!(array(&query(&server, all, &[])["logs"]).len(), 100, "a hundred by default");
    assert_eq!(array(&query(&server, all, &[("limit", "1000")])["logs"]).len(), 150, "of the last hour");
    let start = rfc3339(base + 10 * SECOND);
    let end = rfc3339(base + 13 * SECOND);
    let answer = query(&server, all, &[("start", &start), ("end", &end)]);
    let mut found = messages(&answer);
    found.sort_unstable();
    assert!(found.starts_with(&["line 10", "line 11", "line 12"]), "{found:?}");
    let far = rfc3339(now() - 3 * 3600 * SECOND);
    let answer = query(&server, r#"{app="range"} |= "before""#, &[("start", &far)]);
    assert_eq!(messages(&answer), ["before the hour"]);
}

#[test]
fn a_metric_query_answers_an_aggregation() {
    let server = server();
    let time = now() - 30 * SECOND;
    for app in ["a", "b"] {
        let lines = [(time, "x"), (time + 1, "y")];
        ingest(&server, &json!({ "app": app, "team": "t" }), &lines).expect_status(200);
    }
    let answer = query(&server, r#"sum by (app) (count_over_time({team="t"}[5m]))"#, &[]);
    let aggregation = &answer["aggregation"];
    assert!(aggregation["type"].is_string(), "{answer}");
    let groups = array(&aggregation["groups"]);
    assert_eq!(groups.len(), 2, "{answer}");
    for group in groups {
        assert!(group["labels"]["app"].is_string(), "{group}");
        assert_eq!(group["value"], 2.0, "{group}");
    }
    let answer = query(&server, r#"sum(count_over_time({team="t"}[5m]))"#, &[]);
    assert_eq!(answer["aggregation"]["value"], 4.0, "{answer}");
    let series = array(&answer["aggregation"]["series"]);
    assert!(!series.is_empty(), "{answer}");
    for point in series {
        assert!(!point["timestamp"].is_null() && point["value"].is_number(), "{point}");
    }
}

#[test]
fn a_query_that_does_not_parse_is_400_with_its_position() {
    let server = server();
    for text in ["", "{", r#"{app="a"} |= "#, r#"{app=~"("}"#, "sum("] {
        server.get("/query").query("query", text).send().expect_status(400);
    }
    let answer = server.get("/query").query("query", r#"{app="a"} ||"#).send().expect_status(400);
    assert!(answer.text().contains("line 1") || answer.text().contains("col"), "{}", answer.text());
    server.get("/query").query("query", r#"{app="a"}"#).query("start", "noon").send().expect_status(400);
    server.get("/query").query("query", r#"{app="a"}"#).query("limit", "all").send().expect_status(400);
    server.get("/query").send().expect_status(400);
}

#[test]
fn labels_and_their_values_are_arrays_of_strings() {
    let server = server();
    ingest(&server, &json!({ "app": "a", "zone": "z1" }), &[(now(), "x")]).expect_status(200);
    ingest(&server, &json!({ "app": "b" }), &[(now(), "x")]).expect_status(200);
    let labels = server.get("/labels").send().expect_status(200).json();
    assert_eq!(texts(&labels), ["app", "service_name", "zone"]);
    let values = server.get("/labels/app/values").send().expect_status(200).json();
    assert_eq!(texts(&values), ["a", "b"]);
    let none = server.get("/labels/absent/values").send().expect_status(200).json();
    assert_eq!(none, json!([]));
}

#[test]
fn streams_that_break_the_rules_are_400_and_nothing_of_them_is_kept() {
    let server = server();
    let time = rfc3339(now());
    let body = |labels: Value| {
        json!({ "streams": [
            { "labels": { "app": "good" }, "entries": [{ "ts": time, "line": "x" }] },
            { "labels": labels, "entries": [{ "ts": time, "line": "x" }] },
        ] })
    };
    let long_name = "n".repeat(129);
    let cases = [
        ("no streams", json!({ "streams": [] })),
        ("streams absent", json!({})),
        ("no labels", body(json!({}))),
        ("no entries", json!({ "streams": [{ "labels": { "app": "a" }, "entries": [] }] })),
        ("a name with a dash", body(json!({ "a-b": "v" }))),
        ("a name that starts with a digit", body(json!({ "1a": "v" }))),
        ("an empty name", body(json!({ "": "v" }))),
        ("a name of 129 bytes", body(json!({ long_name.as_str(): "v" }))),
        ("an empty value", body(json!({ "app": "" }))),
        ("a value of 2049 bytes", body(json!({ "app": "v".repeat(2049) }))),
        ("a value of two lines", body(json!({ "app": "a\nb" }))),
        ("a value that is no text", body(json!({ "app": 1 }))),
        (
            "a time that is none",
            json!({ "streams": [{ "labels": { "app": "a" },
            "entries": [{ "ts": "noon", "line": "x" }] }] }),
        ),
    ];
    for (what, case) in cases {
        let answer = server.post("/ingest").json(&case).send();
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    }
    let kept = server.get("/labels").send().expect_status(200).json();
    assert_eq!(kept, json!([]), "a refused body leaves nothing");
    let name = "n".repeat(128);
    let longest = json!({ name.as_str(): "v".repeat(2048), "_a": "1" });
    server.post("/ingest").json(&body(longest)).send().expect_status(200);
}

#[test]
fn the_live_stream_says_what_it_filters_and_follows_a_changed_filter() {
    let server = server();
    let mut stream =
        WebSocket::connect(server.address(), "/stream?app=live&env=prod", &[]).expect("accepted");
    let connected = stream.find("the connection", |m| (m["type"] == "connected").then(|| m.clone()));
    assert_eq!(connected["filter"], json!({ "app": "live", "env": "prod" }));

    let time = now();
    ingest(&server, &json!({ "app": "live", "env": "test" }), &[(time, "not for this one")])
        .expect_status(200);
    ingest(&server, &json!({ "app": "live", "env": "prod", "level": "error" }), &[(time, "for this one")])
        .expect_status(200);
    let log = stream.find("a log", |m| (m["type"] == "log").then(|| m["data"].clone()));
    assert_eq!(log["message"], "for this one");
    assert_eq!(log["level"], "error");
    assert_eq!(log["labels"]["app"], "live");
    assert_eq!(parse(log["timestamp"].as_str().expect("a time")), time);
    assert!(log["id"].is_string(), "{log}");

    stream.send(&json!({ "type": "filter", "labels": { "app": "other" } }));
    let updated = stream.find("the update", |m| (m["type"] == "filter_updated").then(|| m.clone()));
    assert_eq!(updated["filter"], json!({ "app": "other" }));
    ingest(&server, &json!({ "app": "live", "env": "prod" }), &[(time, "no more")]).expect_status(200);
    ingest(&server, &json!({ "app": "other" }), &[(time, "now this")]).expect_status(200);
    let log = stream.find("a log", |m| (m["type"] == "log").then(|| m["data"].clone()));
    assert_eq!(log["message"], "now this");
}

#[test]
fn a_live_stream_without_filter_carries_every_surface() {
    let server = server();
    let mut stream = WebSocket::connect(server.address(), "/stream", &[]).expect("accepted");
    stream.find("the connection", |m| (m["type"] == "connected").then_some(()));
    server.post("/v1/logs").json(&json!([{ "message": "from logtopus" }])).send().expect_status(202);
    let log = stream.find("a log", |m| (m["type"] == "log").then(|| m["data"].clone()));
    assert_eq!(log["message"], "from logtopus");
    assert_eq!(stream.next(Duration::from_millis(100)), None);
}

#[test]
fn a_slow_reader_does_not_slow_ingestion_and_is_told_what_it_missed() {
    let server = server();
    let mut stream = WebSocket::connect(server.address(), "/stream?app=flood", &[]).expect("accepted");
    stream.find("the connection", |m| (m["type"] == "connected").then_some(()));
    let mut slow_tail =
        WebSocket::connect(server.address(), "/loki/api/v1/tail?query=%7Bapp%3D%22flood%22%7D", &[])
            .expect("accepted");
    // More than the buffers between here and there hold, while nobody reads.
    let line = "x".repeat(1000);
    let base = now() - 60 * SECOND;
    for batch in 0..60_i64 {
        let entries: Vec<(i64, &str)> = (0..1000).map(|n| (base + batch * 1000 + n, line.as_str())).collect();
        ingest(&server, &json!({ "app": "flood" }), &entries).expect_status(200);
    }
    let mut logs = 0;
    stream.find("a count of what was missed", |message| {
        logs += u64::from(message["type"] == "log");
        let text = message.to_string();
        (message["type"] != "log" && (text.contains("missed") || text.contains("dropped"))).then_some(())
    });
    assert!(logs < 60_000, "{logs} lines came");
    slow_tail.find("dropped entries", |message| message["dropped_entries"].as_array()?.first().map(|_| ()));
    let health = server.get("/health").send().expect_status(200).json().to_string();
    assert!(health.contains("dropped"), "{health}");
    assert_eq!(crate::logql::count(&server, r#"{app="flood"}"#), 60_000, "ingestion missed nothing");
}

#[test]
fn health_tells_status_uptime_and_counts() {
    let server = server();
    let health = server.get("/health").send().expect_status(200).json();
    assert_eq!(health["status"], "healthy");
    let uptime = health["uptime"].as_str().expect("a text");
    assert!(uptime.ends_with('s') && uptime.starts_with(|c: char| c.is_ascii_digit()), "{uptime}");
    assert!(health["uptime_seconds"].is_number(), "{health}");
    let numbers = health.to_string();
    for word in ["rate", "bytes", "chunks", "clients", "dropped"] {
        assert!(numbers.contains(word), "{word}: {health}");
    }
}
