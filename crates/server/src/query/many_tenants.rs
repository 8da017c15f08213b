//! Several tenants as one source, as in Loki's multi-tenant queries (`X-Scope-OrgID: a|b`).
//!
//! Every stream has its tenant as `__tenant_id__`, and a label of that name of its own as `original___tenant_id__`.
//! Matchers of `__tenant_id__` choose among the tenants and are never asked of the streams themselves. Volumes have no tenant
//! in their labels, as Loki adds them up.

use std::sync::Arc;

use timberyard_model::counting::Cuts;
use timberyard_model::label_values::{LabelCollector, LabelQuestion, LabelValues};
use timberyard_model::matcher::LabelMatcher;
use timberyard_model::scan::{
    BlockStream, CountVisitor, Direction, LogSource, RowBlock, ScanError, ScanEstimate, ScanRequest,
    ScanStatistics, SeriesRequest,
};
use timberyard_model::{Labels, TenantId, Timestamp};

/// The label that says whose stream it is.
const TENANT_LABEL: &str = "__tenant_id__";
/// What a stream's own label of that name becomes.
const ORIGINAL_LABEL: &str = "original___tenant_id__";

/// Some tenants of a source. Whatever tenant a request names, it is these that are read.
pub(super) struct ManyTenants {
    source: Arc<dyn LogSource>,
    tenants: Arc<[TenantId]>,
}

impl ManyTenants {
    /// `tenants` are sorted and distinct.
    pub(super) fn new(source: Arc<dyn LogSource>, tenants: Arc<[TenantId]>) -> Self {
        Self { source, tenants }
    }

    /// The request for each tenant that it is about.
    fn scans(&self, request: &ScanRequest) -> Vec<ScanRequest> {
        let scan = |tenant: &TenantId| {
            let matchers = matchers_within(tenant, &request.matchers)?;
            Some(ScanRequest { tenant: tenant.clone(), matchers, ..request.clone() })
        };
        self.tenants.iter().filter_map(scan).collect()
    }

    /// The same for a question about streams.
    fn questions(&self, request: &SeriesRequest) -> Vec<SeriesRequest> {
        let question = |tenant: &TenantId| {
            let within = |selector: &Vec<LabelMatcher>| matchers_within(tenant, selector);
            let selectors: Vec<_> = request.selectors.iter().filter_map(within).collect();
            // No selector at all asks for all streams.
            (selectors.is_empty() == request.selectors.is_empty()).then(|| SeriesRequest {
                tenant: tenant.clone(),
                selectors,
                ..request.clone()
            })
        };
        self.tenants.iter().filter_map(question).collect()
    }
}

/// What is left to ask of a tenant's streams; `None` when the matchers are about other tenants.
fn matchers_within(tenant: &TenantId, matchers: &[LabelMatcher]) -> Option<Vec<LabelMatcher>> {
    let mut of_streams = Vec::with_capacity(matchers.len());
    for matcher in matchers {
        match &*matcher.name {
            TENANT_LABEL if matcher.test.accepts(tenant.as_str()) => {}
            TENANT_LABEL => return None,
            ORIGINAL_LABEL => of_streams.push(LabelMatcher { name: TENANT_LABEL.into(), ..matcher.clone() }),
            _ => of_streams.push(matcher.clone()),
        }
    }
    Some(of_streams)
}

fn with_tenant(labels: &Labels, tenant: &TenantId) -> Labels {
    match labels.get(TENANT_LABEL) {
        Some(original) => labels.with(ORIGINAL_LABEL, original).with(TENANT_LABEL, tenant.as_str()),
        None => labels.with(TENANT_LABEL, tenant.as_str()),
    }
}

impl LogSource for ManyTenants {
    fn scan<'a>(&'a self, request: &ScanRequest) -> Result<Box<dyn BlockStream + 'a>, ScanError> {
        let unread = match request.direction {
            Direction::Forward => Timestamp::MIN,
            Direction::Backward => Timestamp::MAX,
        };
        let begin = |request: ScanRequest| {
            let scan = self.source.scan(&request)?;
            Ok(TenantScan { tenant: request.tenant, scan, frontier: Some(unread) })
        };
        let scans = self.scans(request).into_iter().map(begin).collect::<Result<_, ScanError>>()?;
        Ok(Box::new(ManyScans { scans, direction: request.direction }))
    }

    fn estimate(&self, request: &ScanRequest) -> Result<ScanEstimate, ScanError> {
        let mut all = ScanEstimate::default();
        for request in self.scans(request) {
            all += self.source.estimate(&request)?;
        }
        Ok(all)
    }

    fn statement(&self, request: &ScanRequest) -> Option<String> {
        let scans = self.scans(request);
        let statements: Vec<String> =
            scans.iter().filter_map(|request| self.source.statement(request)).collect();
        (!statements.is_empty()).then(|| statements.join("\n"))
    }

    fn series(&self, request: &SeriesRequest) -> Result<Vec<Labels>, ScanError> {
        let mut all = Vec::new();
        for request in self.questions(request) {
            let found = self.source.series(&request)?;
            all.extend(found.iter().map(|labels| with_tenant(labels, &request.tenant)));
        }
        all.sort_unstable();
        Ok(all)
    }

    fn labels(
        &self,
        request: &SeriesRequest,
        question: &LabelQuestion,
    ) -> Result<Vec<LabelValues>, ScanError> {
        let asked = match question {
            LabelQuestion::ValuesOf(name) if **name == *TENANT_LABEL => &LabelQuestion::Names,
            LabelQuestion::ValuesOf(name) if **name == *ORIGINAL_LABEL => {
                &LabelQuestion::ValuesOf(TENANT_LABEL.into())
            }
            _ => question,
        };
        let mut all = LabelCollector::new(question, request.memory_bytes_max);
        for request in self.questions(request) {
            let found = self.source.labels(&request, asked)?;
            if !found.is_empty() {
                all.add(TENANT_LABEL, request.tenant.as_str())?;
            }
            for LabelValues { name, values } in found {
                let name = if *name == *TENANT_LABEL { ORIGINAL_LABEL } else { &name };
                if values.is_empty() {
                    all.add(name, "")?;
                }
                values.iter().try_for_each(|value| all.add(name, value))?;
            }
        }
        Ok(all.finish())
    }

    fn count(
        &self,
        request: &SeriesRequest,
        cuts: Cuts,
        visit: &mut CountVisitor<'_>,
    ) -> Result<(), ScanError> {
        self.questions(request).iter().try_for_each(|request| self.source.count(request, cuts, visit))
    }
}

/// The scans of all tenants, side by side.
struct ManyScans<'a> {
    scans: Vec<TenantScan<'a>>,
    direction: Direction,
}

struct TenantScan<'a> {
    tenant: TenantId,
    scan: Box<dyn BlockStream + 'a>,
    /// How far it has come; `None` at its end.
    frontier: Option<Timestamp>,
}

impl BlockStream for ManyScans<'_> {
    fn next_block(&mut self) -> Result<Option<RowBlock>, ScanError> {
        let direction = self.direction;
        loop {
            let Some(scan) = furthest_behind(&mut self.scans, direction) else { return Ok(None) };
            let Some(mut block) = scan.scan.next_block()? else {
                scan.frontier = None;
                continue;
            };
            let tenant = &scan.tenant;
            scan.frontier = Some(block.frontier);
            block.rows = block.rows.relabelled(|labels| with_tenant(labels, tenant));
            for counted in &mut block.counted {
                counted.labels = with_tenant(&counted.labels, tenant);
            }
            // No scan is behind this one; when all are at their end, nothing comes at all.
            if let Some(frontier) = furthest_behind(&mut self.scans, direction).and_then(|scan| scan.frontier)
            {
                block.frontier = frontier;
            }
            return Ok(Some(block));
        }
    }

    fn statistics(&self) -> ScanStatistics {
        self.scans.iter().fold(ScanStatistics::default(), |mut all, scan| {
            all += scan.scan.statistics();
            all
        })
    }
}

fn furthest_behind<'s, 'a>(
    scans: &'s mut [TenantScan<'a>],
    direction: Direction,
) -> Option<&'s mut TenantScan<'a>> {
    let going = scans.iter_mut().filter(|scan| scan.frontier.is_some());
    match direction {
        Direction::Forward => going.min_by_key(|scan| scan.frontier),
        Direction::Backward => going.max_by_key(|scan| scan.frontier),
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::matcher::ValueTest;

    use super::*;

    #[test]
    fn matchers_of_the_tenant_choose_tenants_and_the_rest_is_asked_of_streams() {
        let tenant = TenantId::new("a").expect("a name");
        let app = LabelMatcher::equal("app", "x");
        let not = LabelMatcher { name: TENANT_LABEL.into(), test: ValueTest::NotEqual("a".into()) };
        let is = LabelMatcher::equal(TENANT_LABEL, "a");
        let own = LabelMatcher::equal(ORIGINAL_LABEL, "z");
        assert_eq!(matchers_within(&tenant, &[app.clone(), not]), None);
        let own_renamed = LabelMatcher::equal(TENANT_LABEL, "z");
        assert_eq!(matchers_within(&tenant, &[app.clone(), is, own]), Some(vec![app, own_renamed]));
    }

    #[test]
    fn a_label_of_the_same_name_keeps_its_value_under_another() {
        let tenant = TenantId::new("a").expect("a name");
        let plain = with_tenant(&Labels::from_pairs([("app", "x")]), &tenant);
        assert_eq!(plain.to_string(), r#"{__tenant_id__="a", app="x"}"#);
        let own = with_tenant(&Labels::from_pairs([(TENANT_LABEL, "z")]), &tenant);
        assert_eq!(own.to_string(), r#"{__tenant_id__="a", original___tenant_id__="z"}"#);
    }
}
