//! Who is asking, and what they may do.
//!
//! A key is an HMAC key (checked without any store), a configured one, or a stored one. Configured keys are the
//! operator's own: they may push and read for any tenant, and administer if they say so. HMAC keys are handed to
//! clients: they may push and read, in the default tenant. Stored keys have tenants, scopes, labels and an end of their
//! own; they are found by [`KeyRing`], changed by the rules of [`key_book`], and kept by a [`KeyStore`], which `app`
//! implements. People come with a token of an OpenID provider or a session instead ([`oidc`]). Whatever it is, [`gate`] makes one [`Identity`] of it, before anything is decoded.

mod audit;
mod authenticator;
mod credentials;
mod failed_attempts;
pub mod gate;
pub mod hmac_key;
mod identity;
pub mod key_book;
mod key_labels;
mod key_material;
mod key_ring;
mod loopback;
mod memory_key_file;
pub mod oidc;
pub mod rotation;
mod scopes;
mod secret;
mod stored_key;
mod tenant_access;
mod tickets;
pub mod upkeep;

pub use audit::{AuditEvent, AuditLog};
pub use authenticator::{AuthSettings, Authenticator, ConfiguredKey};
pub(crate) use failed_attempts::{FailedAttempts, network_of};
pub use hmac_key::HmacKeys;
pub use identity::Identity;
pub use key_book::{KeyError, NewKey, RotationRequest};
pub use key_labels::{KeyLabels, KeyLabelsError};
pub use key_material::{KeyEntropy, KeyText, entropy};
pub use key_ring::{KeyChange, KeyRing, KeyStamp, KeyStore};
pub use memory_key_file::MemoryKeyFile;
pub use oidc::{Grant, GrantError, LoginSettings, Oidc, OidcSettings, ProviderClient};
pub use rotation::Rotation;
pub use scopes::{Scopes, ScopesError};
pub use secret::Secret;
pub use stored_key::{KeyState, KeyUse, StoredKey};
pub use tenant_access::{TenantAccess, TenantAccessError};
pub use tickets::{TICKET_SECONDS, Tickets};
