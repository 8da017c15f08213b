//! What senders get wrong or do on purpose: each is answered with what, where and the limit, and the server goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use timberyard_testkit::http::{Answer, Request, send_raw};
use timberyard_testkit::loki_push::{PushEntry, bytes_field, push_request, snappy_push_request, varint};
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::{HOUR, SECOND, now, rfc3339};
use crate::logql::{count, lines, push, try_push};
use crate::start::{server, server_with};
use crate::terminal::timberyard;

const PATIENCE: Duration = Duration::from_secs(20);

/// Every path that takes JSON.
const JSON_PATHS: [&str; 6] =
    ["/v1/logs", "/ingest", "/api/ingest", "/api/v1/ingest", "/api/v1/batch-ingest", "/loki/api/v1/push"];

fn post_json(server: &ServerProcess, path: &str, body: impl Into<Vec<u8>>) -> Answer {
    server.post(path).header("Content-Type", "application/json").body(body).send()
}

fn push_protobuf(server: &ServerProcess, body: impl Into<Vec<u8>>) -> Answer {
    server.post("/loki/api/v1/push").header("Content-Type", "application/x-protobuf").body(body).send()
}

/// The server still takes and answers.
#[track_caller]
fn still_works(server: &ServerProcess) {
    let line = format!("still here at {}", now());
    push(server, &json!({ "job": "alive" }), &[(now(), &line)]);
    assert!(lines(server, r#"{job="alive"}"#).contains(&line));
}

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
        let text = post_json(&server, path, bodies[0]).text();
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
            stream(&[labels.clone(), field(2, &field(1, &[&[0x08][..], &[0xff; 9], &[0x01]].concat()))]),
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

#[test]
fn bodies_over_the_limit_are_413_on_every_surface() {
    let server = server_with(&[("MAX_REQUEST_SIZE_MB", "1")]);
    for path in JSON_PATHS {
        // Announced: refused before a byte of it is read.
        let announced = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n"
        );
        let answer = send_raw(server.address(), announced.as_bytes(), PATIENCE).expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 413"), "{path}: {}", String::from_utf8_lossy(&answer));
        assert!(String::from_utf8_lossy(&answer).contains("1048576"), "{path} names the limit");
        // Not announced: refused when the limit is passed.
        let mut stream = TcpStream::connect(server.address()).expect("the server takes connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("the head fits");
        let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
        for _ in 0..24 {
            // The server may close as soon as it has seen too much.
            if stream.write_all(&chunk).is_err() {
                break;
            }
        }
        let mut answer = [0; 12];
        if stream.read_exact(&mut answer).is_ok() {
            assert_eq!(&answer, b"HTTP/1.1 413", "{path}");
        }
    }
    still_works(&server);
}

#[test]
fn decompression_bombs_are_413_and_take_no_memory() {
    let server = server();
    let zeros = vec![b' '; 128 << 20];
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&zeros).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    };
    let deflate = {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&zeros).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    };
    let zstd = zstd::bulk::compress(&zeros, 1).expect("zstd takes any bytes");
    let snappy = snap::raw::Encoder::new().compress_vec(&zeros).expect("snappy takes any bytes");
    drop(zeros);
    for path in JSON_PATHS {
        for (encoding, body) in [("gzip", &gzip), ("deflate", &deflate), ("zstd", &zstd)] {
            let answer = server
                .post(path)
                .header("Content-Type", "application/json")
                .header("Content-Encoding", encoding)
                .body(body.clone())
                .send();
            assert_eq!(answer.status, 413, "{path} {encoding}: {}", answer.text());
        }
    }
    push_protobuf(&server, snappy).expect_status(413);
    // A block that only claims to be large: four gigabytes in five bytes.
    let mut claim = Vec::new();
    varint(&mut claim, u64::from(u32::MAX));
    claim.push(0);
    let answer = push_protobuf(&server, claim);
    assert!(matches!(answer.status, 400 | 413), "{}", answer.status);
    still_works(&server);
    if let Some(peak) = peak_memory_bytes(&server) {
        assert!(peak < 512 << 20, "the server used {} MiB", peak >> 20);
    }
}

/// The most memory that the server ever used; `None` where the system does not say.
fn peak_memory_bytes(server: &ServerProcess) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[test]
fn compressed_bodies_that_are_broken_are_400_and_unknown_encodings_415() {
    let server = server();
    for encoding in ["gzip", "deflate", "zstd", "snappy"] {
        let request = server.post("/ingest").header("Content-Type", "application/json");
        let answer = request.header("Content-Encoding", encoding).body("{\"streams\":[]}").send();
        assert_eq!(answer.status, 400, "{encoding}: {}", answer.text());
    }
    let request = server.post("/ingest").header("Content-Type", "application/json");
    let answer = request.header("Content-Encoding", "br").body("x").send();
    assert_eq!(answer.status, 415, "{}", answer.text());
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
fn any_past_is_taken_and_the_future_beyond_ten_minutes_is_not() {
    let server = server();
    let sends: [(&str, fn(&ServerProcess, i64) -> Answer); 6] = [
        ("Logtopus", |server, time| {
            server
                .post("/v1/logs")
                .json(&json!([{ "message": "t", "source": "far", "time": rfc3339(time) }]))
                .send()
        }),
        ("LogPulse", |server, time| {
            let entries = json!([{ "ts": rfc3339(time), "line": "t" }]);
            server
                .post("/ingest")
                .json(&json!({ "streams": [{ "labels": { "service": "far" }, "entries": entries }] }))
                .send()
        }),
        ("log-go", |server, time| {
            let body = json!([{ "timestamp": time / 1_000_000, "service": "far", "message": "t" }]);
            server.post("/v1/logs").json(&body).send()
        }),
        ("Change66", |server, time| {
            let body = json!({ "event_id": format!("far-{time}"), "event_type": "error", "event_name": "n",
                               "timestamp": rfc3339(time) });
            server.post("/api/v1/ingest").json(&body).send()
        }),
        ("Loki", |server, time| try_push(server, &json!({ "service": "far" }), &[(time, "t")])),
        ("Loki protobuf", |server, time| {
            let entry = PushEntry { timestamp_ns: time, line: b"t", metadata: &[] };
            push_protobuf(server, snappy_push_request(&[("{service=\"far\"}", vec![entry])]))
        }),
    ];
    let day = 24 * HOUR;
    for (surface, send) in sends {
        for past in [SECOND, 946_684_800 * SECOND, now() - 400 * day, now() - day, now() + 540 * SECOND] {
            let answer = send(&server, past);
            assert!(
                (200..300).contains(&answer.status),
                "{surface} {past}: {} {}",
                answer.status,
                answer.text()
            );
        }
        for future in [now() + 660 * SECOND, now() + 400 * day, 7_000_000_000 * SECOND] {
            let answer = send(&server, future);
            assert_eq!(answer.status, 400, "{surface} {future}: {}", answer.text());
        }
    }
    for time in ["9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01", ""] {
        let entries = json!([{ "ts": time, "line": "t" }]);
        let body = json!({ "streams": [{ "labels": { "service": "far" }, "entries": entries }] });
        assert_eq!(server.post("/ingest").json(&body).send().status, 400, "{time}");
    }
    for time in ["", "x", "1.5", "99999999999999999999999", "-99999999999999999999999"] {
        let body = json!({ "streams": [{ "stream": { "a": "b" }, "values": [[time, "t"]] }] });
        assert_eq!(server.post("/loki/api/v1/push").json(&body).send().status, 400, "{time}");
    }
}

#[test]
fn wrong_methods_are_405_and_paths_that_do_not_exist_404() {
    let server = server();
    for (method, path) in [
        ("GET", "/ingest"),
        ("DELETE", "/v1/logs"),
        ("PUT", "/api/ingest"),
        ("GET", "/api/v1/ingest"),
        ("POST", "/labels"),
        ("DELETE", "/loki/api/v1/push"),
        ("GET", "/flush"),
        ("POST", "/metrics"),
    ] {
        let answer = Request::new(method, &server.url(path)).send();
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.header("Allow").is_some(), "{method} {path} says what is allowed");
    }
    for path in
        ["/nowhere", "/api/v2/ingest", "/loki/api/v1/nowhere", "/v1/logs/", "/../etc/passwd", "/%2e%2e/x"]
    {
        assert_eq!(server.get(path).send().status, 404, "{path}");
    }
    assert_eq!(server.get("/stream").send().status, 426, "a WebSocket wants an upgrade");
}

#[test]
fn content_types_that_are_not_taken_are_said_to_be() {
    let server = server();
    for content_type in ["application/xml", "image/png"] {
        let request = server.post("/loki/api/v1/push").header("Content-Type", content_type);
        let answer = request.body("<a/>").send();
        assert!(matches!(answer.status, 400 | 415), "{content_type}: {}", answer.status);
        assert!(answer.text().contains(content_type), "{}", answer.text());
    }
    let request = server.post("/ingest").header("Content-Type", "application/x-protobuf");
    let answer = request.body("x").send();
    assert!(matches!(answer.status, 400 | 415), "{}", answer.status);
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

#[test]
fn half_open_connections_are_closed_and_the_server_goes_on() {
    let server = server_with(&[("REQUEST_TIMEOUT_SECONDS", "1")]);
    let open = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(server.address()).expect("the server takes connections");
        stream.write_all(bytes).expect("a few bytes fit");
        stream
    };
    let mut halves = Vec::new();
    for _ in 0..40 {
        halves.push(open(b""));
        halves.push(open(b"POST /ingest HT"));
        halves.push(open(b"POST /ingest HTTP/1.1\r\nHost: localhost\r\nX-Slow"));
    }
    let bodies: Vec<TcpStream> = (0..10)
        .map(|_| open(b"POST /ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"str"))
        .collect();
    still_works(&server);
    let started = Instant::now();
    for mut stream in bodies {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        assert!(ended.is_ok(), "a body that never comes is given up: {ended:?}");
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    let mut slow = halves.swap_remove(2);
    slow.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let ended = slow.read_to_end(&mut Vec::new());
    assert!(ended.is_ok(), "a head that never comes is given up: {ended:?}");
    assert!(started.elapsed() < PATIENCE);
    still_works(&server);
}

#[test]
fn requests_that_are_no_http_do_not_disturb() {
    let server = server();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /ingest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
    ] {
        let answer = send_raw(server.address(), bytes, PATIENCE).unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.contains(" 4") || answer.contains(" 505"), "{answer}");
    }
    let many = format!("GET /labels HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X-A: b\r\n".repeat(5000));
    let answer = send_raw(server.address(), many.as_bytes(), PATIENCE).unwrap_or_default();
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    still_works(&server);
}
