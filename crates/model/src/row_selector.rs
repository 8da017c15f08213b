//! Which rows a deletion is about.

use crate::labels::Labels;
use crate::matcher::{LabelMatcher, LineFilter, accepts_all};
use crate::row_condition::{RowCondition, RowView};
use crate::rows::RowRef;
use crate::time::TimeRange;

/// Rows by stream, time, line, and whatever a language says of them.
#[derive(Clone, Debug, PartialEq)]
pub struct RowSelector {
    /// Rows of streams that pass all of these.
    pub matchers: Vec<LabelMatcher>,
    /// Rows with a timestamp inside.
    pub range: TimeRange,
    /// Rows whose line passes all of these.
    pub line_filters: Vec<LineFilter>,
    /// Rows that pass this too. Knows the line filters as well.
    pub condition: Option<RowCondition>,
}

impl RowSelector {
    /// Whether a stream can have rows that are selected.
    pub fn accepts_stream(&self, labels: &Labels) -> bool {
        accepts_all(&self.matchers, labels)
    }

    /// Whether rows of a family, the streams with this `service_name`, can be selected.
    pub fn accepts_family(&self, service_name: &str) -> bool {
        let mut of_family = self.matchers.iter().filter(|matcher| &*matcher.name == "service_name");
        of_family.all(|matcher| matcher.test.accepts(service_name))
    }

    /// Whether the condition, if there is one, accepts a row.
    pub fn meets_condition(&self, row: &dyn RowView) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.accepts(row))
    }

    /// Why the condition cannot be read, when it cannot: then no row is selected.
    pub fn problem(&self) -> Option<&str> {
        self.condition.as_ref().and_then(RowCondition::problem)
    }

    /// Whether a row is selected.
    pub fn accepts(&self, row: RowRef<'_>) -> bool {
        self.range.contains(row.timestamp())
            && self.accepts_stream(row.labels())
            && self.line_filters.iter().all(|filter| filter.accepts(row.line()))
            && self.meets_condition(&row)
    }
}
