//! `GET /timberyard/api/v1/slow-queries`: the newest queries that took half a second or longer.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::auth::Identity;
use crate::state::SharedState;

/// Those of tenants that one administers, the newest first.
pub async fn list(State(state): State<SharedState>, identity: Identity) -> Json<Value> {
    let queries = state.metrics.slow_queries.list(|tenant| identity.tenants.allows(tenant));
    Json(json!({ "status": "success", "queries": queries }))
}
