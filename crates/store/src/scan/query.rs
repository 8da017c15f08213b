//! What a scan looks for.

use std::sync::Arc;

use timberyard_model::fields::FieldRequest;
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
    /// The names of metadata that is looked at, when not all.
    pub(super) metadata_names: Option<Arc<[Box<str>]>>,
    pub(super) fields: Option<FieldRequest>,
}

impl Query {
    pub(super) fn scan(request: &ScanRequest, range: TimeRange) -> Self {
        Self {
            range,
            selectors: vec![request.matchers.clone()],
            filters: LineFilters::new(&request.line_filters),
            direction: request.direction,
            columns: request.columns,
            metadata_names: request.metadata_names.clone(),
            fields: request.fields.clone(),
        }
    }

    /// Rows and their bytes are only counted.
    pub(super) fn count(request: &SeriesRequest, range: TimeRange) -> Self {
        Self {
            range,
            selectors: request.selectors.clone(),
            filters: LineFilters::new(&[]),
            direction: Direction::Forward,
            columns: Columns::ALL,
            metadata_names: None,
            fields: None,
        }
    }

    /// Whether most of what is read may be handed over.
    pub(super) fn hands_over_most(&self) -> bool {
        self.columns.line && self.filters.narrowing().is_empty() && !self.takes_fields()
    }

    /// Whether fields may stand in the place of lines.
    pub(super) fn takes_fields(&self) -> bool {
        self.fields.as_ref().is_some_and(|fields| fields.instead_of_line)
    }

    /// Whether the tests of fields mean something for rows of these streams: none has the label of a tested one.
    pub(super) fn can_test<'l>(&self, mut streams: impl Iterator<Item = &'l Labels>) -> bool {
        let Some(fields) = &self.fields else { return false };
        streams.all(|stream| fields.tested_labels().all(|label| stream.get(label).is_none()))
    }

    pub(super) fn accepts(&self, labels: &Labels) -> bool {
        self.selectors.is_empty() || self.selectors.iter().any(|matchers| accepts_all(matchers, labels))
    }

    /// Whether anyone looks at metadata of that name.
    pub(super) fn looks_at_metadata(&self, name: &str) -> bool {
        self.columns.metadata
            && self.metadata_names.as_ref().is_none_or(|names| names.iter().any(|other| **other == *name))
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
