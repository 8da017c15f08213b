//! `/loki/api/v1/drilldown-limits` and `/config/tenant/v1/limits`: the limits in force, under Loki's names.
//!
//! Grafana decides by the first what it offers. Limits that are not there have no counterpart here.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use timberyard_model::Limits;

use super::build_info::LOKI_VERSION;
use crate::auth::Identity;
use crate::settings::ServerSettings;
use crate::state::SharedState;

/// The limits as Grafana's Logs Drilldown reads them.
pub async fn drilldown(State(state): State<SharedState>, identity: Identity) -> Json<Value> {
    Json(json!({
        "limits": limits(&state.settings, &identity.limits),
        "pattern_ingester_enabled": true,
        "version": LOKI_VERSION,
    }))
}

/// The limits as YAML, a line each.
pub async fn page(State(state): State<SharedState>, identity: Identity) -> Response {
    let lines = limits(&state.settings, &identity.limits)
        .into_iter()
        .map(|(name, value)| format!("{name}: {value}\n"));
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], lines.collect::<String>()).into_response()
}

/// Names and values; what is a length of time in Loki is a text such as `60s`.
fn limits(settings: &ServerSettings, limits: &Limits) -> Map<String, Value> {
    let (record, query) = (&limits.record, &limits.query);
    let limits = [
        ("allow_structured_metadata", json!(true)),
        ("creation_grace_period", json!(format!("{}s", record.future_seconds_max))),
        ("discover_log_levels", json!(settings.detect_level)),
        ("max_entries_limit_per_query", json!(query.entries_max)),
        ("max_label_name_length", json!(record.label_name_bytes_max)),
        ("max_label_names_per_series", json!(record.label_names_max)),
        ("max_label_value_length", json!(record.label_value_bytes_max)),
        ("max_line_size", json!(record.line_bytes_max)),
        ("max_query_series", json!(query.series_max)),
        ("max_structured_metadata_entries_count", json!(record.metadata_pairs_max)),
        ("max_structured_metadata_size", json!(record.metadata_bytes_max)),
        ("query_timeout", json!(format!("{}s", query.timeout_seconds))),
        ("reject_old_samples", json!(record.age_seconds_max.is_some())),
        ("reject_old_samples_max_age", json!(format!("{}s", record.age_seconds_max.unwrap_or_default()))),
        ("volume_enabled", json!(true)),
        ("volume_max_series", json!(query.series_max)),
    ];
    limits.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
