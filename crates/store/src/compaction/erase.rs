//! Carries out deletions that can no longer be called off: rewrites the segments that hold rows of them.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use timberyard_model::Timestamp;

use super::merge::{Input, by_family};
use super::worker::Rewritten;
use crate::core::Core;
use crate::deletion::{DeletionId, Tombstone};
use crate::error::StoreError;
use crate::head::CutChoice;
use crate::segment::{Segment, SegmentSummary};
use crate::statistics::MaintenanceReport;

/// Raw bytes of lines that one call rewrites at most, so that maintenance comes round to other things.
const REWRITTEN_BYTES_MAX: u64 = 1 << 30;

/// The segments that hold no row of a deletion, as far as that was found out.
pub(crate) type Clean = HashSet<(DeletionId, u64)>;

impl Core {
    /// Takes out the rows of deletions that are due, and notes those of which no file holds a row any more.
    ///
    /// A deletion waits while a damaged segment may hold rows of it, the volume has no room, or nobody understands its
    /// condition.
    pub(crate) fn carry_out_deletions(
        &self,
        now: Timestamp,
        clean: &mut Clean,
        report: &mut MaintenanceReport,
    ) -> Result<(), StoreError> {
        let due = {
            let mut state = self.state();
            let due = state
                .deletions
                .iter()
                .filter(|tombstone| tombstone.problem().is_none() && self.is_due(tombstone, now));
            let due: Vec<Arc<Tombstone>> = due.cloned().collect();
            state.carrying_out = due.iter().map(|tombstone| tombstone.id).collect();
            due
        };
        clean.retain(|(id, _)| due.iter().any(|tombstone| tombstone.id == *id));
        if due.is_empty() {
            return Ok(());
        }
        let outcome = self.erase_all(&due, clean, report);
        let carried_out = outcome.and_then(|done| {
            report.deletions_carried_out += done.len() as u64;
            if done.is_empty() { Ok(()) } else { self.note_carried_out(&done, now) }
        });
        self.state().carrying_out.clear();
        carried_out
    }

    /// Returns the deletions of which no row is left.
    fn erase_all(
        &self,
        due: &[Arc<Tombstone>],
        clean: &mut Clean,
        report: &mut MaintenanceReport,
    ) -> Result<Vec<DeletionId>, StoreError> {
        let highest = due.iter().map(|tombstone| tombstone.sequence).max().unwrap_or_default();
        // Rows that wait in heads become segments first. From here on none that a deletion hides is added.
        self.cut(CutChoice::UpToSequence(highest))?;
        let segments = Arc::clone(&self.state().segments);
        let mut left: BTreeSet<DeletionId> = BTreeSet::new();
        let mut rewritten_bytes = 0;
        for segment in segments.iter() {
            let summary = &segment.summary;
            let reaching = due.iter().filter(|tombstone| {
                tombstone.tenant == summary.tenant
                    && tombstone.reaches(summary.sequences.last, summary.first, summary.last)
                    && !clean.contains(&(tombstone.id, summary.id))
            });
            let mut reaching: Vec<Arc<Tombstone>> = reaching.cloned().collect();
            self.drop_cancelled(&mut reaching);
            if reaching.is_empty() {
                continue;
            }
            let reaching: Arc<[Arc<Tombstone>]> = reaching.into();
            let waits = segment.is_damaged() || rewritten_bytes >= REWRITTEN_BYTES_MAX;
            let now_id =
                if waits { None } else { self.erase(segment, &reaching, &mut rewritten_bytes, report)? };
            match now_id {
                Some(id) => clean.extend(reaching.iter().map(|tombstone| (tombstone.id, id))),
                None => left.extend(reaching.iter().map(|tombstone| tombstone.id)),
            }
        }
        Ok(due.iter().map(|tombstone| tombstone.id).filter(|id| !left.contains(id)).collect())
    }

    /// Deletions that were called off although they are under way.
    fn drop_cancelled(&self, reaching: &mut Vec<Arc<Tombstone>>) {
        if let Some(first) = reaching.first() {
            let pending = self.state().deletions.of_tenant(&first.tenant);
            reaching.retain(|tombstone| pending.iter().any(|other| other.id == tombstone.id));
        }
    }

    /// Takes the rows of deletions out of a segment. Returns the id under which what is left of it is listed, nothing
    /// when it could not be done now.
    fn erase(
        &self,
        segment: &Arc<Segment>,
        deletions: &Arc<[Arc<Tombstone>]>,
        rewritten_bytes: &mut u64,
        report: &mut MaintenanceReport,
    ) -> Result<Option<u64>, StoreError> {
        match has_hidden_rows(segment, deletions) {
            Ok(false) => return Ok(Some(segment.summary.id)),
            Ok(true) => {}
            Err(error) if error.is_damage() => {
                self.note_damage(segment, &error);
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        match self.rewrite(std::slice::from_ref(segment), deletions)? {
            Rewritten::As(rest) => {
                *rewritten_bytes += segment.summary.line_bytes;
                report.segments_rewritten += 1;
                report.bytes_released += segment.summary.file_bytes;
                Ok(Some(rest.map_or(segment.summary.id, |rest| rest.summary.id)))
            }
            Rewritten::NotNow => Ok(None),
        }
    }
}

fn has_hidden_rows(segment: &Segment, deletions: &Arc<[Arc<Tombstone>]>) -> Result<bool, StoreError> {
    let reader = segment.open()?;
    let index = Arc::new(segment.read_index(&reader)?);
    let SegmentSummary { sequences, compared, .. } = segment.summary;
    let input = [Input { sequences, compared, index, reader }];
    for (_, sources) in by_family(&input) {
        for source in sources {
            if source.has_hidden_rows(deletions)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
