//! The result of authentication: who it is, what they may do, and whose logs these are.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use timberyard_model::{Limits, TenantId};

use super::key_labels::KeyLabels;
use super::{Scopes, TenantAccess};
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// Who sent a request. Every guarded handler can ask for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Whose logs are written and read.
    pub tenant: TenantId,
    /// The tenants whose logs are read together, sorted, when that is more than one; `tenant` is the first of them.
    pub read_together: Option<Arc<[TenantId]>>,
    /// Which tenants single records may name instead (log-go's `org_id`).
    pub tenants: TenantAccess,
    /// The key's name, or the client of an HMAC key; `None` without authentication.
    pub client: Option<Arc<str>>,
    /// What they may do.
    pub scopes: Scopes,
    /// The streams they may send and see; all of them when `None`.
    pub labels: Option<KeyLabels>,
    /// Where they are.
    pub address: Option<IpAddr>,
    /// The tenant's limits, of several tenants what all of them allow to queries; the same for as long as the request takes.
    pub limits: Arc<Limits>,
}

impl FromRequestParts<SharedState> for Identity {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _state: &SharedState) -> Result<Self, Self::Rejection> {
        // Missing only if a handler that needs it was put on an open path.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            let message = "this path was reached without authentication";
            ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
        })
    }
}
