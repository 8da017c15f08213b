//! System A, Logtopus: signed keys, arrays of entries in, filtered entries out.

use serde_json::{Value, json};
use timberyard_testkit::eventually::eventually;
use timberyard_testkit::http::{Answer, Request};
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::{SECOND, now, parse, rfc3339};
use crate::logql::array;
use crate::start::{SECRET, server, server_with};
use crate::terminal::{curl, timberyard};

/// What holds whatever the store is.
pub(crate) const OVER_ANY_STORE: &[fn()] = &[
    an_entry_comes_back_with_every_field_as_it_was_sent,
    an_entry_of_a_message_alone_gets_defaults_and_no_invented_fields,
    every_level_is_kept_as_the_word_that_was_sent_and_normalised_beside_it,
    labels_and_metadata_of_an_entry_are_those_of_the_mapping,
    reads_are_filtered_by_each_parameter_and_answer_the_newest_first,
    a_hundred_entries_are_answered_unless_a_limit_says_otherwise,
    context_is_the_lines_around_each_match_in_the_same_session_or_client,
    wrong_parameters_are_named,
    payloads_that_do_not_parse_are_400_and_say_where,
];

/// Parameters of a read, and the messages that it answers.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

fn post(server: &ServerProcess, entries: &Value) -> Answer {
    server.post("/v1/logs").json(entries).send()
}

/// The messages that a read with these parameters answers, in its order.
#[track_caller]
fn messages(server: &ServerProcess, parameters: &[(&str, &str)]) -> Vec<String> {
    let answer = read(server, parameters).expect_status(200).json();
    array(&answer).iter().map(|entry| entry["message"].as_str().expect("a message").to_owned()).collect()
}

fn read(server: &ServerProcess, parameters: &[(&str, &str)]) -> Answer {
    let request = server.get("/v1/logs");
    parameters.iter().fold(request, |request, (name, value)| request.query(name, value)).send()
}

#[test]
fn the_documented_curl_examples_work_with_an_issued_key() {
    let server = server_with(&[("AUTH_SECRET", SECRET)]);
    let issued =
        timberyard(&["keys", "issue", "--client", "web.shop", "--secret", SECRET]).succeeded().text();
    let key = issued.trim_end_matches('\n');
    assert!(key.starts_with("web.shop.") && !key.contains(char::is_whitespace), "the key alone: {issued:?}");

    let time = rfc3339(now());
    let sent = curl(
        &server,
        &format!(
            r#"curl -X POST http://localhost:8080/v1/logs \
              -H "Content-Type: application/json" \
              -H "X-API-Key: {key}" \
              -d '[{{"level":"INFO","message":"User logged in","logger_name":"auth","time":"{time}","session_id":"session-1","client_id":"client-1","object":{{"user":42}}}}]'"#
        ),
    );
    assert_eq!(sent.json(202)["status"], "accepted");

    let found = curl(
        &server,
        &format!(
            r#"curl "http://localhost:8080/v1/logs?session_id=session-1&limit=10" -H "X-API-Key: {key}""#
        ),
    );
    let found = found.json(200);
    assert_eq!(array(&found).len(), 1, "{found}");
    assert_eq!(found[0]["message"], "User logged in");
    assert_eq!(found[0]["object"], json!({ "user": 42 }));
}

#[test]
fn without_or_with_a_bad_key_nothing_is_taken() {
    let server = server_with(&[("AUTH_SECRET", SECRET)]);
    let body = json!([{ "message": "never" }]);
    post(&server, &body).expect_status(401);
    let other = timberyard(&["keys", "issue", "--client", "web", "--secret", "another"]).succeeded().text();
    for key in ["", "web", "web.", ".", "web.AAAA", other.trim()] {
        let answer = server.post("/v1/logs").header("X-API-Key", key).json(&body).send();
        assert_eq!(answer.status, 401, "key `{key}`");
    }
    server.get("/v1/logs").send().expect_status(401);
}

#[test]
fn an_entry_comes_back_with_every_field_as_it_was_sent() {
    let server = server();
    let time = rfc3339(now() - SECOND);
    let entry = json!({
        "level": "WARNING",
        "message": "disk nearly full",
        "object": { "z": 1.0, "a": "1", "nothing": null, "list": [1, 2.5, true, {}], "big": u64::MAX },
        "extra": { "host": "db-1", "empty": {} },
        "logger_name": "storage",
        "time": time,
        "sequence": u64::MAX,
        "error": "ENOSPC",
        "stacktrace": "at a\n\tat b",
        "session_id": "s-1",
        "client_id": "c-1",
        "source": "db",
    });
    let answer = post(&server, &json!([entry])).expect_status(202).json();
    assert_eq!(answer["status"], "accepted");
    assert_eq!(answer["received"], 1, "the array forms share one answer");

    let found = read(&server, &[]).expect_status(200).json();
    let found = &array(&found)[0];
    for (name, sent) in entry.as_object().expect("an object") {
        if name == "time" {
            assert_eq!(parse(found["time"].as_str().expect("a time")), parse(&time));
        } else {
            assert_eq!(&found[name], sent, "{name} of {found}");
        }
    }
    assert_eq!(found["client_ip"], "127.0.0.1");
}

#[test]
fn an_entry_of_a_message_alone_gets_defaults_and_no_invented_fields() {
    let server = server();
    let before = now();
    post(&server, &json!([{ "message": "bare" }])).expect_status(202);
    let found = read(&server, &[]).expect_status(200).json();
    let found = &array(&found)[0];
    assert_eq!(found["level"], "INFO");
    let time = parse(found["time"].as_str().expect("a time"));
    assert!(before - SECOND <= time && time <= now(), "{found}");
    for name in ["object", "extra", "error", "stacktrace", "session_id", "client_id", "source", "logger_name"]
    {
        assert!(found.get(name).is_none_or(Value::is_null), "{name} was not sent: {found}");
    }
}

#[test]
fn every_level_is_kept_as_the_word_that_was_sent_and_normalised_beside_it() {
    let server = server();
    let levels = [
        ("FINEST", "trace"),
        ("FINER", "trace"),
        ("FINE", "debug"),
        ("CONFIG", "info"),
        ("INFO", "info"),
        ("WARNING", "warn"),
        ("SEVERE", "error"),
    ];
    let mut entries: Vec<Value> =
        levels.iter().map(|(word, _)| json!({ "level": word, "message": word })).collect();
    entries.push(json!({ "level": "Audit", "message": "Audit" }));
    post(&server, &Value::Array(entries)).expect_status(202);
    for (word, normal) in levels {
        let found = crate::logql::entries(&server, &format!(r#"{{level="{word}"}}"#));
        assert_eq!(found.len(), 1, "{word}");
        assert_eq!(found[0].labels["detected_level"], normal, "{word}");
    }
    assert_eq!(messages(&server, &[("level", "audit")]), ["Audit"]);
    assert_eq!(messages(&server, &[("level", "finest")]), ["FINEST"]);
}

#[test]
fn labels_and_metadata_of_an_entry_are_those_of_the_mapping() {
    let server = server();
    post(
        &server,
        &json!([
            { "message": "one", "source": "billing", "logger_name": "pay", "session_id": "s", "sequence": 7,
              "object": { "k": "v" } },
            { "message": "two", "logger_name": "pay" },
            { "message": "three" },
        ]),
    )
    .expect_status(202);
    let one = crate::logql::entries(&server, r#"{service_name="billing", logger_name="pay", level="INFO"}"#);
    assert_eq!(one[0].line, "one");
    assert_eq!(one[0].labels["session_id"], "s");
    assert_eq!(one[0].labels["sequence"], "7");
    assert_eq!(one[0].labels["source"], "billing");
    assert_eq!(one[0].labels["client_ip"], "127.0.0.1");
    assert_eq!(one[0].labels["object"], r#"{"k":"v"}"#);
    assert_eq!(crate::logql::lines(&server, r#"{service_name="pay"}"#), ["two"]);
    assert_eq!(crate::logql::lines(&server, r#"{service_name="unknown_service"}"#), ["three"]);
}

#[test]
fn reads_are_filtered_by_each_parameter_and_answer_the_newest_first() {
    let server = server();
    let base = now() - 60 * SECOND;
    let time = |second: i64| rfc3339(base + second * SECOND);
    post(
        &server,
        &json!([
            { "time": time(1), "message": "Alpha opened", "level": "INFO", "session_id": "S1", "client_id": "C1",
              "source": "gate", "error": "none" },
            { "time": time(2), "message": "Beta opened", "level": "SEVERE", "session_id": "S2", "client_id": "C1",
              "source": "gateway", "error": "Timeout 5s" },
            { "time": time(3), "message": "Gamma closed", "level": "info", "session_id": "S1", "client_id": "C2",
              "source": "door" },
        ]),
    )
    .expect_status(202);

    let (one, two, three) = ("Alpha opened", "Beta opened", "Gamma closed");
    let (time_1, time_2, time_3) = (time(1), time(2), time(3));
    let cases: &[Case<'_>] = &[
        (&[], &[three, two, one]),
        (&[("limit", "2")], &[three, two]),
        (&[("start_time", &time_2)], &[three, two]),
        (&[("end_time", &time_2)], &[two, one]),
        (&[("start_time", &time_2), ("end_time", &time_2)], &[two]),
        (&[("start_time", &time_1), ("end_time", &time_3)], &[three, two, one]),
        (&[("level", "INFO")], &[three, one]),
        (&[("level", "severe")], &[two]),
        (&[("session_id", "s1")], &[three, one]),
        (&[("session_id", "S")], &[]),
        (&[("client_id", "c1")], &[two, one]),
        (&[("search", "OPENED")], &[two, one]),
        (&[("search", "a o")], &[two, one]),
        (&[("search", "(opened|closed)")], &[]),
        (&[("source", "GATE")], &[two, one]),
        (&[("source", "gateway")], &[two]),
        (&[("error", "timeout")], &[two]),
        (&[("session_id", "S1"), ("search", "closed")], &[three]),
        (&[("subscriber_type", "")], &[three, two, one]),
    ];
    for (parameters, expected) in cases {
        assert_eq!(&messages(&server, parameters), expected, "{parameters:?}");
    }
}

#[test]
fn a_hundred_entries_are_answered_unless_a_limit_says_otherwise() {
    let server = server();
    let entries: Vec<Value> = (0..120).map(|n| json!({ "message": format!("entry {n}") })).collect();
    post(&server, &Value::Array(entries)).expect_status(202);
    assert_eq!(messages(&server, &[]).len(), 100);
    assert_eq!(messages(&server, &[("limit", "10000")]).len(), 120);
    assert_eq!(messages(&server, &[])[0], "entry 119", "of equal times the last sent is the newest");
}

#[test]
fn context_is_the_lines_around_each_match_in_the_same_session_or_client() {
    let server = server();
    let base = now() - 600 * SECOND;
    let entries: Vec<Value> = (0..20)
        .map(|n| {
            let session = if n % 2 == 0 { "even" } else { "odd" };
            let message = if n == 10 { "needle".to_owned() } else { format!("hay {n}") };
            json!({ "time": rfc3339(base + n * SECOND), "message": message, "session_id": session,
                    "client_id": "one" })
        })
        .collect();
    post(&server, &Value::Array(entries)).expect_status(202);

    let needle = ("search", "needle");
    let even = ("session_id", "even");
    let cases: &[Case<'_>] = &[
        (&[needle, even], &["needle"]),
        (&[needle, even, ("before_context", "2")], &["needle", "hay 8", "hay 6"]),
        (&[needle, even, ("after_context", "2")], &["hay 14", "hay 12", "needle"]),
        (&[needle, even, ("context", "1")], &["hay 12", "needle", "hay 8"]),
        (&[needle, ("client_id", "ONE"), ("context", "1")], &["hay 11", "needle", "hay 9"]),
        (&[needle, even, ("context", "0")], &["needle"]),
    ];
    for (parameters, expected) in cases {
        assert_eq!(&messages(&server, parameters), expected, "{parameters:?}");
    }
    assert_eq!(messages(&server, &[needle, even, ("context", "1000")]).len(), 10);
    for bad in [
        &[needle, ("context", "1")][..],
        &[needle, ("before_context", "1")],
        &[needle, even, ("context", "1001")],
        &[needle, even, ("after_context", "-1")],
        &[needle, even, ("before_context", "many")],
    ] {
        read(&server, bad).expect_status(400);
    }
}

#[test]
fn wrong_parameters_are_named() {
    let server = server();
    for (name, value) in [("start_time", "yesterday"), ("end_time", "12"), ("limit", "many"), ("limit", "-1")]
    {
        let answer = read(&server, &[(name, value)]).expect_status(400);
        assert!(answer.text().contains(name), "{name}={value}: {}", answer.text());
    }
}

#[test]
fn a_store_that_is_not_enabled_is_503() {
    let server = server();
    for store in ["file", "clickhouse"] {
        let answer = read(&server, &[("subscriber_type", store)]).expect_status(503);
        assert!(answer.text().contains(store), "{}", answer.text());
    }
}

#[test]
fn payloads_that_do_not_parse_are_400_and_say_where() {
    let server = server();
    let request =
        |body: &str| server.post("/v1/logs").header("Content-Type", "application/json").body(body).send();
    for body in [
        "[{\"message\":\"a\"}",
        "[{\"message\":1}]",
        "[{\"message\":\"a\",\"time\":\"noon\"}]",
        "[{\"message\":\"a\",\"sequence\":-1}]",
        "[{\"message\":\"a\",\"object\":[]}]",
        "{}",
        "[]",
        "",
        "[1]",
    ] {
        let answer = request(body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
    let broken = request("[{\"message\":\"a\"},\n {\"message\" \"b\"}]").text();
    assert!(broken.contains("line 2") || broken.contains("byte ") || broken.contains("offset"), "{broken}");
    let mixed = request(r#"[{"message":"a"},{"timestamp":1,"service":"s","message":"b"}]"#);
    assert!(mixed.text().contains("[1]") || mixed.text().contains(" 1"), "{}", mixed.text());
    mixed.expect_status(400);
    assert_eq!(messages(&server, &[]), [""; 0], "nothing of a refused body is kept");
}

#[test]
fn status_counts_what_was_ingested() {
    let server = server_with(&[("AUTH_SECRET", SECRET)]);
    let key = timberyard(&["keys", "issue", "--client", "c", "--secret", SECRET]).succeeded().text();
    let with_key = |request: Request| request.header("X-API-Key", key.trim()).send();
    with_key(server.post("/v1/logs").json(&json!([{ "message": "a" }, { "message": "b" }])))
        .expect_status(202);
    let status = with_key(server.get("/status")).expect_status(200).json();
    assert_eq!(status["status"], "ok");
    assert_eq!(status["ingested_logs"], 2);
    assert_eq!(status["dropped_logs"], 0);
    assert!(!status["uptime"].is_null(), "{status}");
}

#[test]
fn file_logging_writes_a_file_for_each_session_which_is_read_with_context() {
    let folder = tempfile::tempdir().expect("a folder");
    let logs = folder.path().join("logs");
    let dir = logs.to_str().expect("text");
    let server = server_with(&[("ENABLE_FILE_LOGGING", "true"), ("FILE_LOG_DIR", dir)]);
    let start = now() - 60 * SECOND;
    let entries: Vec<Value> = (0..6)
        .map(|number| {
            let session = if number % 2 == 0 { "even" } else { "../odd" };
            let level = if number == 2 { "SEVERE" } else { "INFO" };
            json!({
                "message": format!("entry {number}"), "session_id": session, "level": level,
                "time": rfc3339(start + number * SECOND),
            })
        })
        .collect();
    post(&server, &json!(entries)).expect_status(202);
    // The sink is best effort: it follows behind.
    let file = logs.join("default/even.ndjson");
    eventually("the lines of the file", || {
        std::fs::read_to_string(&file).ok().filter(|text| text.lines().count() == 3)
    });
    let text = std::fs::read_to_string(&file).expect("a file");
    let first: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["message"], "entry 0");
    assert!(!folder.path().join("odd.ndjson").exists());
    let other = logs.join("default/%2e.%2fodd.ndjson");
    eventually("the file of the other session", || other.exists().then_some(()));

    let expected = ["entry 4", "entry 2", "entry 0"];
    let even = [("session_id", "even"), ("subscriber_type", "file")];
    assert_eq!(messages(&server, &even), expected);
    let around = [
        ("session_id", "even"),
        ("subscriber_type", "file"),
        ("level", "severe"),
        ("before_context", "1"),
        ("after_context", "1"),
    ];
    assert_eq!(messages(&server, &around), expected);
    read(&server, &[("subscriber_type", "clickhouse")]).expect_status(503);
    eventually("the rows counted", || {
        let metrics = server.get("/metrics").send().expect_status(200).text();
        metrics.contains("timberyard_sink_rows_written_total{sink=\"files\"} 6\n").then_some(())
    });
}

#[test]
fn a_required_sink_has_what_is_acknowledged_and_answers_for_a_server_without_a_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("logs");
    let sinks = format!("{{sessions: {{required: true, files: {{dir: '{}'}}}}}}", dir.display());
    let server = server_with(&[
        ("TIMBERYARD_SINKS", &sinks),
        ("TIMBERYARD_STORE_EMBEDDED", "false"),
        ("TIMBERYARD_QUERY_SOURCE", "sessions"),
    ]);
    post(&server, &json!([{"message": "kept in a file", "session_id": "s"}])).expect_status(202);
    let text =
        std::fs::read_to_string(dir.join("default/s.ndjson")).expect("is there when it is acknowledged");
    assert!(text.contains("kept in a file"), "{text}");
    assert_eq!(messages(&server, &[]), ["kept in a file"]);
    server.post("/flush").send().expect_status(204);
    let metrics = server.get("/metrics").send().expect_status(200).text();
    assert!(metrics.contains("timberyard_sink_rows_written_total{sink=\"sessions\"} 1\n"), "{metrics}");
    let found = server
        .get("/loki/api/v1/query_range")
        .query("query", r#"count_over_time({service_name=~".+"} |= "kept"[1h])"#)
        .send()
        .expect_status(200);
    assert!(found.text().contains(r#""1""#), "{}", found.text());
}
