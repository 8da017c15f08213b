//! A log query as a choice of rows: labels and lines alone, as deletions need it.

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
    /// Conditions on the line; without those that every line passes.
    pub line_filters: Vec<LineFilter>,
}

impl RowSelection {
    /// Reads a log query made of matchers and of line filters with literals and regular expressions. A selector
    /// may accept every stream, `{}` included.
    ///
    /// Fails, naming the stage, on everything else: what parsers, label filters, patterns and `ip()` say of a
    /// line may change with the program, and what is deleted must not.
    pub fn parse(text: &str, limits: &QueryLimits) -> Result<Self, QueryError> {
        let LogExpression { selector, stages } = match syntax::parse_unchecked(text, limits)? {
            Expression::Logs(logs) => logs,
            Expression::Metric(_) => {
                return Err(QueryError::Invalid("a metric query chooses no rows".to_owned()));
            }
        };
        let mut line_filters = Vec::new();
        for stage in &stages {
            let filter = match stage {
                PipelineStage::LineFilter(filter) => pushed_down(filter),
                _ => None,
            };
            let Some(filter) = filter else { return Err(refuse(stage)) };
            let is_empty = |pattern: &LinePattern| match pattern {
                LinePattern::Literal(bytes) => bytes.is_empty(),
                LinePattern::Regex(pattern) => pattern.source().is_empty(),
            };
            if filter.negated || !filter.any_of.iter().any(is_empty) {
                line_filters.push(filter);
            }
        }
        Ok(Self { matchers: selector.matchers, line_filters })
    }
}

fn refuse(stage: &PipelineStage) -> QueryError {
    QueryError::Invalid(format!(
        "rows are chosen by stream matchers and the line filters |=, !=, |~ and !~ with texts that compile, not by \
         `{}`",
        stage.to_string().trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RowSelection, String> {
        RowSelection::parse(text, &QueryLimits::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn matchers_and_line_filters_choose_rows() {
        for (text, matchers, filters) in [
            ("{}", 0, 0),
            (r#"{app=~".*"}"#, 1, 0),
            (r#"{app="api", env!="dev"} |= "a" or "b" != "c" |~ "d+" !~ `e`"#, 2, 4),
            (r#"{app="api"} |= "" |~ """#, 1, 0),
            (r#"{app="api"} != """#, 1, 1),
        ] {
            let selection = parse(text).expect(text);
            assert_eq!(
                (selection.matchers.len(), selection.line_filters.len()),
                (matchers, filters),
                "{text}"
            );
        }
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for (text, named) in [
            (r#"{app="api"} | json"#, "`| json`"),
            (r#"{app="api"} |= "a" | level="error""#, "`| level=\"error\"`"),
            (r#"{app="api"} |> "a <_>""#, "|>"),
            (r#"{app="api"} |= ip("10.0.0.0/8")"#, "ip("),
            (r#"{app="api"} |~ "(""#, "|~"),
            (r#"count_over_time({app="api"}[1m])"#, "metric"),
            ("app", "parse error"),
        ] {
            let refused = parse(text).expect_err(text);
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
