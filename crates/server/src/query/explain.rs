//! `/timberyard/api/v1/explain`: what a query would do and read, without running it.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use timberyard_logql::explain::PlannedScan;
use timberyard_model::scan::Direction;

use super::loki_query::{instant_request, range_request};
use super::run;
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::state::SharedState;

/// The plan of a query with the parameters of `query_range`; with `time`, of those of `query`.
pub async fn get(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Json<Value>, ErrorResponse> {
    let request = match form.get("time") {
        Some(_) => instant_request(&state, &identity, &form)?,
        None => range_request(&state, &identity, &form)?,
    };
    let explanation = run::explain(&state, &identity, request).await?;
    let scans: Vec<Value> = explanation.scans.iter().map(scan_json).collect();
    let kind = if explanation.is_metric { "metric" } else { "logs" };
    let data = json!({ "query": explanation.query, "kind": kind, "scans": scans });
    Ok(Json(json!({ "status": "success", "data": data })))
}

fn scan_json(scan: &PlannedScan) -> Value {
    let columns = [("line", scan.columns.line), ("metadata", scan.columns.metadata)];
    let columns: Vec<&str> = columns.iter().filter(|(_, read)| *read).map(|(name, _)| *name).collect();
    let estimate = &scan.estimate;
    let mut shown = json!({
        "part": scan.part,
        "selector": scan.selector,
        "start": scan.range.start.to_string(),
        "end": scan.range.end.to_string(),
        "direction": match scan.direction { Direction::Forward => "forward", Direction::Backward => "backward" },
        "pushedDown": scan.pushed,
        "stages": scan.stages,
        "columns": columns,
        "fields": scan.fields,
        "atMost": {
            "streams": estimate.streams,
            "segments": estimate.segments,
            "segmentsTotal": estimate.segments_total,
            "blocks": estimate.blocks,
            "blocksSkipped": estimate.blocks_skipped,
            "storedBytes": estimate.stored_bytes,
            "storedRows": estimate.stored_rows,
            "memoryBytes": estimate.memory_bytes,
            "memoryRows": estimate.memory_rows,
        },
    });
    if let (Some(statement), Some(shown)) = (&scan.statement, shown.as_object_mut()) {
        shown.insert("statement".to_owned(), json!(statement));
    }
    shown
}
