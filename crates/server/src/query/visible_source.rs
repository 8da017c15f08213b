//! A source of rows as somebody sees it who may not see everything: with conditions on every stream.

use std::sync::Arc;

use timberyard_model::Labels;
use timberyard_model::counting::Cuts;
use timberyard_model::label_values::{LabelQuestion, LabelValues};
use timberyard_model::matcher::LabelMatcher;
use timberyard_model::scan::{
    BlockStream, CountVisitor, LogSource, ScanError, ScanEstimate, ScanRequest, SeriesRequest,
};

use super::many_tenants::ManyTenants;
use crate::auth::{Identity, KeyLabels};

/// What passes a key's labels, and nothing else.
struct LabelledSource {
    source: Arc<dyn LogSource>,
    labels: KeyLabels,
}

impl Identity {
    /// The source as they may see it.
    pub(crate) fn visible(&self, source: &Arc<dyn LogSource>) -> Arc<dyn LogSource> {
        let source = match &self.read_together {
            None => Arc::clone(source),
            Some(tenants) => Arc::new(ManyTenants::new(Arc::clone(source), Arc::clone(tenants))),
        };
        match &self.labels {
            None => source,
            Some(labels) => Arc::new(LabelledSource { source, labels: labels.clone() }),
        }
    }

    /// The conditions on streams that go with what they ask to follow.
    pub(crate) fn with_own_labels(&self, mut matchers: Vec<LabelMatcher>) -> Vec<LabelMatcher> {
        matchers.extend(self.labels.iter().flat_map(|labels| labels.matchers().iter().cloned()));
        matchers
    }
}

impl LabelledSource {
    fn narrowed(&self, request: &SeriesRequest) -> SeriesRequest {
        let own = self.labels.matchers();
        let all = [Vec::new()];
        let selectors = if request.selectors.is_empty() { &all[..] } else { &request.selectors };
        let narrowed = |selector: &Vec<LabelMatcher>| selector.iter().chain(own).cloned().collect();
        SeriesRequest { selectors: selectors.iter().map(narrowed).collect(), ..request.clone() }
    }

    fn narrowed_scan(&self, request: &ScanRequest) -> ScanRequest {
        let mut request = request.clone();
        request.matchers.extend(self.labels.matchers().iter().cloned());
        request
    }
}

impl LogSource for LabelledSource {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        self.source.scan(&self.narrowed_scan(request))
    }

    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        self.source.estimate(&self.narrowed_scan(request))
    }

    fn statement(&self, request: &ScanRequest) -> Option<String> {
        self.source.statement(&self.narrowed_scan(request))
    }

    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        self.source.series(&self.narrowed(request))
    }

    fn labels(
        &self,
        request: &SeriesRequest,
        question: &LabelQuestion,
    ) -> Result<Vec<LabelValues>, ScanError> {
        self.source.labels(&self.narrowed(request), question)
    }

    fn count(
        &self,
        request: &SeriesRequest,
        cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError> {
        self.source.count(&self.narrowed(request), cuts, visit)
    }
}
