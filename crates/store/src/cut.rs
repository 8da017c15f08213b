//! Turns heads into segments: writes them, lists them, and only then lets go of head and log.
//!
//! A cut takes everything a family has up to one log sequence, and the manifest that lists the segments says
//! so. Replay leaves out exactly that, so a crash at any point shows each row once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use timberyard_model::TenantId;
use timberyard_model::batch::UniqueKey;

use crate::core::{Core, lock};
use crate::deletion::Pending;
use crate::disk::Syncs;
use crate::equality::{Repetitions, RowIdentity};
use crate::error::StoreError;
use crate::head::{CutChoice, FamilyCut, HeadEntry};
use crate::segment::{FinishedSegment, Segment, SegmentWriter, Sequences, WriterOptions};

/// The sequence that no row of a segment passes, so that all its rows are on one side of each deletion.
type Ceiling = u64;

/// What becomes one segment.
#[derive(Default)]
struct SegmentPlan<'a> {
    families: Vec<(&'a str, &'a [Arc<HeadEntry>])>,
    keys: Vec<&'a UniqueKey>,
}

impl Core {
    /// Turns the chosen families into segments. Returns how many there were.
    pub(crate) fn cut(&self, choice: CutChoice) -> Result<u64, StoreError> {
        let _one_at_a_time = lock(&self.cutting);
        if let Some(error) = self.poison_error() {
            return Err(error);
        }
        let (cuts, applied, covered, deletions) = {
            let state = self.state();
            let cuts = state.heads.choose(choice);
            let covered = state.heads.covered_without(&cuts, state.applied);
            (cuts, state.applied, covered, Arc::clone(&state.deletions))
        };
        let listed_already = lock(&self.manifest).covered;
        if cuts.is_empty() && covered <= listed_already {
            // A file that was being written when its records were cut was not released then; whoever
            // waits for room may wait for just that.
            self.log_files.release(listed_already, usize::MAX)?;
            self.notify();
            return Ok(0);
        }
        let written = self.write_segments(&cuts, &deletions).map_err(|error| self.after_failed_cut(error))?;
        let listed = self.list_segments(&cuts, written, applied, covered);
        listed.map_err(|error| self.after_failed_cut(error))?;
        if !cuts.is_empty() {
            self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(cuts.len() as u64)
    }

    /// A full volume can be tried again; any other failure to write leaves no trust in the disk.
    fn after_failed_cut(&self, error: StoreError) -> StoreError {
        if !error.is_full() {
            self.poison(&format!("writing a segment failed: {error}"));
        }
        error
    }

    fn write_segments(
        &self,
        cuts: &[FamilyCut],
        deletions: &Pending,
    ) -> Result<Vec<FinishedSegment>, StoreError> {
        let mut plans: BTreeMap<(&TenantId, i32, Ceiling), SegmentPlan<'_>> = BTreeMap::new();
        for cut in cuts {
            let (tenant, family) = (&cut.family.tenant, &*cut.family.name);
            for (day, entries) in &cut.days {
                // Entries are in the order of their sequence, and ceilings never fall on the way.
                let ceiling =
                    |entry: &HeadEntry| deletions.ceiling(tenant, family, *day, entry.batch.sequence);
                for entries in entries.chunk_by(|a, b| ceiling(a) == ceiling(b)) {
                    let Some(first) = entries.first() else { continue };
                    let plan = plans.entry((tenant, *day, ceiling(first))).or_default();
                    plan.families.push((family, entries));
                }
            }
            for (sequence, day, key) in &cut.keys {
                let ceiling = deletions.ceiling(tenant, family, *day, *sequence);
                plans.entry((tenant, *day, ceiling)).or_default().keys.push(key);
            }
        }
        let together = plans.len() > self.options.segments_synced_singly_max;
        let syncs = if together { Syncs::Together } else { Syncs::Each };
        let mut written = Vec::with_capacity(plans.len());
        for ((tenant, day, _), plan) in plans {
            match self.write_segment(tenant, day, &plan, syncs) {
                Ok(segment) => written.extend(segment),
                Err(error) => {
                    self.remove_unlisted(&written);
                    return Err(error);
                }
            }
        }
        if together {
            let tenants = self.paths.tenants_directory();
            if let Err(error) = self.disk.sync_volume(&tenants) {
                self.remove_unlisted(&written);
                return Err(StoreError::io(&tenants, error));
            }
        }
        Ok(written)
    }

    fn write_segment(
        &self,
        tenant: &TenantId,
        day: i32,
        plan: &SegmentPlan<'_>,
        syncs: Syncs,
    ) -> Result<Option<FinishedSegment>, StoreError> {
        let id = self.new_segment_id();
        let mut writer =
            SegmentWriter::create(&self.disk, &self.paths, tenant, day, id, self.writer_options(syncs))?;
        for (family, entries) in &plan.families {
            for entry in *entries {
                writer.note_sequences(Sequences::of(entry.batch.sequence));
            }
            write_family(&mut writer, family, entries)?;
        }
        for key in &plan.keys {
            writer.push_key(key);
        }
        writer.finish()
    }

    pub(crate) fn writer_options(&self, syncs: Syncs) -> WriterOptions {
        WriterOptions { group_bytes: self.options.group_bytes, block_bytes: self.options.block_bytes, syncs }
    }

    /// Replaces the manifest, then shows the segments instead of the rows in the heads, then
    /// releases the log.
    fn list_segments(
        &self,
        cuts: &[FamilyCut],
        written: Vec<FinishedSegment>,
        applied: u64,
        covered: u64,
    ) -> Result<(), StoreError> {
        let mut manifest = lock(&self.manifest);
        let mut next = manifest.clone();
        next.covered = next.covered.max(covered);
        for cut in cuts {
            next.families.insert((cut.family.tenant.clone(), Box::from(&*cut.family.name)), applied);
        }
        let covered = next.covered;
        next.families.retain(|_, sequence| *sequence > covered);
        next.next_segment_id = self.next_segment_id();
        for FinishedSegment { summary, .. } in &written {
            next.segments.insert(summary.id, summary.clone());
        }
        if let Err(error) = self.replace_manifest(&next) {
            if self.poison_reason().is_none() {
                self.remove_unlisted(&written);
            }
            return Err(error);
        }
        *manifest = next;
        let added: Vec<Arc<Segment>> = written.into_iter().map(|segment| self.segment(segment)).collect();
        {
            let mut state = self.state();
            state.segments = Arc::new(state.segments.with(added, &[]));
            for cut in cuts {
                state.heads.remove(&cut.family, applied);
            }
        }
        self.log_files.release(covered, usize::MAX)?;
        self.notify();
        Ok(())
    }
}

/// Rows of a family and day, sorted by time, equal times in the order of arrival, repetitions left out.
fn write_family(
    writer: &mut SegmentWriter,
    family: &str,
    entries: &[Arc<HeadEntry>],
) -> Result<(), StoreError> {
    let count = entries.iter().map(|entry| entry.len()).sum();
    let mut order = Vec::with_capacity(count);
    for (number, entry) in entries.iter().enumerate() {
        order.extend(
            (0..entry.len()).map(|place| (entry.row(place).timestamp(), number as u32, place as u32)),
        );
    }
    // Entries are in the order of their sequence: place and number make the order of arrival.
    order.sort_unstable();
    let entry_of = |place: usize| {
        let (_, entry, row) = order[place];
        (&entries[entry as usize], row as usize)
    };
    let identity = |place: usize| {
        let (entry, row) = entry_of(place);
        let row = entry.row(row);
        entry.merges().then(|| RowIdentity::of(row.labels(), row.timestamp(), row.line(), row.metadata()))
    };
    let mut repetitions = Repetitions::default();
    let mut start = 0;
    for run in order.chunk_by(|a, b| a.0 == b.0) {
        let mut outcome = Ok(());
        repetitions.without(start..start + run.len(), identity, |place| {
            if outcome.is_ok() {
                let (entry, row) = entry_of(place);
                outcome = writer.push(family, entry.row(row), entry.merges());
            }
        });
        outcome?;
        start += run.len();
    }
    Ok(())
}
