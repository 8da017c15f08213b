//! A browser on its way through the provider and back: authorization code (RFC 6749) with PKCE (RFC 7636).
//!
//! What a login began with travels in a cookie that this server has sealed and that is good for ten minutes: logins under
//! way take no memory here, however many are begun. The provider gives back the `state` that the cookie holds, so that
//! nobody can have another's browser end a login that they began.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;
use timberyard_model::Timestamp;

use super::sessions::{SESSION_COOKIE, cookie, digest, random_text};
use super::token::TokenError;
use super::{LoginSettings, Oidc};
use crate::auth::Secret;
use crate::auth::key_material::{KeyEntropy, entropy};

/// The path that the provider sends browsers back to.
pub const CALLBACK_PATH: &str = "/auth/callback";
/// The cookie of a browser on its way.
const LOGIN_COOKIE: &str = "timberyard_login";
/// How long a login may take.
const LOGIN_SECONDS: u64 = 600;

/// Seals what travels in the cookie, with a key that is this process' alone.
pub(super) struct Seal(Option<KeyEntropy>);

/// A login under way.
#[derive(Serialize, Deserialize)]
struct Login {
    state: String,
    nonce: String,
    verifier: String,
    /// The path of this server that the browser wanted.
    to: String,
    /// Seconds since the start of this server.
    ends_at: u64,
}

/// Where a browser goes next, and the cookies that it gets.
#[derive(Debug)]
pub(crate) struct Redirect {
    pub(crate) to: String,
    pub(crate) cookies: Vec<HeaderValue>,
}

/// What the provider sends a browser back with.
#[derive(Debug, Default, Deserialize)]
pub struct Callback {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

/// Why a login came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoginError {
    /// Browsers cannot log in here.
    #[error("browsers cannot log in: auth.oidc.client_id and auth.oidc.redirect_url are not configured")]
    NotConfigured,
    /// The provider cannot be reached, or answered what it should not.
    #[error("the OpenID provider cannot be used now: {0}")]
    Provider(String),
    /// The provider let nobody in.
    #[error("the OpenID provider refused the login: {0}")]
    Refused(String),
    /// It was not begun by this browser, or too long ago.
    #[error(
        "this login was not begun by this browser, or more than {LOGIN_SECONDS} s ago; begin again at /auth/login"
    )]
    Unknown,
    /// The system has no random bytes.
    #[error("this system has no random bytes")]
    NoRandomness,
    /// The token is not good.
    #[error(transparent)]
    Token(#[from] TokenError),
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
}

impl Default for Seal {
    fn default() -> Self {
        Self(entropy().ok())
    }
}

impl Seal {
    fn code(&self, text: &str) -> Option<Hmac<Sha256>> {
        let mut code = Hmac::<Sha256>::new_from_slice(self.0.as_ref()?).ok()?;
        code.update(text.as_bytes());
        Some(code)
    }

    /// The login as text that a cookie can hold; `None` when the system has no randomness.
    fn close(&self, login: &Login) -> Option<String> {
        let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(login).ok()?);
        let code = URL_SAFE_NO_PAD.encode(self.code(&text)?.finalize().into_bytes());
        Some(format!("{text}.{code}"))
    }

    /// The login of a cookie that this process has sealed, if it is not over.
    fn open(&self, sealed: &str, now: Duration) -> Option<Login> {
        let (text, code) = sealed.split_once('.')?;
        self.code(text)?.verify_slice(&URL_SAFE_NO_PAD.decode(code).ok()?).ok()?;
        let login: Login = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        (login.ends_at > now.as_secs()).then_some(login)
    }
}

impl Oidc {
    /// Sends a browser to the provider. `to` is where on this server it goes afterwards.
    pub(crate) async fn login(&self, to: Option<&str>, elapsed: Duration) -> Result<Redirect, LoginError> {
        let settings = self.login_settings()?;
        let endpoint = self.endpoint(elapsed, |endpoints| endpoints.authorization_endpoint.clone()).await?;
        let random = || random_text().ok_or(LoginError::NoRandomness);
        let (state, nonce, verifier) = (random()?, random()?, random()?);
        let challenge = URL_SAFE_NO_PAD.encode(digest(&verifier));
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", &settings.redirect_url)
            .append_pair("scope", &settings.scopes)
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        let to = to.filter(|to| is_own_path(to)).unwrap_or("/").to_owned();
        let login = Login { state, nonce, verifier, to, ends_at: elapsed.as_secs() + LOGIN_SECONDS };
        let sealed = self.seal.close(&login).ok_or(LoginError::NoRandomness)?;
        let separator = if endpoint.contains('?') { '&' } else { '?' };
        Ok(Redirect {
            to: format!("{endpoint}{separator}{query}"),
            cookies: vec![settings.cookie(LOGIN_COOKIE, &sealed, CALLBACK_PATH, LOGIN_SECONDS)],
        })
    }

    /// Takes a browser back from the provider, and opens its session.
    pub(crate) async fn callback(
        &self,
        callback: Callback,
        headers: &HeaderMap,
        now: Timestamp,
        elapsed: Duration,
    ) -> Result<Redirect, LoginError> {
        let settings = self.login_settings()?;
        let sealed = cookie(headers, LOGIN_COOKIE).ok_or(LoginError::Unknown)?;
        let login = self.seal.open(sealed, elapsed).ok_or(LoginError::Unknown)?;
        if callback.state.as_deref() != Some(login.state.as_str()) {
            return Err(LoginError::Unknown);
        }
        let code = callback.code.ok_or_else(|| {
            let reason = callback.error.unwrap_or_else(|| "no code".to_owned());
            LoginError::Refused(reason.chars().filter(|c| c.is_ascii_graphic()).take(64).collect())
        })?;
        let token = self.exchange(settings, &code, &login.verifier, elapsed).await?;
        let audience = [settings.client_id.clone()];
        let claims = self.claims_of(&token, &audience, now, elapsed).await?;
        // The token must be the answer to this login, not one that was got elsewhere.
        if claims.get("nonce").and_then(Value::as_str) != Some(login.nonce.as_str()) {
            return Err(TokenError::Claim("nonce").into());
        }
        let holder = self.holder(&claims)?;
        // Providers give tokens of minutes: a session outlives its token, and has an end of its own.
        let seconds = settings.session_seconds;
        let ends_at = elapsed + Duration::from_secs(seconds);
        let session = self.sessions.open(holder, ends_at, elapsed).ok_or(LoginError::NoRandomness)?;
        let cookies = vec![
            settings.cookie(SESSION_COOKIE, &session, "/", seconds),
            settings.cookie(LOGIN_COOKIE, "", CALLBACK_PATH, 0),
        ];
        Ok(Redirect { to: login.to, cookies })
    }

    /// Ends the session of a browser, and says where the provider ends its own, if it does.
    pub(crate) async fn logout(
        &self,
        headers: &HeaderMap,
        elapsed: Duration,
    ) -> Result<Redirect, LoginError> {
        let settings = self.login_settings()?;
        self.sessions.close(headers);
        let known = self.provider.any(elapsed).await;
        let to = known.and_then(|known| known.endpoints.end_session_endpoint.clone());
        let to = to.unwrap_or_else(|| "/".to_owned());
        Ok(Redirect { to, cookies: vec![settings.cookie(SESSION_COOKIE, "", "/", 0)] })
    }

    fn login_settings(&self) -> Result<&LoginSettings, LoginError> {
        self.settings.login.as_ref().ok_or(LoginError::NotConfigured)
    }

    async fn endpoint(
        &self,
        elapsed: Duration,
        which: impl Fn(&super::provider::Endpoints) -> Option<String>,
    ) -> Result<String, LoginError> {
        let known = self.provider.any(elapsed).await;
        let known = known.ok_or_else(|| LoginError::Provider("it cannot be reached".to_owned()))?;
        which(&known.endpoints)
            .ok_or_else(|| LoginError::Provider("its document names no endpoint for this".to_owned()))
    }

    /// The identity token that a code stands for.
    async fn exchange(
        &self,
        settings: &LoginSettings,
        code: &str,
        verifier: &str,
        elapsed: Duration,
    ) -> Result<String, LoginError> {
        let url = self.endpoint(elapsed, |endpoints| endpoints.token_endpoint.clone()).await?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &settings.redirect_url)
            .append_pair("client_id", &settings.client_id)
            .append_pair("code_verifier", verifier)
            .finish();
        let (client, settings) = (self.provider.client().clone(), settings.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let authorization = settings.authorization();
            client.post_form(&url, &form, authorization.as_ref().map(Secret::reveal))
        });
        let answer = asked.await.map_err(|error| LoginError::Provider(error.to_string()))?;
        let answer = answer.map_err(LoginError::Provider)?;
        let answer: TokenAnswer = serde_json::from_slice(&answer)
            .map_err(|_| LoginError::Provider("its answer holds no id_token".to_owned()))?;
        Ok(answer.id_token)
    }
}

impl LoginSettings {
    /// Who this server is to the provider (RFC 6749, 2.3.1), if it has a secret there.
    fn authorization(&self) -> Option<Secret> {
        let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let secret = escaped(self.client_secret.as_ref()?.reveal());
        let pair = STANDARD.encode(format!("{}:{secret}", escaped(&self.client_id)));
        Some(Secret::new(&format!("Basic {pair}")))
    }

    /// A cookie that no script reads, and that comes with no request of another site but a plain link.
    fn cookie(&self, name: &str, value: &str, path: &str, seconds: u64) -> HeaderValue {
        let secure = if self.redirect_url.starts_with("https:") { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
        // Names, paths and random text are ASCII.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// Whether a place is a path of this server: nobody is sent elsewhere by a link to here.
fn is_own_path(to: &str) -> bool {
    let plain = to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    plain && to.starts_with('/') && !to.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_opened_by_who_sealed_it_until_it_is_over() {
        let login = || Login {
            state: "s".to_owned(),
            nonce: "n".to_owned(),
            verifier: "v".to_owned(),
            to: "/".to_owned(),
            ends_at: 600,
        };
        let (own, other) = (Seal::default(), Seal::default());
        let sealed = own.close(&login()).expect("sealed");
        assert_eq!(own.open(&sealed, Duration::from_secs(599)).expect("good").state, "s");
        assert!(own.open(&sealed, Duration::from_secs(600)).is_none(), "over");
        assert!(other.open(&sealed, Duration::ZERO).is_none(), "another's");
        let forged = other.close(&login()).expect("sealed");
        let (text, code) = (forged.split_once('.').expect("two").0, sealed.split_once('.').expect("two").1);
        let longer = format!("{}.{code}", URL_SAFE_NO_PAD.encode(br#"{"state":"s"}"#));
        for bad in [format!("{text}x.{code}"), longer, "x".to_owned(), String::new(), ".".to_owned()] {
            assert!(own.open(&bad, Duration::ZERO).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_browser_is_sent_to_paths_of_this_server_only() {
        assert!(is_own_path("/") && is_own_path("/explore?query=%7B%7D"));
        for elsewhere in ["//evil.example", "/\\evil.example", "https://evil.example", "", "/a\r\nb", "/ b"] {
            assert!(!is_own_path(elsewhere), "{elsewhere}");
        }
    }
}
