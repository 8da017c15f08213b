//! `/auth/…`: browsers of people log in through the OpenID provider, and log out.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::AuditEvent;
use crate::auth::gate::{forbidden, is_of_own_page};
use crate::auth::oidc::{Callback, LoginError, Oidc, Redirect, TokenError};
use crate::error_response::ErrorResponse;
use crate::state::{ServerState, SharedState};

/// What a login is told.
#[derive(Debug, Deserialize)]
pub struct LoginQuery {
    to: Option<String>,
}

/// 303 to the provider. With `to`, a path of this server that the browser goes to afterwards.
pub async fn start(
    State(state): State<SharedState>,
    Query(query): Query<LoginQuery>,
) -> Result<Response, ErrorResponse> {
    let redirect = configured(&state)?.login(query.to.as_deref(), state.elapsed()).await?;
    Ok(redirected(redirect))
}

/// 303 to where the browser wanted to go, with a session.
pub async fn callback(
    State(state): State<SharedState>,
    Query(callback): Query<Callback>,
    headers: HeaderMap,
) -> Result<Response, ErrorResponse> {
    let oidc = configured(&state)?;
    match oidc.callback(callback, &headers, state.now(), state.elapsed()).await {
        Ok(redirect) => {
            state.audit.add(AuditEvent::new("login", state.now()));
            Ok(redirected(redirect))
        }
        Err(error) => {
            let event = AuditEvent::new("login_refused", state.now()).with("reason", error.to_string());
            state.audit.add(event);
            Err(error.into())
        }
    }
}

/// Ends the session, and says where the provider ends its own.
pub async fn logout(
    State(state): State<SharedState>,
    headers: HeaderMap,
) -> Result<(HeaderMap, Json<Value>), ErrorResponse> {
    let oidc = configured(&state)?;
    if !is_of_own_page(&state, &headers) {
        return Err(forbidden("a session is ended from this server's pages only".to_owned()));
    }
    let Redirect { to, cookies } = oidc.logout(&headers, state.elapsed()).await?;
    Ok((of_browser(cookies), Json(json!({ "status": "success", "redirect": to }))))
}

fn configured(state: &ServerState) -> Result<&Oidc, ErrorResponse> {
    Ok(state.oidc.as_ref().ok_or(LoginError::NotConfigured)?)
}

fn redirected(redirect: Redirect) -> Response {
    let mut headers = of_browser(redirect.cookies);
    match HeaderValue::from_str(&redirect.to) {
        Ok(to) => drop(headers.insert(header::LOCATION, to)),
        Err(error) => return ErrorResponse::internal(&error).into_response(),
    }
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn of_browser(cookies: Vec<HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
    headers
}

impl From<LoginError> for ErrorResponse {
    fn from(error: LoginError) -> Self {
        let message = error.to_string();
        match error {
            LoginError::NotConfigured => Self::new(StatusCode::NOT_FOUND, "no_login", message),
            LoginError::Provider(_) | LoginError::NoRandomness => Self::unavailable(message),
            LoginError::Token(TokenError::NoKeys) => Self::unavailable(message),
            LoginError::Refused(_) | LoginError::Token(TokenError::NothingGranted) => forbidden(message),
            LoginError::Unknown | LoginError::Token(_) => Self::bad_request("login_failed", message),
        }
    }
}
