//! Loki's push: both forms, what real clients say about them, and what is refused.

use std::io::Write;

use axum::body::Body;
use axum::http::Method;
use serde_json::json;

use crate::harness::{Answer, NOW, TestServer};

type Headers<'a> = &'a [(&'a str, &'a str)];

const PUSH: &str = "/loki/api/v1/push";

fn one_line(line: &str) -> String {
    let entry = json!([NOW.as_nanos().to_string(), line]);
    json!({ "streams": [{ "stream": { "app": "api" }, "values": [entry] }] }).to_string()
}

/// The same line as a protobuf message: streams = 1 { labels = 1, entries = 2 { timestamp = 1, line = 2 } }.
fn one_line_in_protobuf(line: &str) -> Vec<u8> {
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u8::try_from(bytes.len()).expect("short");
        [&[number << 3 | 2, length], bytes].concat()
    }
    let seconds = NOW.as_nanos() / 1_000_000_000;
    let mut timestamp = vec![0x08];
    let mut rest = u64::try_from(seconds).expect("after 1970");
    while rest >= 0x80 {
        timestamp.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    timestamp.push(rest as u8);
    let entry = [field(1, &timestamp), field(2, line.as_bytes())].concat();
    let stream = [field(1, br#"{app="api"}"#), field(2, &entry)].concat();
    field(1, &stream)
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).expect("fits")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

async fn push(server: &TestServer, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    server.request(Method::POST, PUSH, headers, body).await
}

fn lines(server: &TestServer) -> Vec<String> {
    let lossy = |line: Vec<u8>| String::from_utf8_lossy(&line).into_owned();
    server.store.entries().into_iter().map(|entry| lossy(entry.line)).collect()
}

#[tokio::test]
async fn what_real_clients_send_is_taken() {
    let protobuf = snappy(&one_line_in_protobuf("hello"));
    let json = one_line("hello").into_bytes();
    let json_type = ("content-type", "application/json; charset=utf-8");
    let protobuf_type = ("content-type", "application/x-protobuf");
    let bodies: [(Headers<'_>, Vec<u8>); 7] = [
        (&[json_type], json.clone()),
        (&[json_type, ("content-encoding", "gzip")], gzip(&json)),
        (&[json_type, ("content-encoding", "snappy")], snappy(&json)),
        (&[protobuf_type], protobuf.clone()),
        (&[protobuf_type, ("content-encoding", "snappy")], protobuf.clone()),
        (&[protobuf_type, ("content-encoding", "gzip")], gzip(&protobuf)),
        (&[], protobuf),
    ];
    for (headers, body) in bodies {
        for path in [PUSH, "/api/prom/push"] {
            let server = TestServer::new();
            let answer = server.request(Method::POST, path, headers, body.clone()).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (204, String::new()), "{headers:?}");
            assert_eq!(lines(&server), ["hello"], "{headers:?}");
            let labels = server.store.entries()[0].labels.to_string();
            assert_eq!(labels, r#"{app="api", service_name="api"}"#);
        }
    }
}

#[tokio::test]
async fn a_refused_entry_is_named_and_its_neighbours_are_stored() {
    let server = TestServer::new();
    let now = NOW.as_nanos();
    let values = json!([[now.to_string(), "good"], [(now + 601_000_000_000).to_string(), "late"]]);
    let body = json!({ "streams": [{ "stream": { "app": "api" }, "values": values }] }).to_string();
    let answer = server.post(PUSH, body).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert!(answer.text().contains("too new"), "{}", answer.text());
    assert_eq!(lines(&server), ["good"]);
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let server = TestServer::new();
    let headers = [("content-type", "application/json"), ("x-scope-orgid", "team-a")];
    assert_eq!(push(&server, &headers, one_line("hers")).await.status, 204);
    assert_eq!(server.store.entries()[0].tenant.as_str(), "team-a");
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_kept() {
    let server = TestServer::new();
    let [before, after] =
        ["{\"streams\":[{\"stream\":{\"app\":\"x\"},\"values\":[[\"1793494800000000000\",\"", "\"]]}]}"];
    let body = [before.as_bytes(), b"a\xffb", after.as_bytes()].concat();
    assert_eq!(server.post(PUSH, body).await.status, 204);
    assert_eq!(server.store.entries()[0].line, b"a\xffb");
}

#[tokio::test]
async fn bad_bodies_are_refused_and_nothing_is_stored() {
    let server = TestServer::with(|settings| {
        settings.limits.request.body_bytes_max = 4096;
        settings.limits.request.inflated_bytes_max = 8192;
    });
    let json_type = ("content-type", "application/json");
    let deep = format!("{{\"x\":{}", "[".repeat(1000));
    let bomb = gzip(&vec![b' '; 1 << 20]);
    assert!(bomb.len() < 4096);
    let cases: [(Headers<'_>, Vec<u8>, u16, &str); 9] = [
        (&[json_type], b"{\"streams\":[{]".to_vec(), 400, "line 1"),
        (&[json_type], Vec::new(), 400, ""),
        (&[json_type], b"{\"streams\":[]}".to_vec(), 422, "at least one valid stream"),
        (&[json_type], deep.into_bytes(), 400, "64"),
        (&[json_type], vec![b' '; 4097], 413, "limit is 4096"),
        (&[json_type, ("content-encoding", "gzip")], bomb, 413, "8192"),
        (&[json_type, ("content-encoding", "br")], b"x".to_vec(), 415, "br"),
        (&[("content-type", "text/xml")], b"<x/>".to_vec(), 415, "application/json"),
        (&[("content-type", "application/x-protobuf")], snappy(b"\x0a\xff\xff"), 400, ""),
    ];
    for (headers, body, status, words) in cases {
        let answer = push(&server, headers, body).await;
        assert_eq!(answer.status.as_u16(), status, "{headers:?}: {}", answer.text());
        assert!(answer.text().contains(words), "{headers:?}: {}", answer.text());
    }
    assert!(lines(&server).is_empty());
}

#[tokio::test]
async fn bodies_beyond_the_memory_for_them_are_told_to_come_back() {
    let server = TestServer::with(|settings| settings.load.body_bytes_max = 8);
    let answer = server.post(PUSH, one_line("hello")).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(server.state.body_budget.held_bytes(), 0);
}

#[tokio::test]
async fn a_push_that_says_what_it_was_read_from_is_stored_once() {
    let server = TestServer::new();
    let from = |origin: &'static str| [("content-type", "application/json"), ("x-timberyard-origin", origin)];
    let first = push(&server, &from("host-1/a=0-10, host-1/b=5-6"), one_line("same")).await;
    assert_eq!((first.status.as_u16(), first.header("x-timberyard-duplicate")), (204, ""));
    assert_eq!(first.header("x-timberyard-stored"), "host-1/a=10, host-1/b=6");
    let again = push(&server, &from("host-1/b=5-6"), one_line("same")).await;
    assert_eq!((again.status.as_u16(), again.header("x-timberyard-duplicate")), (204, "true"));
    let part = push(&server, &from("host-1/a=4-12,host-1/c=0-1"), one_line("same")).await;
    assert_eq!((part.status.as_u16(), part.header("x-timberyard-stored")), (409, "host-1/a=10"));
    assert_eq!(part.text(), "host-1/a is stored already up to byte 10\n");
    // What comes next is stored, though it is an equal entry; so is what comes after a gap, and in protobuf.
    let next = push(&server, &from("host-1/a=10-12"), one_line("same")).await;
    assert_eq!(next.status, 204);
    let body = snappy(&one_line_in_protobuf("same"));
    let gap = push(&server, &[("x-timberyard-origin", "host-1/a=20-21")], body).await;
    assert_eq!(gap.status, 204);
    assert_eq!(lines(&server), ["same"; 3]);
    for bad in ["host-1/a", "host-1/a=3-3", "a b=0-1"] {
        let answer = push(&server, &from(bad), one_line("same")).await;
        assert_eq!(answer.status, 400, "{bad}");
        assert!(answer.text().starts_with("x-timberyard-origin: "), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_push_with_refused_entries_says_that_the_rest_is_stored() {
    let server = TestServer::new();
    let now = NOW.as_nanos();
    let values = json!([[now.to_string(), "good"], [(now + 601_000_000_000).to_string(), "late"]]);
    let body = json!({ "streams": [{ "stream": { "app": "api" }, "values": values }] }).to_string();
    let headers = [("content-type", "application/json"), ("x-timberyard-origin", "host-1/a=0-9")];
    let answer = push(&server, &headers, body.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-timberyard-stored")), (400, "host-1/a=9"));
    let again = push(&server, &headers, body).await;
    assert_eq!((again.status.as_u16(), again.header("x-timberyard-duplicate")), (204, "true"));
    assert_eq!(lines(&server), ["good"]);
}
