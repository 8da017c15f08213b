//! Puts segments in the place of others, in one replacement of the manifest.

use std::sync::Arc;

use crate::core::{Core, lock};
use crate::error::StoreError;
use crate::manifest::{Manifest, ReplaceError};
use crate::segment::{FinishedSegment, Segment};

impl Core {
    /// Lists some segments and no longer lists others, whose files go with their last reader.
    pub(crate) fn exchange_segments(
        &self,
        added: Vec<FinishedSegment>,
        removed: &[Arc<Segment>],
    ) -> Result<(), StoreError> {
        let mut manifest = lock(&self.manifest);
        if let Err(error) = self.check_writing() {
            self.remove_unlisted(&added);
            return Err(error);
        }
        let mut next = manifest.clone();
        next.next_segment_id = self.next_segment_id();
        for segment in removed {
            next.segments.remove(&segment.summary.id);
        }
        for FinishedSegment { summary, .. } in &added {
            next.segments.insert(summary.id, summary.clone());
        }
        if let Err(error) = self.replace_manifest(&next) {
            if self.poison_reason().is_none() {
                self.remove_unlisted(&added);
            }
            return Err(error);
        }
        *manifest = next;
        let added: Vec<Arc<Segment>> = added.into_iter().map(|segment| self.segment(segment)).collect();
        let mut state = self.state();
        state.segments = Arc::new(state.segments.with(added, removed));
        drop(state);
        for segment in removed {
            segment.doom();
        }
        Ok(())
    }

    /// Puts a manifest in place. When nobody knows which one is in place, writing stops.
    pub(crate) fn replace_manifest(&self, next: &Manifest) -> Result<(), StoreError> {
        match next.replace(&*self.disk, &self.paths) {
            Ok(bytes) => {
                self.counters.manifest_bytes.store(bytes, std::sync::atomic::Ordering::Relaxed);
                Ok(())
            }
            Err(ReplaceError::Unchanged(error)) => Err(error),
            Err(ReplaceError::Unknown(error)) => {
                self.poison(&format!("replacing the manifest failed: {error}"));
                Err(error)
            }
        }
    }

    /// A handle for a segment that was just listed.
    pub(crate) fn segment(&self, finished: FinishedSegment) -> Arc<Segment> {
        let segment = Segment::new(finished.summary, &self.paths, Arc::clone(&self.disk));
        Arc::new(segment.with_streams(finished.streams))
    }

    /// Removes files that were written for nothing. One that stays goes when the store is opened.
    pub(crate) fn remove_unlisted(&self, written: &[FinishedSegment]) {
        for FinishedSegment { summary, .. } in written {
            let path = self.paths.segment(&summary.tenant, summary.day, summary.id);
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "unlisted segment could not be removed");
            }
        }
    }
}
