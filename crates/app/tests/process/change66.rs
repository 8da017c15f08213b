//! System D, the Change66 log server: analytics events with ids that are taken once.

use std::sync::Barrier;

use serde_json::{Value, json};
use timberyard_testkit::http::Answer;
use timberyard_testkit::parts::postgres::Postgres;
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::{HOUR, SECOND, now, parse, rfc3339};
use crate::logql::array;
use crate::postgres::database_variables;
use crate::start::{server, server_with};
use crate::terminal::curl;

/// Parameters of a read, and the ids that it answers.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

/// Runs a scenario on a server that keeps events itself, and on one that keeps them in PostgreSQL.
fn on_each_store(variables: &[(&str, &str)], scenario: impl Fn(&ServerProcess)) {
    scenario(&server_with(variables));
    let database = database_variables(Postgres::shared());
    let all: Vec<(&str, &str)> =
        variables.iter().copied().chain(database.iter().map(|(name, value)| (*name, &**value))).collect();
    scenario(&server_with(&all));
}

fn event(id: &str) -> Value {
    json!({ "event_id": id, "event_type": "behavioral", "event_name": "tap" })
}

fn ingest(server: &ServerProcess, event: &Value) -> Answer {
    server.post("/api/v1/ingest").json(event).send()
}

fn ingest_all(server: &ServerProcess, events: &[Value]) -> Answer {
    server.post("/api/v1/batch-ingest").json(&json!({ "logs": events })).send()
}

fn filter(server: &ServerProcess, parameters: &[(&str, &str)]) -> Answer {
    let request = server.get("/api/v1/logs/filter");
    parameters.iter().fold(request, |request, (name, value)| request.query(name, value)).send()
}

/// The ids of the events that a filter answers, in its order.
#[track_caller]
fn ids(server: &ServerProcess, parameters: &[(&str, &str)]) -> Vec<String> {
    let answer = filter(server, parameters).expect_status(200).json();
    ids_of(&answer["data"]["logs"])
}

fn ids_of(events: &Value) -> Vec<String> {
    array(events).iter().map(|event| event["event_id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn the_documented_curl_examples_are_taken_and_read_back() {
    on_each_store(&[("API_KEYS", "demo-key,second-key")], |server| {
        let sent = curl(
            server,
            r#"curl -X POST http://localhost:8080/api/v1/ingest \
          -H "Content-Type: application/json" \
          -H "Authorization: Bearer demo-key" \
          -d '{"event_id":"evt_123456789","timestamp":"2024-01-15T10:30:00Z","event_type":"behavioral","event_name":"button_clicked","properties":{"button_id":"submit","screen":"login"},"user_id":"user_123","session_id":"session_456","app_version":"1.0.0","device_info":{"platform":"ios","version":"17.0"},"sequence_number":1,"priority":"normal"}'"#,
        );
        let sent = sent.json(201);
        assert_eq!(sent["success"], true);
        assert!(sent["message"].is_string(), "{sent}");
        assert_eq!(sent["data"]["event_id"], "evt_123456789");
        assert!(!sent["data"]["id"].is_null(), "{sent}");

        let batch = curl(
            server,
            r#"curl -X POST http://localhost:8080/api/v1/batch-ingest \
          -H "Content-Type: application/json" \
          -H "X-API-Key: second-key" \
          -d '{"logs":[{"event_id":"evt_1","event_type":"telemetry","event_name":"app_start"},{"event_id":"evt_2","event_type":"error","event_name":"crash","priority":"high"}]}'"#,
        );
        let batch = batch.json(201);
        assert_eq!(batch["data"]["logs_processed"], 2);
        assert_eq!(batch["data"]["total_received"], 2);

        let found = curl(
            server,
            r#"curl "http://localhost:8080/api/v1/logs/filter?event_type=behavioral&user_id=user_123&page=1&page_size=10" -H "Authorization: Bearer demo-key""#,
        );
        let found = found.json(200);
        assert_eq!(found["data"]["total_count"], 1);
        assert_eq!(found["data"]["logs"][0]["properties"]["button_id"], "submit");
        let recent = curl(
            server,
            r#"curl "http://localhost:8080/api/v1/logs/recent?limit=5" -H "X-API-Key: demo-key""#,
        )
        .json(200);
        assert_eq!(array(&recent["data"]).len(), 3);
        assert_eq!(curl(server, "curl http://localhost:8080/health").status, 200);
    });
}

#[test]
fn without_a_good_key_the_answer_is_unauthorized() {
    on_each_store(&[("API_KEYS", "k")], |server| {
        for answer in [
            ingest(server, &event("e")),
            server.get("/api/v1/logs/recent").header("Authorization", "Bearer wrong").send(),
            server.get("/api/v1/status").header("X-API-Key", "").send(),
        ] {
            assert_eq!(answer.status, 401, "{}", answer.text());
            let answer = answer.json();
            assert_eq!(answer["error"], "unauthorized");
            assert!(answer["message"].is_string(), "{answer}");
        }
    });
}

#[test]
fn an_event_comes_back_with_every_field_as_it_was_sent() {
    on_each_store(&[], |server| {
        let time = now() - SECOND;
        let sent = json!({
            "event_id": "full",
            "timestamp": rfc3339(time),
            "event_type": "observability",
            "event_name": "span",
            "properties": { "z": 1.0, "a": "1", "n": null, "list": [1, { "deep": true }], "provider_name": "p" },
            "user_id": "u",
            "session_id": "s",
            "app_version": "2.1.0",
            "device_info": { "os": "linux", "cores": 2 },
            "sequence_number": 7,
            "priority": "high",
        });
        ingest(server, &sent).expect_status(201);
        let answer = filter(server, &[]).expect_status(200).json();
        assert_eq!(answer["success"], true);
        assert!(answer["message"].is_string(), "{answer}");
        let found = &answer["data"]["logs"][0];
        for (name, value) in sent.as_object().expect("an object") {
            if name == "timestamp" {
                assert_eq!(parse(found["timestamp"].as_str().expect("a time")), time);
            } else {
                assert_eq!(&found[name], value, "{name} of {found}");
            }
        }
        assert!(found["id"].is_i64(), "{found}");
        for name in ["created_at", "processed_at"] {
            let at = parse(found[name].as_str().expect("a time"));
            assert!(time <= at && at <= now(), "{name} of {found}");
        }
        let stored = &crate::logql::entries(server, r#"{service_name="analytics"} | json"#)[0];
        for (name, value) in [
            ("event_type", "observability"),
            ("priority", "high"),
            ("app_version", "2.1.0"),
            ("event_id", "full"),
            ("event_name", "span"),
            ("user_id", "u"),
            ("session_id", "s"),
            ("sequence_number", "7"),
            ("properties_list_1_deep", ""),
            ("properties_provider_name", "p"),
            ("device_info_os", "linux"),
        ] {
            if !value.is_empty() {
                assert_eq!(stored.labels[name], value, "{name} of {}", stored.labels);
            }
        }
        let line: Value = serde_json::from_str(&stored.line).expect("the line is JSON");
        assert_eq!(line["properties"], sent["properties"]);
        assert!(!stored.line.contains(": "), "compact: {}", stored.line);
    });
}

#[test]
fn an_event_of_required_fields_alone_gets_defaults() {
    on_each_store(&[], |server| {
        let before = now();
        ingest(server, &event("bare")).expect_status(201);
        let found = filter(server, &[]).expect_status(200).json()["data"]["logs"][0].clone();
        assert_eq!(found["properties"], json!({}));
        assert_eq!(found["device_info"], json!({}));
        assert_eq!(found["priority"], "normal");
        let time = parse(found["timestamp"].as_str().expect("a time"));
        assert!(before - SECOND < time && time <= now(), "{found}");
        for name in ["user_id", "session_id", "app_version", "sequence_number"] {
            assert!(found.get(name).is_none_or(Value::is_null), "{name} was not sent: {found}");
        }
    });
}

#[test]
fn a_known_event_id_is_409_and_of_concurrent_equal_ids_one_is_taken() {
    on_each_store(&[], |server| {
        ingest(server, &event("once")).expect_status(201);
        let again = ingest(server, &event("once")).expect_status(409).json();
        assert_eq!(again["error"], "duplicate_event");

        for round in 0..5 {
            let id = format!("race-{round}");
            let barrier = Barrier::new(8);
            let statuses: Vec<u16> = std::thread::scope(|scope| {
                let racers: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            ingest(server, &event(&id)).status
                        })
                    })
                    .collect();
                racers.into_iter().map(|racer| racer.join().expect("an answer")).collect()
            });
            let taken = statuses.iter().filter(|status| **status == 201).count();
            let refused = statuses.iter().filter(|status| **status == 409).count();
            assert_eq!((taken, refused), (1, 7), "{statuses:?}");
        }
        assert_eq!(crate::logql::count(server, r#"{service_name="analytics"}"#), 6);
    });
}

#[test]
fn bad_events_are_refused_with_each_field_named() {
    on_each_store(&[], |server| {
        let answer = server
            .post("/api/v1/ingest")
            .header("Content-Type", "application/json")
            .body("{\"event_id\":")
            .send();
        assert_eq!(answer.expect_status(400).json()["error"], "invalid_json");

        let with = |name: &str, value: Value| {
            let mut event = event("bad");
            event[name] = value;
            event
        };
        let cases: [(Value, &[&str]); 9] = [
            (json!({}), &["event_id", "event_type", "event_name"]),
            (with("event_id", json!("")), &["event_id"]),
            (with("event_type", json!("unheard")), &["event_type"]),
            (with("event_name", json!("")), &["event_name"]),
            (with("priority", json!("urgent")), &["priority"]),
            (with("timestamp", json!("noon")), &["timestamp"]),
            (with("timestamp", json!(rfc3339(now() + HOUR))), &["timestamp"]),
            (with("properties", json!("text")), &["properties"]),
            (with("sequence_number", json!("seven")), &["sequence_number"]),
        ];
        for (event, fields) in cases {
            let answer = ingest(server, &event).expect_status(400).json();
            // A type that no JSON reader of the original would take may be either error.
            if answer["error"] == "invalid_json" {
                continue;
            }
            assert_eq!(answer["error"], "validation_error", "{event}");
            assert!(answer["message"].is_string(), "{answer}");
            let named: Vec<&str> =
                array(&answer["details"]).iter().map(|d| d["field"].as_str().expect("a field")).collect();
            assert_eq!(named, fields, "{event}: {answer}");
            assert!(array(&answer["details"]).iter().all(|d| d["message"].is_string()), "{answer}");
        }
        assert_eq!(ids(server, &[]), [""; 0]);
    });
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all() {
    on_each_store(&[("MAX_BATCH_SIZE", "3")], |server| {
        let answer = ingest_all(server, &[event("known-1"), event("known-2")]).expect_status(201).json();
        assert_eq!(answer["success"], true);
        assert_eq!(answer["data"]["logs_processed"], 2);
        assert_eq!(answer["data"]["total_received"], 2);

        let error = |events: &[Value], status: u16| ingest_all(server, events).expect_status(status).json();
        assert_eq!(error(&[], 400)["error"], "empty_batch");
        let four = ["1", "2", "3", "4"].map(event);
        assert_eq!(error(&four, 400)["error"], "batch_too_large");
        let mut bad = event("c");
        bad["event_type"] = json!("unheard");
        let answer = error(&[event("d"), bad], 400);
        assert_eq!(answer["error"], "validation_error");
        assert_eq!(answer["details"][0]["field"], "logs[1].event_type", "{answer}");

        let known = error(&[event("e"), event("known-1")], 409);
        assert_eq!(known["error"], "duplicate_event");
        assert!(known.to_string().contains("known-1"), "{known}");
        let repeated = error(&[event("repeated-id"), event("repeated-id")], 409);
        assert_eq!(repeated["error"], "duplicate_event");
        assert!(repeated.to_string().contains("repeated-id"), "{repeated}");
        server.post("/api/v1/batch-ingest").json(&json!({})).send().expect_status(400);

        let mut kept = ids(server, &[]);
        kept.sort();
        assert_eq!(kept, ["known-1", "known-2"], "of refused batches nothing is kept");
        ingest_all(server, &[event("d"), event("e"), event("repeated-id")]).expect_status(201);
    });
}

#[test]
fn events_are_filtered_by_each_parameter() {
    on_each_store(&[], |server| {
        let base = now() - 60 * SECOND;
        let time = |second: i64| rfc3339(base + second * SECOND);
        ingest_all(
        server,
        &[
            json!({ "event_id": "1", "timestamp": time(1), "event_type": "behavioral", "event_name": "tap",
                    "user_id": "u1", "session_id": "s1", "app_version": "1.0", "priority": "high",
                    "properties": { "provider_name": "acme" } }),
            json!({ "event_id": "2", "timestamp": time(3), "event_type": "telemetry", "event_name": "start",
                    "user_id": "u1", "session_id": "s2", "app_version": "1.1" }),
            json!({ "event_id": "3", "timestamp": time(2), "event_type": "behavioral", "event_name": "swipe",
                    "user_id": "u2", "session_id": "s1", "app_version": "1.0" }),
        ],
    )
    .expect_status(201);
        let by_time = ("sort_by", "timestamp");
        let (time_2, time_3) = (time(2), time(3));
        let cases: &[Case<'_>] = &[
            (&[by_time], &["2", "3", "1"]),
            (&[by_time, ("sort_order", "ASC")], &["1", "3", "2"]),
            (&[by_time, ("sort_order", "asc")], &["1", "3", "2"]),
            (&[], &["3", "2", "1"]),
            (&[("sort_by", "event_id"), ("sort_order", "ASC")], &["1", "2", "3"]),
            (&[("sort_by", "event_name"), ("sort_order", "ASC")], &["2", "3", "1"]),
            (&[by_time, ("event_type", "behavioral")], &["3", "1"]),
            (&[by_time, ("event_name", "tap")], &["1"]),
            (&[by_time, ("user_id", "u1")], &["2", "1"]),
            (&[by_time, ("session_id", "s1")], &["3", "1"]),
            (&[by_time, ("app_version", "1.0")], &["3", "1"]),
            (&[by_time, ("priority", "high")], &["1"]),
            (&[by_time, ("priority", "normal")], &["2", "3"]),
            (&[by_time, ("provider_name", "acme")], &["1"]),
            (&[by_time, ("start_time", &time_2)], &["2", "3"]),
            (&[by_time, ("end_time", &time_2)], &["3", "1"]),
            (&[by_time, ("start_time", &time_2), ("end_time", &time_3)], &["2", "3"]),
            (&[by_time, ("user_id", "u1"), ("session_id", "s1")], &["1"]),
            (&[by_time, ("user_id", "nobody")], &[]),
        ];
        for (parameters, expected) in cases {
            assert_eq!(&ids(server, parameters), expected, "{parameters:?}");
        }
        for sort_by in [
            "id",
            "event_id",
            "timestamp",
            "event_type",
            "event_name",
            "user_id",
            "session_id",
            "app_version",
            "priority",
            "created_at",
        ] {
            assert_eq!(ids(server, &[("sort_by", sort_by)]).len(), 3, "{sort_by}");
        }
    });
}

#[test]
fn events_are_answered_page_by_page() {
    on_each_store(&[], |server| {
        let events: Vec<Value> = (0..7).map(|n| event(&format!("e{n}"))).collect();
        ingest_all(server, &events).expect_status(201);
        let page = |number: &str| {
            filter(
                server,
                &[("page", number), ("page_size", "3"), ("sort_by", "event_id"), ("sort_order", "ASC")],
            )
            .expect_status(200)
            .json()["data"]
                .clone()
        };
        assert_eq!(ids_of(&page("1")["logs"]), ["e0", "e1", "e2"]);
        assert_eq!(ids_of(&page("3")["logs"]), ["e6"]);
        assert_eq!(ids_of(&page("4")["logs"]), [""; 0]);
        let second = page("2");
        assert_eq!(ids_of(&second["logs"]), ["e3", "e4", "e5"]);
        for (name, value) in [("total_count", 7), ("page", 2), ("page_size", 3), ("total_pages", 3)] {
            assert_eq!(second[name], value, "{name}");
        }
        let plain = filter(server, &[]).expect_status(200).json();
        assert_eq!((&plain["data"]["page"], &plain["data"]["page_size"]), (&json!(1), &json!(50)));
        let serials: Vec<i64> =
            array(&plain["data"]["logs"]).iter().map(|e| e["id"].as_i64().expect("an id")).collect();
        let distinct: std::collections::BTreeSet<&i64> = serials.iter().collect();
        assert_eq!(distinct.len(), 7, "{serials:?}");
    });
}

#[test]
fn wrong_filters_have_errors_of_their_own() {
    on_each_store(&[], |server| {
        for (name, value, error) in [
            ("event_type", "unheard", "invalid_event_type"),
            ("start_time", "noon", "invalid_start_time"),
            ("end_time", "noon", "invalid_end_time"),
            ("priority", "urgent", "invalid_priority"),
        ] {
            let answer = filter(server, &[(name, value)]).expect_status(400).json();
            assert_eq!(answer["error"], error, "{name}");
        }
    });
}

#[test]
fn recent_events_are_the_newest_fifty_unless_a_limit_says_otherwise() {
    on_each_store(&[], |server| {
        let events: Vec<Value> = (0..60).map(|n| event(&format!("e{n}"))).collect();
        ingest_all(server, &events).expect_status(201);
        let recent =
            |query: &str| server.get(&format!("/api/v1/logs/recent{query}")).send().expect_status(200).json();
        let answer = recent("");
        assert_eq!(answer["success"], true);
        assert!(answer["message"].is_string(), "{answer}");
        assert_eq!(array(&answer["data"]).len(), 50);
        assert_eq!(ids_of(&recent("?limit=2")["data"]), ["e59", "e58"]);
        assert_eq!(array(&recent("?limit=1000")["data"]).len(), 60);
    });
}

#[test]
fn status_and_metrics_tell_totals() {
    on_each_store(&[], |server| {
        let mut failure = event("2");
        failure["event_type"] = json!("error");
        failure["session_id"] = json!("s");
        ingest_all(server, &[event("1"), failure, event("3")]).expect_status(201);
        let status = server.get("/api/v1/status").send().expect_status(200).json();
        assert_eq!(status["success"], true);
        for word in ["service", "version", "uptime", "total"] {
            assert!(status["data"].to_string().contains(word), "{word}: {status}");
        }
        let metrics = server.get("/api/v1/metrics").send().expect_status(200).json();
        assert_eq!(metrics["success"], true);
        let data = &metrics["data"];
        assert_eq!(data["total_logs"], 3, "{data}");
        assert_eq!(data["logs_last_hour"], 3, "{data}");
        assert_eq!(data["logs_last_day"], 3, "{data}");
        assert!(data["average_latency_ms"].is_number(), "{data}");
        let rate = data["error_rate_percent"].as_f64().expect("a number");
        assert!((33.0..34.0).contains(&rate), "{data}");
        assert_eq!(data["active_sessions"], 1, "{data}");
        let top = array(&data["top_event_types"]);
        assert_eq!((&top[0]["event_type"], &top[0]["count"]), (&json!("behavioral"), &json!(2)), "{data}");
    });
}

#[test]
fn probes_answer_without_a_key() {
    let server = server_with(&[("API_KEYS", "k")]);
    for path in ["/health", "/readiness", "/liveness", "/ready", "/metrics"] {
        server.get(path).send().expect_status(200);
    }
}

#[test]
fn request_ids_are_echoed_or_made_and_answers_carry_security_headers() {
    let server = server();
    let answer = server.get("/api/v1/status").header("X-Request-ID", "mine-1").send().expect_status(200);
    assert_eq!(answer.header("X-Request-ID"), Some("mine-1"));
    let made = server.get("/api/v1/status").send().header("X-Request-ID").expect("made").to_owned();
    assert!(made.len() >= 8, "{made}");
    assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
    assert!(answer.header("X-Frame-Options").is_some() || answer.header("Content-Security-Policy").is_some());
    assert_eq!(answer.header("Access-Control-Allow-Origin"), None, "no CORS unless configured");
}

#[test]
fn configured_origins_may_read_answers_and_others_may_not() {
    let page = "https://logs.example.org";
    let server = server_with(&[("ENABLE_CORS", "true"), ("ALLOWED_ORIGINS", page), ("API_KEYS", "k")]);
    let preflight = timberyard_testkit::http::Request::new("OPTIONS", &server.url("/api/v1/ingest"))
        .header("Origin", page)
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "authorization,content-type,x-api-key")
        .send();
    assert!((200..300).contains(&preflight.status), "{}", preflight.status);
    assert_eq!(preflight.header("Access-Control-Allow-Origin"), Some(page));
    let allowed = preflight.header("Access-Control-Allow-Headers").expect("headers").to_ascii_lowercase();
    assert!(allowed.contains("authorization") || allowed == "*", "{allowed}");
    let read = server.get("/health").header("Origin", page).send();
    assert_eq!(read.header("Access-Control-Allow-Origin"), Some(page));
    let stranger = server.get("/health").header("Origin", "https://evil.example").send();
    assert_eq!(stranger.header("Access-Control-Allow-Origin"), None);
}

#[test]
fn a_request_over_the_size_limit_is_413() {
    let server = server_with(&[("MAX_REQUEST_SIZE_MB", "1")]);
    let mut large = event("large");
    large["properties"] = json!({ "text": "x".repeat(1 << 20) });
    let answer = ingest(&server, &large).expect_status(413).json();
    assert_eq!(answer["error"], "request_too_large");
    large["properties"] = json!({ "text": "x".repeat(100_000) });
    ingest(&server, &large).expect_status(201);
}
