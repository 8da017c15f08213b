//! OTLP: on the shared path with its own answers, on Loki's path with Loki's.

use axum::http::Method;
use serde_json::{Value, json};
use timberyard_wire::LabelAttributes;

use crate::harness::{Answer, NOW, TestServer};
use crate::rules::with_keys;

const PROTOBUF: &str = "application/x-protobuf";
const PATHS: [&str; 2] = ["/v1/logs", "/otlp/v1/logs"];

/// A request with one record a line, each at its number of seconds from now.
fn request(records: &[(&str, i64)]) -> Value {
    let record = |(line, seconds): &(&str, i64)| {
        let nanos = NOW.as_nanos() + seconds * 1_000_000_000;
        json!({ "timeUnixNano": nanos.to_string(), "severityNumber": 9, "body": { "stringValue": line } })
    };
    let records: Vec<Value> = records.iter().map(record).collect();
    let service = json!({ "key": "service.name", "value": { "stringValue": "shop" } });
    json!({ "resourceLogs": [{ "resource": { "attributes": [service] }, "scopeLogs": [{ "logRecords": records }] }] })
}

/// Field `number` with a length before it.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).expect("short")], bytes].concat()
}

/// The same in protobuf, with one record.
pub(crate) fn request_in_protobuf(line: &str, seconds: i64) -> Vec<u8> {
    let nanos = NOW.as_nanos() + seconds * 1_000_000_000;
    let time = [&[1 << 3 | 1], &nanos.to_le_bytes()[..]].concat();
    let record = [time, vec![2 << 3, 9], field(5, &field(1, line.as_bytes()))].concat();
    let service = [field(1, b"service.name"), field(2, &field(1, b"shop"))].concat();
    let resource = field(1, &field(1, &service));
    field(1, &[resource, field(2, &field(2, &record))].concat())
}

async fn send(server: &TestServer, path: &str, content_type: &str, body: Vec<u8>) -> Answer {
    server.request(Method::POST, path, &[("content-type", content_type)], body).await
}

fn stored(server: &TestServer) -> Vec<String> {
    let entries = server.store.entries().into_iter();
    entries.map(|entry| format!("{} {}", entry.labels, String::from_utf8_lossy(&entry.line))).collect()
}

#[tokio::test]
async fn both_encodings_are_stored_and_answered_in_kind() {
    for path in PATHS {
        let server = TestServer::new();
        let json = send(&server, path, "application/json", request(&[("a", 0)]).to_string().into()).await;
        let protobuf = send(&server, path, PROTOBUF, request_in_protobuf("b", 0)).await;
        match path {
            "/v1/logs" => {
                assert_eq!((json.status.as_u16(), json.text()), (200, "{}".to_owned()));
                assert_eq!(json.header("content-type"), "application/json");
                assert_eq!((protobuf.status.as_u16(), protobuf.text()), (200, String::new()));
                assert_eq!(protobuf.header("content-type"), PROTOBUF);
            }
            _ => assert_eq!((json.status.as_u16(), protobuf.status.as_u16()), (204, 204)),
        }
        assert_eq!(stored(&server), [r#"{service_name="shop"} a"#, r#"{service_name="shop"} b"#]);
    }
}

#[tokio::test]
async fn rejected_records_are_told_and_their_neighbours_are_stored() {
    let server = TestServer::new();
    let mixed = request(&[("good", 0), ("late", 601), ("later", 700)]).to_string();
    let answer = server.post("/v1/logs", mixed.clone()).await;
    assert_eq!(answer.status, 200);
    let partial = &answer.json()["partialSuccess"];
    assert_eq!(partial["rejectedLogRecords"], "2");
    assert!(partial["errorMessage"].as_str().expect("a text").contains("too new"), "{partial}");

    let answer = send(&server, "/v1/logs", PROTOBUF, request_in_protobuf("late", 601)).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("too new"), "{}", answer.text());
    assert_eq!(answer.body[2..4], [1 << 3, 1], "one record was rejected");

    let answer = server.post("/otlp/v1/logs", mixed).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["message"].as_str().expect("a text").contains("too new"), "{}", answer.text());
    assert_eq!(stored(&server), [r#"{service_name="shop"} good"#; 2]);
}

#[tokio::test]
async fn a_request_without_records_is_taken_where_loki_does_not_answer() {
    let server = TestServer::new();
    let empty = r#"{"resourceLogs":[]}"#;
    assert_eq!(server.post("/v1/logs", empty).await.status, 200);
    assert_eq!(send(&server, "/v1/logs", PROTOBUF, Vec::new()).await.status, 200);
    assert_eq!(server.post("/otlp/v1/logs", empty).await.status, 422);
}

#[tokio::test]
async fn errors_are_answered_in_the_encoding_of_the_request() {
    let server = TestServer::new();
    for path in PATHS {
        let answer = send(&server, path, PROTOBUF, b"\x0a\x05hello".to_vec()).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (400, PROTOBUF));
        assert_eq!(answer.body[0], 2 << 3 | 2, "a Status has its message in field 2");
        assert!(answer.text().contains("in `resourceLogs[0]`"), "{}", answer.text());
        let answer = server.post(path, r#"{"resourceLogs":[{"scopeLogs":7}]}"#).await;
        assert_eq!(answer.status, 400);
        let message = answer.json()["message"].as_str().expect("a text").to_owned();
        assert!(message.contains("line 1, column"), "{message}");
        assert_eq!(send(&server, path, "text/plain", b"x".to_vec()).await.status, 415, "{path}");
    }
    assert!(stored(&server).is_empty());
}

#[tokio::test]
async fn a_key_that_may_push_is_needed() {
    let server = with_keys();
    for path in PATHS {
        let answer = send(&server, path, PROTOBUF, request_in_protobuf("a", 0)).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (401, PROTOBUF));
    }
    assert!(stored(&server).is_empty());
}

#[tokio::test]
async fn logs_are_found_by_their_trace_and_span() {
    let server = TestServer::new();
    let mut body = request(&[("in the trace", 0), ("in another", 0)]);
    let records = &mut body["resourceLogs"][0]["scopeLogs"][0]["logRecords"];
    records[0]["traceId"] = json!("5B8EFFF798038103D269B633813FC60C");
    records[0]["spanId"] = json!("eee19b7ec3c1b174");
    records[1]["traceId"] = json!("5b8efff798038103d269b633813fc60d");
    assert_eq!(server.post("/v1/logs", body.to_string()).await.status, 200);
    for condition in ["trace_id=`5b8efff798038103d269b633813fc60c`", "span_id=`eee19b7ec3c1b174`"] {
        let query = format!("{{service_name=`shop`}} | {condition}");
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let (from, to) = (NOW.as_nanos() - 1_000_000_000, NOW.as_nanos() + 1_000_000_000);
        let path = format!("/loki/api/v1/query_range?query={query}&start={from}&end={to}");
        let answer = server.get(&path).await.text();
        assert!(answer.contains("in the trace") && !answer.contains("in another"), "{answer}");
    }
}

#[tokio::test]
async fn which_attributes_are_labels_is_a_setting() {
    let server = TestServer::with(|settings| {
        settings.label_attributes = LabelAttributes::new(["host.*".to_owned()]);
    });
    let mut body = request(&[("a", 0)]);
    let attributes = &mut body["resourceLogs"][0]["resource"]["attributes"];
    let attribute = |key: &str| json!({ "key": key, "value": { "stringValue": "x" } });
    let more = ["host.name", "k8s.pod.name"].map(attribute);
    attributes.as_array_mut().expect("a list").extend(more);
    assert_eq!(server.post("/v1/logs", body.to_string()).await.status, 200);
    let [row] = &*crate::harness::stored(&server) else { panic!("one row") };
    assert!(row.starts_with(r#"{host_name="x", service_name="shop"} a "#), "{row}");
    assert!(row.contains("k8s_pod_name=x"), "{row}");
}
