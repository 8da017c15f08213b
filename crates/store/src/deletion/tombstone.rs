//! `Tombstone`: one deletion as the store keeps it.

use std::fmt;
use std::str::FromStr;

use timberyard_model::row_condition::{ConditionLanguage, RowView};
use timberyard_model::{Labels, RowSelector, TenantId, Timestamp};

use crate::scan::LineFilters;

/// Names a deletion; no two of a store have the same one. Shown as eight hexadecimal digits, as Loki does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeletionId(pub(crate) u32);

impl fmt::Display for DeletionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// The text is not eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a deletion is eight hexadecimal digits")]
pub struct NotAnId;

impl FromStr for DeletionId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits {
            return Err(NotAnId);
        }
        u32::from_str_radix(text, 16).map(Self).map_err(|_| NotAnId)
    }
}

/// A deletion that was requested.
pub(crate) struct Tombstone {
    pub(crate) id: DeletionId,
    pub(crate) tenant: TenantId,
    pub(crate) selector: RowSelector,
    /// The selector as its requester wrote it.
    pub(crate) text: Box<str>,
    pub(crate) created_at: Timestamp,
    /// Rows of log records with a higher sequence are not concerned.
    pub(crate) sequence: u64,
    /// When no file held a row of it any more; nothing while it hides rows.
    pub(crate) carried_out_at: Option<Timestamp>,
    filters: LineFilters,
}

impl Tombstone {
    pub(crate) fn new(
        id: DeletionId,
        tenant: TenantId,
        selector: RowSelector,
        text: Box<str>,
        created_at: Timestamp,
        sequence: u64,
    ) -> Self {
        let filters = LineFilters::new(&selector.line_filters);
        Self { id, tenant, selector, text, created_at, sequence, carried_out_at: None, filters }
    }

    /// The same, done.
    pub(crate) fn carried_out(&self, at: Timestamp) -> Self {
        Self { carried_out_at: Some(at), ..self.with(self.selector.clone()) }
    }

    /// The same with its condition read; `None` when it has none.
    pub(crate) fn with_condition_read(&self, language: &dyn ConditionLanguage) -> Option<Self> {
        let condition = Some(self.selector.condition.as_ref()?.read_again(language));
        Some(self.with(RowSelector { condition, ..self.selector.clone() }))
    }

    fn with(&self, selector: RowSelector) -> Self {
        let (tenant, text) = (self.tenant.clone(), self.text.clone());
        let same = Self::new(self.id, tenant, selector, text, self.created_at, self.sequence);
        Self { carried_out_at: self.carried_out_at, ..same }
    }

    /// Whether rows with sequences up to `last_sequence` and times between `first` and `last`, both included,
    /// may be hidden.
    pub(crate) fn reaches(&self, last_sequence: u64, first: Timestamp, last: Timestamp) -> bool {
        last_sequence <= self.sequence && self.selector.range.overlaps(first, last)
    }

    /// Whether rows of this stream may be hidden.
    pub(crate) fn accepts_stream(&self, labels: &Labels) -> bool {
        self.selector.accepts_stream(labels)
    }

    /// Whether every row of a stream that it accepts is hidden that lies between these times, both included.
    pub(crate) fn hides_all(&self, first: Timestamp, last: Timestamp) -> bool {
        let RowSelector { range, line_filters, condition, .. } = &self.selector;
        line_filters.is_empty() && condition.is_none() && range.contains(first) && range.contains(last)
    }

    /// Whether lines say what is hidden.
    pub(crate) fn reads_lines(&self) -> bool {
        !self.selector.line_filters.is_empty() || self.reads_metadata()
    }

    /// Whether structured metadata says what is hidden.
    pub(crate) fn reads_metadata(&self) -> bool {
        self.selector.condition.is_some()
    }

    /// Why nobody can tell what it hides, when nobody can: then it hides nothing, and waits.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.selector.problem()
    }

    /// Whether a row of a stream that it accepts is hidden.
    pub(crate) fn hides(&self, row: &dyn RowView) -> bool {
        self.selector.range.contains(row.timestamp())
            && self.filters.accept(row.line())
            && self.selector.meets_condition(row)
    }
}

impl fmt::Debug for Tombstone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tombstone")
            .field("id", &self.id)
            .field("tenant", &self.tenant)
            .field("text", &self.text)
            .field("range", &self.selector.range)
            .field("sequence", &self.sequence)
            .field("carried_out_at", &self.carried_out_at)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Tombstone {
    fn eq(&self, other: &Self) -> bool {
        (self.id, &self.tenant, &self.text) == (other.id, &other.tenant, &other.text)
            && (self.created_at, self.sequence, self.carried_out_at)
                == (other.created_at, other.sequence, other.carried_out_at)
            && self.selector == other.selector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_eight_digits() {
        let id = DeletionId(0xab12);
        assert_eq!(id.to_string(), "0000ab12");
        assert_eq!("0000ab12".parse(), Ok(id));
        for text in ["", "ab12", "0000ab123", "+000ab12", "0000ab1g"] {
            assert_eq!(text.parse::<DeletionId>(), Err(NotAnId), "{text}");
        }
    }
}
