//! What retention takes away of one segment, chosen from its index.

use std::collections::BTreeMap;

use super::cutoffs::{RulePlace, TenantCutoffs};
use crate::segment::{SegmentIndex, SegmentSummary};

/// Rows of a segment that no rule keeps, by the rule that ended them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expired {
    pub(super) by_rule: BTreeMap<RulePlace, RowCount>,
    pub(super) total: RowCount,
}

/// Some rows and the bytes of their lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RowCount {
    pub(super) rows: u64,
    pub(super) line_bytes: u64,
}

impl RowCount {
    fn add(&mut self, rows: u64, line_bytes: u64) {
        self.rows += rows;
        self.line_bytes += line_bytes;
    }
}

/// The rows of streams whose time ends after the last row of the segment: those go with the next maintenance. Rows of
/// streams that end in the middle of it are hidden, and wait for the rest.
pub(super) fn expired(summary: &SegmentSummary, index: &SegmentIndex, cutoffs: &TenantCutoffs) -> Expired {
    let mut expired = Expired::default();
    if cutoffs.passed(summary.last) == 0 {
        return expired;
    }
    let verdict = |stream: usize| {
        let labels = index.streams.get(stream)?;
        let (rule, cutoff) = cutoffs.rule_of(labels);
        (summary.last < cutoff).then_some(rule)
    };
    let verdicts: Vec<Option<RulePlace>> = (0..index.streams.len()).map(verdict).collect();
    for member in index.groups.iter().flat_map(|group| &group.streams) {
        if let Some(Some(rule)) = verdicts.get(member.stream as usize) {
            expired.by_rule.entry(*rule).or_default().add(member.rows, member.line_bytes);
            expired.total.add(member.rows, member.line_bytes);
        }
    }
    expired
}
