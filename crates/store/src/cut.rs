//! Turns heads into segments: writes them, lists them, and only then lets go of head and log.
//!
//! A cut takes everything a family has up to one log sequence, and the manifest that lists the segments says
//! so. Replay leaves out exactly that, so a crash at any point shows each row once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use timberyard_model::batch::UniqueKey;
use timberyard_model::{RowRef, TenantId, Timestamp};

use crate::core::{Core, lock};
use crate::deletion::Pending;
use crate::disk::Syncs;
use crate::earlier_rows::{EarlierRows, NewRows};
use crate::equality::{Repetitions, RowIdentity};
use crate::error::StoreError;
use crate::gaps::Gaps;
use crate::head::{CutChoice, FamilyCut, HeadEntry};
use crate::segment::{FinishedSegment, Segment, SegmentWriter, Sequences, WriterOptions};
use crate::segment_set::SegmentSet;

/// The sequence that no row of a segment passes, so that all its rows are on one side of each deletion.
type Ceiling = u64;

/// What becomes one segment.
#[derive(Default)]
struct SegmentPlan<'a> {
    families: Vec<(&'a str, &'a [Arc<HeadEntry>])>,
    keys: Vec<&'a UniqueKey>,
}

impl SegmentPlan<'_> {
    fn entries(&self) -> impl Iterator<Item = &Arc<HeadEntry>> {
        self.families.iter().flat_map(|(_, entries)| entries.iter())
    }

    fn rows(&self) -> usize {
        self.entries().map(|entry| entry.len()).sum()
    }

    fn last_sequence(&self) -> u64 {
        self.entries().map(|entry| entry.sequence).max().unwrap_or_default()
    }
}

impl Core {
    /// Turns the chosen families into segments. Returns how many there were.
    pub(crate) fn cut(&self, choice: CutChoice) -> Result<u64, StoreError> {
        let _one_at_a_time = lock(&self.cutting);
        self.check_writing()?;
        let (cuts, applied, covered, segments, deletions) = {
            let state = self.state();
            let cuts = state.heads.choose(choice);
            let covered = state.heads.covered_without(&cuts, state.applied);
            (cuts, state.applied, covered, Arc::clone(&state.segments), Arc::clone(&state.deletions))
        };
        let listed_already = lock(&self.manifest).covered;
        if cuts.is_empty() && covered <= listed_already {
            // A file that was being written when its records were cut was not released then; whoever
            // waits for room may wait for just that.
            self.log_files.release(listed_already, usize::MAX)?;
            self.notify();
            return Ok(0);
        }
        let written = self
            .write_segments(&cuts, &segments, &deletions)
            .map_err(|error| self.after_failed_cut(error))?;
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
        segments: &SegmentSet,
        deletions: &Pending,
    ) -> Result<Vec<FinishedSegment>, StoreError> {
        let mut plans: BTreeMap<(&TenantId, i32, Ceiling), SegmentPlan<'_>> = BTreeMap::new();
        for cut in cuts {
            let (tenant, family) = (&cut.family.tenant, &*cut.family.name);
            for (day, entries) in &cut.days {
                // Entries are in the order of their sequence, and ceilings never fall on the way.
                let ceiling = |entry: &HeadEntry| deletions.ceiling(tenant, family, *day, entry.sequence);
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
        let mut before = None;
        for ((tenant, day, _), plan) in plans {
            let listed = segments.days(tenant).and_then(|days| days.get(&day)).into_iter().flatten();
            let rows = (plan.rows(), plan.last_sequence());
            let mut earlier = EarlierRows::new(listed, deletions, (tenant, day), rows, &self.index_cache);
            // Of those parted by a deletion only the first is compared: none knows the others' rows.
            if before.replace((tenant, day)) == Some((tenant, day)) {
                earlier.give_up();
            }
            match self.write_segment(tenant, day, &plan, &mut earlier, syncs) {
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
        earlier: &mut EarlierRows<'_>,
        syncs: Syncs,
    ) -> Result<Option<FinishedSegment>, StoreError> {
        let id = self.new_segment_id();
        let options = self.writer_options(syncs);
        let mut writer =
            SegmentWriter::create(&self.disk, &self.directories, &self.paths, tenant, day, id, options)?;
        for (family, entries) in &plan.families {
            for entry in *entries {
                writer.note_sequences(Sequences::of(entry.sequence));
            }
            write_family(&mut writer, family, entries, earlier)?;
        }
        writer.note_compared(earlier.is_complete());
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
        {
            // All that is in the heads by now, and so at least what is covered; all of it is durable.
            let mut state = self.state();
            state.origins.forget_silent();
            next.origins = Arc::clone(&state.origins);
        }
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
            state.heads.measure_families();
        }
        self.log_files.release(covered, usize::MAX)?;
        self.notify();
        Ok(())
    }
}

/// Rows of one family and day, sorted by time, equal times in the order of arrival.
struct SortedRows<'a> {
    entries: &'a [Arc<HeadEntry>],
    /// Time, number of the entry and place in it.
    order: Vec<(Timestamp, u32, u32)>,
}

impl<'a> SortedRows<'a> {
    fn of(entries: &'a [Arc<HeadEntry>]) -> Self {
        let count = entries.iter().map(|entry| entry.len()).sum();
        let mut order = Vec::with_capacity(count);
        for (number, entry) in entries.iter().enumerate() {
            order.extend(
                (0..entry.len()).map(|place| (entry.row(place).timestamp(), number as u32, place as u32)),
            );
        }
        // Entries are in the order of their sequence: place and number make the order of arrival.
        order.sort_unstable();
        Self { entries, order }
    }

    /// A row, and whether it is one with equal rows.
    fn row(&self, place: usize) -> (RowRef<'a>, bool) {
        let (_, entry, row) = self.order[place];
        let entry = &self.entries[entry as usize];
        (entry.row(row as usize), entry.merges())
    }

    fn identity(&self, place: usize) -> Option<RowIdentity> {
        let (row, merges) = self.row(place);
        merges.then(|| RowIdentity::of(row.labels(), row.timestamp(), row.line(), row.metadata()))
    }
}

impl NewRows for SortedRows<'_> {
    fn len(&self) -> usize {
        self.order.len()
    }

    fn time(&self, place: usize) -> Timestamp {
        self.order[place].0
    }

    fn merging(&self, place: usize) -> Option<RowRef<'_>> {
        let (row, merges) = self.row(place);
        merges.then_some(row)
    }
}

/// Writes the rows of a family and day, without those that repeat another or that a segment has.
fn write_family(
    writer: &mut SegmentWriter,
    family: &str,
    entries: &[Arc<HeadEntry>],
    earlier: &mut EarlierRows<'_>,
) -> Result<(), StoreError> {
    let rows = SortedRows::of(entries);
    let mut earlier = earlier.of_family(family, &rows);
    writer.expect(rows.len(), entries.iter().map(|entry| entry.group_bytes).sum());
    let mut gaps = Gaps::new(std::mem::take(&mut earlier.groups));
    let mut repetitions = Repetitions::default();
    let mut start = 0;
    for run in rows.order.chunk_by(|a, b| a.0 == b.0) {
        let time = rows.time(start);
        let mut outcome = if gaps.parts(time) { writer.end_group() } else { Ok(()) };
        repetitions.without(
            start..start + run.len(),
            |place| rows.identity(place),
            |place| {
                if outcome.is_ok() && !earlier.has(time, || rows.identity(place)) {
                    let (row, merges) = rows.row(place);
                    outcome = writer.push(family, row, merges);
                }
            },
        );
        outcome?;
        start += run.len();
    }
    Ok(())
}
