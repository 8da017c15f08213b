//! `GET /openapi.json` and `GET /openapi`: every endpoint, for programs and for people.
//!
//! Both are made from one table, [`endpoints::ENDPOINTS`], which a test holds to the router's. They show nothing of what is
//! stored or configured, and are open to everybody. The page has no script and loads nothing.

pub mod document;
pub mod endpoints;
mod page;
mod parameters;
mod schemas;

use std::sync::LazyLock;

use axum::Json;
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::Value;

/// The document, in OpenAPI 3.1.
pub async fn json() -> Json<&'static Value> {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(document::document);
    Json(&DOCUMENT)
}

/// The same as a page.
pub async fn html() -> impl IntoResponse {
    static PAGE: LazyLock<(String, String)> = LazyLock::new(|| (page::policy(), page::page()));
    let (policy, text) = &*PAGE;
    let kind = (header::CONTENT_TYPE, "text/html; charset=utf-8");
    ([kind, (header::CONTENT_SECURITY_POLICY, policy.as_str())], text.as_str())
}
