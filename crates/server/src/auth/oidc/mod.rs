//! People instead of keys: tokens of an OpenID Connect provider, as bearer of any request or behind a session of a browser.
//!
//! A bearer's token is checked here, with the provider's keys, and never sent anywhere. A browser is sent to the provider
//! (authorization code with PKCE), and gets a cookie that names a session held in memory. What a person may do is what the
//! configured [`Grant`]s make of the token's claims. Nothing here is trusted from a token before its signature is checked, and
//! no URL of this server ever holds one.

mod grant;
mod jwks;
mod logins;
mod provider;
mod sessions;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use serde_json::Value;
use timberyard_model::Timestamp;

pub use grant::{Grant, GrantError};
pub use provider::ProviderClient;
pub(crate) use token::TokenError;

use super::Secret;
use super::authenticator::KeyHolder;
use logins::Seal;
use provider::Provider;
use sessions::Sessions;
use token::{Claims, Expected, UncheckedToken, is_token};

pub use logins::{CALLBACK_PATH, Callback};
pub(crate) use logins::{LoginError, Redirect};

/// What stands before a person's name where keys have theirs.
const CLIENT_PREFIX: &str = "oidc:";
/// The longest name of a person that is taken over, in characters.
const NAME_CHARACTERS_MAX: usize = 128;

/// What the server is told about its provider.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// The provider, as its tokens name it.
    pub issuer: String,
    /// Whom tokens of bearers must be for: one of these.
    pub audiences: Vec<String>,
    /// What people may do.
    pub grants: Vec<Grant>,
    /// The claim that people are called by.
    pub name_claim: String,
    /// How far the provider's clock may be from this one, in seconds.
    pub skew_seconds: u64,
    /// How browsers log in; they cannot when `None`.
    pub login: Option<LoginSettings>,
}

/// How browsers log in.
#[derive(Clone, Debug)]
pub struct LoginSettings {
    /// This server, as the provider knows it.
    pub client_id: String,
    /// Its secret, if the provider has given it one.
    pub client_secret: Option<Secret>,
    /// Where the provider sends browsers back: this server's `/auth/callback`, as browsers reach it.
    pub redirect_url: String,
    /// What the provider is asked for, with spaces between.
    pub scopes: String,
    /// The longest that a session lasts, in seconds.
    pub session_seconds: u64,
}

/// A provider, the sessions of browsers, and what people may do.
pub struct Oidc {
    settings: OidcSettings,
    provider: Provider,
    sessions: Sessions,
    seal: Seal,
}

impl Oidc {
    /// Knows nothing of the provider yet; asks when somebody comes.
    pub fn new(settings: OidcSettings, client: Arc<dyn ProviderClient>) -> Self {
        let provider = Provider::new(&settings.issuer, client);
        Self { settings, provider, sessions: Sessions::default(), seal: Seal::default() }
    }

    /// Whether a text is a token, and so for [`Self::holder_of`].
    pub(crate) fn is_token(text: &str) -> bool {
        is_token(text)
    }

    /// Who shows this token.
    pub(super) async fn holder_of(
        &self,
        token: &str,
        now: Timestamp,
        elapsed: Duration,
    ) -> Result<KeyHolder, TokenError> {
        let claims = self.claims_of(token, &self.settings.audiences, now, elapsed).await?;
        self.holder(&claims)
    }

    /// Whose browser sends these headers, if it has a session.
    pub(super) fn holder_of_session(&self, headers: &HeaderMap, elapsed: Duration) -> Option<KeyHolder> {
        self.sessions.holder_of(headers, elapsed)
    }

    async fn claims_of(
        &self,
        token: &str,
        audiences: &[String],
        now: Timestamp,
        elapsed: Duration,
    ) -> Result<Claims, TokenError> {
        let token = UncheckedToken::read(token)?;
        let known = self.provider.with_key(token.key_id.as_deref(), token.algorithm, elapsed).await?;
        let (issuer, skew_seconds) = (self.settings.issuer.as_str(), self.settings.skew_seconds);
        token.check(&known.keys, Expected { issuer, audiences, skew_seconds, now })
    }

    fn holder(&self, claims: &Claims) -> Result<KeyHolder, TokenError> {
        let (tenants, scopes) =
            grant::granted(&self.settings.grants, claims).ok_or(TokenError::NothingGranted)?;
        let name = |claim: &str| claims.get(claim).and_then(Value::as_str).filter(|name| !name.is_empty());
        let name = name(&self.settings.name_claim).or_else(|| name("sub")).ok_or(TokenError::Claim("sub"))?;
        let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARACTERS_MAX).collect();
        let client = Some(format!("{CLIENT_PREFIX}{name}").into());
        Ok(KeyHolder { client, scopes, tenants, labels: None })
    }
}
