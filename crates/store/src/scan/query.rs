//! What a scan looks for.

use timberyard_model::matcher::{LabelMatcher, accepts_all};
use timberyard_model::scan::{Columns, Direction, ScanRequest, SeriesRequest};
use timberyard_model::{Labels, TimeRange};

use super::line_filters::LineFilters;

/// A request, made ready for looking at many rows.
pub(super) struct Query {
    /// Without what retention hides.
    pub(super) range: TimeRange,
    /// Streams that pass all matchers of at least one; all when there is none.
    pub(super) selectors: Vec<Vec<LabelMatcher>>,
    pub(super) filters: LineFilters,
    pub(super) direction: Direction,
    pub(super) columns: Columns,
}

impl Query {
    pub(super) fn scan(request: &ScanRequest, range: TimeRange) -> Self {
        Self {
            range,
            selectors: vec![request.matchers.clone()],
            filters: LineFilters::new(&request.line_filters),
            direction: request.direction,
            columns: request.columns,
        }
    }

    /// Rows and their bytes are only counted.
    pub(super) fn count(request: &SeriesRequest, range: TimeRange) -> Self {
        Self {
            range,
            selectors: request.selectors.clone(),
            filters: LineFilters::new(&[]),
            direction: Direction::Forward,
            columns: Columns { line: true, metadata: false },
        }
    }

    pub(super) fn accepts(&self, labels: &Labels) -> bool {
        self.selectors.is_empty() || self.selectors.iter().any(|matchers| accepts_all(matchers, labels))
    }

    /// Whether a family can have streams that pass: looks at its name alone.
    pub(super) fn accepts_family(&self, family: &str) -> bool {
        let passes = |matchers: &Vec<LabelMatcher>| {
            let of_family = matchers.iter().filter(|matcher| &*matcher.name == "service_name");
            of_family.into_iter().all(|matcher| matcher.test.accepts(family))
        };
        self.selectors.is_empty() || self.selectors.iter().any(passes)
    }
}
