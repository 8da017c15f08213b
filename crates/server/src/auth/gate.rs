//! Middleware: the host and origin check, the key, the tenant, the scope.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use timberyard_model::{Limits, TenantId};

use super::audit::AuditEvent;
use super::authenticator::KeyHolder;
use super::credentials::offered_keys;
use super::loopback::{is_loopback_host, is_own_origin};
use super::oidc::{CALLBACK_PATH, Oidc, TokenError};
use super::{Identity, Scopes, TenantAccess};
use crate::client_address::ClientAddress;
use crate::error_response::ErrorResponse;
use crate::state::{ServerState, SharedState};
use crate::ui;

/// Paths that need no key, whatever the settings say.
const OPEN_PATHS: [&str; 12] = [
    "/ready",
    "/health",
    "/readiness",
    "/liveness",
    "/openapi",
    "/openapi.json",
    "/timberyard/api/v1/about",
    "/services/collector/health",
    "/services/collector/health/1.0",
    "/auth/login",
    CALLBACK_PATH,
    "/auth/logout",
];

/// Where Docker's driver for Splunk asks, without a key and with `OPTIONS`, whether anybody is there.
const SPLUNK_EVENTS_PATH: &str = "/services/collector/event/1.0";

/// Questions that are answered from all tenants that a request names.
const MANY_TENANTS_PATHS: [&str; 15] = [
    "/loki/api/v1/query_range",
    "/loki/api/v1/query",
    "/loki/api/v1/labels",
    "/loki/api/v1/label",
    "/loki/api/v1/label/{name}/values",
    "/loki/api/v1/series",
    "/loki/api/v1/index/stats",
    "/loki/api/v1/index/volume",
    "/loki/api/v1/index/volume_range",
    "/loki/api/v1/detected_labels",
    "/loki/api/v1/detected_fields",
    "/loki/api/v1/detected_field/{name}/values",
    "/loki/api/v1/patterns",
    "/loki/api/v1/format_query",
    "/timberyard/api/v1/explain",
];
/// Tenants that a request may name.
const TENANTS_MAX: usize = 100;

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
    if !is_change(request) {
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
pub async fn authenticate(
    State(state): State<SharedState>,
    address: ClientAddress,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let open = OPEN_PATHS.contains(&path)
        || path.starts_with(ui::files::FOLDER)
        || (path == "/metrics" && !state.authenticator.metrics_closed())
        || (path == SPLUNK_EVENTS_PATH && request.method() == Method::OPTIONS);
    if !open {
        match identify(&state, address.0, &mut request).await {
            Ok(identity) => {
                request.extensions_mut().insert(identity);
            }
            Err(refused) => return refused.into_response(),
        }
    }
    next.run(request).await
}

/// Who pushes, by the head of a request, as things are now: for a call that goes on long after it began.
///
/// # Errors
/// That the key is not good any more, or may not push.
pub(crate) async fn pusher(
    state: &ServerState,
    address: Option<IpAddr>,
    asked: &Parts,
) -> Result<Identity, ErrorResponse> {
    let mut request = Request::from_parts(asked.clone(), Body::empty());
    let identity = identify(state, address, &mut request).await?;
    match identity.scopes.push {
        true => Ok(identity),
        false => Err(lacks_scope("push")),
    }
}

async fn identify(
    state: &ServerState,
    address: Option<IpAddr>,
    request: &mut Request,
) -> Result<Identity, ErrorResponse> {
    if let Some(identity) = by_ticket(state, request) {
        return Ok(identity);
    }
    let elapsed = state.elapsed();
    let is_change = is_change(request);
    let headers = request.headers();
    let holder = match state.authenticator.enabled() {
        false => state.authenticator.identify(&[], state.now()),
        true => {
            if let Some(wait) = state.failed_attempts.wait(address, elapsed) {
                return Err(too_many_attempts(wait));
            }
            let offered = offered_keys(headers);
            let holder = match state.authenticator.identify(&offered, state.now()) {
                Some(holder) => Some(holder),
                None if state.authenticator.cannot_tell(&offered) => return Err(keys_are_away()),
                None => person(state, headers, &offered, is_change).await.inspect_err(|refused| {
                    if refused.status == StatusCode::UNAUTHORIZED {
                        count_failure(state, address, &offered);
                    }
                })?,
            };
            if holder.is_none() {
                count_failure(state, address, &offered);
            }
            holder
        }
    };
    let Some(holder) = holder else {
        let message = "a valid API key is required, as X-API-Key or Authorization";
        return Err(unauthorized(message, r#"Bearer realm="timberyard""#));
    };
    let named = headers.get("x-scope-orgid").filter(|value| !value.is_empty());
    let tenants = match named {
        Some(value) => tenants_of(&String::from_utf8_lossy(value.as_bytes()))?,
        None => vec![holder.tenants.first()],
    };
    for tenant in &tenants {
        if !holder.tenants.allows(tenant) {
            return Err(forbidden(format!("this key may not name tenant `{tenant}`")));
        }
        if state.audit.is_in(tenant) && !holder.scopes.admin {
            let message = format!("tenant `{tenant}` holds the audit log, which needs the admin scope");
            return Err(forbidden(message));
        }
    }
    let Some(tenant) = tenants.first().cloned() else {
        return Err(ErrorResponse::bad_request("invalid_tenant", "no org id"));
    };
    let mut limits = Arc::clone(state.limits.load().of(&tenant));
    let mut read_together = None;
    if tenants.len() > 1 {
        if !state.settings.multi_tenant_queries || !reads_many(request) {
            return Err(ErrorResponse::bad_request("invalid_tenant", "multiple org IDs present"));
        }
        for other in &tenants {
            let query = limits.query.and(&state.limits.load().of(other).query);
            limits = Arc::new(Limits { query, ..Limits::clone(&limits) });
        }
        read_together = Some(tenants.into());
    }
    Ok(Identity {
        tenant,
        read_together,
        tenants: holder.tenants,
        client: holder.client,
        scopes: holder.scopes,
        labels: holder.labels,
        address,
        limits,
    })
}

fn unauthorized(message: &str, challenge: &str) -> ErrorResponse {
    let refused = ErrorResponse::new(StatusCode::UNAUTHORIZED, "unauthorized", message);
    match HeaderValue::from_str(challenge) {
        Ok(challenge) => refused.with_header(header::WWW_AUTHENTICATE, challenge),
        Err(_) => refused,
    }
}

/// Whose token a request offers, or whose browser it comes from; `None` when it has neither.
async fn person(
    state: &ServerState,
    headers: &HeaderMap,
    offered: &[String],
    is_change: bool,
) -> Result<Option<KeyHolder>, ErrorResponse> {
    let Some(oidc) = &state.oidc else { return Ok(None) };
    if let Some(token) = offered.iter().find(|text| Oidc::is_token(text)) {
        let holder = oidc.holder_of(token, state.now(), state.elapsed()).await;
        return holder.map(Some).map_err(|error| match error {
            TokenError::NothingGranted => forbidden(error.to_string()),
            TokenError::NoKeys => ErrorResponse::unavailable(error.to_string()),
            error => {
                // RFC 6750, 3.1.
                let challenge = format!(
                    r#"Bearer realm="timberyard", error="invalid_token", error_description="{error}""#
                );
                unauthorized(&error.to_string(), &challenge)
            }
        });
    }
    let Some(holder) = oidc.holder_of_session(headers, state.elapsed()) else { return Ok(None) };
    // A cookie comes along by itself: what changes something must come from a page of this server.
    if is_change && !is_of_own_page(state, headers) {
        return Err(forbidden(
            "with a session, requests that change something come from this server's pages only".to_owned(),
        ));
    }
    Ok(Some(holder))
}

/// Whether a request does more than read, or opens a WebSocket, which browsers let any page do.
fn is_change(request: &Request) -> bool {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    !reads || request.headers().contains_key(header::UPGRADE)
}

/// Whether the origin that a browser names is this server's, or an allowed one. Browsers name it with every such request.
pub(crate) fn is_of_own_page(state: &ServerState, headers: &HeaderMap) -> bool {
    let host = text_of(headers, header::HOST).unwrap_or("");
    let Some(origin) = text_of(headers, header::ORIGIN) else { return false };
    is_own_origin(origin, host) || state.settings.allowed_origins.iter().any(|own| own == origin)
}

/// Tenants with `|` between, sorted, each once.
fn tenants_of(names: &str) -> Result<Vec<TenantId>, ErrorResponse> {
    let tenants: Result<Vec<TenantId>, _> =
        names.split('|').take(TENANTS_MAX + 1).map(TenantId::new).collect();
    let mut tenants =
        tenants.map_err(|error| ErrorResponse::bad_request("invalid_tenant", error.to_string()))?;
    if tenants.len() > TENANTS_MAX {
        let message =
            format!("a request names more than {TENANTS_MAX} tenants, the most that are read together");
        return Err(ErrorResponse::bad_request("invalid_tenant", message));
    }
    tenants.sort_unstable();
    tenants.dedup();
    Ok(tenants)
}

/// Whether it is a question that is answered from several tenants.
fn reads_many(request: &Request) -> bool {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    path.is_some_and(|path| MANY_TENANTS_PATHS.contains(&path))
}

/// Takes the ticket out of the URL of a WebSocket, and gives who it was for.
fn by_ticket(state: &ServerState, request: &mut Request) -> Option<Identity> {
    if !request.headers().contains_key(header::UPGRADE) {
        return None;
    }
    let pairs = || form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes());
    let ticket = pairs().find(|(name, _)| name == "ticket")?.1.into_owned();
    let rest = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs().filter(|(name, _)| name != "ticket"))
        .finish();
    let uri = format!("{}?{rest}", request.uri().path()).parse().ok()?;
    *request.uri_mut() = uri;
    state.tickets.redeem(&ticket, state.elapsed())
}

/// Keys that were not good count against their address; a request without any does not.
fn count_failure(state: &ServerState, address: Option<IpAddr>, offered: &[String]) {
    let elapsed = state.elapsed();
    let mut is_news = false;
    for key in offered {
        is_news |= state.failed_attempts.count(address, key, elapsed);
    }
    if is_news {
        state.audit.add(AuditEvent::new("key_refused", state.now()).from(address));
    }
}

/// Nobody can say whether a key is good.
fn keys_are_away() -> ErrorResponse {
    let message = "stored keys cannot be read now, and this one is not known here; try again in a moment";
    ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable", message)
        .with_header(header::RETRY_AFTER, HeaderValue::from(1))
}

fn too_many_attempts(wait: Duration) -> ErrorResponse {
    let seconds = wait.as_secs_f64().ceil() as u64;
    let message = format!("too many keys from this address were not good; try again in {seconds} s");
    ErrorResponse::new(StatusCode::TOO_MANY_REQUESTS, "too_many_failed_attempts", message)
        .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
}

/// Lets through who may send logs.
pub async fn require_push(request: Request, next: Next) -> Response {
    require(request, next, "push", |scopes| scopes.push).await
}

/// Lets through who may read logs.
pub async fn require_read(request: Request, next: Next) -> Response {
    require(request, next, "read", |scopes| scopes.read).await
}

/// Lets through who may follow logs as they come in.
pub async fn require_tail(request: Request, next: Next) -> Response {
    require(request, next, "tail", |scopes| scopes.tail).await
}

/// Lets through who may delete logs.
///
/// The audit log is deleted by nobody.
pub async fn require_delete(State(state): State<SharedState>, request: Request, next: Next) -> Response {
    let identity = request.extensions().get::<Identity>();
    if identity.is_some_and(|identity| state.audit.is_in(&identity.tenant)) {
        return forbidden("the audit log is deleted by nobody".to_owned()).into_response();
    }
    require(request, next, "delete", |scopes| scopes.delete).await
}

/// Lets through who may administer.
pub async fn require_admin(request: Request, next: Next) -> Response {
    require(request, next, "admin", |scopes| scopes.admin).await
}

/// Lets through who may administer the server as a whole: for every tenant.
pub async fn require_operator(request: Request, next: Next) -> Response {
    let identity = request.extensions().get::<Identity>();
    if identity.is_some_and(|identity| identity.scopes.admin && identity.tenants != TenantAccess::Any) {
        return forbidden("this key administers some tenants only, not the whole server".to_owned())
            .into_response();
    }
    require(request, next, "admin", |scopes| scopes.admin).await
}

/// Writes down what an administrator, or who may delete, asked for and how it ended.
pub async fn audit(State(state): State<SharedState>, request: Request, next: Next) -> Response {
    let endpoint = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let endpoint = endpoint.unwrap_or_else(|| request.uri().path().to_owned());
    let method = request.method().to_string();
    let identity = request.extensions().get::<Identity>().cloned();
    let response = next.run(request).await;
    if let Some(identity) = identity {
        let event = AuditEvent::new("administration", state.now()).by(&identity);
        let event = event.with("method", method).with("endpoint", endpoint);
        state.audit.add(event.with("status", response.status().as_u16()));
    }
    response
}

async fn require(request: Request, next: Next, scope: &str, has: fn(&Scopes) -> bool) -> Response {
    match request.extensions().get::<Identity>() {
        Some(identity) if has(&identity.scopes) => next.run(request).await,
        _ => lacks_scope(scope).into_response(),
    }
}

fn lacks_scope(scope: &str) -> ErrorResponse {
    forbidden(format!("this key does not have the {scope} scope"))
}

pub(crate) fn forbidden(message: String) -> ErrorResponse {
    ErrorResponse::new(StatusCode::FORBIDDEN, "forbidden", message)
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
