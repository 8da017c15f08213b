//! `GET /loki/api/v1/status/buildinfo` and `GET /services`: what this is.

use axum::Json;
use serde_json::{Value, json};

/// The version of Loki whose API this is. Grafana decides by it which queries it may send.
pub(super) const LOKI_VERSION: &str = "3.8.0";

/// Grafana reads `version`; the rest is there because its readers expect it.
pub async fn build_info() -> Json<Value> {
    Json(json!({
        "version": LOKI_VERSION,
        "revision": env!("CARGO_PKG_VERSION"),
        "branch": "timberyard",
        "buildUser": "timberyard",
        "buildDate": "",
        "goVersion": "",
    }))
}

/// The parts that run, as Loki lists its modules.
pub async fn services() -> &'static str {
    "server => Running\nstore => Running\n"
}
