//! Finds out whose key a request carries.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use timberyard_model::{TenantId, Timestamp};

use super::hmac_key::HmacKeys;
use super::key_labels::KeyLabels;
use super::key_ring::KeyRing;
use super::oidc::OidcSettings;
use super::secret::Secret;
use super::{Scopes, TenantAccess};

/// The part of the settings that says who may do what.
#[derive(Clone, Debug, Default)]
pub struct AuthSettings {
    /// Whether a key is needed. `app` sets it when any key or secret is configured, unless
    /// `auth.enabled: false` is written.
    pub enabled: bool,
    /// The secret of HMAC keys (`AUTH_SECRET`).
    pub hmac_secret: Option<Secret>,
    /// Configured keys (`API_KEYS`, `LOGPULSE_API_KEY`, `auth.api_key`).
    pub keys: Vec<ConfiguredKey>,
    /// Whether `/metrics` needs a key too.
    pub metrics: bool,
    /// Whether the server, without keys, may be reached from elsewhere (`auth.anonymous`).
    pub anonymous: bool,
    /// Keys that are not good which one address may send in a minute; without a bound when `None`.
    pub failures_per_minute: Option<u64>,
    /// The OpenID provider that people come from.
    pub oidc: Option<OidcSettings>,
    /// The tenant of the audit log; no log is kept when `None`.
    pub audit_tenant: Option<TenantId>,
}

/// A key that stands in the settings.
#[derive(Clone, Debug)]
pub struct ConfiguredKey {
    /// Its name in logs; never the key itself.
    pub name: Arc<str>,
    /// The key.
    pub key: Secret,
    /// What its holder may do.
    pub scopes: Scopes,
}

/// The name and the scopes of a configured key.
type ConfiguredHolder = (Arc<str>, Scopes);

/// Checks keys. Holds digests only, never configured keys themselves.
#[derive(Clone)]
pub struct Authenticator {
    enabled: bool,
    metrics_closed: bool,
    loopback_only: bool,
    hmac_keys: Option<HmacKeys>,
    configured: Vec<(ConfiguredHolder, [u8; 32])>,
    stored: Arc<KeyRing>,
}

/// What a good key says about its holder.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KeyHolder {
    pub(super) client: Option<Arc<str>>,
    pub(super) scopes: Scopes,
    pub(super) tenants: TenantAccess,
    pub(super) labels: Option<KeyLabels>,
}

impl Authenticator {
    /// From the settings and the stored keys.
    pub fn new(settings: &AuthSettings, stored: Arc<KeyRing>) -> Self {
        let digest = |key: &ConfiguredKey| ((Arc::clone(&key.name), key.scopes), digest_of(key.key.reveal()));
        Self {
            enabled: settings.enabled,
            metrics_closed: settings.enabled && settings.metrics,
            loopback_only: !settings.enabled && !settings.anonymous,
            // A secret of no bytes would let anybody sign.
            hmac_keys: settings.hmac_secret.clone().filter(|s| !s.reveal().is_empty()).map(HmacKeys::new),
            configured: settings.keys.iter().filter(|k| !k.key.reveal().is_empty()).map(digest).collect(),
            stored,
        }
    }

    /// Whether a key is needed at all.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Whether `/metrics` needs a key.
    pub fn metrics_closed(&self) -> bool {
        self.metrics_closed
    }

    /// Whether only loopback names may stand in `Host`.
    pub fn loopback_only(&self) -> bool {
        self.loopback_only
    }

    /// Who offers these keys; `None` when a key is needed and none is good.
    pub(super) fn identify(&self, offered: &[String], now: Timestamp) -> Option<KeyHolder> {
        if !self.enabled {
            let tenants = TenantAccess::Any;
            return Some(KeyHolder { client: None, scopes: Scopes::ALL, tenants, labels: None });
        }
        offered.iter().find_map(|key| self.holder_of(key, now))
    }

    /// Whether nobody can say now whether one of these keys is good: where stored keys are kept is away.
    pub(super) fn cannot_tell(&self, offered: &[String]) -> bool {
        self.enabled && self.stored.cannot_tell(offered)
    }

    fn holder_of(&self, key: &str, now: Timestamp) -> Option<KeyHolder> {
        if let Some(holder) = self.stored.holder_of(key, now) {
            return Some(holder);
        }
        if let Some((name, scopes)) = self.configured_key(key) {
            return Some(KeyHolder { client: Some(name), scopes, tenants: TenantAccess::Any, labels: None });
        }
        let client = self.hmac_keys.as_ref()?.verify(key)?;
        Some(KeyHolder {
            client: Some(client.into()),
            scopes: Scopes::PUSH_AND_READ,
            tenants: TenantAccess::only(TenantId::default()),
            labels: None,
        })
    }

    /// Looks at every configured key, so that the time says nothing about which one is near.
    fn configured_key(&self, key: &str) -> Option<ConfiguredHolder> {
        let digest = digest_of(key);
        let mut found = u32::MAX;
        for (number, (_, configured)) in (0u32..).zip(&self.configured) {
            found.conditional_assign(&number, configured.ct_eq(&digest));
        }
        self.configured.get(found as usize).map(|(name, _)| name.clone())
    }
}

fn digest_of(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::super::memory_key_file::MemoryKeyFile;
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(0);

    fn headers(key: &str) -> [String; 1] {
        [key.to_owned()]
    }

    fn authenticator(settings: &AuthSettings) -> Authenticator {
        let stored = KeyRing::open(Box::new(MemoryKeyFile::default()), None).expect("in memory");
        Authenticator::new(settings, Arc::new(stored))
    }

    fn settings() -> AuthSettings {
        let key = |name: &str, key| ConfiguredKey {
            name: name.into(),
            key: Secret::new(key),
            scopes: if name == "first" { Scopes::PUSH_AND_READ } else { Scopes::ALL },
        };
        AuthSettings {
            enabled: true,
            hmac_secret: Some(Secret::new("s3cret")),
            keys: vec![key("first", "one"), key("second", "two"), key("empty", "")],
            ..AuthSettings::default()
        }
    }

    #[test]
    fn configured_keys_may_do_what_is_written_and_hmac_keys_never_administer() {
        let authenticator = authenticator(&settings());
        let second = authenticator.identify(&headers("two"), NOW).expect("configured");
        assert_eq!((second.client.as_deref(), second.scopes), (Some("second"), Scopes::ALL));
        let first = authenticator.identify(&headers("one"), NOW).expect("configured");
        assert_eq!(first.scopes, Scopes::PUSH_AND_READ);
        let signed = HmacKeys::new(Secret::new("s3cret")).issue("web").expect("a name");
        let web = authenticator.identify(&headers(&signed), NOW).expect("signed");
        assert_eq!((web.client.as_deref(), web.scopes), (Some("web"), Scopes::PUSH_AND_READ));
        assert!(!web.tenants.allows(&TenantId::new("other").expect("valid")));
        for bad in ["", "three", "web.AAAA"] {
            assert_eq!(authenticator.identify(&headers(bad), NOW), None, "{bad}");
        }
        assert_eq!(authenticator.identify(&[], NOW), None);
    }

    #[test]
    fn an_empty_secret_signs_nothing() {
        let empty = AuthSettings { hmac_secret: Some(Secret::new("")), ..settings() };
        let forged = HmacKeys::new(Secret::new("")).issue("web").expect("a name");
        assert_eq!(authenticator(&empty).identify(&headers(&forged), NOW), None);
    }
}
