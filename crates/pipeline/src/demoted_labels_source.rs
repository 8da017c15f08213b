//! A source in which demoted labels can still be selected.
//!
//! Rows from before the demotion have the label, rows from after have its value as structured metadata;
//! `{name="value"}` finds both. See [`crate::process::label_demotion`].

use std::borrow::Cow;
use std::sync::Arc;

use timberyard_model::counting::Cuts;
use timberyard_model::label_values::{LabelQuestion, LabelValues};
use timberyard_model::matcher::LabelMatcher;
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{
    BlockStream, CountVisitor, LogSource, RowBlock, ScanError, ScanEstimate, ScanRequest, ScanStatistics,
    SeriesRequest,
};
use timberyard_model::{Labels, RowRef};

use crate::process::label_demotion::LabelDemotion;

/// Another source, asked with what was demoted in mind.
pub struct DemotedLabelsSource {
    source: Arc<dyn LogSource>,
    demotion: Arc<LabelDemotion>,
}

struct Matching<'a> {
    blocks: Box<dyn BlockStream + 'a>,
    /// Matchers of demoted labels: only a row with its metadata can answer them.
    matchers: Vec<LabelMatcher>,
    with_metadata: bool,
    rows_left_out: u64,
}

impl DemotedLabelsSource {
    /// Asks `source`, which holds rows that `demotion` changed.
    pub fn new(source: Arc<dyn LogSource>, demotion: Arc<LabelDemotion>) -> Self {
        Self { source, demotion }
    }

    /// The request without its matchers of demoted labels, and these; `None` when it has none.
    fn widened(&self, request: &ScanRequest) -> Option<(ScanRequest, Vec<LabelMatcher>)> {
        let demoted = self.demotion.demoted(&request.tenant);
        if !request.matchers.iter().any(|matcher| demoted.contains(&matcher.name)) {
            return None;
        }
        let (moved, kept) =
            request.matchers.iter().cloned().partition(|matcher| demoted.contains(&matcher.name));
        let mut wider = request.clone();
        wider.matchers = kept;
        wider.columns.metadata = true;
        wider.metadata_names = None;
        // Rows whose metadata decides have to be seen.
        wider.counting = None;
        Some((wider, moved))
    }
}

impl LogSource for DemotedLabelsSource {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        let Some((wider, matchers)) = self.widened(request) else { return self.source.scan(request) };
        let with_metadata = request.columns.metadata;
        let blocks = self.source.scan(&wider)?;
        Ok(Box::new(Matching { blocks, matchers, with_metadata, rows_left_out: 0 }))
    }

    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        match self.widened(request) {
            Some((wider, _)) => self.source.estimate(&wider),
            None => self.source.estimate(request),
        }
    }

    fn statement(&self, request: &ScanRequest) -> Option<String> {
        match self.widened(request) {
            Some((wider, _)) => self.source.statement(&wider),
            None => self.source.statement(request),
        }
    }

    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        self.source.series(request)
    }

    fn labels(
        &self,
        request: &SeriesRequest,
        question: &LabelQuestion,
    ) -> Result<Vec<LabelValues>, ScanError> {
        self.source.labels(request, question)
    }

    fn count(
        &self,
        request: &SeriesRequest,
        cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError> {
        self.source.count(request, cuts, visit)
    }
}

impl Matching<'_> {
    fn accepts(&self, row: RowRef<'_>) -> bool {
        self.matchers.iter().all(|matcher| {
            let metadata = || row.metadata_value(&matcher.name).map(String::from_utf8_lossy);
            let value = row.labels().get(&matcher.name).map(Cow::Borrowed).or_else(metadata);
            matcher.test.accepts(&value.unwrap_or_default())
        })
    }
}

impl BlockStream for Matching<'_> {
    fn next_block(&mut self) -> Result<Option<RowBlock>, ScanError> {
        let Some(block) = self.blocks.next_block()? else { return Ok(None) };
        let mut rows = RowsBuilder::default();
        for row in block.rows.iter() {
            if !self.accepts(row) {
                self.rows_left_out += 1;
                continue;
            }
            let stream = rows.stream(row.labels());
            let metadata = row.metadata().filter(|_| self.with_metadata);
            // A part of rows that fitted always fits.
            rows.push(stream, row.timestamp(), row.line(), metadata)
                .map_err(|error| ScanError::Failed(error.to_string()))?;
        }
        Ok(Some(RowBlock { rows: rows.finish(), counted: Vec::new(), frontier: block.frontier }))
    }

    fn statistics(&self) -> ScanStatistics {
        let statistics = self.blocks.statistics();
        let rows_matched = statistics.rows_matched.saturating_sub(self.rows_left_out);
        ScanStatistics { rows_matched, ..statistics }
    }
}
