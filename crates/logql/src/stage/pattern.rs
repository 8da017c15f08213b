//! `| pattern "<ip> <_> <method>"`: captures become labels.

use super::pattern_expression::PatternExpression;
use super::{Stage, Verdict, WorkingRow};

/// Checks an expression for this stage.
pub(crate) fn check(expression: &str) -> Result<PatternExpression, String> {
    PatternExpression::for_parser(expression)
}

/// Takes the captures of a line; what does not fit is left out.
pub(crate) struct PatternStage {
    expression: PatternExpression,
}

impl PatternStage {
    /// Fails on an expression that [`check`] refuses.
    pub(crate) fn new(expression: &str) -> Result<Self, String> {
        Ok(Self { expression: check(expression)? })
    }
}

impl Stage for PatternStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        let line = row.take_line();
        self.expression.captures(&line, |name, value| {
            row.extract(name, &String::from_utf8_lossy(value));
        });
        row.replace_line(line);
        Verdict::Keep
    }
}
