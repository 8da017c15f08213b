//! Which tenants a key may name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use timberyard_model::TenantId;

/// What stands for any tenant.
const ANY: &str = "*";

/// Which tenants a key may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TenantAccess {
    /// Any of them.
    Any,
    /// These, of which there is at least one; the first counts when a request names none.
    Only(Arc<[TenantId]>),
}

/// A text that names no tenants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantAccessError {
    /// There is no name in it.
    #[error("at least one tenant is needed, or * for any")]
    Empty,
    /// A name in it is none.
    #[error(transparent)]
    Tenant(#[from] timberyard_model::tenant::TenantError),
}

impl TenantAccess {
    /// One tenant alone.
    pub fn only(tenant: TenantId) -> Self {
        Self::Only(Arc::new([tenant]))
    }

    /// Whether the tenant may be named.
    pub fn allows(&self, tenant: &TenantId) -> bool {
        match self {
            Self::Any => true,
            Self::Only(own) => own.contains(tenant),
        }
    }

    /// The tenant of a request that names none.
    pub fn first(&self) -> TenantId {
        match self {
            Self::Any => TenantId::default(),
            Self::Only(own) => own.first().cloned().unwrap_or_default(),
        }
    }

    /// Whether every tenant that `other` may name may be named here.
    pub fn include(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Only(_), Self::Any) => false,
            (Self::Only(_), Self::Only(others)) => others.iter().all(|tenant| self.allows(tenant)),
        }
    }
}

/// `*`, or names with commas between.
impl FromStr for TenantAccess {
    type Err = TenantAccessError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == ANY {
            return Ok(Self::Any);
        }
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let tenants: Vec<TenantId> = names.map(TenantId::new).collect::<Result<_, _>>()?;
        if tenants.is_empty() { Err(TenantAccessError::Empty) } else { Ok(Self::Only(tenants.into())) }
    }
}

impl TryFrom<String> for TenantAccess {
    type Error = TenantAccessError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TenantAccess> for String {
    fn from(access: TenantAccess) -> Self {
        access.to_string()
    }
}

impl fmt::Display for TenantAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str(ANY),
            Self::Only(tenants) => {
                let names: Vec<&str> = tenants.iter().map(TenantId::as_str).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_what_they_include_is_known() {
        let access = |text: &str| text.parse::<TenantAccess>().expect("tenants");
        for text in ["*", "a", "a,b"] {
            assert_eq!(access(text).to_string(), text);
        }
        assert!(access("*").include(&access("a,b")) && access("a,b").include(&access("b")));
        assert!(!access("a").include(&access("a,b")) && !access("a").include(&access("*")));
        assert_eq!(access("b,a").first().as_str(), "b");
        assert_eq!(" , ".parse::<TenantAccess>(), Err(TenantAccessError::Empty));
        assert!("a/b".parse::<TenantAccess>().is_err());
    }
}
