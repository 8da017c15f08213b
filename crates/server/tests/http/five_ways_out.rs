//! The ways out of the five systems: what came in through one is answered through every one.

use serde_json::{Value, json};

use crate::harness::TestServer;

/// One row through each way in, oldest first: E, A, B, C and D.
async fn filled() -> TestServer {
    let server = TestServer::new();
    for (path, body) in [
        (
            "/v1/logs",
            json!([{"timestamp":1_793_490_000_000_i64,"service":"auth","level":"warn","message":"slow login","labels":{"env":"prod"}}]),
        ),
        (
            "/v1/logs",
            json!([{"time":"2026-11-01T00:00:00.5Z","level":"SEVERE","message":"Disk FULL","session_id":"S1","client_id":"c1",
                "source":"Billing","error":"ENOSPC","object":{"n":1.50},"sequence":7}]),
        ),
        (
            "/ingest",
            json!({"streams":[{"labels":{"app":"pay","level":"error"},"entries":[{"ts":"2026-11-01T00:30:00Z","line":"card refused"}]}]}),
        ),
        ("/api/ingest", json!({"service":"mail","level":"INFO","message":"sent","metadata":{"to":"a@b"}})),
        (
            "/api/v1/ingest",
            json!({"event_id":"e1","event_type":"performance","event_name":"load","timestamp":"2026-11-01T01:00:01Z",
                "session_id":"S9","user_id":"u","properties":{"provider_name":"acme","ms":12.0}}),
        ),
    ] {
        let answer = server.post(path, body.to_string()).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
    }
    server
}

async fn json_of(server: &TestServer, path: &str) -> Value {
    let answer = server.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// One field of each element.
fn column(list: &Value, field: &str) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter()
        .map(|entry| entry[field].as_str().map_or_else(|| entry[field].to_string(), str::to_owned))
        .collect()
}

const EVENT_LINE: &str = r#"{"event_id":"e1","event_type":"performance","event_name":"load","timestamp":"2026-11-01T01:00:01Z","session_id":"S9","user_id":"u","properties":{"provider_name":"acme","ms":12.0}}"#;

#[tokio::test]
async fn logtopus_and_log_go_read_everything_newest_first() {
    let server = filled().await;
    let entries = json_of(&server, "/v1/logs").await;
    assert_eq!(column(&entries, "message"), [EVENT_LINE, "sent", "card refused", "Disk FULL", "slow login"]);
    assert_eq!(column(&entries, "level"), ["unknown", "INFO", "error", "SEVERE", "warn"]);
    assert_eq!(column(&entries, "service"), ["analytics", "mail", "pay", "Billing", "auth"]);
    let own = &entries[3];
    for (field, value) in [
        ("time", json!("2026-11-01T00:00:00.5Z")),
        ("timestamp", json!(1_793_491_200_500_i64)),
        ("object", json!({"n":1.50})),
        ("extra", Value::Null),
        ("sequence", json!(7)),
        ("error", json!("ENOSPC")),
        ("source", json!("Billing")),
        ("received_at", Value::Null),
    ] {
        assert_eq!(own[field], value, "{field}");
    }
    assert_eq!(entries[4]["labels"], json!({"env":"prod"}));
    assert_eq!(entries[4]["received_at"], json!(1_793_494_800_000_i64));
    assert_eq!(entries[4]["ingested_node_id"], "timberyard-0");
}

#[tokio::test]
async fn filters_of_the_shared_path_narrow_the_answer() {
    let server = filled().await;
    let cases: [(&str, &[&str]); 16] = [
        ("service=auth", &["slow login"]),
        ("service=nobody", &[]),
        ("limit=1", &[EVENT_LINE]),
        ("level=severe", &["Disk FULL"]),
        ("level=error", &["card refused"]),
        ("level=WARN&search=LOGIN", &["slow login"]),
        ("session_id=s1", &["Disk FULL"]),
        ("client_id=C1", &["Disk FULL"]),
        ("search=disk%20f", &["Disk FULL"]),
        ("search=a.c", &[]),
        ("source=bill", &["Disk FULL"]),
        ("error=nospc", &["Disk FULL"]),
        ("start_time=2026-11-01T00:30:00Z&end_time=2026-11-01T00:30:00Z", &["card refused"]),
        ("end_time=2026-11-01T00:00:00Z", &["slow login"]),
        ("start_time=2026-11-01T01:30:00%2B01:00&end_time=2026-11-01T01:30:00+01:00", &["card refused"]),
        ("subscriber_type=", &[EVENT_LINE, "sent", "card refused", "Disk FULL", "slow login"]),
    ];
    for (parameters, expected) in cases {
        let entries = json_of(&server, &format!("/v1/logs?{parameters}")).await;
        assert_eq!(column(&entries, "message"), expected, "{parameters}");
    }
}

#[tokio::test]
async fn context_comes_from_the_same_session() {
    let server = TestServer::new();
    let entries: Vec<Value> = (0..9)
        .map(|number| {
            json!({"message":format!("m{number}"),"session_id":if number % 3 == 2 {"other"} else {"s"},
                "time":format!("2026-11-01T00:00:0{number}Z")})
        })
        .collect();
    assert_eq!(server.post("/v1/logs", json!(entries).to_string()).await.status, 202);
    let cases: [(&str, &[&str]); 4] = [
        ("context=1", &["m6", "m4", "m3"]),
        ("before_context=2", &["m4", "m3", "m1"]),
        ("after_context=1000", &["m7", "m6", "m4"]),
        ("context=1&start_time=2026-11-01T00:00:04Z&end_time=2026-11-01T00:00:04Z", &["m6", "m4", "m3"]),
    ];
    for (context, expected) in cases {
        let entries = json_of(&server, &format!("/v1/logs?session_id=S&search=M4&{context}")).await;
        assert_eq!(column(&entries, "message"), expected, "{context}");
    }
}

#[tokio::test]
async fn parameters_out_of_range_are_refused_with_the_range() {
    let server = TestServer::new();
    for (path, status, part) in [
        ("/v1/logs?limit=10001", 400, "1 to 10000"),
        ("/v1/logs?limit=0", 400, "1 to 10000"),
        ("/v1/logs?limit=ten", 400, "1 to 10000"),
        ("/v1/logs?context=1001&session_id=s", 400, "0 to 1000"),
        ("/v1/logs?before_context=1", 400, "session_id or client_id"),
        ("/v1/logs?start_time=yesterday", 400, "RFC 3339"),
        ("/v1/logs?subscriber_type=file", 503, "not enabled"),
        ("/v1/logs?subscriber_type=clickhouse", 503, "not enabled"),
        ("/v1/logs?subscriber_type=tape", 400, "file, clickhouse"),
        ("/api/ingest/logs?limit=-1", 400, "1 to 10000"),
        ("/query", 400, "query is required"),
        ("/query?query=%7Ba%3D", 400, "invalid_query"),
        ("/query?query=%7Ba%3D%22b%22%7D&limit=5001", 400, "1 to 5000"),
        ("/query?query=%7Ba%3D%22b%22%7D&start=2026-11-02T00:00:00Z", 400, "invalid_end"),
        ("/api/v1/logs/filter?event_type=odd", 400, "invalid_event_type"),
        ("/api/v1/logs/filter?priority=low", 400, "invalid_priority"),
        ("/api/v1/logs/filter?start_time=x", 400, "invalid_start_time"),
        ("/api/v1/logs/filter?end_time=x", 400, "invalid_end_time"),
        ("/api/v1/logs/filter?sort_by=colour", 400, "invalid_sort_by"),
        ("/api/v1/logs/filter?sort_order=up", 400, "invalid_sort_order"),
        ("/api/v1/logs/filter?page=0", 400, "invalid_page"),
        ("/api/v1/logs/filter?page=2002", 400, "100000"),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text());
        assert!(answer.text().contains(part), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn logstream_reads_everything() {
    let server = filled().await;
    let answer = json_of(&server, "/api/ingest/logs").await;
    assert_eq!((answer["status"].as_str(), answer["result"].as_i64()), (Some("success"), Some(5)));
    let logs = &answer["data"];
    assert_eq!(column(logs, "service"), ["analytics", "mail", "pay", "Billing", "auth"]);
    assert_eq!(logs[1]["meta"], r#"{"to":"a@b"}"#);
    assert_eq!(logs[1]["timestamp"], "2026-11-01T01:00:00Z");
    assert_eq!(logs[2]["meta"], r#"{"app":"pay"}"#);
    for (parameters, expected) in
        [("service=mail", vec!["sent"]), ("level=ERROR", vec!["card refused"]), ("limit=1", vec![EVENT_LINE])]
    {
        let answer = json_of(&server, &format!("/api/ingest/logs?{parameters}")).await;
        assert_eq!(column(&answer["data"], "message"), expected, "{parameters}");
    }
    assert_eq!(json_of(&server, "/api/health").await, json!({"status":"ok"}));
}

#[tokio::test]
async fn change66_reads_everything_as_events() {
    let server = filled().await;
    let answer = json_of(&server, "/api/v1/logs/recent").await;
    assert_eq!(answer["success"], true);
    let events = &answer["data"];
    assert_eq!(column(events, "event_name"), ["load", "mail", "pay", "Billing", "auth"]);
    assert_eq!(
        column(events, "event_type"),
        ["performance", "observability", "error", "error", "observability"]
    );
    assert_eq!(events[0]["properties"], json!({"provider_name":"acme","ms":12.0}));
    assert_eq!(events[0]["created_at"], "2026-11-01T01:00:00Z");
    assert_eq!(events[3]["properties"]["message"], "Disk FULL");
    assert_eq!(events[3]["id"], json!(1_793_491_200_500_000_i64));
    assert_eq!(
        json_of(&server, "/api/v1/logs/recent?limit=2").await["data"].as_array().map(Vec::len),
        Some(2)
    );
}

#[tokio::test]
async fn change66_filters_sort_and_page() {
    let server = filled().await;
    let cases: [(&str, &[&str]); 12] = [
        ("event_type=performance", &["load"]),
        ("event_type=error&sort_by=timestamp", &["pay", "Billing"]),
        ("event_type=observability&sort_order=asc", &["auth", "mail"]),
        ("event_name=load&user_id=u&session_id=S9", &["load"]),
        ("user_id=nobody", &[]),
        ("priority=normal&page_size=2&page=2&sort_by=event_name&sort_order=ASC", &["load", "mail"]),
        ("priority=high", &[]),
        ("provider_name=acme", &["load"]),
        ("provider_name=other", &[]),
        ("start_time=2026-11-01T00:00:00.5Z&end_time=2026-11-01T00:30:00Z", &["pay", "Billing"]),
        ("app_version=1", &[]),
        ("", &["load", "mail", "pay", "Billing", "auth"]),
    ];
    for (parameters, expected) in cases {
        let answer = json_of(&server, &format!("/api/v1/logs/filter?{parameters}")).await;
        assert_eq!(column(&answer["data"]["logs"], "event_name"), expected, "{parameters}");
    }
    let data = json_of(&server, "/api/v1/logs/filter?page=3&page_size=2").await["data"].clone();
    assert_eq!(
        (&data["total_count"], &data["page"], &data["page_size"], &data["total_pages"]),
        (&json!(5), &json!(3), &json!(2), &json!(3))
    );
    assert_eq!(json_of(&server, "/api/v1/logs/filter?page_size=5000").await["data"]["page_size"], 1000);
}

#[tokio::test]
async fn change66_counts_what_is_stored() {
    let server = filled().await;
    let data = json_of(&server, "/api/v1/metrics").await["data"].clone();
    assert_eq!(
        (&data["total_logs"], &data["logs_last_hour"], &data["logs_last_day"]),
        (&json!(5), &json!(4), &json!(5))
    );
    assert_eq!(data["error_rate_percent"], 40.0);
    assert_eq!(data["active_sessions"], 2);
    assert_eq!(data["top_event_types"].as_array().map(Vec::len), Some(3));
    let data = json_of(&server, "/api/v1/status").await["data"].clone();
    assert_eq!(
        (data["service"].as_str(), data["database"].as_str()),
        (Some("timberyard"), Some("connected"))
    );
    let status = json_of(&server, "/status").await;
    assert_eq!(
        (&status["status"], &status["ingested_logs"], &status["dropped_logs"]),
        (&json!("ok"), &json!(5), &json!(0))
    );
}

#[tokio::test]
async fn logpulse_queries_lines_and_numbers() {
    let server = filled().await;
    let all =
        json_of(&server, "/query?query=%7Bservice_name%3D~%22.%2B%22%7D&end=2026-11-01T01:10:00Z").await;
    assert_eq!(column(&all["logs"], "message"), [EVENT_LINE, "sent", "card refused", "Disk FULL"]);
    assert_eq!(column(&all["logs"], "level"), ["unknown", "INFO", "error", "SEVERE"]);
    assert_eq!(all["logs"][2]["labels"], json!({"app":"pay","level":"error","service_name":"pay"}));
    assert_eq!(all["stats"]["matchedLines"], 4);
    assert!(all["stats"]["executionTime"].is_number() && all.get("aggregation").is_none());

    let sum = json_of(
        &server,
        "/query?query=sum%20by%20(level)%20(count_over_time(%7Bservice_name%3D~%22.%2B%22%7D%5B2h%5D))",
    )
    .await;
    let aggregation = &sum["aggregation"];
    assert_eq!((aggregation["type"].as_str(), aggregation["value"].as_f64()), (Some("sum"), Some(4.0)));
    assert_eq!(aggregation["groups"].as_array().map(Vec::len), Some(4), "{aggregation}");
    let last = aggregation["series"].as_array().and_then(|series| series.last()).expect("points");
    assert_eq!(
        (last["timestamp"].as_str(), last["value"].as_f64()),
        (Some("2026-11-01T01:00:00Z"), Some(4.0))
    );
}

#[tokio::test]
async fn logpulse_lists_labels_and_values() {
    let server = filled().await;
    assert_eq!(
        json_of(&server, "/labels").await,
        json!(["app", "env", "event_type", "level", "priority", "service", "service_name"])
    );
    assert_eq!(json_of(&server, "/labels/level/values").await, json!(["INFO", "SEVERE", "error", "warn"]));
    assert_eq!(json_of(&server, "/labels/nothing/values").await, json!([]));
}

#[tokio::test]
async fn loki_clients_read_what_the_five_sent() {
    let server = filled().await;
    let query = "query=%7Bservice_name%3D~%22.%2B%22%7D&start=1793400000&end=1793500000&direction=backward";
    let answer = json_of(&server, &format!("/loki/api/v1/query_range?{query}")).await;
    let streams = answer["data"]["result"].as_array().expect("streams");
    let mut lines: Vec<&str> = streams
        .iter()
        .flat_map(|stream| stream["values"].as_array().expect("values"))
        .filter_map(|value| value[1].as_str())
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, ["Disk FULL", "card refused", "sent", "slow login", EVENT_LINE]);
    let disk = streams.iter().find(|stream| stream["values"][0][1] == "Disk FULL").expect("there");
    assert_eq!(disk["stream"]["detected_level"], "error");
    assert_eq!(disk["stream"]["session_id"], "S1");
}

#[tokio::test]
async fn every_way_out_shows_what_a_loki_client_sent_and_keeps_tenants_apart() {
    let server = TestServer::new();
    let push = json!({"streams":[{"stream":{"app":"shop","level":"error"},"values":[["1793494700000000000","from loki",{"trace":"t"}]]}]});
    assert_eq!(server.post("/loki/api/v1/push", push.to_string()).await.status, 204);
    for path in [
        "/v1/logs",
        "/api/ingest/logs",
        "/api/v1/logs/recent",
        "/api/v1/logs/filter",
        "/query?query=%7Bapp%3D%22shop%22%7D",
    ] {
        assert!(server.get(path).await.text().contains("from loki"), "{path}");
        let headers = [("x-scope-orgid", "other")];
        let answer = server.request(axum::http::Method::GET, path, &headers, axum::body::Body::empty()).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains("from loki"), "{path}");
    }
}
