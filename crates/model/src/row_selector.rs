//! Which rows a deletion is about.

use crate::labels::Labels;
use crate::matcher::{LabelMatcher, LineFilter, accepts_all};
use crate::rows::RowRef;
use crate::time::TimeRange;

/// Rows by stream, time and line.
#[derive(Clone, Debug, PartialEq)]
pub struct RowSelector {
    /// Rows of streams that pass all of these.
    pub matchers: Vec<LabelMatcher>,
    /// Rows with a timestamp inside.
    pub range: TimeRange,
    /// Rows whose line passes all of these.
    pub line_filters: Vec<LineFilter>,
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

    /// Whether a row is selected.
    pub fn accepts(&self, row: RowRef<'_>) -> bool {
        self.range.contains(row.timestamp())
            && self.accepts_stream(row.labels())
            && self.line_filters.iter().all(|filter| filter.accepts(row.line()))
    }
}
