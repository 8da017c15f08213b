//! The settings of an OpenID provider: what they are, what they mean to the server, and what is refused.

use std::path::Path;
use std::sync::Arc;

use timberyard_server::auth::oidc::CALLBACK_PATH;
use timberyard_server::auth::{Grant, LoginSettings, ProviderClient, Secret};

use crate::client::HttpProviderClient;
use crate::failure::Failure;

/// Where people come from who have no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OidcSettings {
    /// The provider; there is none when `None`.
    pub(crate) issuer: Option<String>,
    /// Whom tokens must be for; the client's id when empty.
    pub(crate) audiences: Vec<String>,
    /// What people may do, as rules.
    pub(crate) grants: Vec<String>,
    /// The claim that people are called by.
    pub(crate) name_claim: String,
    /// How far the provider's clock may be from this one.
    pub(crate) skew_seconds: u64,
    /// Roots that the provider's certificate is checked with, instead of the system's.
    pub(crate) ca_file: Option<String>,
    /// This server, as the provider knows it.
    pub(crate) client_id: Option<String>,
    /// Its secret there.
    pub(crate) client_secret: Option<String>,
    /// Where browsers come back to.
    pub(crate) redirect_url: Option<String>,
    /// What the provider is asked for.
    pub(crate) scopes: String,
    /// How long a session of a browser lasts.
    pub(crate) session_seconds: u64,
}

impl Default for OidcSettings {
    fn default() -> Self {
        Self {
            issuer: None,
            audiences: Vec::new(),
            grants: Vec::new(),
            name_claim: "sub".to_owned(),
            skew_seconds: 60,
            ca_file: None,
            client_id: None,
            client_secret: None,
            redirect_url: None,
            scopes: "openid profile email".to_owned(),
            session_seconds: 28_800,
        }
    }
}

impl OidcSettings {
    /// What the server is told; `refusals` has refused what is left out here.
    pub(crate) fn of_server(&self) -> Option<timberyard_server::auth::OidcSettings> {
        let login = self.client_id.as_ref().zip(self.redirect_url.as_ref()).map(|(id, url)| LoginSettings {
            client_id: id.clone(),
            client_secret: self.client_secret.as_deref().map(Secret::new),
            redirect_url: url.clone(),
            scopes: self.scopes.clone(),
            session_seconds: self.session_seconds,
        });
        Some(timberyard_server::auth::OidcSettings {
            issuer: self.issuer.clone()?,
            audiences: self.audiences(),
            grants: self.grants.iter().filter_map(|rule| rule.parse().ok()).collect(),
            name_claim: self.name_claim.clone(),
            skew_seconds: self.skew_seconds,
            login,
        })
    }

    /// Who talks to the provider, where there is one.
    pub(crate) fn client(&self) -> Result<Option<Arc<dyn ProviderClient>>, Failure> {
        let Some(issuer) = &self.issuer else { return Ok(None) };
        let client = HttpProviderClient::new(issuer, self.ca_file.as_deref().map(Path::new))?;
        Ok(Some(Arc::new(client)))
    }

    fn audiences(&self) -> Vec<String> {
        if self.audiences.is_empty() {
            self.client_id.iter().cloned().collect()
        } else {
            self.audiences.clone()
        }
    }

    /// What does not go together.
    pub(super) fn refusals(&self) -> Vec<String> {
        let mut refused = Vec::new();
        let Some(issuer) = &self.issuer else {
            if *self != Self::default() {
                refused.push("`auth.oidc` is written without `auth.oidc.issuer`".to_owned());
            }
            return refused;
        };
        if !is_safe_url(issuer) {
            refused.push(format!(
                "`auth.oidc.issuer`: `{issuer}` is no https:// URL; whoever can change what it answers can let anybody in"
            ));
        }
        if self.audiences().is_empty() {
            refused.push(
                "`auth.oidc.audiences` is empty: tokens that the provider made for others would be taken"
                    .to_owned(),
            );
        }
        if self.grants.is_empty() {
            refused.push("`auth.oidc.grants` is empty: nobody could do anything".to_owned());
        }
        for rule in &self.grants {
            if let Err(error) = rule.parse::<Grant>() {
                refused.push(format!("`auth.oidc.grants`: {error}"));
            }
        }
        if self.client_id.is_none() && self.redirect_url.is_some() {
            refused.push("`auth.oidc.redirect_url` is written without `auth.oidc.client_id`".to_owned());
        }
        if let Some(url) =
            self.redirect_url.as_ref().filter(|url| !is_safe_url(url) || !url.ends_with(CALLBACK_PATH))
        {
            refused.push(format!(
                "`auth.oidc.redirect_url`: `{url}` is not this server's https:// URL followed by {CALLBACK_PATH}"
            ));
        }
        refused
    }
}

/// Whether nobody on the way can change what comes from there: TLS, or this machine.
fn is_safe_url(url: &str) -> bool {
    let host = |rest: &str| rest.split(['/', ':']).next().map(str::to_owned);
    match url.split_once("://") {
        Some(("https", rest)) => host(rest).is_some_and(|host| !host.is_empty()),
        Some(("http", rest)) => host(rest).is_some_and(|host| host == "127.0.0.1" || host == "localhost"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut OidcSettings)) -> Vec<String> {
        let mut settings = OidcSettings {
            issuer: Some("https://id.example.org/realm".to_owned()),
            audiences: vec!["logs".to_owned()],
            grants: vec!["groups=ops * read".to_owned()],
            ..OidcSettings::default()
        };
        change(&mut settings);
        settings.refusals()
    }

    #[test]
    fn what_would_let_in_others_or_nobody_is_refused() {
        assert!(refused(|_| {}).is_empty());
        assert!(OidcSettings::default().refusals().is_empty());
        for (count, change) in [
            (1, (|s| s.issuer = None) as fn(&mut OidcSettings)),
            (1, |s| s.issuer = Some("http://id.example.org".to_owned())),
            (1, |s| s.issuer = Some("http://localhost.example.org".to_owned())),
            (0, |s| s.issuer = Some("http://127.0.0.1:9/realm".to_owned())),
            (1, |s| s.audiences.clear()),
            (1, |s| s.grants.clear()),
            (1, |s| s.grants = vec!["groups=ops".to_owned()]),
            (0, |s| s.client_id = Some("logs".to_owned())),
            (1, |s| s.redirect_url = Some("https://logs.example.org/auth/callback".to_owned())),
            (1, |s| {
                s.client_id = Some("logs".to_owned());
                s.redirect_url = Some("https://logs.example.org/".to_owned());
            }),
        ] {
            assert_eq!(refused(change).len(), count, "{:?}", refused(change));
        }
    }
}
