//! `GET /health`: one page for the watchers of LogPulse and of the analytics server.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::state::SharedState;

/// 200 with numbers; 503 with the same numbers and the reason when the store cannot be reached.
pub async fn get(State(state): State<SharedState>) -> Response {
    let readiness = state.operations.readiness();
    let store = state.operations.statistics();
    let now = state.now();
    let uptime_seconds = state.uptime_nanos() / 1_000_000_000;
    let counters = state.intake.counters();
    let healthy = readiness.is_ok();
    let body = json!({
        "status": if healthy { "healthy" } else { "unhealthy" },
        "service": "timberyard",
        "version": env!("CARGO_PKG_VERSION"),
        "timestamp": now.to_string(),
        "uptime": uptime_text(uptime_seconds),
        "uptime_seconds": uptime_seconds,
        "ingestion_rate": state.metrics.rows_per_second(now.as_nanos().div_euclid(1_000_000_000)),
        "ingested_logs": counters.rows_accepted.get(),
        "bytes_stored": store.disk_bytes,
        "chunks": store.segments,
        "stream_clients": state.tail_hub.subscriptions(),
        "dropped_messages": state.tail_hub.missed_rows(),
        "database": if healthy { "connected" } else { "disconnected" },
        "total_logs": store.rows,
        "damaged_segments": store.segments_damaged,
        "message": readiness.err().map(|error| error.to_string()),
    });
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// Hours, minutes and seconds as Go writes a duration: `1h2m3s`, `2m0s`, `3s`.
pub fn uptime_text(seconds: i64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_reads_like_a_go_duration() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (60, "1m0s"), (3723, "1h2m3s"), (90_000, "25h0m0s")] {
            assert_eq!(uptime_text(seconds), text);
        }
    }
}
