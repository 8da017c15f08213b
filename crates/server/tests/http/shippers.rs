//! The ways in of what ships logs elsewhere: Elasticsearch, Splunk, Datadog, Firehose, Alertmanager and NDJSON.

use std::io::Write;

use axum::body::Body;
use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::harness::{Answer, TestServer, stored};
use crate::rules::with_keys;

async fn post(server: &TestServer, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    server.request(Method::POST, path, headers, body.to_owned()).await
}

#[tokio::test]
async fn a_bulk_body_is_stored_and_answered_action_by_action() {
    let server = TestServer::new();
    let body = concat!(
        "{\"create\":{}}\n{\"message\":\"one\",\"service\":{\"name\":\"shop\"},\"n\":1}\n",
        "{\"index\":{\"_index\":\"b\",\"_id\":\"7\"}}\n{\"message\":\n",
        "{\"index\":{\"_index\":\"b\",\"_id\":\"8\"}}\n{\"text\":\"two\"}\n",
    );
    let headers = [("content-type", "application/vnd.elasticsearch+json; compatible-with=9")];
    let answer =
        post(&server, "/a/_bulk?label_fields=service.name&line_field=text,message", &headers, body).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-elastic-product")), (200, "Elasticsearch"));
    let answer = answer.json();
    assert_eq!(answer["errors"], true);
    assert_eq!(answer["items"][0]["create"]["status"], 201);
    assert_eq!(answer["items"][0]["create"]["_index"], "a");
    assert_eq!(answer["items"][1]["index"]["status"], 400);
    assert_eq!(answer["items"][1]["index"]["_id"], "7");
    assert_eq!(answer["items"][2]["index"]["result"], "created");
    assert_eq!(
        stored(&server),
        [
            r#"{index="a", service_name="shop"} one n=1 detected_level=unknown"#,
            r#"{index="b", service_name="unknown_service"} two _id=8 detected_level=unknown"#,
        ]
    );
}

#[tokio::test]
async fn single_documents_are_stored_by_either_method() {
    let server = TestServer::new();
    for (method, path) in
        [(Method::POST, "/web/_doc"), (Method::PUT, "/web/_doc/1"), (Method::PUT, "/web/_create/2")]
    {
        let answer = server.request(method, path, &[], r#"{"message":"x"}"#.to_owned()).await;
        assert_eq!(answer.status.as_u16(), 201, "{path}: {}", answer.text());
        assert_eq!(answer.json()["_index"], "web");
    }
    assert_eq!(stored(&server).len(), 3);
    let answer = post(&server, "/web/_doc", &[], "{").await;
    assert_eq!(answer.status.as_u16(), 400);
    let answer = answer.json();
    assert_eq!(
        (&answer["status"], &answer["error"]["type"]),
        (&json!(400), &json!("illegal_argument_exception"))
    );
}

#[tokio::test]
async fn what_elasticsearchs_clients_ask_before_they_send_is_answered() {
    let server = TestServer::new();
    let info = server.get("/").await;
    assert_eq!(info.header("x-elastic-product"), "Elasticsearch");
    assert!(info.json()["version"]["number"].as_str().is_some_and(|number| number.starts_with("9.")));
    assert_eq!(server.get("/_cluster/health").await.json()["status"], "green");
    assert!(server.get("/_cat/health").await.text().contains(" timberyard green "));
    assert_eq!(server.get("/_license").await.json()["license"]["status"], "active");
    for path in ["/_index_template/filebeat", "/_ilm/policy/filebeat", "/_ingest/pipeline/p", "/_template/t"]
    {
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(server.request(method, path, &[], Body::empty()).await.status.as_u16(), 200, "{path}");
        }
        let answer = server.request(Method::PUT, path, &[], "{}".to_owned()).await;
        assert_eq!(answer.json(), json!({ "acknowledged": true }), "{path}");
    }
}

#[tokio::test]
async fn splunks_events_lines_and_acknowledgements() {
    let server = TestServer::new();
    let body = r#"{"event":"one","sourcetype":"web","time":1793494000}{"event":{"a":1},"sourcetype":"web"}"#;
    let answer = post(&server, "/services/collector/event", &[], body).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "text": "Success", "code": 0 })));
    let channel = [("x-splunk-request-channel", "c"), ("content-type", "text/plain")];
    let answer =
        post(&server, "/services/collector/raw?sourcetype=sys&host=h", &channel, "two\nthree\n").await;
    let id = answer.json()["ackId"].as_u64().expect("an id");
    // The clock of this server stands still: what was given out now is told apart from what was before.
    let question = json!({ "acks": [id - 1, id + 1] }).to_string();
    let answer = post(&server, "/services/collector/ack?channel=c", &[], &question).await;
    assert_eq!(answer.json()["acks"], json!({ (id - 1).to_string(): true, (id + 1).to_string(): false }));
    assert_eq!(
        stored(&server),
        [
            r#"{service_name="web", sourcetype="web"} one detected_level=unknown"#,
            r#"{service_name="web", sourcetype="web"} {"a":1} detected_level=unknown"#,
            r#"{host="h", service_name="sys", sourcetype="sys"} two detected_level=unknown"#,
            r#"{host="h", service_name="sys", sourcetype="sys"} three detected_level=unknown"#,
        ]
    );
    let answer = post(&server, "/services/collector", &[], r#"{"event":"four"}{"host":"h"}"#).await;
    assert_eq!(answer.status.as_u16(), 400);
    let Value::Object(answer) = answer.json() else { panic!("an object") };
    assert_eq!((&answer["code"], &answer["invalid-event-number"]), (&json!(12), &json!(1)));
    assert_eq!(stored(&server).len(), 5);
    assert_eq!(server.get("/services/collector/health").await.json()["code"], 17);
}

#[tokio::test]
async fn datadogs_logs_as_json_and_as_text() {
    let server = TestServer::new();
    let body = r#"[{"message":"one","ddsource":"nginx","ddtags":"env:prod,team:a","status":"error"}]"#;
    let answer =
        post(&server, "/api/v2/logs?service=shop", &[("content-type", "application/json")], body).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({})));
    let text = [("content-type", "text/plain")];
    let answer = post(&server, "/v1/input?ddsource=go&hostname=h", &text, "two\n").await;
    assert_eq!(answer.status.as_u16(), 202);
    assert_eq!(server.get("/api/v1/validate").await.json(), json!({ "valid": true }));
    assert_eq!(
        stored(&server),
        [
            r#"{env="prod", service="shop", service_name="shop", source="nginx"} one level=error team=a detected_level=error"#,
            r#"{host="h", service_name="go", source="go"} two detected_level=unknown"#,
        ]
    );
}

#[tokio::test]
async fn firehose_is_answered_with_the_id_of_its_request() {
    let server = TestServer::new();
    let headers = [
        ("x-amz-firehose-request-id", "r-1"),
        ("x-amz-firehose-common-attributes", r#"{"commonAttributes":{"env":"prod"}}"#),
    ];
    let body = r#"{"requestId":"r-1","timestamp":1793494000000,"records":[{"data":"b25lCnR3bwo="}]}"#;
    let answer = post(&server, "/aws/firehose", &headers, body).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["requestId"]), (200, &json!("r-1")));
    assert_eq!(stored(&server).len(), 2);
    assert_eq!(
        stored(&server)[0],
        r#"{env="prod", service_name="unknown_service"} one detected_level=unknown"#
    );
    let answer = post(&server, "/aws/firehose", &headers, "{}").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["requestId"]), (400, &json!("r-1")));
    assert!(answer.json()["errorMessage"].as_str().is_some_and(|message| message.contains("requestId")));
}

#[tokio::test]
async fn what_firehoses_records_inflate_to_counts_as_a_body() {
    let server = TestServer::with(|settings| settings.load.body_bytes_max = 100_000);
    let message = |bytes: usize| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&b"line\n".repeat(bytes / 5)).expect("memory");
        let data = STANDARD.encode(encoder.finish().expect("memory"));
        json!({ "requestId": "r-1", "timestamp": 1_793_494_000_000_u64, "records": [{ "data": data }] })
            .to_string()
    };
    let answer = post(&server, "/aws/firehose", &[], &message(50_000)).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    let answer = post(&server, "/aws/firehose", &[], &message(500_000)).await;
    assert_eq!(answer.status.as_u16(), 429, "{}", answer.text());
    assert_eq!((stored(&server).len(), server.state.body_budget.held_bytes()), (10_000, 0));
}

#[tokio::test]
async fn alerts_are_events() {
    let server = TestServer::new();
    let body = json!({ "version": "4", "receiver": "team", "alerts": [{
        "status": "firing", "labels": { "alertname": "Down", "severity": "critical" }, "startsAt": "2026-11-01T00:00:00Z",
    }] });
    let answer = post(&server, "/alertmanager/webhook", &[], &body.to_string()).await;
    assert_eq!(answer.status.as_u16(), 204, "{}", answer.text());
    assert!(stored(&server)[0].starts_with(r#"{alertname="Down", alertstate="firing", receiver="team", "#));
}

#[tokio::test]
async fn ndjson_of_any_shape_is_mapped_by_the_url() {
    let server = TestServer::new();
    let body = "{\"m\":\"one\",\"t\":1793494000,\"k8s\":{\"pod\":\"p\"},\"x\":1}\n";
    for path in [
        "/timberyard/api/v1/ndjson?line_field=m&time_field=t&label_fields=k8s.pod",
        "/insert/jsonline?_msg_field=m&_time_field=t&_stream_fields=k8s.pod",
    ] {
        let answer = post(&server, path, &[("content-type", "application/stream+json")], body).await;
        assert_eq!(answer.status.as_u16(), 204, "{}", answer.text());
    }
    let row = r#"{k8s_pod="p", service_name="unknown_service"} one x=1 detected_level=unknown"#;
    assert_eq!(stored(&server), [row, row]);
    let answer = post(&server, "/timberyard/api/v1/ndjson", &[], "{\"msg\":\"two\"}\n[]\n").await;
    assert_eq!(answer.status.as_u16(), 400);
    assert!(answer.text().contains("line 2"), "{}", answer.text());
    assert_eq!(stored(&server).len(), 3, "the good line is stored");
}

#[tokio::test]
async fn a_key_is_taken_as_each_sender_sends_it_and_asked_for_in_its_words() {
    let server = with_keys();
    for (path, header, value, body) in [
        ("/_bulk", "authorization", "ApiKey topsecret", "{\"index\":{\"_index\":\"a\"}}\n{}\n"),
        ("/services/collector", "authorization", "Splunk topsecret", r#"{"event":"x"}"#),
        ("/api/v2/logs", "dd-api-key", "topsecret", r#"{"message":"x"}"#),
        ("/aws/firehose", "x-amz-firehose-access-key", "topsecret", r#"{"requestId":"r","records":[]}"#),
    ] {
        let answer = post(&server, path, &[(header, value)], body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
        let answer = post(&server, path, &[], body).await;
        assert_eq!(answer.status.as_u16(), 401, "{path}");
        let answer = answer.json();
        let says_it = match path {
            "/_bulk" => answer["error"]["type"] == "security_exception",
            "/services/collector" => answer["code"] == 4,
            "/aws/firehose" => answer["errorMessage"].is_string(),
            _ => answer["error"].is_string(),
        };
        assert!(says_it, "{path}: {answer}");
    }
}
