//! `GET /admin/config` and `POST /admin/reload`: the settings in the files, and putting them in force.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::error_response::ErrorResponse;
use crate::reload::Reload;
use crate::state::{ServerState, SharedState};

impl ServerState {
    /// Reads settings again and puts in force what can change while the server runs; gives the keys of those that
    /// cannot. Requests under way keep the limits that they began with.
    ///
    /// # Errors
    /// What is wrong with the settings; those in force stay.
    pub async fn reload_settings(&self) -> Result<Vec<String>, ErrorResponse> {
        let reloaded = ask(self, |reload| reload.read()).await?;
        self.limits.store(Arc::new(reloaded.limits));
        self.intake.processing().replace(reloaded.processing);
        // Whether TLS is spoken at all was settled at the start.
        if let (Some(in_force), Some(tls)) = (&self.tls, reloaded.tls) {
            in_force.store(tls);
        }
        Ok(reloaded.at_next_start)
    }
}

/// What would be in force after a reload, as YAML.
pub async fn describe(State(state): State<SharedState>) -> Result<Response, ErrorResponse> {
    let text = ask(&state, |reload| reload.describe()).await?;
    Ok(([(header::CONTENT_TYPE, "application/yaml")], text).into_response())
}

/// Puts the limits and certificates that are written now in force.
pub async fn reload(State(state): State<SharedState>) -> Result<Json<Value>, ErrorResponse> {
    let at_next_start = state.reload_settings().await?;
    Ok(Json(json!({ "status": "success", "at_next_start": at_next_start })))
}

async fn ask<T: Send + 'static>(
    state: &ServerState,
    question: impl FnOnce(&dyn Reload) -> Result<T, String> + Send + 'static,
) -> Result<T, ErrorResponse> {
    let Some(reload) = state.reload.clone() else {
        let message = "this server was given its settings, and has nowhere to read them again";
        return Err(ErrorResponse::new(StatusCode::NOT_IMPLEMENTED, "no_settings", message));
    };
    let answer = tokio::task::spawn_blocking(move || question(&*reload)).await;
    answer
        .map_err(|error| ErrorResponse::internal(&error))?
        .map_err(|wrong| ErrorResponse::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_settings", wrong))
}
