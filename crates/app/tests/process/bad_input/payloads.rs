//! JSON that is broken, too deep or empty; bytes that are no text; names that look like paths.

use serde_json::{Value, json};
use timberyard_testkit::loki_push::{PushEntry, snappy_push_request};

use super::{JSON_PATHS, post_json, push_protobuf, still_works};
use crate::clock::now;
use crate::logql::{count, lines};
use crate::start::server;
use crate::terminal::timberyard;

#[test]
fn malformed_json_is_400_with_its_position_on_every_surface() {
    let server = server();
    // The fault stands on the second line, where the position must point at.
    let bodies = [
        "[{\"a\":1,\n \"b\" 2}]",
        "{\"streams\":[],\n \"b\": tru}",
        "{\"a\":\"x\",\n \"b\":\"\u{1}\"}",
        "{\"a\":1,\n}",
        "[1,\n2",
    ];
    for path in JSON_PATHS {
        for body in bodies {
            let answer = post_json(&server, path, body);
            assert_eq!(answer.status, 400, "{path} {body:?}: {}", answer.text());
        }
        let broken = if path == "/v1/logs" { "[{\"a\":1,\n \"b\" 2}]" } else { "{\"a\":1,\n \"b\" 2}" };
        let text = post_json(&server, path, broken).text();
        let named = ["line 2", "byte 1", "offset 1", "position 1"].iter().any(|place| text.contains(place));
        assert!(named, "{path} names the place: {text}");
        for body in [&b"\xff\xfe"[..], b"\0", b"nul", b"{\"a\":01}", b"\"\\ud800\"", b"[1e999999"] {
            let answer = post_json(&server, path, body);
            assert_eq!(answer.status, 400, "{path} {body:?}: {}", answer.text());
        }
    }
    still_works(&server);
}

#[test]
fn json_nested_beyond_the_limit_is_400_naming_the_limit() {
    let server = server();
    for path in JSON_PATHS {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            let answer = post_json(&server, path, deep);
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        }
    }
    let inside = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let bodies = [
        ("/v1/logs", format!(r#"[{{"message":"m","object":{{"a":{inside}}}}}]"#)),
        (
            "/api/ingest",
            format!(r#"{{"service":"s","level":"INFO","message":"m","metadata":{{"a":{inside}}}}}"#),
        ),
        (
            "/api/v1/ingest",
            format!(
                r#"{{"event_id":"e","event_type":"error","event_name":"n","properties":{{"a":{inside}}}}}"#
            ),
        ),
    ];
    for (path, body) in bodies {
        let answer = post_json(&server, path, body);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        assert!(answer.text().contains("64"), "{path} names the limit: {}", answer.text());
    }
    still_works(&server);
}

#[test]
fn a_query_nested_beyond_the_limit_is_400() {
    let server = server();
    for query in [
        format!("{}1{}", "(".repeat(5000), ")".repeat(5000)),
        format!("{{a=\"b\"}} | {}x=1{}", "(".repeat(5000), ")".repeat(5000)),
        format!("{}1", "-".repeat(5000)),
    ] {
        let form = format!("query={}", timberyard_testkit::http::percent_encode(&query));
        let answer = server
            .post("/loki/api/v1/query")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form)
            .send();
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    still_works(&server);
}

#[test]
fn bytes_that_are_not_utf8_are_kept_as_they_are() {
    let server = server();
    let line: &[u8] = b"caf\xe9 \xff\xfe\xc3( end";
    let body = snappy_push_request(&[(
        "{job=\"bytes\"}",
        vec![PushEntry { timestamp_ns: now(), line, metadata: &[] }],
    )]);
    push_protobuf(&server, body).expect_status(204);
    for when in ["from memory", "from a segment"] {
        let shown = lines(&server, r#"{job="bytes"}"#);
        assert_eq!(shown, [String::from_utf8_lossy(line)], "{when}, in JSON");
        let url = server.url("");
        let raw = timberyard(&["query", r#"{job="bytes"}"#, "--output", "raw", "--url", &url]).succeeded();
        assert_eq!(raw.output, [line, b"\n"].concat(), "{when}, raw");
        server.post("/flush").send();
    }
    let metrics = server.get("/metrics").send().expect_status(200).text();
    let counted =
        metrics.lines().find(|line| !line.starts_with('#') && line.contains("utf8")).expect("a count");
    assert!(!counted.ends_with(" 0"), "what was shown otherwise is counted: {counted}");
    assert_eq!(count(&server, r#"{job="bytes"} |= "end""#), 1);
}

#[test]
fn empty_batches_are_refused_where_the_contracts_say_so() {
    let server = server();
    for (path, body) in [
        ("/v1/logs", "[]"),
        ("/v1/logs", ""),
        ("/ingest", r#"{"streams":[]}"#),
        ("/ingest", ""),
        ("/api/ingest", ""),
        ("/api/v1/ingest", ""),
        ("/api/v1/batch-ingest", r#"{"logs":[]}"#),
        ("/api/v1/batch-ingest", ""),
        ("/loki/api/v1/push", ""),
    ] {
        assert_eq!(post_json(&server, path, body).status, 400, "{path} {body:?}");
    }
    let empty = post_json(&server, "/loki/api/v1/push", r#"{"streams":[]}"#);
    assert!(matches!(empty.status, 204 | 400 | 422), "{}", empty.status);
}

#[test]
fn a_session_id_names_no_path() {
    let server = server();
    let folder = server.data_dir().parent().expect("a folder around the data").to_owned();
    let names = |folder: &std::path::Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    let before = names(&folder);
    let ids = ["../../etc/passwd", "/etc/passwd", "..", "a/../../b", "C:\\x", "nul\u{0}byte", "%2e%2e%2f"];
    for id in ids {
        post_json(&server, "/v1/logs", json!([{ "message": id, "session_id": id }]).to_string())
            .expect_status(202);
        let event = json!({ "event_id": id, "event_type": "error", "event_name": "n", "session_id": id });
        server.post("/api/v1/ingest").json(&event).send().expect_status(201);
    }
    server.post("/flush").send();
    for id in ids {
        let found = server.get("/v1/logs").query("session_id", id).send().expect_status(200).json();
        let messages: Vec<&Value> =
            found.as_array().expect("an array").iter().map(|e| &e["session_id"]).collect();
        assert!(!messages.is_empty() && messages.iter().all(|found| *found == id), "{id:?}: {found}");
    }
    assert_eq!(names(&folder), before, "nothing appears beside the data");
}
