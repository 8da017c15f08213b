//! `/loki/api/v1/index/stats` and `/detected_labels`: what the store knows about streams without reading their lines.
//!
//! Grafana asks these before it runs a query.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use timberyard_logql::syntax;
use timberyard_model::label_values::{LabelQuestion, LabelValues};
use timberyard_model::matcher::LabelMatcher;
use timberyard_model::scan::SeriesRequest;
use timberyard_model::{Cancellation, TimeRange, Timestamp};

use super::{loki_labels, run};
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::state::SharedState;

/// Streams, rows and bytes of a selector.
pub async fn stats(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Json<Value>, ErrorResponse> {
    let question = form.parameters().range_query(state.now(), identity.limits.query.points_max)?;
    let matchers = syntax::parse_selector(&question.query, &identity.limits.query)?;
    let range = inclusive(question.start, question.end);
    let volumes = run::volumes(&state, &identity, request(&identity, range, matchers)).await?;
    let rows: u64 = volumes.iter().map(|volume| volume.rows).sum();
    // What Loki's chunks would hold, before they are compressed.
    let bytes: u64 = volumes.iter().map(|volume| volume.bytes + volume.metadata_bytes).sum();
    let streams = volumes.iter().filter(|volume| volume.rows > 0).count();
    // Chunks are Loki's; a stream stands for one.
    Ok(Json(json!({ "streams": streams, "chunks": streams, "entries": rows, "bytes": bytes })))
}

/// Labels that tell streams apart, with how many values each has; those whose values are all ids are left out.
pub async fn detected_labels(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Json<Value>, ErrorResponse> {
    let request = loki_labels::request(&identity, &form.parameters().label_query(state.now())?)?;
    let labels = run::labels(&state, &identity, request, LabelQuestion::All).await?;
    let telling = |label: &&LabelValues| {
        ["cluster", "namespace", "instance", "pod"].contains(&&*label.name)
            || !label.values.iter().all(|value| is_id(value))
    };
    let labels = labels.iter().filter(telling);
    let labels: Vec<Value> =
        labels.map(|label| json!({ "label": label.name, "cardinality": label.values.len() })).collect();
    Ok(Json(json!({ "detectedLabels": labels })))
}

/// The question about streams that pass matchers.
pub(super) fn request(identity: &Identity, range: TimeRange, matchers: Vec<LabelMatcher>) -> SeriesRequest {
    SeriesRequest {
        tenant: identity.tenant.clone(),
        range,
        selectors: vec![matchers],
        memory_bytes_max: identity.limits.query.memory_bytes_max,
        cancellation: Cancellation::default(),
    }
}

/// Both ends are inside.
pub(super) fn inclusive(start: Timestamp, end: Timestamp) -> TimeRange {
    TimeRange::new(start, end.saturating_add_nanos(1))
}

/// A number or a UUID.
fn is_id(value: &str) -> bool {
    value.parse::<f64>().is_ok() || uuid::Uuid::parse_str(value).is_ok()
}
