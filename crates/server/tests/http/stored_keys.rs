//! Stored keys: made, used, narrowed, rotated and revoked over HTTP; tickets; the audit log; guesses.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use timberyard_server::auth::upkeep;
use timberyard_server::client_address::PeerAddress;

use crate::harness::{Answer, TestServer};
use crate::rules::with_keys;

const OPERATOR: (&str, &str) = ("x-api-key", "topsecret");

async fn create(server: &TestServer, by: (&str, &str), key: &Value) -> Answer {
    let headers = [by, ("content-type", "application/json")];
    server.request(Method::POST, "/admin/keys", &headers, key.to_string()).await
}

async fn key(server: &TestServer, key: &Value) -> String {
    let answer = create(server, OPERATOR, key).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["key"].as_str().expect("shown once").to_owned()
}

async fn push(server: &TestServer, headers: &[(&str, &str)], labels: &Value, line: &str) -> u16 {
    let time = (crate::harness::NOW.as_nanos() - 1).to_string();
    let body = json!({ "streams": [{ "stream": labels, "values": [[time, line]] }] });
    let headers = [headers, &[("content-type", "application/json")]].concat();
    server.request(Method::POST, "/loki/api/v1/push", &headers, body.to_string()).await.status.as_u16()
}

async fn get(server: &TestServer, path: &str, key: &str) -> Answer {
    server.request(Method::GET, path, &[("x-api-key", key)], Body::empty()).await
}

#[tokio::test]
async fn a_key_has_its_scopes_and_its_tenants_and_no_others() {
    let server = with_keys();
    let shipper = key(&server, &json!({ "name": "ship", "tenants": "acme,bravo", "scopes": ["push"] })).await;
    let reader = key(&server, &json!({ "name": "read", "tenants": "acme", "scopes": ["read"] })).await;
    let own = ("x-api-key", shipper.as_str());
    assert_eq!(push(&server, &[own], &json!({ "app": "a" }), "to the first").await, 204);
    assert_eq!(
        push(&server, &[own, ("x-scope-orgid", "bravo")], &json!({ "app": "b" }), "to bravo").await,
        204
    );
    assert_eq!(push(&server, &[own, ("x-scope-orgid", "other")], &json!({ "app": "c" }), "x").await, 403);
    assert_eq!(push(&server, &[("x-api-key", &reader)], &json!({ "app": "a" }), "x").await, 403);
    assert_eq!(get(&server, "/labels/app/values", &reader).await.text(), r#"["a"]"#);
    assert_eq!(get(&server, "/labels/app/values", &shipper).await.status, 403);
    for (path, method) in [("/ticket", Method::POST), ("/flush", Method::POST), ("/admin/keys", Method::GET)]
    {
        let answer = server.request(method, path, &[("x-api-key", &reader)], Body::empty()).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    let own = [("x-api-key", reader.as_str())];
    let deletion = server.request(Method::DELETE, "/loki/api/v1/delete", &own, Body::empty());
    assert_eq!(deletion.await.status, 403);
}

#[tokio::test]
async fn a_key_for_some_labels_sends_and_sees_these_streams_only() {
    let server = with_keys();
    for app in ["x", "y"] {
        assert_eq!(push(&server, &[OPERATOR], &json!({ "app": app, "secret": app }), "line").await, 204);
    }
    let asked = json!({ "name": "x", "scopes": ["push", "read"], "labels": r#"{app="x"}"# });
    let x = key(&server, &asked).await;
    let own = [("x-api-key", x.as_str())];
    assert_eq!(push(&server, &own, &json!({ "app": "x" }), "own").await, 204);
    assert_eq!(push(&server, &own, &json!({ "app": "y" }), "foreign").await, 403);
    let question = "/loki/api/v1/query_range?query=%7Bapp%3D~%22.%2B%22%7D";
    let found = get(&server, question, &x).await.json();
    let streams = found["data"]["result"].as_array().expect("streams");
    assert!(!streams.is_empty() && streams.iter().all(|stream| stream["stream"]["app"] == "x"), "{found}");
    assert_eq!(get(&server, "/labels/secret/values", &x).await.text(), r#"["x"]"#);
    assert_eq!(get(&server, "/api/v1/metrics", &x).await.json()["data"]["total_logs"], 2);
    let with_admin = json!({ "name": "z", "scopes": ["admin"], "labels": r#"{app="x"}"# });
    assert_eq!(create(&server, OPERATOR, &with_admin).await.json()["error"], "invalid_key");
}

#[tokio::test]
async fn a_rotated_key_and_its_successor_are_both_good_and_a_revoked_name_is_not() {
    let server = with_keys();
    let first = key(&server, &json!({ "name": "web", "scopes": ["read"], "expires_in_seconds": 1000 })).await;
    let rotated = server.request(Method::POST, "/admin/keys/web/rotate", &[OPERATOR], Body::empty()).await;
    assert_eq!(rotated.status, 201, "{}", rotated.text());
    let second = rotated.json()["key"].as_str().expect("shown once").to_owned();
    for good in [&first, &second] {
        assert_eq!(get(&server, "/labels", good).await.status, 200);
    }
    let list = get(&server, "/admin/keys", "topsecret").await.json();
    let keys = list["keys"].as_array().expect("keys");
    assert_eq!(keys.len(), 2);
    for field in ["id", "name", "is_active", "expires_at", "last_used_at", "usage_count", "created_at"] {
        assert!(!keys[0][field].is_null(), "{field}");
    }
    assert_eq!(keys[0]["usage_count"], 1);
    assert!(!list.to_string().contains(&first) && !list.to_string().contains("key_hash"));
    let revoked = server.request(Method::DELETE, "/admin/keys/web", &[OPERATOR], Body::empty()).await;
    assert_eq!(revoked.json()["revoked"].as_array().map(Vec::len), Some(2));
    for gone in [&first, &second] {
        assert_eq!(get(&server, "/labels", gone).await.status, 401);
    }
    let again = server.request(Method::DELETE, "/admin/keys/web", &[OPERATOR], Body::empty()).await;
    assert_eq!(again.json()["error"], "key_not_found");
}

#[tokio::test]
async fn an_administrator_of_one_tenant_gives_away_no_more_than_its_own() {
    let server = with_keys();
    key(&server, &json!({ "name": "other", "tenants": "other", "scopes": ["read"] })).await;
    let local = json!({ "name": "local", "tenants": "acme", "scopes": ["read", "admin"] });
    let local = key(&server, &local).await;
    let by = ("x-api-key", local.as_str());
    for (asked, status) in [
        (json!({ "name": "a", "scopes": ["read"] }), 201),
        (json!({ "name": "b", "scopes": ["push"] }), 403),
        (json!({ "name": "c", "tenants": "*", "scopes": ["read"] }), 403),
        (json!({ "name": "d", "tenants": "acme,other", "scopes": ["read"] }), 403),
        (json!({ "name": "a", "scopes": ["read"] }), 409),
    ] {
        assert_eq!(create(&server, by, &asked).await.status, status, "{asked}");
    }
    assert_eq!(server.request(Method::POST, "/snapshot", &[by], Body::empty()).await.status, 403);
    let names = get(&server, "/admin/keys", &local).await.text();
    assert!(names.contains("local") && !names.contains("other"), "{names}");
    let foreign = server.request(Method::DELETE, "/admin/keys/other", &[by], Body::empty()).await;
    assert_eq!(foreign.status, 404);
}

#[tokio::test]
async fn the_audit_log_is_read_by_administrators_and_written_by_nobody() {
    let server = with_keys();
    let reader = key(&server, &json!({ "name": "any", "tenants": "*", "scopes": ["push", "read"] })).await;
    assert_eq!(get(&server, "/labels", "wrong").await.status, 401);
    assert_eq!(get(&server, "/labels", &reader).await.status, 200);
    upkeep::finish(&server.state).await;
    let audit = ("x-scope-orgid", "audit");
    let headers = [OPERATOR, audit];
    let path = "/loki/api/v1/query_range?query=%7Bservice_name%3D%22timberyard-audit%22%7D%20%7C%20json&end=2027-01-01T00:00:00Z&start=2026-11-01T00:00:00Z";
    let found = server.request(Method::GET, path, &headers, Body::empty()).await.json();
    let events: Vec<&str> = found["data"]["result"]
        .as_array()
        .expect("streams")
        .iter()
        .filter_map(|s| s["stream"]["event"].as_str())
        .collect();
    for event in ["key_created", "key_refused", "key_used", "administration"] {
        assert!(events.contains(&event), "{event} of {events:?}");
    }
    assert!(!found.to_string().contains(&reader) && !found.to_string().contains("topsecret"));
    let foreign = [("x-api-key", reader.as_str()), audit];
    assert_eq!(server.request(Method::GET, "/labels", &foreign, Body::empty()).await.status, 403);
    assert_eq!(push(&server, &headers, &json!({ "app": "forged" }), "x").await, 403);
    let entry = json!([{ "timestamp": 1, "service": "s", "message": "forged", "org_id": "audit" }]);
    let headers = [OPERATOR, ("content-type", "application/json")];
    let answer = server.request(Method::POST, "/v1/logs", &headers, entry.to_string()).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn an_address_that_guesses_keys_gets_429_and_others_go_on() {
    let server = with_keys();
    let from = |address: &str, key: &str| {
        let peer = PeerAddress(format!("{address}:1").parse().expect("an address"));
        let request = Request::get("/labels").header("x-api-key", key).extension(peer);
        server.send(request.body(Body::empty()).expect("a request"))
    };
    for guess in 0..5 {
        assert_eq!(from("192.0.2.1", &format!("guess-{guess}")).await.status, 401);
    }
    let refused = from("192.0.2.1", "topsecret").await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["error"]),
        (429, &json!("too_many_failed_attempts"))
    );
    assert_eq!(refused.header("retry-after"), "12");
    assert_eq!(from("192.0.2.2", "topsecret").await.status, 200);
}
