//! Who is asking, and what they may do.
//!
//! A key is an HMAC key (checked without any store) or a configured one. Configured keys are the
//! operator's own: they may push and read for any tenant, and administer if they say so. HMAC keys are handed to
//! clients: they may push and read, in the default tenant. Stored keys, with tenants, expiry and
//! rates of their own, join in [`Authenticator::identify`].

mod authenticator;
mod credentials;
pub mod gate;
pub mod hmac_key;
mod identity;
mod loopback;
mod secret;

pub use authenticator::{AuthSettings, Authenticator, ConfiguredKey};
pub use hmac_key::HmacKeys;
pub use identity::{Identity, Scopes, TenantAccess};
pub use secret::Secret;
