//! Searches that are saved on the server.

use axum::body::Body;
use axum::http::Method;
use serde_json::json;

use crate::harness::{Answer, TestServer};

const PATH: &str = "/timberyard/api/v1/searches";

async fn save(server: &TestServer, tenant: &str, name: &str) -> Answer {
    let headers = [("x-scope-orgid", tenant), ("content-type", "application/json")];
    let body = json!({ "name": name, "place": "/explore?query=x" }).to_string();
    server.request(Method::POST, PATH, &headers, body).await
}

async fn names(server: &TestServer, tenant: &str) -> Vec<String> {
    let answer = server.request(Method::GET, PATH, &[("x-scope-orgid", tenant)], Body::empty()).await;
    let searches = answer.json()["searches"].as_array().expect("a list").clone();
    searches.iter().map(|search| search["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn a_search_is_there_for_its_tenant_the_newest_first_until_it_is_removed() {
    let server = TestServer::new();
    let first = save(&server, "acme", "first").await;
    assert_eq!(first.status, 201, "{}", first.text());
    save(&server, "acme", "second").await;
    assert_eq!(names(&server, "acme").await, ["second", "first"]);
    assert!(names(&server, "bravo").await.is_empty());
    let id = first.json()["search"]["id"].as_str().expect("an id").to_owned();
    let path = format!("{PATH}/{id}");
    let of_another =
        server.request(Method::DELETE, &path, &[("x-scope-orgid", "bravo")], Body::empty()).await;
    assert_eq!(of_another.status, 404);
    let removed = server.request(Method::DELETE, &path, &[("x-scope-orgid", "acme")], Body::empty()).await;
    assert_eq!(removed.status, 200);
    assert_eq!(names(&server, "acme").await, ["second"]);
}

#[tokio::test]
async fn what_is_no_search_is_refused_with_the_limit() {
    let server = TestServer::new();
    let refused = save(&server, "acme", "").await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("1 to 120 characters"), "{}", refused.text());
    let headers = [("content-type", "application/json")];
    let body = json!({ "name": "n", "place": "https://elsewhere.example" }).to_string();
    let refused = server.request(Method::POST, PATH, &headers, body).await;
    assert!(refused.text().contains("place must begin with `/`"), "{}", refused.text());
}
