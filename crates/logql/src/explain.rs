//! What a query would do, without doing it: what the store is asked for and would read, and what is left to do.
//!
//! Reads indexes at most. What it says of blocks and bytes is an upper bound: filters on lines rule out more while blocks
//! are read, and a log query ends when it has its lines.

use timberyard_model::TimeRange;
use timberyard_model::limits::QueryLimits;
use timberyard_model::scan::{Columns, Direction, LogSource, ScanEstimate, ScanRequest};

use crate::budget::Budget;
use crate::error::QueryError;
use crate::plan::compile::compile;
use crate::plan::pushdown::divided_texts;
use crate::query_request::QueryRequest;
use crate::syntax::ast::{Expression, LogExpression};
use crate::{logs, metric};

/// The plan of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The query as it was understood.
    pub query: String,
    /// Whether it is a metric query; a log query else.
    pub is_metric: bool,
    /// What is read, in this order.
    pub scans: Vec<PlannedScan>,
}

/// One scan of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedScan {
    /// The part of the query that it is for: the whole log query, or a range aggregation.
    pub part: String,
    /// The selector of streams.
    pub selector: String,
    /// The time that is read.
    pub range: TimeRange,
    /// From which end.
    pub direction: Direction,
    /// Stages that the store carries out.
    pub pushed: Vec<String>,
    /// Stages that rows go through afterwards.
    pub stages: Vec<String>,
    /// Parts of rows that are read.
    pub columns: Columns,
    /// Labels that the store is asked to find in lines, instead of handing over the lines.
    pub fields: Vec<String>,
    /// What the source asks another engine for it, where it is one that does.
    pub statement: Option<String>,
    /// What it would read at most.
    pub estimate: ScanEstimate,
}

/// Plans a query and asks the source what it would read.
pub fn explain(
    source: &dyn LogSource,
    request: &QueryRequest,
    limits: &QueryLimits,
) -> Result<Explanation, QueryError> {
    let query = request.expression.to_string();
    match &request.expression {
        Expression::Logs(logs) => {
            let range = logs::time_range(request);
            let plan = compile(source, &request.tenant, range, logs)?;
            let scan = logs::scan_request(request, logs, &plan, &Budget::new(limits.memory_bytes_max));
            let scans = vec![planned(source, query.clone(), logs, &scan)?];
            Ok(Explanation { query, is_metric: false, scans })
        }
        Expression::Metric(metric) => {
            let scans = metric::scans(source, request, metric, limits)?;
            let scans = scans.iter().map(|(aggregation, scan)| {
                planned(source, aggregation.to_string(), &aggregation.range.logs, scan)
            });
            Ok(Explanation { query, is_metric: true, scans: scans.collect::<Result<_, _>>()? })
        }
    }
}

fn planned(
    source: &dyn LogSource,
    part: String,
    logs: &LogExpression,
    scan: &ScanRequest,
) -> Result<PlannedScan, QueryError> {
    let (pushed, stages) = divided_texts(logs);
    let fields = scan.fields.iter().flat_map(|fields| fields.reader.labels());
    Ok(PlannedScan {
        part,
        selector: logs.selector.to_string(),
        range: scan.range,
        direction: scan.direction,
        pushed,
        stages,
        columns: scan.columns,
        fields: fields.map(|label| label.to_string()).collect(),
        statement: source.statement(scan),
        estimate: source.estimate(scan)?,
    })
}
