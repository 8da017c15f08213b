//! Figures about a store, for status pages and metrics.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use timberyard_model::TenantId;

use crate::core::Core;
use crate::segment::SegmentSummary;

/// What a store holds and has done since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatistics {
    /// Rows in segments and heads. Equal entries that merge may be counted more than once until
    /// compaction has met them.
    pub rows: u64,
    /// Line bytes of those rows, uncompressed.
    pub raw_bytes: u64,
    /// Tenants that have rows.
    pub tenants: u64,
    /// Segments listed.
    pub segments: u64,
    /// Bytes of segment files on disk.
    pub segment_bytes: u64,
    /// Bytes of the write-ahead log on disk, recycled files included.
    pub log_bytes: u64,
    /// Bytes of the manifest on disk.
    pub manifest_bytes: u64,
    /// Rows that are not in segments yet.
    pub head_rows: u64,
    /// Raw bytes those rows hold in memory.
    pub head_bytes: u64,
    /// Families (tenant and `service_name`) that have rows in the head.
    pub head_families: u64,
    /// Payload bytes waiting for the log.
    pub queue_bytes: u64,
    /// Segments of which something was found damaged.
    pub damaged_segments: u64,
    /// Log records that replay found missing or damaged.
    pub damaged_log_records: u64,
    /// Batches appended and acknowledged.
    pub batches_appended: u64,
    /// Rows of those batches.
    pub rows_appended: u64,
    /// Payload bytes of those batches.
    pub payload_bytes_appended: u64,
    /// Batches refused because a unique key existed.
    pub duplicates_refused: u64,
    /// Syncs of the write-ahead log: batches over syncs is the mean group size.
    pub log_syncs: u64,
    /// Times that heads were cut into segments.
    pub flushes: u64,
    /// Segments that compaction has merged away.
    pub segments_compacted: u64,
    /// Segments that retention has dropped.
    pub segments_expired: u64,
    /// Deletions that hide rows and are not carried out yet.
    pub deletions_pending: u64,
    /// Bytes free on the volume, when it could be asked.
    pub free_bytes: Option<u64>,
    /// Why writing has stopped, if it has.
    pub poisoned: Option<String>,
}

/// What one call of `maintain` did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaintenanceReport {
    /// Families whose rows were old enough to be cut.
    pub families_cut: u64,
    /// Segments merged away.
    pub segments_merged: u64,
    /// Segments written in their place.
    pub segments_written: u64,
    /// Deletions of which no file holds a row any more.
    pub deletions_carried_out: u64,
    /// Segments rewritten without deleted rows.
    pub segments_rewritten: u64,
    /// Segments dropped by retention.
    pub segments_expired: u64,
    /// Bytes of files that are no longer listed.
    pub bytes_released: u64,
}

impl Core {
    pub(crate) fn statistics(&self) -> StoreStatistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let (figures, head_bytes, segments, mut tenants, deletions) = {
            let state = self.state();
            let tenants: BTreeSet<TenantId> = state.heads.tenants().cloned().collect();
            let deletions = state.deletions.iter().count() as u64;
            (state.heads.figures(), state.heads.bytes(), Arc::clone(&state.segments), tenants, deletions)
        };
        tenants.extend(segments.tenants().map(|(tenant, _)| tenant.clone()));
        let sum =
            |figure: fn(&SegmentSummary) -> u64| segments.iter().map(|s| figure(&s.summary)).sum::<u64>();
        StoreStatistics {
            rows: figures.rows + sum(|summary| summary.rows),
            raw_bytes: figures.line_bytes + sum(|summary| summary.line_bytes),
            tenants: tenants.len() as u64,
            segments: segments.len() as u64,
            segment_bytes: sum(|summary| summary.file_bytes),
            log_bytes: self.log_files.disk_bytes(),
            manifest_bytes: read(&counters.manifest_bytes),
            head_rows: figures.rows,
            head_bytes: head_bytes as u64,
            head_families: figures.families,
            queue_bytes: self.queue.bytes() as u64,
            damaged_segments: segments.iter().filter(|segment| segment.is_damaged()).count() as u64,
            damaged_log_records: read(&counters.damaged_log_records),
            batches_appended: read(&counters.batches_appended),
            rows_appended: read(&counters.rows_appended),
            payload_bytes_appended: read(&counters.payload_bytes_appended),
            duplicates_refused: read(&counters.duplicates_refused),
            log_syncs: read(&counters.log_syncs),
            flushes: read(&counters.flushes),
            segments_compacted: read(&counters.segments_compacted),
            segments_expired: read(&counters.segments_expired),
            deletions_pending: deletions,
            free_bytes: self.disk.free_bytes(self.paths.root()).ok(),
            poisoned: self.poison_reason().map(|reason| reason.to_string()),
        }
    }
}
