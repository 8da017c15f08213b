//! Requests that are no requests, or of the wrong kind, and connections that never become one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use timberyard_testkit::http::{Request, send_raw};

use super::still_works;
use crate::start::{server, server_with};

const PATIENCE: Duration = Duration::from_secs(20);

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
    for path in ["/stream", "/loki/api/v1/tail?query=%7Ba%3D%22b%22%7D"] {
        let status = server.get(path).send().status;
        assert!(matches!(status, 400 | 426), "{path} wants an upgrade, not {status}");
    }
}

#[test]
fn content_types_that_are_not_taken_are_said_to_be() {
    let server = server();
    for content_type in ["application/xml", "image/png"] {
        let request = server.post("/loki/api/v1/push").header("Content-Type", content_type);
        let answer = request.body("<a/>").send();
        assert!(matches!(answer.status, 400 | 415), "{content_type}: {}", answer.status);
        assert!(answer.text().contains("application/json"), "what is taken is named: {}", answer.text());
    }
    let otlp = server.post("/otlp/v1/logs").header("Content-Type", "text/plain").body("x").send();
    assert!(otlp.status == 415 && otlp.text().contains("application/x-protobuf"), "{}", otlp.text());
    let request = server.post("/ingest").header("Content-Type", "application/x-protobuf");
    let answer = request.body("x").send();
    assert!(matches!(answer.status, 400 | 415), "{}", answer.status);
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
