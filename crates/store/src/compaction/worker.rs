//! Carries out what the policy chose.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::merge::{Input, MergeRules, by_family, merge_family};
use super::policy::{Candidate, choose};
use crate::core::Core;
use crate::error::StoreError;
use crate::segment::{FinishedSegment, Segment, SegmentWriter};
use crate::statistics::MaintenanceReport;

/// Segments that one call merges at most, so that maintenance comes round to other things.
const SEGMENTS_MAX: u64 = 256;

impl Core {
    /// Merges what the policy chooses, day by day.
    pub(crate) fn compact(&self, report: &mut MaintenanceReport) -> Result<(), StoreError> {
        let days: Vec<Vec<Arc<Segment>>> = {
            let segments = Arc::clone(&self.state().segments);
            let days = segments.tenants().flat_map(|(_, days)| days.values());
            days.filter(|segments| segments.len() > 1).cloned().collect()
        };
        for mut segments in days {
            // The file of a damaged segment stays as it is: more may be read from it one day.
            segments.retain(|segment| !segment.is_damaged());
            while report.segments_merged < SEGMENTS_MAX {
                let candidate = |segment: &Arc<Segment>| Candidate {
                    id: segment.summary.id,
                    line_bytes: segment.summary.line_bytes,
                };
                let candidates: Vec<Candidate> = segments.iter().map(candidate).collect();
                let chosen = choose(&candidates, self.options.segment_bytes_max);
                if chosen.is_empty() {
                    break;
                }
                let (inputs, rest): (Vec<_>, Vec<_>) =
                    segments.into_iter().partition(|segment| chosen.contains(&segment.summary.id));
                segments = rest;
                segments.extend(self.merge(&inputs, report)?);
            }
        }
        Ok(())
    }

    /// Puts one segment in the place of others. Nothing changes when one of them is damaged or the
    /// volume has no room for both.
    fn merge(
        &self,
        segments: &[Arc<Segment>],
        report: &mut MaintenanceReport,
    ) -> Result<Option<Arc<Segment>>, StoreError> {
        let bytes: u64 = segments.iter().map(|segment| segment.summary.file_bytes).sum();
        let free_bytes = self.disk.free_bytes(self.paths.root()).unwrap_or_default();
        if free_bytes < self.options.disk_reserve_bytes.saturating_add(bytes) {
            return Ok(None);
        }
        let merged = match self.write_merged(segments) {
            Ok(merged) => merged,
            Err(error) if error.is_damage() => {
                self.find_damaged(segments);
                return Ok(None);
            }
            Err(error) if error.is_full() => return Ok(None),
            Err(error) => return Err(error),
        };
        let id = merged.as_ref().map(|merged| merged.summary.id);
        self.exchange_segments(merged.into_iter().collect(), segments)?;
        report.segments_merged += segments.len() as u64;
        report.segments_written += u64::from(id.is_some());
        report.bytes_released += bytes;
        self.counters.segments_compacted.fetch_add(segments.len() as u64, Ordering::Relaxed);
        let listed = Arc::clone(&self.state().segments);
        Ok(listed.iter().find(|segment| Some(segment.summary.id) == id).cloned())
    }

    fn write_merged(&self, segments: &[Arc<Segment>]) -> Result<Option<FinishedSegment>, StoreError> {
        let Some(first) = segments.first() else { return Ok(None) };
        let (tenant, day) = (&first.summary.tenant, first.summary.day);
        let mut oldest_first = segments.to_vec();
        oldest_first.sort_by_key(|segment| segment.summary.id);
        let mut inputs = Vec::with_capacity(segments.len());
        for segment in &oldest_first {
            let reader = segment.open()?;
            inputs.push(Input { index: Arc::new(segment.read_index(&reader)?), reader });
        }
        let rules = MergeRules {
            cutoff: self.state().cutoffs.of(tenant),
            copy_bytes_min: self.options.group_bytes as u64 / 2,
        };
        let id = self.new_segment_id();
        let mut writer =
            SegmentWriter::create(&self.disk, &self.paths, tenant, day, id, self.writer_options())?;
        for (family, sources) in by_family(&inputs) {
            merge_family(&mut writer, family, &sources, rules)?;
        }
        for segment in &oldest_first {
            segment.for_each_key(&mut |key| writer.push_key_text(key))?;
        }
        writer.finish()
    }

    /// Notes which of the segments cannot be read as a whole.
    fn find_damaged(&self, segments: &[Arc<Segment>]) {
        for segment in segments {
            if let Err(error) = segment.read_everything(&mut |_| {})
                && error.is_damage()
            {
                self.note_damage(segment, &error);
            }
        }
    }
}
