//! Tenants: whose logs these are. Part of every batch, stream key, file path and query.

use std::fmt;
use std::sync::Arc;

/// The longest tenant name, in bytes (as in Loki).
pub const TENANT_BYTES_MAX: usize = 150;

/// The name of a tenant: 1 to 150 characters of `A-Z a-z 0-9 ! - _ . * ' ( )`, not `.` or `..`
/// (Loki's rule, which also makes it a safe file name).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

/// A name that no tenant can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tenant `{0}` is not 1 to 150 characters of A-Z a-z 0-9 ! - _ . * ' ( )")]
pub struct TenantError(String);

impl TenantId {
    /// Checks the name.
    pub fn new(name: &str) -> Result<Self, TenantError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!-_.*'()".contains(&b);
        let fits = (1..=TENANT_BYTES_MAX).contains(&name.len());
        if fits && name.bytes().all(allowed) && name != "." && name != ".." {
            Ok(Self(name.into()))
        } else {
            Err(TenantError(name.chars().take(TENANT_BYTES_MAX).collect()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The tenant of requests that name none: `default`.
impl Default for TenantId {
    fn default() -> Self {
        Self("default".into())
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_folder_are_refused() {
        for bad in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(151)] {
            assert!(TenantId::new(bad).is_err(), "{bad}");
        }
        assert_eq!(TenantId::new("team-a.*'()!_9").expect("valid").as_str(), "team-a.*'()!_9");
    }
}
