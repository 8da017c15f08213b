//! Retention: what is hidden, and which segments are dropped. The choice is pure; the dropping is one
//! replacement of the manifest.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_model::{TenantId, Timestamp};

use crate::core::Core;
use crate::error::StoreError;
use crate::options::{Retention, StoreOptions};
use crate::segment::Segment;
use crate::segment_set::SegmentSet;

/// The time before which the rows of a tenant are no longer shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cutoffs {
    others: Timestamp,
    tenants: BTreeMap<TenantId, Timestamp>,
}

impl Default for Cutoffs {
    /// Nothing is hidden.
    fn default() -> Self {
        Self { others: Timestamp::MIN, tenants: BTreeMap::new() }
    }
}

impl Cutoffs {
    /// What the settings hide at this time.
    pub(crate) fn at(now: Timestamp, options: &StoreOptions) -> Self {
        let cutoff = |retention: &Retention| {
            retention.age_seconds_max.map_or(Timestamp::MIN, |seconds| {
                let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
                now.saturating_add_nanos(seconds.saturating_mul(-NANOS_PER_SECOND))
            })
        };
        let tenants = options.tenant_retention.iter();
        let tenants = tenants.map(|(tenant, retention)| (tenant.clone(), cutoff(retention))).collect();
        Self { others: cutoff(&options.retention), tenants }
    }

    pub(crate) fn of(&self, tenant: &TenantId) -> Timestamp {
        self.tenants.get(tenant).copied().unwrap_or(self.others)
    }
}

/// The segments that retention no longer keeps.
fn expired(set: &SegmentSet, cutoffs: &Cutoffs, options: &StoreOptions) -> Vec<Arc<Segment>> {
    let mut expired = Vec::new();
    let mut kept = Vec::new();
    for (tenant, _) in set.tenants() {
        let cutoff = cutoffs.of(tenant);
        let (old, mut young): (Vec<_>, Vec<_>) =
            set.of_tenant(tenant).cloned().partition(|segment| segment.summary.last < cutoff);
        expired.extend(old);
        let own = options.tenant_retention.get(tenant);
        drop_beyond(own.and_then(|retention| retention.bytes_max), &mut young, &mut expired);
        kept.extend(young);
    }
    drop_beyond(options.retention.bytes_max, &mut kept, &mut expired);
    expired
}

/// Moves the oldest segments from `kept` to `expired` until the rest is within the limit.
fn drop_beyond(bytes_max: Option<u64>, kept: &mut Vec<Arc<Segment>>, expired: &mut Vec<Arc<Segment>>) {
    let Some(bytes_max) = bytes_max else { return };
    kept.sort_by_key(|segment| (segment.summary.day, segment.summary.last, segment.summary.id));
    let mut bytes: u64 = kept.iter().map(|segment| segment.summary.file_bytes).sum();
    let surplus = kept.iter().take_while(|segment| {
        let over = bytes > bytes_max;
        bytes -= segment.summary.file_bytes;
        over
    });
    let surplus = surplus.count();
    expired.extend(kept.drain(..surplus));
}

impl Core {
    /// Hides what is too old at `now` and drops segments that are no longer kept. Returns how many and
    /// their bytes.
    pub(crate) fn expire(&self, now: Timestamp) -> Result<(u64, u64), StoreError> {
        let cutoffs = Cutoffs::at(now, &self.options);
        let set = {
            let mut state = self.state();
            state.cutoffs = cutoffs.clone();
            Arc::clone(&state.segments)
        };
        let expired = expired(&set, &cutoffs, &self.options);
        if expired.is_empty() {
            return Ok((0, 0));
        }
        let mut days: HashMap<(&TenantId, i32), u64> = HashMap::new();
        for segment in &expired {
            *days.entry((&segment.summary.tenant, segment.summary.day)).or_default() += 1;
        }
        for ((tenant, day), segments) in days {
            let day = crate::paths::day_name(day);
            tracing::info!(%tenant, day, segments, "retention drops segments");
        }
        self.exchange_segments(Vec::new(), &expired)?;
        let count = expired.len() as u64;
        self.counters.segments_expired.fetch_add(count, Ordering::Relaxed);
        Ok((count, expired.iter().map(|segment| segment.summary.file_bytes).sum()))
    }
}
