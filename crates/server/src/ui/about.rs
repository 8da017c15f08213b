//! What the page asks before anything else: whether a key is wanted, and who asks.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::auth::Identity;
use crate::state::SharedState;

/// What everybody may know: the version, whether keys are asked for, and whether people can log in at `/auth/login`.
pub async fn server(State(state): State<SharedState>) -> Json<Value> {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "authentication": state.authenticator.enabled(),
        "login": state.oidc.is_some(),
    }))
}

/// Who asks, for which tenant, and with which scopes.
pub async fn asker(identity: Identity) -> Json<Value> {
    Json(json!({
        "tenant": identity.tenant.as_str(),
        "client": identity.client.as_deref(),
        "scopes": identity.scopes,
        "tenants": identity.tenants,
    }))
}
