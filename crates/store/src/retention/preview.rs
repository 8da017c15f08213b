//! What retention would take away at some time, rule by rule.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use timberyard_model::{TenantId, Timestamp};

use super::cutoffs::Cutoffs;
use super::expiry::{WholeSegments, whole_segments};
use super::plan::{RowCount, expired};
use crate::core::Core;
use crate::disk::{Disk, RealDisk};
use crate::error::StoreError;
use crate::manifest::Manifest;
use crate::options::StoreOptions;
use crate::paths::Paths;
use crate::segment::{Segment, SegmentIndex, SegmentSummary};
use crate::segment_set::SegmentSet;

/// What the next maintenance would take away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPreview {
    /// By tenant and rule. A rule that frees nothing is not there.
    pub freed: Vec<Freed>,
    /// Segments whose index cannot be read; they stay as they are.
    pub segments_damaged: u64,
}

/// What one rule takes away of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freed {
    /// Whose rows.
    pub tenant: TenantId,
    /// The rule.
    pub by: FreedBy,
    /// Segments that go as a whole.
    pub segments_dropped: u64,
    /// Segments that are rewritten without some rows.
    pub segments_rewritten: u64,
    /// Rows, those of segments; exact, but for equal entries that compaction has not met yet.
    pub rows: u64,
    /// Bytes of their lines, uncompressed.
    pub line_bytes: u64,
    /// Bytes on disk. Exact for segments that are dropped; of those that are rewritten, the share of the lines.
    pub file_bytes: u64,
}

/// Why rows go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FreedBy {
    /// They are older than all rows of the tenant may be.
    Age,
    /// They are older than rows of these streams may be: the selector as it was written.
    Streams(Box<str>),
    /// They are the oldest past the tenant's bytes.
    TenantBytes,
    /// They are the oldest past the bytes of all tenants.
    AllBytes,
}

/// Reads the index of a segment.
type ReadIndex<'a> = dyn Fn(&Arc<Segment>) -> Result<Arc<SegmentIndex>, StoreError> + 'a;

#[derive(Clone, Copy, Default)]
struct Sum {
    segments_dropped: u64,
    segments_rewritten: u64,
    rows: u64,
    line_bytes: u64,
    file_bytes: u64,
}

impl Sum {
    fn drop_whole(&mut self, summary: &SegmentSummary) {
        self.segments_dropped += 1;
        self.rows += summary.rows;
        self.line_bytes += summary.line_bytes;
        self.file_bytes += summary.file_bytes;
    }
}

/// What would go of a stopped store, or a copy of one, at `now` under the retention of `options`. Changes nothing, and reads
/// manifest and indexes only: rows that are in the log alone are not counted.
pub fn preview(
    directory: &Path,
    options: &StoreOptions,
    now: Timestamp,
) -> Result<RetentionPreview, StoreError> {
    preview_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), directory, options, now)
}

/// The same on another file system than the machine's.
pub fn preview_on(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    options: &StoreOptions,
    now: Timestamp,
) -> Result<RetentionPreview, StoreError> {
    let paths = Paths::new(directory);
    let manifest = Manifest::load(&**disk, &paths)?;
    let manifest = manifest.ok_or_else(|| StoreError::corrupt(&paths.manifest(), "it is missing"))?;
    let segments = manifest.segments.into_values();
    let set =
        SegmentSet::of(segments.map(|summary| Arc::new(Segment::new(summary, &paths, Arc::clone(disk)))));
    let index = |segment: &Arc<Segment>| segment.read_index(&segment.open()?).map(Arc::new);
    of_segments(&set, options, now, &index)
}

impl Core {
    pub(crate) fn preview_retention(&self, now: Timestamp) -> Result<RetentionPreview, StoreError> {
        let set = Arc::clone(&self.state().segments);
        of_segments(&set, &self.options, now, &|segment| segment.index(&self.index_cache))
    }
}

fn of_segments(
    set: &SegmentSet,
    options: &StoreOptions,
    now: Timestamp,
    index: &ReadIndex<'_>,
) -> Result<RetentionPreview, StoreError> {
    let cutoffs = Cutoffs::at(now, options);
    let mut sums: BTreeMap<(TenantId, FreedBy), Sum> = BTreeMap::new();
    let mut preview = RetentionPreview::default();
    let WholeSegments { by_bytes, .. } = whole_segments(set, &cutoffs, options);
    for (owner, segment) in &by_bytes {
        let by = if owner.is_some() { FreedBy::TenantBytes } else { FreedBy::AllBytes };
        sums.entry((segment.summary.tenant.clone(), by)).or_default().drop_whole(&segment.summary);
    }
    for segment in set.iter() {
        let summary = &segment.summary;
        let own = cutoffs.of(&summary.tenant);
        let by_bytes = by_bytes.iter().any(|(_, other)| other.summary.id == summary.id);
        if by_bytes || own.passed(summary.last) == 0 {
            continue;
        }
        if !own.has_streams() {
            sums.entry((summary.tenant.clone(), FreedBy::Age)).or_default().drop_whole(summary);
            continue;
        }
        let expired = match index(segment) {
            Ok(index) => expired(summary, &index, own),
            Err(error) if error.is_damage() => {
                preview.segments_damaged += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        let whole = expired.total.rows == summary.rows;
        for (rule, RowCount { rows, line_bytes }) in expired.by_rule {
            let by = own.text(rule).map_or(FreedBy::Age, |text| FreedBy::Streams(text.into()));
            let sum = sums.entry((summary.tenant.clone(), by)).or_default();
            sum.segments_dropped += u64::from(whole);
            sum.segments_rewritten += u64::from(!whole);
            sum.rows += rows;
            sum.line_bytes += line_bytes;
            sum.file_bytes += share(summary, rows, line_bytes);
        }
    }
    preview.freed = sums
        .into_iter()
        .map(|((tenant, by), sum)| Freed {
            tenant,
            by,
            segments_dropped: sum.segments_dropped,
            segments_rewritten: sum.segments_rewritten,
            rows: sum.rows,
            line_bytes: sum.line_bytes,
            file_bytes: sum.file_bytes,
        })
        .collect();
    Ok(preview)
}

/// The part of the file that is these rows': by their lines, or by their number where all lines are empty.
fn share(summary: &SegmentSummary, rows: u64, line_bytes: u64) -> u64 {
    let (part, all) =
        if summary.line_bytes > 0 { (line_bytes, summary.line_bytes) } else { (rows, summary.rows.max(1)) };
    (u128::from(summary.file_bytes) * u128::from(part) / u128::from(all)) as u64
}
