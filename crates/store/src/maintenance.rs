//! What has to be done from time to time: cutting old heads, deletions, compaction, retention.

use std::sync::atomic::Ordering;

use timberyard_model::Timestamp;

use crate::compaction::Clean;
use crate::core::{Core, lock};
use crate::error::StoreError;
use crate::head::CutChoice;
use crate::retention::Checked;
use crate::segment::FrameWriter;
use crate::statistics::MaintenanceReport;

/// Files of the log that are kept for reuse while nothing happens.
const FREE_LOG_FILES_MAX: usize = 2;

/// What one round leaves for the next.
#[derive(Debug, Default)]
pub(crate) struct Maintained {
    /// Batches that had been appended by then.
    batches_appended: u64,
    clean: Clean,
    checked: Checked,
}

impl Core {
    pub(crate) fn maintain(&self, now: Timestamp) -> Result<MaintenanceReport, StoreError> {
        let mut before = lock(&self.maintaining);
        let mut report = MaintenanceReport::default();
        self.expire(now, &mut before.checked, &mut report)?;
        report.families_cut = self.cut(CutChoice::ReceivedBefore(self.head_age_limit(now)))?;
        self.carry_out_deletions(now, &mut before.clean, &mut report)?;
        self.compact(&mut report)?;
        let batches = self.counters.batches_appended.load(Ordering::Relaxed);
        if std::mem::replace(&mut before.batches_appended, batches) == batches {
            let manifest = lock(&self.manifest);
            self.log_files.release(manifest.covered, FREE_LOG_FILES_MAX)?;
            FrameWriter::forget_spare();
        }
        Ok(report)
    }
}
