//! `GET /status`: Logtopus' page of numbers.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use timberyard_pipeline::sink_driver::SinkDriver;

use crate::admin::health::uptime_text;
use crate::state::SharedState;

/// Counts since start.
pub async fn get(State(state): State<SharedState>) -> Json<Value> {
    let uptime_seconds = state.uptime_nanos() / 1_000_000_000;
    let dropped: u64 = state.intake.broker().best_effort().map(SinkDriver::rows_dropped).sum();
    Json(json!({
        "status": "ok",
        "uptime": uptime_text(uptime_seconds),
        "uptime_seconds": uptime_seconds,
        "ingested_logs": state.intake.counters().rows_accepted.get(),
        "dropped_logs": dropped,
    }))
}
