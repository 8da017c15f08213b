//! What of a batch that has just come in a live tail shows.

use timberyard_model::LogBatch;
use timberyard_model::matcher::{LabelMatcher, accepts_all};
use timberyard_model::scan::Direction;

use crate::error::QueryError;
use crate::logs;
use crate::plan::pushdown::LogPlan;
use crate::result::Streams;
use crate::stage::WorkingRow;
use crate::syntax::ast::Expression;

/// A log query as a filter over batches. Shared between threads.
pub struct TailFilter {
    matchers: Vec<LabelMatcher>,
    plan: LogPlan,
}

impl TailFilter {
    /// Compiles the query; refuses metric queries, which cannot be tailed.
    pub fn new(expression: &Expression) -> Result<Self, QueryError> {
        let Expression::Logs(logs) = expression else {
            return Err(QueryError::Invalid(
                "only log queries can be tailed, this is a metric query".to_owned(),
            ));
        };
        Ok(Self { matchers: logs.selector.matchers.clone(), plan: LogPlan::new(logs)? })
    }

    /// The conditions on streams, for whoever sorts batches beforehand.
    pub fn matchers(&self) -> &[LabelMatcher] {
        &self.matchers
    }

    /// The lines of a batch that pass, oldest first.
    pub fn process(&self, batch: &LogBatch) -> Streams {
        let rows = &batch.rows;
        let wanted: Vec<bool> =
            rows.streams().iter().map(|labels| accepts_all(&self.matchers, labels)).collect();
        let mut entries = Vec::new();
        if let Some(first) = rows.streams().first()
            && wanted.contains(&true)
        {
            let mut working = WorkingRow::new(first);
            working.set_now(batch.received_at);
            for row in rows.iter() {
                let passes = wanted.get(row.stream_index()).is_some_and(|wanted| *wanted)
                    && self.plan.line_filters.iter().all(|filter| filter.accepts(row.line()));
                if passes {
                    entries.extend(logs::process(&self.plan.pipeline, &mut working, row));
                }
            }
            entries.sort_by_key(|(_, entry)| entry.timestamp);
        }
        Streams::group(Direction::Forward, entries)
    }
}
