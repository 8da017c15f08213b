//! `/timberyard/api/v1/searches`: searches saved for all who read a tenant.
//!
//! Who reads some streams only (a key with labels) sees and removes only what was saved with that key: a search may name what
//! they cannot see.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::saved_searches::{SavedSearch, SavedSearchError, SavedSearches};
use crate::auth::Identity;
use crate::body::RequestBody;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// What is saved.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSearch {
    name: String,
    place: String,
}

/// Those of the tenant, the newest first.
pub async fn list(State(state): State<SharedState>, identity: Identity) -> Json<Value> {
    let searches = state.searches.list(&identity.tenant).into_iter();
    let shown: Vec<SavedSearch> = searches.filter(|search| may_see(&identity, search)).collect();
    Json(json!({ "status": "success", "searches": shown }))
}

/// 201 with the search as it is kept.
pub async fn add(
    State(state): State<SharedState>,
    identity: Identity,
    body: RequestBody,
) -> Result<(StatusCode, Json<Value>), ErrorResponse> {
    let new: NewSearch = serde_json::from_slice(body.json()?)
        .map_err(|error| ErrorResponse::bad_request("invalid_body", error.to_string()))?;
    let now = state.now();
    let saved = changed(&state, move |searches| {
        searches.add(&identity.tenant, &new.name, &new.place, identity.client.as_deref(), now)
    })
    .await?;
    Ok((StatusCode::CREATED, Json(json!({ "status": "success", "search": saved }))))
}

/// Forgets a search: one's own, or with the scope `admin` anybody's.
pub async fn remove(
    State(state): State<SharedState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<Json<Value>, ErrorResponse> {
    changed(&state, move |searches| {
        searches.remove(&identity.tenant, &id, |search| identity.scopes.admin || is_own(&identity, search))
    })
    .await?;
    Ok(Json(json!({ "status": "success" })))
}

fn is_own(identity: &Identity, search: &SavedSearch) -> bool {
    search.created_by.as_deref() == identity.client.as_deref()
}

fn may_see(identity: &Identity, search: &SavedSearch) -> bool {
    identity.labels.is_none() || is_own(identity, search)
}

/// Runs what writes the file where that harms nobody.
async fn changed<T: Send + 'static>(
    state: &SharedState,
    change: impl FnOnce(&SavedSearches) -> Result<T, SavedSearchError> + Send + 'static,
) -> Result<T, ErrorResponse> {
    let shared = SharedState::clone(state);
    let done = tokio::task::spawn_blocking(move || change(&shared.searches)).await;
    Ok(done.map_err(|error| ErrorResponse::internal(&error))??)
}

impl From<SavedSearchError> for ErrorResponse {
    fn from(error: SavedSearchError) -> Self {
        let message = error.to_string();
        match error {
            SavedSearchError::BadName | SavedSearchError::BadPlace => {
                Self::bad_request("invalid_search", message)
            }
            SavedSearchError::TooMany | SavedSearchError::Full => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_searches", message)
            }
            SavedSearchError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "search_not_found", message),
            SavedSearchError::NoRandomness => Self::unavailable(message),
            SavedSearchError::Damaged(_) | SavedSearchError::File(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "search_file", message)
            }
        }
    }
}
