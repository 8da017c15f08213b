//! Carries out what the policy chose.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use timberyard_model::Timestamp;

use super::merge::{Input, MergeRules, by_family, merge_family};
use super::policy::{Candidate, choose};
use crate::core::Core;
use crate::deletion::{Hiding, Pending, Tombstone};
use crate::disk::Syncs;
use crate::error::StoreError;
use crate::segment::{FinishedSegment, Segment, SegmentSummary, SegmentWriter};
use crate::statistics::MaintenanceReport;

/// Segments that one call merges at most, so that maintenance comes round to other things.
const SEGMENTS_MAX: u64 = 256;

/// Segments that would have more streams together stay apart: an index is read as a whole, and all of a segment's
/// label sets are in memory while it is written.
const STREAMS_MAX: usize = 250_000;

/// What became of segments that were to be rewritten.
pub(crate) enum Rewritten {
    /// This one is listed in their place; nothing when no row was left.
    As(Option<Arc<Segment>>),
    /// They are as they were: one of them is damaged, or the volume has no room for both.
    NotNow,
}

/// Segments of one day, apart where deletions may hide rows of the one and not of the other.
fn by_side(segments: &[Arc<Segment>], deletions: &Pending) -> Vec<Vec<Arc<Segment>>> {
    let mut sides: BTreeMap<usize, Vec<Arc<Segment>>> = BTreeMap::new();
    for segment in segments {
        let SegmentSummary { tenant, day, sequences, .. } = &segment.summary;
        sides.entry(deletions.side(tenant, *day, sequences.last)).or_default().push(Arc::clone(segment));
    }
    sides.into_values().collect()
}

fn bytes_of(segments: &[Arc<Segment>]) -> u64 {
    segments.iter().map(|segment| segment.summary.file_bytes).sum()
}

/// Streams of all of them, one that several have as often. What cannot be read counts as having none: the merge
/// is going to find that out, and note it.
fn streams_of(segments: &[Arc<Segment>]) -> usize {
    segments.iter().map(|segment| segment.streams().unwrap_or_default()).sum()
}

impl Core {
    /// Merges what the policy chooses, day by day.
    pub(crate) fn compact(&self, report: &mut MaintenanceReport) -> Result<(), StoreError> {
        let days: Vec<Vec<Arc<Segment>>> = {
            let state = self.state();
            let (segments, deletions) = (Arc::clone(&state.segments), Arc::clone(&state.deletions));
            drop(state);
            let days = segments.tenants().flat_map(|(_, days)| days.values());
            days.filter(|segments| segments.len() > 1)
                .flat_map(|segments| by_side(segments, &deletions))
                .collect()
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
                if streams_of(&inputs) > STREAMS_MAX {
                    continue;
                }
                if let Rewritten::As(merged) = self.rewrite(&inputs, &Arc::default())? {
                    report.segments_merged += inputs.len() as u64;
                    report.segments_written += u64::from(merged.is_some());
                    report.bytes_released += bytes_of(&inputs);
                    segments.extend(merged);
                }
            }
        }
        Ok(())
    }

    /// Puts one segment in the place of others, without the rows that these deletions or retention hide.
    pub(crate) fn rewrite(
        &self,
        segments: &[Arc<Segment>],
        deletions: &Arc<[Arc<Tombstone>]>,
    ) -> Result<Rewritten, StoreError> {
        let free_bytes = self.disk.free_bytes(self.paths.root()).unwrap_or_default();
        if free_bytes < self.options.disk_reserve_bytes.saturating_add(bytes_of(segments)) {
            return Ok(Rewritten::NotNow);
        }
        let merged = match self.write_merged(segments, deletions) {
            Ok(merged) => merged,
            Err(error) if error.is_damage() => {
                self.find_damaged(segments);
                return Ok(Rewritten::NotNow);
            }
            Err(error) if error.is_full() => return Ok(Rewritten::NotNow),
            Err(error) => return Err(error),
        };
        let id = merged.as_ref().map(|merged| merged.summary.id);
        self.exchange_segments(merged.into_iter().collect(), segments)?;
        self.counters.segments_compacted.fetch_add(segments.len() as u64, Ordering::Relaxed);
        let listed = Arc::clone(&self.state().segments);
        Ok(Rewritten::As(listed.iter().find(|segment| Some(segment.summary.id) == id).cloned()))
    }

    fn write_merged(
        &self,
        segments: &[Arc<Segment>],
        deletions: &Arc<[Arc<Tombstone>]>,
    ) -> Result<Option<FinishedSegment>, StoreError> {
        let Some(first) = segments.first() else { return Ok(None) };
        let (tenant, day) = (&first.summary.tenant, first.summary.day);
        let mut oldest_first = segments.to_vec();
        oldest_first.sort_by_key(|segment| segment.summary.arrival());
        let mut inputs = Vec::with_capacity(segments.len());
        for segment in &oldest_first {
            let reader = segment.open()?;
            let index = Arc::new(segment.read_index(&reader)?);
            let SegmentSummary { sequences, compared, .. } = segment.summary;
            inputs.push(Input { sequences, compared, index, reader });
        }
        let retention = Arc::clone(self.state().cutoffs.of(tenant));
        let hiding = Hiding { deletions: Arc::clone(deletions), retention };
        let rules = MergeRules { hiding: &hiding, copy_bytes_min: self.options.group_bytes as u64 / 16 * 5 };
        let id = self.new_segment_id();
        let mut writer = SegmentWriter::create(
            &self.disk,
            &self.directories,
            &self.paths,
            tenant,
            day,
            id,
            self.writer_options(Syncs::Each),
        )?;
        for input in &inputs {
            writer.note_sequences(input.sequences);
        }
        writer.note_compared(inputs.iter().all(|input| input.compared));
        let others = self.other_groups(segments);
        for (family, sources) in by_family(&inputs) {
            let others = others.get(family).cloned().unwrap_or_default();
            merge_family(&mut writer, family, &sources, rules, others)?;
        }
        for segment in &oldest_first {
            segment.for_each_key(&mut |key| writer.push_key_text(key))?;
        }
        writer.finish()
    }

    /// By family, the first and last times of the groups that the day of these segments has elsewhere.
    fn other_groups(&self, segments: &[Arc<Segment>]) -> HashMap<Box<str>, Vec<(Timestamp, Timestamp)>> {
        let mut groups: HashMap<Box<str>, Vec<(Timestamp, Timestamp)>> = HashMap::new();
        let Some(SegmentSummary { tenant, day, .. }) = segments.first().map(|first| &first.summary) else {
            return groups;
        };
        let listed = Arc::clone(&self.state().segments);
        let of_day = listed.days(tenant).and_then(|days| days.get(day)).into_iter().flatten();
        for other in of_day {
            if segments.iter().any(|segment| segment.summary.id == other.summary.id) {
                continue;
            }
            // Of one that cannot be read nothing is known, and nothing has to be.
            let Ok(index) = other.index(&self.index_cache) else { continue };
            for group in index.groups.iter() {
                groups.entry(group.family.clone()).or_default().push((group.first, group.last));
            }
        }
        groups
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
