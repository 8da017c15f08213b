//! Rates of requests and bytes, requests at a time, and limits that change while the server runs.

use axum::body::Body;
use axum::http::{Method, Request};
use timberyard_model::{Limits, TenantId};
use timberyard_server::ServerSettings;
use timberyard_server::client_address::PeerAddress;
use timberyard_server::limits::TenantLimits;

use crate::harness::{Answer, TestServer};

const BODY: &str = r#"[{"message":"one hundred bytes of a message that is not that long, but long enough to be counted here"}]"#;

async fn from(server: &TestServer, address: &str, path: &str) -> Answer {
    let peer = PeerAddress(format!("{address}:1").parse().expect("an address"));
    server.send(Request::get(path).extension(peer).body(Body::empty()).expect("a request")).await
}

#[tokio::test]
async fn requests_beyond_the_burst_get_429_that_says_when_to_come_back() {
    let server = TestServer::with(|settings| {
        settings.limits.rate.requests_per_minute = Some(60);
        settings.limits.rate.burst = Some(2);
    });
    for left in ["1", "0"] {
        let answer = from(&server, "192.0.2.1", "/labels").await;
        assert_eq!((answer.status.as_u16(), answer.header("x-ratelimit-remaining")), (200, left));
        assert_eq!(answer.header("x-ratelimit-limit"), "2");
    }
    let refused = from(&server, "192.0.2.1", "/labels").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"], "rate_limit_exceeded");
    assert_eq!((refused.header("retry-after"), refused.header("x-ratelimit-remaining")), ("1", "0"));
    assert!(!refused.header("x-ratelimit-reset").is_empty());
    assert_eq!(from(&server, "192.0.2.2", "/labels").await.status, 200, "another address has its own");
    for _ in 0..5 {
        assert_eq!(from(&server, "192.0.2.1", "/ready").await.status, 200, "probes have no rate");
    }
}

#[tokio::test]
async fn a_tenant_pays_for_the_bytes_it_sent_before_its_next_body_is_read() {
    let limited = |settings: &mut ServerSettings| {
        let mut own = Limits::default();
        own.rate.bytes_per_second = Some(10);
        settings.tenant_limits = [(TenantId::new("acme").expect("valid"), own)].into();
    };
    let server = TestServer::with(limited);
    let push = |tenant: &'static str| {
        let headers = [("content-type", "application/json"), ("x-scope-orgid", tenant)];
        let server = &server;
        async move { server.request(Method::POST, "/v1/logs", &headers, BODY).await }
    };
    assert_eq!(push("acme").await.status, 202, "a batch larger than a second's worth is taken whole");
    let refused = push("acme").await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]), (429, &"rate_limit_exceeded".into()));
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((5..60).contains(&wait), "{wait}");
    assert_eq!(push("other").await.status, 202);
    // Whoever raises the limit does not have to start the server again.
    server.state.limits.store(TenantLimits::new(Limits::default(), []).into());
    assert_eq!(push("acme").await.status, 202);
}

#[tokio::test]
async fn settings_that_come_from_nowhere_are_not_read_again() {
    let server = TestServer::new();
    let answer = server.request(Method::POST, "/admin/reload", &[], Body::empty()).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (501, &"no_settings".into()));
}
