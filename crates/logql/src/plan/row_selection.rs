//! A log query as a choice of rows: what of it is labels and plain line filters, and whether there is more.

use timberyard_model::limits::QueryLimits;
use timberyard_model::matcher::{LabelMatcher, LineFilter, LinePattern};

use super::pushdown::pushed_down;
use crate::error::QueryError;
use crate::syntax::ast::{LogExpression, PipelineStage};
use crate::syntax::{self, Expression};

/// The streams and lines that a log query chooses.
#[derive(Clone, Debug, PartialEq)]
pub struct RowSelection {
    /// Conditions on the stream.
    pub matchers: Vec<LabelMatcher>,
    /// Conditions on the line as it was sent; without those that every line passes.
    pub line_filters: Vec<LineFilter>,
    /// Whether a row that passes these can fail what else there is: the whole text is then a
    /// [condition](crate::LogqlConditions) on it.
    pub has_condition: bool,
}

impl RowSelection {
    /// Reads a log query. A selector may accept every stream, `{}` included.
    pub fn parse(text: &str, limits: &QueryLimits) -> Result<Self, QueryError> {
        let LogExpression { selector, stages } = match syntax::parse_unchecked(text, limits)? {
            Expression::Logs(logs) => logs,
            Expression::Metric(_) => {
                return Err(QueryError::Invalid("a metric query chooses no rows".to_owned()));
            }
        };
        let mut line_filters = Vec::new();
        let mut has_condition = false;
        // Behind a parser, or whatever else may change the line, a filter is left to the pipeline.
        let mut is_plain = true;
        for stage in &stages {
            let filter = match stage {
                PipelineStage::LineFilter(filter) if is_plain => pushed_down(filter),
                _ => None,
            };
            let is_filter = matches!(stage, PipelineStage::LineFilter(_) | PipelineStage::LabelFilter(_));
            match filter {
                Some(filter) if accepts_everything(&filter) => {}
                Some(filter) => line_filters.push(filter),
                None => has_condition |= is_filter,
            }
            is_plain &= matches!(stage, PipelineStage::LineFilter(_));
        }
        Ok(Self { matchers: selector.matchers, line_filters, has_condition })
    }
}

fn accepts_everything(filter: &LineFilter) -> bool {
    let is_empty = |pattern: &LinePattern| match pattern {
        LinePattern::Literal(bytes) => bytes.is_empty(),
        LinePattern::Regex(pattern) => pattern.source().is_empty(),
    };
    !filter.negated && filter.any_of.iter().any(is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RowSelection, String> {
        RowSelection::parse(text, &QueryLimits::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn matchers_and_line_filters_choose_rows_and_the_rest_is_a_condition() {
        for (text, matchers, filters, has_condition) in [
            ("{}", 0, 0, false),
            (r#"{app=~".*"}"#, 1, 0, false),
            (r#"{app="api", env!="dev"} |= "a" or "b" != "c" |~ "d+" !~ `e`"#, 2, 4, false),
            (r#"{app="api"} |= "" |~ """#, 1, 0, false),
            (r#"{app="api"} != """#, 1, 1, false),
            (r#"{app="api"} | json"#, 1, 0, false),
            (r#"{app="api"} |= "a" | level="error""#, 1, 1, true),
            (r#"{app="api"} |> "a <_>" |= "b""#, 1, 1, true),
            (r#"{app="api"} |= ip("10.0.0.0/8")"#, 1, 0, true),
            (r#"{app="api"} | decolorize |= "a""#, 1, 0, true),
            (r#"{app="api"} |~ "(""#, 1, 0, true),
        ] {
            let selection = parse(text).expect(text);
            assert_eq!(
                (selection.matchers.len(), selection.line_filters.len(), selection.has_condition),
                (matchers, filters, has_condition),
                "{text}"
            );
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for (text, named) in [(r#"count_over_time({app="api"}[1m])"#, "metric"), ("app", "parse error")] {
            let refused = parse(text).expect_err(text);
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
