//! Who may do what: signed and configured keys on every surface, what is open, and what happens without any key.

use base64::Engine;
use serde_json::json;
use timberyard_testkit::http::{Request, send_raw};
use timberyard_testkit::server_process::ServerProcess;
use timberyard_testkit::websocket::WebSocket;

use crate::clock::now;
use crate::start::{SECRET, configured, server, server_configured, server_with, settings};
use crate::terminal::timberyard;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

fn signed_key(client: &str) -> String {
    timberyard(&["keys", "issue", "--client", client, "--secret", SECRET])
        .succeeded()
        .text()
        .trim()
        .to_owned()
}

/// One request of every surface, reads and writes.
fn requests(server: &ServerProcess) -> Vec<(&'static str, Request)> {
    let stream = json!({ "streams": [{ "stream": { "job": "k" }, "values": [[now().to_string(), "x"]] }] });
    let pulse = json!({ "streams": [{ "labels": { "job": "k" },
        "entries": [{ "ts": "2024-01-01T00:00:00Z", "line": "x" }] }] });
    let event = json!({ "event_id": format!("k-{}", now()), "event_type": "behavioral", "event_name": "n" });
    vec![
        ("Logtopus in", server.post("/v1/logs").json(&json!([{ "message": "x" }]))),
        ("Logtopus out", server.get("/v1/logs")),
        ("Logtopus status", server.get("/status")),
        ("LogPulse in", server.post("/ingest").json(&pulse)),
        ("LogPulse out", server.get("/query").query("query", r#"{job="k"}"#)),
        ("LogPulse labels", server.get("/labels")),
        (
            "LogStream in",
            server.post("/api/ingest").json(&json!({ "service": "s", "level": "INFO", "message": "m" })),
        ),
        ("LogStream out", server.get("/api/ingest/logs")),
        ("Change66 in", server.post("/api/v1/ingest").json(&event)),
        ("Change66 out", server.get("/api/v1/logs/recent")),
        ("Change66 metrics", server.get("/api/v1/metrics")),
        (
            "log-go in",
            server.post("/v1/logs").json(&json!([{ "timestamp": 1, "service": "s", "message": "m" }])),
        ),
        ("Loki in", server.post("/loki/api/v1/push").json(&stream)),
        ("Loki out", server.get("/loki/api/v1/query_range").query("query", r#"{job="k"}"#)),
        ("Loki labels", server.get("/loki/api/v1/labels")),
    ]
}

/// Every header that may carry a key.
fn headers(key: &str) -> Vec<(&'static str, String)> {
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("user:{key}"));
    vec![
        ("X-API-Key", key.to_owned()),
        ("Authorization", format!("Bearer {key}")),
        ("Authorization", format!("Basic {basic}")),
        ("Authorization", format!("Splunk {key}")),
        ("Authorization", format!("ApiKey {key}")),
        ("DD-API-KEY", key.to_owned()),
    ]
}

#[test]
fn every_kind_of_key_is_good_on_every_surface_in_every_header() {
    let server =
        server_with(&[("AUTH_SECRET", SECRET), ("API_KEYS", "first,second"), ("LOGPULSE_API_KEY", "pulse")]);
    let signed = signed_key("client.with.dots");
    for (surface, request) in requests(&server) {
        assert_eq!(request.send().status, 401, "{surface} without a key");
        for (name, value) in headers("wrong").into_iter().chain(headers("client.with.dots.AAAA")) {
            assert_eq!(request.clone().header(name, &value).send().status, 401, "{surface}, {name}: {value}");
        }
    }
    for key in [signed.as_str(), "first", "second", "pulse"] {
        for (name, value) in headers(key) {
            for (surface, request) in requests(&server) {
                let answer = request.header(name, &value).send();
                assert!(
                    (200..300).contains(&answer.status) || answer.status == 409,
                    "{surface}, {name}: {value}: {} {}",
                    answer.status,
                    answer.text()
                );
            }
        }
    }
}

#[test]
fn a_large_body_with_a_bad_key_gets_401_and_no_broken_pipe() {
    let server = server_with(&[("API_KEYS", "k")]);
    for _ in 0..5 {
        let request =
            server.post("/ingest").header("Content-Type", "application/json").body(vec![b' '; 4 << 20]);
        request.send().expect_status(401);
    }
}

#[test]
fn live_streams_need_a_key_too() {
    let server = server_with(&[("API_KEYS", "k")]);
    for path in ["/stream", "/loki/api/v1/tail?query=%7Bjob%3D%22k%22%7D"] {
        assert_eq!(WebSocket::connect(server.address(), path, &[]).err(), Some(401), "{path}");
        assert!(
            WebSocket::connect(server.address(), path, &[("Authorization", "Bearer k")]).is_ok(),
            "{path}"
        );
    }
}

#[test]
fn any_of_the_settings_turns_keys_on_unless_they_are_written_off() {
    let cases = [
        ("AUTH_SECRET", "s", true),
        ("API_KEYS", "k", true),
        ("LOGPULSE_API_KEY", "k", true),
        ("TIMBERYARD_AUTH_API_KEY", "k", true),
        ("API_KEYS", "", false),
    ];
    for (name, value, closed) in cases {
        let server = server_with(&[(name, value)]);
        let status = server.get("/labels").send().status;
        assert_eq!(status == 401, closed, "{name}={value}: {status}");
    }
    let written_off = server_configured("auth:\n  enabled: false\n  api_key: k\n");
    written_off.get("/labels").send().expect_status(200);
    let written_on = server_configured("auth:\n  enabled: true\n  api_key: k\n");
    written_on.get("/labels").send().expect_status(401);
    written_on.get("/labels").header("X-API-Key", "k").send().expect_status(200);
}

#[test]
fn probes_and_metrics_are_open_and_metrics_can_be_closed() {
    let server = server_with(&[("API_KEYS", "k")]);
    for path in ["/ready", "/health", "/readiness", "/liveness", "/metrics"] {
        server.get(path).send().expect_status(200);
    }
    let closed = server_configured("auth:\n  api_key: k\n  metrics: true\n");
    closed.get("/metrics").send().expect_status(401);
    closed.get("/metrics").header("X-API-Key", "k").send().expect_status(200);
}

#[test]
fn open_metrics_show_no_tenant_and_no_label_value() {
    let server = server_with(&[("API_KEYS", "k")]);
    let body = json!({ "streams": [{ "stream": { "job": "secretjob" }, "values": [[now().to_string(), "secretline"]] }] });
    server
        .post("/loki/api/v1/push")
        .header("X-API-Key", "k")
        .header("X-Scope-OrgID", "secrettenant")
        .json(&body)
        .send()
        .expect_status(204);
    let metrics = server.get("/metrics").send().expect_status(200).text();
    let health = server.get("/health").send().text();
    for word in ["secretjob", "secretline", "secrettenant"] {
        assert!(!metrics.contains(word) && !health.contains(word), "{word}");
    }
}

#[test]
fn flushes_and_snapshots_need_the_admin_scope() {
    let server = server_configured(&format!("auth:\n  secret: {SECRET}\n  admin_keys: [root]\n"));
    for path in ["/flush", "/snapshot"] {
        server.post(path).send().expect_status(401);
        server.post(path).header("X-API-Key", &signed_key("web")).send().expect_status(403);
    }
    let flushed = server.post("/flush").header("X-API-Key", "root").send();
    assert!((200..300).contains(&flushed.status), "{}", flushed.text());
    server.get("/labels").header("X-API-Key", "root").send().expect_status(200);
}

#[test]
fn a_signed_key_names_no_other_tenant() {
    let server = server_with(&[("AUTH_SECRET", SECRET)]);
    let key = signed_key("web");
    server.get("/labels").header("X-API-Key", &key).send().expect_status(200);
    server
        .get("/labels")
        .header("X-API-Key", &key)
        .header("X-Scope-OrgID", "other")
        .send()
        .expect_status(403);
}

#[test]
fn without_keys_only_loopback_names_are_served() {
    let server = server();
    let ask = |host: &str| {
        let request = format!("GET /labels HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = send_raw(server.address(), request.as_bytes(), PATIENCE).expect("an answer");
        String::from_utf8_lossy(&answer)
            .split(' ')
            .nth(1)
            .expect("a status")
            .parse::<u16>()
            .expect("a number")
    };
    for host in ["localhost", "localhost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]:80", "LOCALHOST"] {
        assert_eq!(ask(host), 200, "{host}");
    }
    for host in
        ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.0.1", "10.0.0.1:8080"]
    {
        assert_eq!(ask(host), 403, "{host}");
    }
    // Of two hosts, two programs may each believe another one.
    for hosts in ["localhost\r\nHost: evil.example", "evil.example\r\nHost: localhost"] {
        assert_eq!(ask(hosts), 400, "{hosts}");
    }
    let with_keys = server_with(&[("API_KEYS", "k")]);
    let request = "GET /labels HTTP/1.1\r\nHost: logs.example\r\nX-API-Key: k\r\nConnection: close\r\n\r\n";
    let answer = send_raw(with_keys.address(), request.as_bytes(), PATIENCE).expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn without_keys_a_page_of_another_site_gets_no_live_stream_and_no_answer() {
    let server = server();
    for path in ["/stream", "/loki/api/v1/tail?query=%7Bjob%3D%22k%22%7D"] {
        let foreign = WebSocket::connect(server.address(), path, &[("Origin", "https://evil.example")]);
        assert_eq!(foreign.err(), Some(403), "{path}");
        let own = format!("http://{}", server.address());
        assert!(WebSocket::connect(server.address(), path, &[("Origin", &own)]).is_ok(), "{path}");
    }
    let answer = server.get("/labels").header("Origin", "https://evil.example").send();
    assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
}

#[test]
fn without_keys_the_server_refuses_to_be_reached_from_elsewhere() {
    let (status, said) = settings().start_refused("0.0.0.0:0");
    assert!(!status.success(), "{said}");
    assert!(said.contains("0.0.0.0") && said.contains("auth.anonymous"), "it says what and how: {said}");
    let (off, file) = configured("auth:\n  enabled: false\n  api_key: k\n");
    let (status, said) = off.start_refused("0.0.0.0:0");
    drop(file);
    assert!(!status.success(), "written off is off: {said}");
}
