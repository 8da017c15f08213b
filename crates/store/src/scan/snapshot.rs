//! The rows that a query sees: those of one moment, and what hides some of them, whatever happens later.

use std::collections::BTreeMap;
use std::sync::Arc;

use timberyard_model::{TenantId, TimeRange, Timestamp};

use super::query::Query;
use crate::core::Core;
use crate::deletion::Hiding;
use crate::head::HeadEntry;
use crate::segment::Segment;

/// Segments and head entries of a tenant by UTC day. Files stay until this is dropped.
#[derive(Default)]
pub(super) struct Snapshot {
    pub(super) days: BTreeMap<i32, Day>,
    /// What hides rows of the tenant.
    pub(super) hiding: Hiding,
    /// Segments of the tenant, in the range or not.
    pub(super) segments_total: u64,
}

/// What there is of one day, as far as it may have rows in the range.
#[derive(Default)]
pub(super) struct Day {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) entries: Vec<Arc<HeadEntry>>,
}

impl Snapshot {
    pub(super) fn take(core: &Core, tenant: &TenantId, query: &Query) -> Self {
        let mut snapshot = Self::default();
        if query.range.is_empty() {
            return snapshot;
        }
        let segments = {
            let state = core.state();
            let wanted = |family: &str| query.accepts_family(family);
            state.heads.for_each_entry(tenant, query.range, &wanted, &mut |day, entry| {
                snapshot.days.entry(day).or_default().entries.push(Arc::clone(entry));
            });
            snapshot.hiding = state.hiding(tenant);
            state.segments.days(tenant).cloned()
        };
        let Some(segments) = segments else { return snapshot };
        snapshot.segments_total = segments.values().map(|segments| segments.len() as u64).sum();
        let (start, end) = (query.range.start.day(), query.range.end.day());
        for (day, segments) in segments.range(start..=end) {
            for segment in segments {
                if query.range.overlaps(segment.summary.first, segment.summary.last) {
                    snapshot.days.entry(*day).or_default().segments.push(Arc::clone(segment));
                }
            }
        }
        // Ties are read in the order of arrival, whatever compaction has renamed.
        for day in snapshot.days.values_mut() {
            day.segments.sort_by_key(|segment| segment.summary.arrival());
        }
        snapshot
    }
}

impl Day {
    /// The earliest and the latest time inside the range that a row of the day may have.
    pub(super) fn bounds(&self, range: TimeRange) -> (Timestamp, Timestamp) {
        let segments = self.segments.iter().map(|segment| (segment.summary.first, segment.summary.last));
        let entries = self.entries.iter().map(|entry| (entry.first, entry.last));
        let bounds = segments.chain(entries).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let (first, last) = bounds.unwrap_or((range.start, range.start));
        // The range is not empty, or there would be no day.
        (first.max(range.start), last.min(range.end.saturating_add_nanos(-1)))
    }
}
