//! The deletions of all tenants that hide rows at one moment. Never changed, only replaced.

use std::collections::BTreeMap;
use std::sync::Arc;

use timberyard_model::{TenantId, Timestamp};

use super::tombstone::Tombstone;

/// By tenant, in the order in which they were requested.
#[derive(Clone, Default)]
pub(crate) struct Pending {
    tenants: BTreeMap<TenantId, Arc<[Arc<Tombstone>]>>,
}

impl Pending {
    /// Those of all that are not carried out.
    pub(crate) fn of<'t>(all: impl IntoIterator<Item = &'t Arc<Tombstone>>) -> Self {
        let mut tenants: BTreeMap<TenantId, Vec<Arc<Tombstone>>> = BTreeMap::new();
        for tombstone in all.into_iter().filter(|tombstone| tombstone.carried_out_at.is_none()) {
            tenants.entry(tombstone.tenant.clone()).or_default().push(Arc::clone(tombstone));
        }
        Self { tenants: tenants.into_iter().map(|(tenant, own)| (tenant, own.into())).collect() }
    }

    /// Those of one tenant.
    pub(crate) fn of_tenant(&self, tenant: &TenantId) -> Arc<[Arc<Tombstone>]> {
        self.tenants.get(tenant).cloned().unwrap_or_default()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Tombstone>> {
        self.tenants.values().flat_map(|own| own.iter())
    }

    /// The sequence that no row may pass that goes into one segment with a row of this sequence, family and
    /// day: that of the first deletion that may hide the one and not the other.
    pub(crate) fn ceiling(&self, tenant: &TenantId, family: &str, day: i32, sequence: u64) -> u64 {
        let Some(own) = self.tenants.get(tenant) else { return u64::MAX };
        let above = own.iter().filter(|tombstone| {
            tombstone.sequence >= sequence
                && touches_day(tombstone, day)
                && tombstone.selector.accepts_family(family)
        });
        above.map(|tombstone| tombstone.sequence).min().unwrap_or(u64::MAX)
    }

    /// The side of the tenant's deletions on which a segment of this day lies. Segments may only be merged
    /// with others of the same side.
    pub(crate) fn side(&self, tenant: &TenantId, day: i32, last_sequence: u64) -> usize {
        let Some(own) = self.tenants.get(tenant) else { return 0 };
        let passed =
            own.iter().filter(|tombstone| tombstone.sequence < last_sequence && touches_day(tombstone, day));
        passed.count()
    }
}

fn touches_day(tombstone: &Tombstone, day: i32) -> bool {
    let range = tombstone.selector.range;
    let last: Timestamp = range.end.saturating_add_nanos(-1);
    !range.is_empty() && (range.start.day()..=last.day()).contains(&day)
}
