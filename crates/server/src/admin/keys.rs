//! `/admin/keys`: stored keys made, listed, rotated and revoked while the server runs.
//!
//! Whoever administers some tenants only sees and changes keys of these tenants only, and makes none that may do more
//! than their own.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use timberyard_model::Timestamp;

use crate::auth::gate::forbidden;
use crate::auth::key_book::is_named;
use crate::auth::{
    AuditEvent, Identity, KeyError, KeyLabels, KeyRing, KeyText, KeyUse, NewKey, Rotation, RotationRequest,
    Scopes, StoredKey, TenantAccess,
};
use crate::body::RequestBody;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// What a key is to be, as it is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateRequest {
    name: String,
    /// `default` when nothing is said.
    tenants: Option<String>,
    scopes: Scopes,
    labels: Option<String>,
    /// Seconds; for ever when nothing is said.
    expires_in_seconds: Option<u64>,
    /// The age at which it is rotated by interval; never when nothing is said.
    rotate_every_seconds: Option<u64>,
    /// How long the old key stays good after such a rotation.
    overlap_seconds: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateRequest {
    overlap_seconds: Option<u64>,
    /// From now on, at this age; 0 no longer by interval; as before when nothing is said.
    rotate_every_seconds: Option<u64>,
}

/// 201 with the key, which is shown this once.
pub async fn create(
    State(state): State<SharedState>,
    identity: Identity,
    body: RequestBody,
) -> Result<(StatusCode, Json<Value>), ErrorResponse> {
    let asked: CreateRequest = read(body.json()?)?;
    let invalid =
        |error: &dyn std::fmt::Display| ErrorResponse::bad_request("invalid_key", error.to_string());
    let tenants: TenantAccess = match &asked.tenants {
        Some(text) => text.parse().map_err(|error| invalid(&error))?,
        None => TenantAccess::only(identity.tenant.clone()),
    };
    let labels = asked.labels.as_deref().map(KeyLabels::new).transpose().map_err(|error| invalid(&error))?;
    if !identity.scopes.include(asked.scopes) || !identity.tenants.include(&tenants) {
        return Err(forbidden("a key can only make keys that may do no more than itself".to_owned()));
    }
    let every = asked.rotate_every_seconds.filter(|seconds| *seconds > 0);
    let rotation = every.map(|every| Rotation::new(every, asked.overlap_seconds)).transpose()?;
    let new = NewKey {
        name: asked.name,
        tenants,
        scopes: asked.scopes,
        labels,
        lifetime_seconds: asked.expires_in_seconds,
        rotation,
        created_by: identity.client.as_deref().unwrap_or("anonymous").to_owned(),
    };
    let now = state.now();
    let (key, text) = changed(&state, move |keys| keys.create(&new, now)).await?;
    state.audit.add(event("key_created", &identity, &key, now));
    Ok((StatusCode::CREATED, Json(shown_once(&state, &key, &text))))
}

/// All keys that one may administer, with their use, the oldest first.
pub async fn list(State(state): State<SharedState>, identity: Identity) -> Json<Value> {
    let now = state.now();
    let keys = state.keys.list();
    let keys = keys.iter().filter(|(key, _)| identity.tenants.include(&key.tenants));
    Json(
        json!({ "status": "success", "keys": keys.map(|(key, used)| shown(key, *used, now)).collect::<Vec<_>>() }),
    )
}

/// 201 with a key that takes over from the one with this name or id.
pub async fn rotate(
    State(state): State<SharedState>,
    identity: Identity,
    Path(which): Path<String>,
    body: RequestBody,
) -> Result<(StatusCode, Json<Value>), ErrorResponse> {
    let asked: RotateRequest =
        if body.bytes.is_empty() { RotateRequest::default() } else { read(body.json()?)? };
    check_access(&state.keys, &identity, &which)?;
    let rotation =
        RotationRequest { overlap_seconds: asked.overlap_seconds, every_seconds: asked.rotate_every_seconds };
    let now = state.now();
    let (key, text) = changed(&state, move |keys| keys.rotate(&which, rotation, now)).await?;
    let event = event("key_rotated", &identity, &key, now).with("overlap_seconds", rotation.overlap_seconds);
    state.audit.add(event.with("rotate_every_seconds", key.rotation.map(|rotation| rotation.every_seconds)));
    Ok((StatusCode::CREATED, Json(shown_once(&state, &key, &text))))
}

/// The keys with this name or id, which are not good any more.
pub async fn revoke(
    State(state): State<SharedState>,
    identity: Identity,
    Path(which): Path<String>,
) -> Result<Json<Value>, ErrorResponse> {
    check_access(&state.keys, &identity, &which)?;
    let now = state.now();
    let keys = changed(&state, move |keys| keys.revoke(&which, now)).await?;
    for key in &keys {
        state.audit.add(event("key_revoked", &identity, key, now));
    }
    let keys: Vec<Value> = keys.iter().map(|key| shown(key, KeyUse::default(), now)).collect();
    Ok(Json(json!({ "status": "success", "revoked": keys })))
}

/// A key as it is shown; never its digest. The fields are Change66's, and more.
pub fn shown(key: &StoredKey, used: KeyUse, now: Timestamp) -> Value {
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    json!({
        "id": key.id,
        "name": key.name,
        "is_active": key.is_active(now),
        "state": key.state(now).word(),
        "tenants": key.tenants,
        "scopes": key.scopes,
        "labels": key.labels,
        "created_at": key.created_at.to_string(),
        "updated_at": key.updated_at.to_string(),
        "created_by": key.created_by,
        "expires_at": text(key.expires_at),
        "revoked_at": text(key.revoked_at),
        "rotated_from": key.rotated_from,
        "replaced_by": key.replaced_by,
        "rotate_every_seconds": key.rotation.map(|rotation| rotation.every_seconds),
        "overlap_seconds": key.rotation.map(|rotation| rotation.overlap_seconds),
        "next_rotation_at": text(key.next_rotation_at()),
        "last_used_at": text(used.last_used_at),
        "usage_count": used.usage_count,
    })
}

fn shown_once(state: &SharedState, key: &StoredKey, text: &KeyText) -> Value {
    let mut value = shown(key, KeyUse::default(), state.now());
    if let Value::Object(fields) = &mut value {
        fields.insert("key".to_owned(), text.text.reveal().into());
        if !state.authenticator.enabled() {
            let warning = "this server started without keys and asks for none until it starts again";
            fields.insert("warning".to_owned(), warning.into());
        }
    }
    value
}

fn event(word: &'static str, identity: &Identity, key: &StoredKey, now: Timestamp) -> AuditEvent {
    AuditEvent::new(word, now)
        .by(identity)
        .with("name", &*key.name)
        .with("id", &*key.id)
        .with("scopes", key.scopes.to_string())
        .with("tenants", key.tenants.to_string())
}

/// Who may not administer a key is told what one is told who asks for a key that is not there.
fn check_access(keys: &KeyRing, identity: &Identity, which: &str) -> Result<(), ErrorResponse> {
    let keys = keys.list();
    let mut meant = keys.iter().map(|(key, _)| key).filter(|key| is_named(key, which)).peekable();
    if meant.peek().is_some()
        && meant.all(|key| identity.tenants.include(&key.tenants) && identity.scopes.include(key.scopes))
    {
        return Ok(());
    }
    Err(KeyError::NotFound(which.to_owned()).into())
}

/// Runs what writes the file where that harms nobody.
async fn changed<T: Send + 'static>(
    state: &SharedState,
    change: impl FnOnce(&KeyRing) -> Result<T, KeyError> + Send + 'static,
) -> Result<T, ErrorResponse> {
    let keys = Arc::clone(&state.keys);
    let done = tokio::task::spawn_blocking(move || change(&keys)).await;
    Ok(done.map_err(|error| ErrorResponse::internal(&error))??)
}

fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, ErrorResponse> {
    serde_json::from_slice(body)
        .map_err(|error| ErrorResponse::bad_request("invalid_body", error.to_string()))
}

impl From<KeyError> for ErrorResponse {
    fn from(error: KeyError) -> Self {
        let message = error.to_string();
        match error {
            KeyError::NotFound(_) => Self::new(StatusCode::NOT_FOUND, "key_not_found", message),
            KeyError::NameTaken(_) => Self::new(StatusCode::CONFLICT, "key_name_taken", message),
            KeyError::BadName
            | KeyError::TooMany
            | KeyError::LabelsAndAdmin
            | KeyError::BadRotation { .. }
            | KeyError::EndsBeforeRotation { .. }
            | KeyError::NameOfNoFile(_) => Self::bad_request("invalid_key", message),
            KeyError::NoPlaceForTexts => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "no_rotated_keys_dir", message)
            }
            KeyError::File(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "key_file", message),
        }
    }
}
