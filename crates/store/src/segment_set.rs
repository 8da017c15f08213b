//! The segments that are listed at one moment, by tenant and day. Never changed, only replaced.

use std::collections::BTreeMap;
use std::sync::Arc;

use timberyard_model::TenantId;

use crate::segment::Segment;

/// Segments of one tenant by UTC day.
pub(crate) type Days = BTreeMap<i32, Vec<Arc<Segment>>>;

/// One state of the list of segments.
#[derive(Clone, Default)]
pub(crate) struct SegmentSet {
    tenants: BTreeMap<TenantId, Arc<Days>>,
    count: usize,
}

impl SegmentSet {
    pub(crate) fn of(segments: impl IntoIterator<Item = Arc<Segment>>) -> Self {
        Self::default().with(segments, &[])
    }

    /// The set with some segments more and some less.
    pub(crate) fn with(
        &self,
        added: impl IntoIterator<Item = Arc<Segment>>,
        removed: &[Arc<Segment>],
    ) -> Self {
        let mut set = self.clone();
        for segment in removed {
            let summary = &segment.summary;
            let Some(days) = set.tenants.get_mut(&summary.tenant) else { continue };
            let days = Arc::make_mut(days);
            let Some(segments) = days.get_mut(&summary.day) else { continue };
            let before = segments.len();
            segments.retain(|other| other.summary.id != summary.id);
            set.count -= before - segments.len();
            if segments.is_empty() {
                days.remove(&summary.day);
            }
            if days.is_empty() {
                set.tenants.remove(&summary.tenant);
            }
        }
        for segment in added {
            let days = set.tenants.entry(segment.summary.tenant.clone()).or_default();
            Arc::make_mut(days).entry(segment.summary.day).or_default().push(segment);
            set.count += 1;
        }
        set
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The segments of a tenant.
    pub(crate) fn days(&self, tenant: &TenantId) -> Option<&Arc<Days>> {
        self.tenants.get(tenant)
    }

    pub(crate) fn tenants(&self) -> impl Iterator<Item = (&TenantId, &Arc<Days>)> {
        self.tenants.iter()
    }

    /// All segments.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.tenants.values().flat_map(|days| days.values().flatten())
    }

    /// All segments of a tenant.
    pub(crate) fn of_tenant(&self, tenant: &TenantId) -> impl Iterator<Item = &Arc<Segment>> {
        self.days(tenant).into_iter().flat_map(|days| days.values().flatten())
    }
}
