//! One stored key: everything that is known of it but the key itself.

use serde::{Deserialize, Serialize};
use timberyard_model::Timestamp;

use super::key_labels::KeyLabels;
use super::key_material::{KeyDigest, digest_bytes};
use super::{Rotation, Scopes, TenantAccess};

/// A key as it is kept. The record of the key file; its fields are those of Change66's `api_keys`, and more.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredKey {
    /// The part of the key that is known.
    pub id: Box<str>,
    /// What the operator calls it.
    pub name: Box<str>,
    /// What it is recognised by.
    #[serde(flatten)]
    pub digest: WrittenDigest,
    /// Which tenants it may name.
    pub tenants: TenantAccess,
    /// What it may do.
    pub scopes: Scopes,
    /// The streams it is for; all of them when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<KeyLabels>,
    /// When it was made.
    #[serde(with = "time_text")]
    pub created_at: Timestamp,
    /// When anything but its use last changed.
    #[serde(with = "time_text")]
    pub updated_at: Timestamp,
    /// Who made it: the name of another key, or `command line`.
    pub created_by: Box<str>,
    /// From when on it is no longer good.
    #[serde(default, with = "optional_time_text", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Since when it is no longer good, whatever its expiry.
    #[serde(default, with = "optional_time_text", skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// The key that it took over from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_from: Option<Box<str>>,
    /// The key that takes over from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<Box<str>>,
    /// How it is rotated by interval; not at all when `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

/// A digest as the record has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "DigestText", into = "DigestText")]
pub struct WrittenDigest(pub KeyDigest);

#[derive(Serialize, Deserialize)]
struct DigestText {
    key_hash: String,
    #[serde(default)]
    peppered: bool,
}

/// How often and when a key was last used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUse {
    /// Requests that it let in.
    pub usage_count: u64,
    /// The last of them.
    #[serde(default, with = "optional_time_text", skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// Why a key is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is good.
    Active,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

impl StoredKey {
    /// Whether it is good at this time.
    pub fn state(&self, now: Timestamp) -> KeyState {
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            KeyState::Expired
        } else {
            KeyState::Active
        }
    }

    /// Whether it is good at this time.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.state(now) == KeyState::Active
    }
}

impl KeyState {
    /// The word that is shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl TryFrom<DigestText> for WrittenDigest {
    type Error = &'static str;

    fn try_from(text: DigestText) -> Result<Self, Self::Error> {
        let bytes = digest_bytes(&text.key_hash).ok_or("key_hash is not 64 hexadecimal digits")?;
        Ok(Self(KeyDigest { bytes, peppered: text.peppered }))
    }
}

impl From<WrittenDigest> for DigestText {
    fn from(digest: WrittenDigest) -> Self {
        Self { key_hash: digest.0.to_text(), peppered: digest.0.peppered }
    }
}

/// Times as RFC 3339.
mod time_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use timberyard_model::Timestamp;

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::parse_rfc3339(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Times as RFC 3339, or nothing.
mod optional_time_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use timberyard_model::Timestamp;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(time),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| Timestamp::parse_rfc3339(&text).map_err(D::Error::custom)).transpose()
    }
}
