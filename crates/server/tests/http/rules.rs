//! The rules that every request passes: keys, scopes, hosts, origins, methods, paths, headers.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Method;
use timberyard_model::TenantId;
use timberyard_server::auth::{ConfiguredKey, HmacKeys, Scopes, Secret};

use crate::harness::TestServer;

pub(crate) fn with_keys() -> TestServer {
    TestServer::with(|settings| {
        settings.auth.enabled = true;
        settings.auth.audit_tenant = TenantId::new("audit").ok();
        settings.auth.failures_per_minute = Some(5);
        settings.auth.hmac_secret = Some(Secret::new("s3cret"));
        settings.auth.keys = vec![ConfiguredKey {
            name: "operator".into(),
            key: Secret::new("topsecret"),
            scopes: Scopes::ALL,
        }];
    })
}

#[tokio::test]
async fn an_unknown_path_is_named() {
    let answer = TestServer::new().get("/loki/api/v1/nosuch?x=1").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["message"], "there is no /loki/api/v1/nosuch");
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let answer = TestServer::new().request(Method::DELETE, "/flush", &[], Body::empty()).await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), "POST");
    assert_eq!(answer.json()["error"], "method_not_allowed");
}

#[tokio::test]
async fn probes_need_no_key_and_everything_else_does() {
    let server = with_keys();
    for open in ["/ready", "/readiness", "/liveness"] {
        assert_eq!(server.get(open).await.status, 200, "{open}");
    }
    for closed in ["/flush", "/nosuch"] {
        let answer = server.request(Method::POST, closed, &[], Body::empty()).await;
        assert_eq!(answer.status, 401, "{closed}");
        assert_eq!(answer.json()["error"], "unauthorized");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
}

#[tokio::test]
async fn flush_needs_the_admin_scope() {
    let server = with_keys();
    let client = HmacKeys::new(Secret::new("s3cret")).issue("web").expect("a name");
    let answer = server.request(Method::POST, "/flush", &[("x-api-key", &client)], Body::empty()).await;
    assert_eq!(answer.status, 403);
    assert!(!server.operations.flushed.load(Ordering::Relaxed));
    let answer =
        server.request(Method::POST, "/flush", &[("authorization", "Bearer topsecret")], Body::empty()).await;
    assert_eq!(answer.status, 204);
    assert!(server.operations.flushed.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_client_key_may_not_name_another_tenant() {
    let server = with_keys();
    let client = HmacKeys::new(Secret::new("s3cret")).issue("web").expect("a name");
    let headers = [("x-api-key", client.as_str()), ("x-scope-orgid", "other")];
    let answer = server.request(Method::GET, "/nosuch", &headers, Body::empty()).await;
    assert_eq!(answer.status, 403);
    let bad = [("x-api-key", "topsecret"), ("x-scope-orgid", "../x")];
    assert_eq!(server.request(Method::GET, "/nosuch", &bad, Body::empty()).await.status, 400);
}

#[tokio::test]
async fn without_keys_a_foreign_host_or_origin_is_refused() {
    let server = TestServer::new();
    let foreign = [("host", "logs.attacker.example")];
    assert_eq!(server.request(Method::GET, "/ready", &foreign, Body::empty()).await.status, 403);
    let origin = [("host", "127.0.0.1:8080"), ("origin", "http://attacker.example")];
    assert_eq!(server.request(Method::POST, "/flush", &origin, Body::empty()).await.status, 403);
    let own = [("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")];
    assert_eq!(server.request(Method::POST, "/flush", &own, Body::empty()).await.status, 204);
    let anonymous = TestServer::with(|settings| settings.auth.anonymous = true);
    assert_eq!(anonymous.request(Method::GET, "/ready", &foreign, Body::empty()).await.status, 200);
}

#[tokio::test]
async fn cors_headers_are_sent_only_when_configured() {
    let origin = [("origin", "https://grafana.example")];
    let answer = TestServer::new().request(Method::GET, "/ready", &origin, Body::empty()).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    let server = TestServer::with(|settings| {
        settings.auth.enabled = true;
        settings.allowed_origins = vec!["https://grafana.example".to_owned()];
    });
    let answer = server.request(Method::GET, "/ready", &origin, Body::empty()).await;
    assert_eq!(answer.header("access-control-allow-origin"), "https://grafana.example");
    let preflight = [("origin", "https://grafana.example"), ("access-control-request-method", "POST")];
    let answer = server.request(Method::OPTIONS, "/flush", &preflight, Body::empty()).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn every_answer_carries_security_headers() {
    for path in ["/ready", "/nosuch"] {
        let answer = TestServer::new().get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
    }
}

#[tokio::test]
async fn ready_says_why_it_is_not() {
    let server = TestServer::new();
    assert_eq!(server.get("/ready").await.text(), "ready\n");
    server.operations.broken.store(true, Ordering::Relaxed);
    for path in ["/ready", "/readiness"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 503);
        assert!(answer.text().contains("disk is gone"));
    }
    assert_eq!(server.get("/liveness").await.status, 200);
}

#[tokio::test]
async fn a_request_id_is_echoed_when_it_is_sane_and_made_otherwise() {
    let server = TestServer::new();
    for (sent, echoed) in [("abc-123", true), ("two words", false), (&"x".repeat(129), false)] {
        let answer = server.request(Method::GET, "/nosuch", &[("x-request-id", sent)], Body::empty()).await;
        assert_eq!(answer.header("x-request-id") == sent, echoed, "{sent}");
        assert!(!answer.header("x-request-id").is_empty());
    }
}
