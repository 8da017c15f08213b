//! Health and metrics.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Method;

use crate::harness::TestServer;

#[tokio::test]
async fn health_carries_the_numbers_of_both_systems_and_is_503_without_a_store() {
    let server = TestServer::new();
    let answer = server.get("/health").await;
    assert_eq!(answer.status, 200);
    let health = answer.json();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["uptime"], "0s");
    assert_eq!(health["uptime_seconds"], 0);
    assert_eq!(health["bytes_stored"], 1234);
    assert_eq!(health["chunks"], 3);
    for number in ["ingestion_rate", "stream_clients", "dropped_messages"] {
        assert!(health[number].is_number(), "{number}");
    }
    server.operations.broken.store(true, Ordering::Relaxed);
    let answer = server.get("/health").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["status"], "unhealthy");
}

#[tokio::test]
async fn metrics_name_routes_and_never_paths() {
    let server = TestServer::new();
    server.get("/ready").await;
    server.get("/some/secret/path").await;
    let answer = server.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text();
    for line in [
        "# TYPE http_requests_total counter",
        "http_requests_total{method=\"GET\",endpoint=\"/ready\",status=\"200\"} 1",
        "http_requests_total{method=\"GET\",endpoint=\"unmatched\",status=\"404\"} 1",
        "# TYPE http_request_duration_seconds histogram",
        "# TYPE ingest_requests_total counter",
        "storage_disk_bytes 1234",
        "stream_clients 0",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("secret"));
    let mut helped = std::collections::HashSet::new();
    for line in text.lines() {
        match line.strip_prefix("# HELP ") {
            Some(rest) => drop(helped.insert(rest.split(' ').next().unwrap_or("").to_owned())),
            None if line.starts_with('#') => {}
            None => {
                let name = line.split(['{', ' ']).next().unwrap_or("");
                let base = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s));
                assert!(helped.contains(name) || base.is_some_and(|b| helped.contains(b)), "{line}");
            }
        }
    }
}

#[tokio::test]
async fn metrics_can_be_closed() {
    for (closed, status) in [(false, 200), (true, 401)] {
        let server = TestServer::with(|settings| {
            settings.auth.enabled = true;
            settings.auth.metrics = closed;
        });
        assert_eq!(server.request(Method::GET, "/metrics", &[], Body::empty()).await.status, status);
    }
}
