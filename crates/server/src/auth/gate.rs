//! Middleware: the host and origin check, the key, the tenant, the scope.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use timberyard_model::TenantId;

use super::identity::{Identity, Scopes, TenantAccess};
use super::loopback::{is_loopback_host, is_own_origin};
use crate::error_response::ErrorResponse;
use crate::state::{ServerState, SharedState};

/// Paths that need no key, whatever the settings say.
const OPEN_PATHS: [&str; 4] = ["/ready", "/health", "/readiness", "/liveness"];

/// Without keys: refuses a `Host` that is not a loopback name (a rebound name), and WebSockets and writes
/// that come from a stranger's page.
pub async fn check_host_and_origin(
    State(state): State<SharedState>,
    request: Request,
    next: Next,
) -> Response {
    match check(&state, &request) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    }
}

fn check(state: &ServerState, request: &Request) -> Result<(), ErrorResponse> {
    if state.authenticator.enabled() {
        return Ok(());
    }
    let headers = request.headers();
    if headers.get_all(header::HOST).iter().nth(1).is_some() {
        // Which of them counts is what two programs may see differently.
        return Err(ErrorResponse::bad_request("invalid_host", "a request names one host"));
    }
    let host = request.uri().authority().map(|authority| authority.as_str());
    let host = host.or_else(|| text_of(headers, header::HOST)).unwrap_or("");
    if state.authenticator.loopback_only() && !is_loopback_host(host) {
        let message =
            format!("host `{host}` is not a loopback name; without keys only this machine is served");
        return Err(forbidden(message));
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !changes && !headers.contains_key(header::UPGRADE) {
        return Ok(());
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("");
    let allowed = &state.settings.allowed_origins;
    if is_own_origin(origin, host) || allowed.iter().any(|own| own == "*" || own == origin) {
        return Ok(());
    }
    Err(forbidden(format!(
        "origin `{origin}` is not this server's; configure it as an allowed origin or use keys"
    )))
}

/// Finds out who asks and whose logs it is about; 401 without a good key.
pub async fn authenticate(State(state): State<SharedState>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let open = OPEN_PATHS.contains(&path) || (path == "/metrics" && !state.authenticator.metrics_closed());
    if !open {
        match identify(&state, request.headers()) {
            Ok(identity) => {
                request.extensions_mut().insert(identity);
            }
            Err(refused) => return refused.into_response(),
        }
    }
    next.run(request).await
}

fn identify(state: &ServerState, headers: &HeaderMap) -> Result<Identity, ErrorResponse> {
    let Some(holder) = state.authenticator.identify(headers) else {
        let message = "a valid API key is required, as X-API-Key or Authorization";
        return Err(ErrorResponse::new(StatusCode::UNAUTHORIZED, "unauthorized", message).with_header(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(r#"Bearer realm="timberyard""#),
        ));
    };
    let named = headers.get("x-scope-orgid").filter(|value| !value.is_empty());
    let tenant = match (named, &holder.tenants) {
        (Some(value), _) => TenantId::new(&String::from_utf8_lossy(value.as_bytes()))
            .map_err(|error| ErrorResponse::bad_request("invalid_tenant", error.to_string()))?,
        (None, TenantAccess::Only(own)) => own.clone(),
        (None, TenantAccess::Any) => TenantId::default(),
    };
    if !holder.tenants.allows(&tenant) {
        return Err(forbidden(format!("this key may not name tenant `{tenant}`")));
    }
    let limits = Arc::clone(state.limits.load().of(&tenant));
    Ok(Identity { tenant, tenants: holder.tenants, client: holder.client, scopes: holder.scopes, limits })
}

/// Lets through who may send logs.
pub async fn require_push(request: Request, next: Next) -> Response {
    require(request, next, "push", |scopes| scopes.push).await
}

/// Lets through who may read logs.
pub async fn require_read(request: Request, next: Next) -> Response {
    require(request, next, "read", |scopes| scopes.read).await
}

/// Lets through who may administer.
pub async fn require_admin(request: Request, next: Next) -> Response {
    require(request, next, "admin", |scopes| scopes.admin).await
}

async fn require(request: Request, next: Next, scope: &str, has: fn(&Scopes) -> bool) -> Response {
    match request.extensions().get::<Identity>() {
        Some(identity) if has(&identity.scopes) => next.run(request).await,
        _ => forbidden(format!("this key does not have the {scope} scope")).into_response(),
    }
}

fn forbidden(message: String) -> ErrorResponse {
    ErrorResponse::new(StatusCode::FORBIDDEN, "forbidden", message)
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
