//! `/loki/api/v1/rules`, `/prometheus/api/v1/rules` and `/prometheus/api/v1/alerts`: there are no rules, said as
//! Loki without rules says it, so that Grafana shows empty lists and no error.

use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// The files of rules: none, which Loki answers with 404.
pub async fn list() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "no rule groups found\n")
}

/// The state of rules.
pub async fn rules() -> Json<Value> {
    Json(json!({ "status": "success", "data": { "groups": [] }, "errorType": "", "error": "" }))
}

/// The alerts that fire.
pub async fn alerts() -> Json<Value> {
    Json(json!({ "status": "success", "data": { "alerts": [] }, "errorType": "", "error": "" }))
}
