//! Retention: what is hidden for its age, and which segments are dropped or rewritten for it.
//!
//! Rows are hidden to the nanosecond, by the rule that holds for their stream. Files follow by the segment: one in which
//! every row of a rule is past its age is dropped, or rewritten without them. [`plan`] makes that choice, from indexes
//! alone, for the preview and for the deed.

mod cutoffs;
mod expiry;
mod plan;
mod preview;

pub(crate) use cutoffs::{Cutoffs, TenantCutoffs};
pub(crate) use expiry::Checked;
pub use preview::{Freed, FreedBy, RetentionPreview, preview, preview_on};
