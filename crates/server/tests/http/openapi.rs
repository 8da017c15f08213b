//! The document of the API is the router's table, and its page is one that a browser can trust.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Method;

use crate::harness::TestServer;

/// Every method and path of the router's table, as it is written there.
fn routes() -> BTreeSet<(String, String)> {
    let table = include_str!("../../src/router.rs");
    let mut routes = BTreeSet::new();
    for rest in table.split(".route(\"").skip(1) {
        let (path, methods) = rest.split_once('"').expect("a path ends");
        let methods = methods.lines().next().expect("a line");
        let words: &[(&str, &[&str])] = &[
            ("get(", &["get"]),
            ("options(", &["options"]),
            ("post(", &["post"]),
            ("put(", &["put"]),
            ("delete(", &["delete"]),
            ("asked(", &["get", "post"]),
            ("stored(", &["post", "put"]),
            ("known(", &["get", "post", "put"]),
            ("deletions", &["get", "post", "put", "delete"]),
        ];
        let before = routes.len();
        for (word, stands_for) in words {
            let stands = methods.match_indices(word).any(|(at, _)| {
                !methods[..at].ends_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_')
            });
            if stands {
                // The document has no word for a parameter that goes on to the end of the path.
                let path = path.replace("{*", "{");
                routes.extend(stands_for.iter().map(|method| ((*method).to_owned(), path.clone())));
            }
        }
        assert!(routes.len() > before, "no method is known in {methods}");
    }
    routes
}

#[tokio::test]
async fn the_document_has_every_route_of_the_router_and_no_other() {
    let server = TestServer::new();
    let answer = server.request(Method::GET, "/openapi.json", &[], Body::empty()).await;
    let document: serde_json::Value = serde_json::from_str(&answer.text()).expect("JSON");
    let documented: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().expect("methods").keys().map(move |method| (method.clone(), path.clone()))
        })
        .collect();
    let routes = routes();
    assert!(routes.len() > 60, "{routes:?}");
    let missing: Vec<_> = routes.difference(&documented).collect();
    let invented: Vec<_> = documented.difference(&routes).collect();
    assert!(missing.is_empty() && invented.is_empty(), "missing: {missing:?}, invented: {invented:?}");
}

#[tokio::test]
async fn the_page_has_no_script_loads_nothing_and_says_so() {
    let server = TestServer::new();
    let answer = server.request(Method::GET, "/openapi", &[], Body::empty()).await;
    let policy = answer.header("content-security-policy").to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    let page = answer.text();
    for forbidden in ["<script", "src=", "http://", "https://", " style=", "onclick"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("/loki/api/v1/query_range"));
}
