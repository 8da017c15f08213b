//! What is known of the provider: its endpoints (OpenID Connect Discovery 1.0) and its keys, fetched when they are needed
//! and kept.
//!
//! A token that names a key which is not known has the keys fetched again, so that a provider may exchange them at any time;
//! but not more often than every ten seconds, whatever tokens are made up. Keys an hour old are fetched again by the way; while
//! the provider cannot be reached they stay good for a day.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use super::jwks::{Algorithm, KeySet};
use super::token::TokenError;

/// The shortest time between two tries to fetch.
const TRY_EVERY: Duration = Duration::from_secs(10);
/// The age at which keys are fetched again.
const FRESH: Duration = Duration::from_secs(3600);
/// The age at which keys are not good any more.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Talks to the provider; `app` implements it. Everything blocks, and gives up after some seconds.
pub trait ProviderClient: Send + Sync {
    /// The body that a URL answers with, if that is a success of at most 1 MiB.
    fn get(&self, url: &str) -> Result<Vec<u8>, String>;

    /// The same of a form; with an `Authorization` header where there is one.
    fn post_form(&self, url: &str, form: &str, authorization: Option<&str>) -> Result<Vec<u8>, String>;
}

/// Where the provider does what.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Endpoints {
    issuer: String,
    jwks_uri: String,
    pub(super) authorization_endpoint: Option<String>,
    pub(super) token_endpoint: Option<String>,
    pub(super) end_session_endpoint: Option<String>,
}

/// What was fetched.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) endpoints: Arc<Endpoints>,
    pub(super) keys: Arc<KeySet>,
    fetched_at: Duration,
}

/// The provider of an issuer.
pub(super) struct Provider {
    issuer: String,
    client: Arc<dyn ProviderClient>,
    known: Mutex<Option<Known>>,
    /// When it was last tried to fetch. Held while it is.
    fetching: tokio::sync::Mutex<Option<Duration>>,
}

impl Provider {
    pub(super) fn new(issuer: &str, client: Arc<dyn ProviderClient>) -> Self {
        let issuer = issuer.to_owned();
        Self { issuer, client, known: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    pub(super) fn client(&self) -> &Arc<dyn ProviderClient> {
        &self.client
    }

    /// The provider with the key that a token names, as far as it has it. `now` is by a clock that never goes backwards.
    ///
    /// # Errors
    /// [`TokenError::NoKeys`] when nothing is known of the provider, and it cannot be reached.
    pub(super) async fn with_key(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        now: Duration,
    ) -> Result<Known, TokenError> {
        let has_key = |known: &Known| known.keys.find(id, algorithm).is_some();
        match self.known(now).filter(has_key) {
            Some(known) if known.age(now) < FRESH => Ok(known),
            // Somebody else may be fetching; what is known is good for long.
            Some(known) => match self.fetching.try_lock() {
                Ok(tried) => Ok(self.fetch(tried, now).await.unwrap_or(known)),
                Err(_) => Ok(known),
            },
            None => {
                let tried = self.fetching.lock().await;
                match self.known(now) {
                    Some(known) if has_key(&known) => Ok(known),
                    known => self.fetch(tried, now).await.or(known).ok_or(TokenError::NoKeys),
                }
            }
        }
    }

    /// The provider, however old what is known of it.
    pub(super) async fn any(&self, now: Duration) -> Option<Known> {
        if let Some(known) = self.known(now) {
            return Some(known);
        }
        let tried = self.fetching.lock().await;
        match self.known(now) {
            Some(known) => Some(known),
            None => self.fetch(tried, now).await,
        }
    }

    fn known(&self, now: Duration) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone().filter(|known| known.age(now) < KEPT)
    }

    /// Fetches everything, unless that was tried just now.
    async fn fetch(
        &self,
        mut tried: tokio::sync::MutexGuard<'_, Option<Duration>>,
        now: Duration,
    ) -> Option<Known> {
        if tried.is_some_and(|tried| now.saturating_sub(tried) < TRY_EVERY) {
            return None;
        }
        *tried = Some(now);
        let (client, issuer) = (Arc::clone(&self.client), self.issuer.clone());
        let fetched = tokio::task::spawn_blocking(move || read(&*client, &issuer)).await;
        match fetched.unwrap_or_else(|error| Err(error.to_string())) {
            Ok((endpoints, keys)) => {
                let known = Known { endpoints: Arc::new(endpoints), keys: Arc::new(keys), fetched_at: now };
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
                Some(known)
            }
            Err(error) => {
                tracing::warn!(issuer = self.issuer, error, "the keys of the OpenID provider cannot be had");
                None
            }
        }
    }
}

impl Known {
    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.fetched_at)
    }
}

fn read(client: &dyn ProviderClient, issuer: &str) -> Result<(Endpoints, KeySet), String> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let endpoints: Endpoints =
        serde_json::from_slice(&client.get(&url)?).map_err(|error| format!("{url}: {error}"))?;
    // Another issuer's document would have another's keys believed.
    if endpoints.issuer != issuer {
        return Err(format!("{url} is the document of `{}`", endpoints.issuer));
    }
    let keys = client.get(&endpoints.jwks_uri)?;
    let keys = KeySet::read(&keys).map_err(|error| format!("{}: {error}", endpoints.jwks_uri))?;
    Ok((endpoints, keys))
}
