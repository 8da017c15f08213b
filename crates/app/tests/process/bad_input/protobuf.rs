//! Pushes that are cut, forged or changed at random.

use timberyard_testkit::loki_push::{PushEntry, bytes_field, push_request, varint};

use super::{post_json, push_protobuf, still_works};
use crate::clock::now;
use crate::logql::lines;
use crate::start::server;

#[test]
fn a_truncated_push_is_refused_and_never_half_kept() {
    let server = server();
    let time = now();
    let entry = |line| PushEntry { timestamp_ns: time, line, metadata: &[("k", "v")] };
    let whole = push_request(&[("{job=\"cut\"}", vec![entry(b"one"), entry(b"two")])]);
    // The first field, the stream, spans the whole message: no shorter message is one.
    for length in 1..whole.len() {
        let block = snap::raw::Encoder::new().compress_vec(&whole[..length]).expect("snappy takes any bytes");
        let answer = push_protobuf(&server, block);
        assert_eq!(answer.status, 400, "{length} of {} bytes: {}", whole.len(), answer.text());
    }
    let block = snap::raw::Encoder::new().compress_vec(&whole).expect("snappy takes any bytes");
    for length in 0..block.len() {
        let answer = push_protobuf(&server, &block[..length]);
        assert!(matches!(answer.status, 400 | 422), "{length} of {}: {}", block.len(), answer.status);
    }
    assert_eq!(lines(&server, r#"{job="cut"}"#), [""; 0]);
    push_protobuf(&server, block).expect_status(204);
    assert_eq!(lines(&server, r#"{job="cut"}"#).len(), 2);
}

#[test]
fn hostile_protobuf_is_400() {
    let server = server();
    let field = |number, bytes: &[u8]| {
        let mut out = Vec::new();
        bytes_field(&mut out, number, bytes);
        out
    };
    let stream = |parts: &[Vec<u8>]| field(1, &parts.concat());
    let labels = field(1, b"{job=\"h\"}");
    let mut endless_length = vec![0x0a];
    varint(&mut endless_length, u64::MAX);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a varint of eleven bytes", vec![0xff; 11]),
        ("a length past the end", vec![0x0a, 0x7f, 0x01]),
        ("a length of 2^64-1", endless_length),
        ("field number 0", vec![0x02, 0x00]),
        ("an unknown wire type", vec![0x0f, 0x00]),
        ("a group that never ends", vec![0x0b]),
        ("a stream that is a number", vec![0x08, 0x01]),
        ("labels that are no labels", stream(&[field(1, b"job=h")])),
        ("labels that are not UTF-8", stream(&[field(1, b"{job=\"\xff\"}")])),
        ("an entry of garbage", stream(&[labels.clone(), field(2, &[0xff; 16])])),
        ("a time of garbage", stream(&[labels.clone(), field(2, &field(1, &[0xff; 16]))])),
        (
            "a time before 1677",
            stream(&[labels, field(2, &field(1, &[&[0x08][..], &[0x80; 9], &[0x01]].concat()))]),
        ),
    ];
    for (what, message) in cases {
        let block = snap::raw::Encoder::new().compress_vec(&message).expect("snappy takes any bytes");
        let answer = push_protobuf(&server, block);
        assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
    }
    for (what, block) in [
        ("no snappy at all", b"not snappy".to_vec()),
        ("a snappy frame stream", b"\xff\x06\x00\x00sNaPpY".to_vec()),
        ("a copy from before the beginning", vec![0x08, 0x01, 0xff, 0xff]),
    ] {
        let answer = push_protobuf(&server, block);
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    }
    assert_eq!(lines(&server, r#"{job="h"}"#), [""; 0]);
    still_works(&server);
}

#[test]
fn bodies_changed_at_random_never_break_the_server() {
    let server = server();
    let mut random = fastrand::Rng::with_seed(66);
    let metadata = [("k", "v")];
    let entries = vec![PushEntry { timestamp_ns: now(), line: b"a line", metadata: &metadata }];
    let protobuf = push_request(&[("{job=\"mutated\"}", entries)]);
    let rounds = if std::env::var_os("TIMBERYARD_TORTURE").is_some() { 5000 } else { 150 };
    let json_bodies = [
        ("/v1/logs", r#"[{"timestamp":1700000000000,"service":"s","message":"m","labels":{"a":"b"}}]"#),
        ("/v1/logs", r#"[{"level":"INFO","message":"m","object":{"a":[1,2.5]},"sequence":5}]"#),
        (
            "/ingest",
            r#"{"streams":[{"labels":{"a":"b"},"entries":[{"ts":"2024-01-01T00:00:00Z","line":"x"}]}]}"#,
        ),
        ("/api/ingest", r#"{"service":"s","level":"INFO","message":"m","metadata":{"k":1}}"#),
        ("/api/v1/ingest", r#"{"event_id":"e","event_type":"error","event_name":"n","properties":{"a":1}}"#),
        (
            "/loki/api/v1/push",
            r#"{"streams":[{"stream":{"a":"b"},"values":[["1700000000000000000","x",{"m":"n"}]]}]}"#,
        ),
    ];
    let mutate = |bytes: &[u8], random: &mut fastrand::Rng| {
        let mut bytes = bytes.to_vec();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..bytes.len());
            match random.u8(0..3) {
                0 => bytes[at] = random.u8(..),
                1 => bytes.insert(at, random.u8(..)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        bytes
    };
    for round in 0..rounds {
        let (path, body) = json_bodies[round % json_bodies.len()];
        let answer = post_json(&server, path, mutate(body.as_bytes(), &mut random));
        assert!(answer.status < 500, "{path}, round {round}: {} {}", answer.status, answer.text());
        let body = mutate(&protobuf, &mut random);
        let block = snap::raw::Encoder::new().compress_vec(&body).expect("snappy takes any bytes");
        let answer = push_protobuf(&server, block);
        assert!(answer.status < 500, "protobuf, round {round}: {} {}", answer.status, answer.text());
    }
    still_works(&server);
}
