//! The tree of a LogQL query.
//!
//! Plain data: building, checking and printing it are elsewhere. A tree that the parser returns
//! obeys the rules written at its parts; whoever builds one by hand has to keep them.

mod logs;
mod metric;

pub use logs::*;
pub use metric::*;

/// A whole query.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// Returns log lines: `{app="api"} |= "error" | json`.
    Logs(LogExpression),
    /// Returns numbers: `sum by (app) (rate({env="prod"}[5m]))`.
    Metric(MetricExpression),
}
