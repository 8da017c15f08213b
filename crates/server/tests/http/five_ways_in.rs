//! The ways in of the five systems: what each is answered, and what of it is in the store.

use axum::http::Method;
use serde_json::{Value, json};
use timberyard_server::ServerSettings;
use timberyard_server::auth::{HmacKeys, Secret};

use crate::harness::{Answer, TestServer, stored};
use crate::rules::with_keys;

fn words(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.json()["error"].as_str().unwrap_or("").to_owned())
}

#[tokio::test]
async fn one_path_takes_logtopus_and_log_go() {
    let server = TestServer::new();
    let answer = server.post("/v1/logs", r#"[{"message":"a","source":"s"},{"message":"b"}]"#).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({"status":"accepted","received":2})));
    let entry = r#"[{"timestamp":1700000000000,"service":"auth","level":"info","message":"c"}]"#;
    let answer = server.post("/v1/logs", entry).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({"status":"accepted","received":1})));
    assert_eq!(
        stored(&server),
        [
            r#"{level="INFO", service_name="s"} a source=s detected_level=info"#,
            r#"{level="INFO", service_name="unknown_service"} b detected_level=info"#,
            r#"{level="info", service="auth", service_name="auth"} c received_at=1793494800000 ingested_node_id=timberyard-0 detected_level=info"#,
        ]
    );
}

#[tokio::test]
async fn the_shared_path_refuses_what_belongs_to_nobody() {
    let server = TestServer::new();
    for (body, part) in [
        ("[]", "empty"),
        (r#"[{"timestamp":1,"service":"a","message":"b"},{"message":"c"}]"#, "entry 1"),
        (r#"[{"message":7}]"#, "[0].message"),
        ("[{", "line 1, column 3"),
        ("{}", "resourceLogs"),
    ] {
        let answer = server.post("/v1/logs", body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().contains(part), "{body}: {}", answer.text());
    }
    assert!(stored(&server).is_empty());
}

#[tokio::test]
async fn an_entry_may_name_its_tenant() {
    let server = TestServer::new();
    let entry = |org_id: &str| json!({"timestamp":1,"service":"s","message":"m","org_id":org_id});
    let body = json!([entry("team-a"), entry("team-b"), entry("team-a")]).to_string();
    assert_eq!(server.post("/v1/logs", body).await.json()["received"], 3);
    let tenants: Vec<String> =
        server.store.entries().iter().map(|entry| entry.tenant.as_str().to_owned()).collect();
    assert_eq!(tenants, ["team-a", "team-a", "team-b"]);
}

#[tokio::test]
async fn logpulse_streams_are_counted() {
    let server = TestServer::new();
    let push = json!({"streams":[{"labels":{"app":"payment","env":"prod"},
        "entries":[{"ts":"2024-01-15T10:30:00Z","line":"Payment processed"},{"ts":"2024-01-15T10:30:01Z","line":"ERROR"}]}]});
    let answer = server.post("/ingest", push.to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({"accepted":2})));
    let answer = server.post("/ingest", r#"{"streams":[]}"#).await;
    assert_eq!(words(&answer), (400, "validation_error".to_owned()));
    assert_eq!(stored(&server).len(), 2);
}

#[tokio::test]
async fn logstream_answers_with_an_id_or_every_bad_field() {
    let server = TestServer::new();
    let log = r#"{"service":"auth","level":"ERROR","message":"no","metadata":{"user":7}}"#;
    let answer = server.post("/api/ingest", log).await;
    assert_eq!(answer.status, 202);
    let id = answer.json()["id"].as_str().expect("a text").to_owned();
    assert_eq!(id.len(), 36);
    assert!(stored(&server)[0].contains(&format!("id={id} metadata={{\"user\":7}}")));

    let answer = server.post("/api/ingest", r#"{"level":"info","message":1}"#).await;
    assert_eq!(words(&answer), (400, "Validation Failed".to_owned()));
    let details = answer.json()["details"].clone();
    let mut fields: Vec<&str> =
        details.as_array().expect("a list").iter().filter_map(|detail| detail["field"].as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["level", "message", "service"]);
    let answer = server.post("/api/ingest", "{").await;
    assert_eq!(words(&answer), (400, "Validation Failed".to_owned()));
    assert_eq!(answer.json()["details"][0]["field"], "body");
}

fn event(event_id: &str) -> Value {
    json!({"event_id":event_id,"event_type":"behavioral","event_name":"click"})
}

#[tokio::test]
async fn an_event_id_is_taken_once() {
    let server = TestServer::new();
    let first = server.post("/api/v1/ingest", event("e1").to_string()).await;
    assert_eq!(first.status, 201);
    assert_eq!(first.json()["success"], true);
    assert_eq!(first.json()["data"], json!({"event_id":"e1","id":1_793_494_800_000_000_i64}));
    let second = server.post("/api/v1/ingest", event("e2").to_string()).await;
    assert_eq!(second.json()["data"]["id"], 1_793_494_800_000_001_i64);
    let again = server.post("/api/v1/ingest", event("e1").to_string()).await;
    assert_eq!(words(&again), (409, "duplicate_event".to_owned()));
    assert!(again.text().contains("e1"));
    assert_eq!(stored(&server).len(), 2);
}

#[tokio::test]
async fn a_batch_of_events_is_stored_whole_or_not_at_all() {
    let server = TestServer::with(|settings: &mut ServerSettings| settings.limits.request.events_max = 3);
    let batch = |events: &[Value]| json!({ "logs": events }).to_string();
    let path = "/api/v1/batch-ingest";
    let answer = server.post(path, batch(&[event("a"), event("b")])).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["data"], json!({"logs_processed":2,"total_received":2}));

    let four: Vec<Value> = (0..4).map(|number| event(&number.to_string())).collect();
    let bad = json!({"event_id":"x","event_type":"odd","event_name":"n"});
    let late =
        json!({"event_id":"x","event_type":"error","event_name":"n","timestamp":"2026-11-01T02:00:00Z"});
    for (body, status, error, part) in [
        (batch(&[]), 400, "empty_batch", ""),
        (batch(&four), 400, "batch_too_large", "limit is 3"),
        (batch(&[event("c"), bad]), 400, "validation_error", r#""field":"logs[1].event_type""#),
        (batch(&[late]), 400, "validation_error", r#""field":"logs[0].timestamp""#),
        (batch(&[event("c"), event("c")]), 409, "duplicate_event", "`c`"),
        (batch(&[event("c"), event("b")]), 409, "duplicate_event", "`b`"),
        ("[".to_owned(), 400, "invalid_json", "line 1"),
    ] {
        let answer = server.post(path, body.clone()).await;
        assert_eq!(words(&answer), (status, error.to_owned()), "{body}");
        assert!(answer.text().contains(part), "{body}: {}", answer.text());
    }
    assert_eq!(stored(&server).len(), 2);
}

/// A good body for each way in.
fn good_bodies() -> [(&'static str, String); 6] {
    [
        ("/v1/logs", json!([{"message":"a"}]).to_string()),
        ("/v1/logs", json!([{"timestamp":1,"service":"s","message":"m"}]).to_string()),
        (
            "/ingest",
            json!({"streams":[{"labels":{"a":"b"},"entries":[{"ts":"2024-01-15T10:30:00Z","line":"x"}]}]})
                .to_string(),
        ),
        ("/api/ingest", json!({"service":"s","level":"INFO","message":"m"}).to_string()),
        ("/api/v1/ingest", event("e1").to_string()),
        ("/api/v1/batch-ingest", json!({ "logs": [event("e2")] }).to_string()),
    ]
}

#[tokio::test]
async fn every_way_in_takes_the_keys_of_every_system() {
    let server = with_keys();
    let client = HmacKeys::new(Secret::new("s3cret")).issue("web").expect("a name");
    let bearer = format!("Bearer {client}");
    let json_type = ("content-type", "application/json");
    for (path, body) in good_bodies() {
        for headers in [vec![json_type], vec![json_type, ("x-api-key", "web.forged")]] {
            let answer = server.request(Method::POST, path, &headers, body.clone()).await;
            assert_eq!(words(&answer), (401, "unauthorized".to_owned()), "{path}");
        }
    }
    assert!(stored(&server).is_empty());
    for (number, (path, body)) in good_bodies().into_iter().enumerate() {
        let key = [("x-api-key", client.as_str()), ("authorization", bearer.as_str())][number % 2];
        let answer = server.request(Method::POST, path, &[json_type, key], body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
    }
    assert_eq!(stored(&server).len(), 6);

    let foreign = json!([{"timestamp":1,"service":"s","message":"m"},
        {"timestamp":1,"service":"s","message":"m","org_id":"team-b"}]);
    let headers = [json_type, ("x-api-key", client.as_str())];
    let answer = server.request(Method::POST, "/v1/logs", &headers, foreign.to_string()).await;
    assert_eq!(words(&answer), (403, "forbidden".to_owned()));
    assert!(answer.text().contains("team-b"));
    assert_eq!(stored(&server).len(), 6, "all of a body or nothing");
}

#[tokio::test]
async fn bodies_over_the_limit_or_of_another_type_are_refused_everywhere() {
    let server = TestServer::with(|settings| settings.limits.request.body_bytes_max = 1000);
    for (path, body) in good_bodies() {
        let large = format!("{body}{}", " ".repeat(1000));
        assert_eq!(words(&server.post(path, large).await).0, 413, "{path}");
        let headers = [("content-type", "text/xml")];
        assert_eq!(server.request(Method::POST, path, &headers, body.clone()).await.status, 415, "{path}");
        // What curl says when it is told nothing.
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let answer = server.request(Method::POST, path, &headers, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn of_concurrent_equal_ids_exactly_one_is_stored() {
    let server = std::sync::Arc::new(TestServer::new());
    let tasks: Vec<_> = (0..16)
        .map(|number: u32| {
            let server = std::sync::Arc::clone(&server);
            tokio::spawn(async move {
                let (path, body) = if number.is_multiple_of(2) {
                    ("/api/v1/ingest", event("same"))
                } else {
                    ("/api/v1/batch-ingest", json!({ "logs": [event(&number.to_string()), event("same")] }))
                };
                server.post(path, body.to_string()).await.status.as_u16()
            })
        })
        .collect();
    let mut taken = 0;
    for task in tasks {
        match task.await.expect("does not panic") {
            201 => taken += 1,
            status => assert_eq!(status, 409),
        }
    }
    assert_eq!(taken, 1);
    let same = stored(&server).iter().filter(|row| row.contains("event_id=same")).count();
    assert_eq!(same, 1);
}
