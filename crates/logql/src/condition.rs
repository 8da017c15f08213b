//! Log queries as conditions on rows, for those who keep them without understanding them.

use std::sync::Arc;

use timberyard_model::Timestamp;
use timberyard_model::limits::QueryLimits;
use timberyard_model::row_condition::{ConditionLanguage, RowPredicate, RowView};

use crate::plan::pushdown::LogPlan;
use crate::stage::{Verdict, WorkingRow};
use crate::syntax::{self, Expression};

/// Reads log queries. A row is accepted when it passes all stages; the selector in front of them is left to whoever keeps
/// the condition.
///
/// The limits are the default ones, whatever a tenant's are: a text that was taken once is read again.
#[derive(Clone, Copy, Debug)]
pub struct LogqlConditions;

impl ConditionLanguage for LogqlConditions {
    fn read(&self, text: &str, asked_at: Timestamp) -> Result<Arc<dyn RowPredicate>, String> {
        let read = syntax::parse_unchecked(text, &QueryLimits::default());
        let Expression::Logs(logs) = read.map_err(|error| error.to_string())? else {
            return Err("a metric query chooses no rows".to_owned());
        };
        let plan = LogPlan::new(&logs).map_err(|error| error.to_string())?;
        Ok(Arc::new(StagesPass { plan, asked_at }))
    }
}

struct StagesPass {
    plan: LogPlan,
    /// What templates take for now.
    asked_at: Timestamp,
}

impl RowPredicate for StagesPass {
    fn accepts(&self, row: &dyn RowView) -> bool {
        if !self.plan.line_filters.iter().all(|filter| filter.accepts(row.line())) {
            return false;
        }
        let mut metadata = Vec::new();
        row.for_each_metadata(&mut |name, value| metadata.push((name, value)));
        let mut working = WorkingRow::new(row.labels());
        working.set_now(self.asked_at);
        working.reset(row.timestamp(), row.line(), row.labels(), metadata);
        self.plan.pipeline.process(&mut working) == Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::Labels;
    use timberyard_model::rows::RowsBuilder;

    use super::*;

    #[test]
    fn a_row_is_accepted_when_it_passes_all_stages() {
        let mut rows = RowsBuilder::default();
        let stream = rows.stream(&Labels::from_pairs([("app", "api")]));
        let line = br#"{"user":"x","took":"1.5s"}"#;
        rows.push(stream, Timestamp::from_nanos(7), line, [("trace", &b"abc"[..])]).expect("fits");
        let rows = rows.finish();
        for (text, accepted) in [
            (r#"{app="web"}"#, true),
            (r#"{} | json | user="x""#, true),
            (r#"{} | json | user="y""#, false),
            (r#"{} |= "user" | json | took > 1s and trace="abc""#, true),
            (r#"{} |= "nobody" | json | took > 1s"#, false),
            (r#"{} | logfmt | __error__="""#, true),
            (
                r#"{} | line_format "{{ __timestamp__ | unixEpochNanos }} {{ now | unixEpochNanos }}" |= "7 99""#,
                true,
            ),
            (r#"{} |> "<_>user<_>""#, true),
            (r#"{} | json | drop user | user="""#, true),
        ] {
            let condition = LogqlConditions.read(text, Timestamp::from_nanos(99)).expect(text);
            assert_eq!(condition.accepts(&rows.get(0)), accepted, "{text}");
        }
    }

    #[test]
    fn what_does_not_parse_or_compile_is_refused() {
        for (text, named) in [
            ("{", "parse error"),
            (r#"{} | regexp "(""#, "regexp"),
            ("sum(rate({}[1m]))", "metric"),
            (r#"{} | line_format "{{ nothing }}""#, "nothing"),
        ] {
            let Err(reason) = LogqlConditions.read(text, Timestamp::MIN) else { panic!("{text} was read") };
            assert!(reason.contains(named), "{text}: {reason}");
        }
    }
}
