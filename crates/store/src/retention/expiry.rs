//! Drops and rewrites segments that hold rows nobody keeps any longer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use timberyard_model::{TenantId, Timestamp};

use super::cutoffs::Cutoffs;
use super::plan::expired;
use crate::compaction::Rewritten;
use crate::core::Core;
use crate::error::StoreError;
use crate::options::StoreOptions;
use crate::segment::{Segment, SegmentSummary};
use crate::segment_set::SegmentSet;
use crate::statistics::MaintenanceReport;

/// Raw bytes of lines that one call rewrites at most, so that maintenance comes round to other things.
const REWRITTEN_BYTES_MAX: u64 = 1 << 30;
/// Indexes that one call looks at at most.
const LOOKED_AT_MAX: usize = 1000;

/// For segments, by id, how many rules had ended for all of their rows when that was looked at.
pub(crate) type Checked = HashMap<u64, usize>;

/// The segments of which no rule keeps anything, and those that are past a limit of bytes, with the tenant whose limit
/// it is; nothing when it is that of all together. Looks at no index.
pub(super) struct WholeSegments {
    pub(super) by_age: Vec<Arc<Segment>>,
    pub(super) by_bytes: Vec<(Option<TenantId>, Arc<Segment>)>,
}

/// Chooses what goes as a whole.
pub(super) fn whole_segments(set: &SegmentSet, cutoffs: &Cutoffs, options: &StoreOptions) -> WholeSegments {
    let mut whole = WholeSegments { by_age: Vec::new(), by_bytes: Vec::new() };
    let mut kept = Vec::new();
    for (tenant, _) in set.tenants() {
        let earliest = cutoffs.of(tenant).earliest();
        let (old, mut young): (Vec<_>, Vec<_>) =
            set.of_tenant(tenant).cloned().partition(|segment| segment.summary.last < earliest);
        whole.by_age.extend(old);
        let own = options.tenant_retention.get(tenant);
        let beyond = beyond(own.and_then(|retention| retention.bytes_max), &mut young);
        whole.by_bytes.extend(beyond.into_iter().map(|segment| (Some(tenant.clone()), segment)));
        kept.extend(young);
    }
    let beyond = beyond(options.retention.bytes_max, &mut kept);
    whole.by_bytes.extend(beyond.into_iter().map(|segment| (None, segment)));
    whole
}

/// Takes the oldest segments out of `kept` until the rest is within the limit.
fn beyond(bytes_max: Option<u64>, kept: &mut Vec<Arc<Segment>>) -> Vec<Arc<Segment>> {
    let Some(bytes_max) = bytes_max else { return Vec::new() };
    kept.sort_by_key(|segment| (segment.summary.day, segment.summary.last, segment.summary.id));
    let mut bytes: u64 = kept.iter().map(|segment| segment.summary.file_bytes).sum();
    let surplus = kept.iter().take_while(|segment| {
        let over = bytes > bytes_max;
        bytes -= segment.summary.file_bytes;
        over
    });
    let surplus = surplus.count();
    kept.drain(..surplus).collect()
}

impl Core {
    /// Hides what is too old at `now`, drops segments that are no longer kept, and rewrites those of which a part
    /// is not.
    pub(crate) fn expire(
        &self,
        now: Timestamp,
        checked: &mut Checked,
        report: &mut MaintenanceReport,
    ) -> Result<(), StoreError> {
        let cutoffs = Cutoffs::at(now, &self.options);
        let set = {
            let mut state = self.state();
            state.cutoffs = cutoffs.clone();
            Arc::clone(&state.segments)
        };
        let WholeSegments { by_age, by_bytes } = whole_segments(&set, &cutoffs, &self.options);
        let whole: Vec<Arc<Segment>> =
            by_age.into_iter().chain(by_bytes.into_iter().map(|(_, segment)| segment)).collect();
        self.drop_segments(&whole, report)?;
        let set = Arc::clone(&self.state().segments);
        self.expire_streams(&set, &cutoffs, checked, report)
    }

    /// Takes rows of rules that have ended out of segments that others keep.
    fn expire_streams(
        &self,
        set: &SegmentSet,
        cutoffs: &Cutoffs,
        checked: &mut Checked,
        report: &mut MaintenanceReport,
    ) -> Result<(), StoreError> {
        if !set.tenants().any(|(tenant, _)| cutoffs.of(tenant).has_streams()) {
            return Ok(());
        }
        checked.retain(|id, _| set.iter().any(|segment| segment.summary.id == *id));
        let (mut looked_at, mut rewritten_bytes) = (0, 0);
        let mut whole = Vec::new();
        for segment in set.iter().filter(|segment| !segment.is_damaged()) {
            let SegmentSummary { tenant, id, last, rows, line_bytes, file_bytes, .. } = &segment.summary;
            let own = cutoffs.of(tenant);
            let passed = own.passed(*last);
            if !own.has_streams() || passed <= checked.get(id).copied().unwrap_or_default() {
                continue;
            }
            if looked_at >= LOOKED_AT_MAX || rewritten_bytes >= REWRITTEN_BYTES_MAX {
                break;
            }
            looked_at += 1;
            let index = match segment.index(&self.index_cache) {
                Ok(index) => index,
                Err(error) if error.is_damage() => {
                    self.note_damage(segment, &error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let gone = expired(&segment.summary, &index, own).total;
            if gone.rows == *rows {
                whole.push(Arc::clone(segment));
            } else if gone.rows == 0 {
                checked.insert(*id, passed);
            } else if let Rewritten::As(rest) =
                self.rewrite(std::slice::from_ref(segment), &Arc::default())?
            {
                rewritten_bytes += line_bytes;
                report.segments_rewritten += 1;
                report.bytes_released += file_bytes;
                checked.extend(rest.map(|rest| (rest.summary.id, passed)));
            }
        }
        self.drop_segments(&whole, report)
    }

    fn drop_segments(
        &self,
        segments: &[Arc<Segment>],
        report: &mut MaintenanceReport,
    ) -> Result<(), StoreError> {
        if segments.is_empty() {
            return Ok(());
        }
        let mut days: HashMap<(&TenantId, i32), u64> = HashMap::new();
        for segment in segments {
            *days.entry((&segment.summary.tenant, segment.summary.day)).or_default() += 1;
        }
        for ((tenant, day), segments) in days {
            let day = crate::paths::day_name(day);
            tracing::info!(%tenant, day, segments, "retention drops segments");
        }
        self.exchange_segments(Vec::new(), segments)?;
        let count = segments.len() as u64;
        self.counters.segments_expired.fetch_add(count, Ordering::Relaxed);
        report.segments_expired += count;
        report.bytes_released += segments.iter().map(|segment| segment.summary.file_bytes).sum::<u64>();
        Ok(())
    }
}
