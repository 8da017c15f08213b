//! `|= "text"`, `!~ "expression"`, `|> "<_> pattern"`, `|= ip("10.0.0.0/8")`

use timberyard_model::literal_search::LiteralSearch;
use timberyard_model::pattern::Pattern;

use super::ip::IpMatcher;
use super::pattern_expression::PatternExpression;
use super::{Stage, Verdict, WorkingRow};
use crate::syntax::ast::{LineFilter, LineFilterOperand, LineFilterOperator};

/// Keeps the lines in which something is found, or those in which nothing is.
pub(crate) struct LineFilterStage {
    negated: bool,
    any_of: Vec<Search>,
}

enum Search {
    Literals(LiteralSearch),
    Expression(Pattern),
    Pattern(PatternExpression),
    Ip(IpMatcher),
}

impl Search {
    fn is_in(&self, line: &[u8]) -> bool {
        match self {
            Self::Literals(literals) => literals.is_any_in(line),
            Self::Expression(pattern) => pattern.is_match(line),
            Self::Pattern(expression) => expression.accepts(line),
            Self::Ip(matcher) => matcher.is_in(line),
        }
    }
}

impl LineFilterStage {
    /// Fails on what the operator cannot search for.
    pub(crate) fn new(filter: &LineFilter) -> Result<Self, String> {
        let mut any_of = Vec::new();
        let mut literals = Vec::new();
        for operand in &filter.any_of {
            match (filter.operator, operand) {
                (
                    LineFilterOperator::Contains | LineFilterOperator::NotContains,
                    LineFilterOperand::Text(text),
                ) => {
                    literals.push(text.as_bytes());
                }
                (operator, operand) => any_of.push(search(operator, operand)?),
            }
        }
        if !literals.is_empty() {
            any_of.push(Search::Literals(LiteralSearch::new(literals)));
        }
        Ok(Self { negated: filter.operator.is_negated(), any_of })
    }
}

fn search(operator: LineFilterOperator, operand: &LineFilterOperand) -> Result<Search, String> {
    use LineFilterOperator::{Contains, Matches, MatchesPattern, NotContains, NotMatches, NotMatchesPattern};
    Ok(match (operator, operand) {
        (Contains | NotContains, LineFilterOperand::Text(text)) => {
            Search::Literals(LiteralSearch::new([text.as_bytes()]))
        }
        (Contains | NotContains, LineFilterOperand::Ip(range)) => Search::Ip(IpMatcher::parse(range)?),
        (Matches | NotMatches, LineFilterOperand::Text(expression)) => {
            Search::Expression(Pattern::anywhere(expression).map_err(|error| error.to_string())?)
        }
        (MatchesPattern | NotMatchesPattern, LineFilterOperand::Text(expression)) => {
            Search::Pattern(PatternExpression::for_line_filter(expression)?)
        }
        (_, LineFilterOperand::Ip(_)) => return Err("ip: invalid operation".to_owned()),
    })
}

impl Stage for LineFilterStage {
    fn process(&self, row: &mut WorkingRow<'_>) -> Verdict {
        let found = self.any_of.iter().any(|search| search.is_in(row.line()));
        if found == self.negated { Verdict::Drop } else { Verdict::Keep }
    }
}
