//! The limits in force: those of everybody, and those of single tenants. Replaced as a whole while the server runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use timberyard_model::{Limits, TenantId};

/// Which limits a tenant has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantLimits {
    everybody: Arc<Limits>,
    tenants: BTreeMap<TenantId, Arc<Limits>>,
}

impl TenantLimits {
    /// `everybody`'s limits, but for the tenants that have their own.
    pub fn new(everybody: Limits, tenants: impl IntoIterator<Item = (TenantId, Limits)>) -> Self {
        let tenants = tenants.into_iter().map(|(tenant, limits)| (tenant, Arc::new(limits)));
        Self { everybody: Arc::new(everybody), tenants: tenants.collect() }
    }

    /// The limits of a tenant.
    pub fn of(&self, tenant: &TenantId) -> &Arc<Limits> {
        self.tenants.get(tenant).unwrap_or(&self.everybody)
    }

    /// The limits of those that have none of their own.
    pub fn everybody(&self) -> &Arc<Limits> {
        &self.everybody
    }

    /// The tenants that have limits of their own, sorted by name.
    pub fn tenants(&self) -> impl Iterator<Item = (&TenantId, &Arc<Limits>)> {
        self.tenants.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_its_own_limits_or_everybodys() {
        let acme = TenantId::new("acme").expect("valid");
        let mut own = Limits::default();
        own.query.series_max = 7;
        let limits = TenantLimits::new(Limits::default(), [(acme.clone(), own)]);
        assert_eq!(limits.of(&acme).query.series_max, 7);
        assert_eq!(limits.of(&TenantId::default()), limits.everybody());
    }
}
