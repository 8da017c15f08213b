//! `status >= 500 and (method = "GET" or size > 1MB)`

use super::{Parsed, Parser};
use crate::quantity::{bytes, number};
use crate::syntax::ast::{Comparison, LabelComparison, LabelFilter};
use crate::syntax::error::SyntaxError;
use crate::syntax::token::{Symbol, Token};

/// What joins two conditions.
#[derive(Clone, Copy, PartialEq)]
enum Join {
    /// `or`
    Or,
    /// `and`
    And,
    /// A comma, or nothing at all.
    Comma,
}

/// A filter and how deep it is.
struct Tall {
    filter: LabelFilter,
    height: usize,
}

impl Parser {
    /// Conditions that are a stage of a pipeline. Their sizes are rounded as in Loki; those behind an `unwrap` are not.
    pub(super) fn stage_label_filter(&mut self) -> Parsed<LabelFilter> {
        let mut filter = self.label_filter()?;
        round_sizes(&mut filter);
        Ok(filter)
    }

    /// Conditions joined by `and`, `or`, commas or nothing.
    ///
    /// `and` binds tighter than `or`, both to the left. A comma has no rank in Loki's grammar; its
    /// parser then goes on reading: what is behind a comma is joined first, and so is a comma
    /// behind `and` or `or`.
    pub(super) fn label_filter(&mut self) -> Parsed<LabelFilter> {
        let mut filters = vec![self.label_condition()?];
        let mut joins: Vec<Join> = Vec::new();
        while let Some(join) = self.accept_join() {
            while let Some(top) = joins.last().copied() {
                let left_first = matches!(
                    (top, join),
                    (Join::Or, Join::Or) | (Join::And, Join::Or) | (Join::And, Join::And)
                );
                if !left_first {
                    break;
                }
                joins.pop();
                self.join(&mut filters, top)?;
            }
            joins.push(join);
            filters.push(self.label_condition()?);
        }
        while let Some(top) = joins.pop() {
            self.join(&mut filters, top)?;
        }
        match filters.pop() {
            Some(tall) => Ok(tall.filter),
            None => Err(self.unexpected(&[])),
        }
    }

    fn join(&self, filters: &mut Vec<Tall>, join: Join) -> Parsed<()> {
        if let (Some(right), Some(left)) = (filters.pop(), filters.pop()) {
            let height = 1 + left.height.max(right.height);
            self.check_depth(self.depth + height)?;
            let (left, right) = (Box::new(left.filter), Box::new(right.filter));
            let filter = match join {
                Join::Or => LabelFilter::Or(left, right),
                Join::And | Join::Comma => LabelFilter::And(left, right),
            };
            filters.push(Tall { filter, height });
        }
        Ok(())
    }

    fn accept_join(&mut self) -> Option<Join> {
        let join = match self.peek() {
            Token::Symbol(Symbol::Or) => Join::Or,
            Token::Symbol(Symbol::And) => Join::And,
            Token::Symbol(Symbol::Comma) => Join::Comma,
            Token::Identifier(_) | Token::Symbol(Symbol::OpenParenthesis) => return Some(Join::Comma),
            _ => return None,
        };
        self.advance();
        Some(join)
    }

    fn label_condition(&mut self) -> Parsed<Tall> {
        if self.accept(Symbol::OpenParenthesis) {
            let filter = self.nested(Self::label_filter)?;
            self.expect_close()?;
            let height = height(&filter);
            return Ok(Tall { filter, height });
        }
        if !matches!(self.peek(), Token::Identifier(_)) {
            return Err(self.unexpected(&["IDENTIFIER", "("]));
        }
        let name = self.expect_identifier()?;
        Ok(Tall { filter: self.label_comparison(name)?, height: 1 })
    }

    fn expect_close(&mut self) -> Parsed<()> {
        if self.accept(Symbol::CloseParenthesis) { Ok(()) } else { Err(self.unexpected(&[])) }
    }

    fn label_comparison(&mut self, name: String) -> Parsed<LabelFilter> {
        let Some(operator) = self.peek_symbol() else { return Err(self.unexpected(&[])) };
        let comparison = match operator {
            Symbol::Matches | Symbol::NotMatches => {
                self.advance();
                let value = self.expect_text()?;
                return Ok(LabelFilter::Text(self.label_matcher(name, operator, value)?));
            }
            Symbol::Assign | Symbol::Equal => Comparison::Equal,
            Symbol::NotEqual => Comparison::NotEqual,
            Symbol::Greater => Comparison::Greater,
            Symbol::GreaterOrEqual => Comparison::GreaterOrEqual,
            Symbol::Less => Comparison::Less,
            Symbol::LessOrEqual => Comparison::LessOrEqual,
            _ => return Err(self.unexpected(&[])),
        };
        self.advance();
        let takes_text = matches!(operator, Symbol::Assign | Symbol::NotEqual);
        match self.peek() {
            Token::Text(value) if takes_text => {
                let value = value.clone();
                self.advance();
                Ok(LabelFilter::Text(self.label_matcher(name, operator, value)?))
            }
            Token::Symbol(Symbol::Ip) if takes_text => {
                self.advance();
                let range = self.expect_text_in_parentheses()?;
                Ok(LabelFilter::Ip { name, range, negated: operator == Symbol::NotEqual })
            }
            Token::Duration(value) => {
                let value = *value;
                self.advance();
                Ok(LabelFilter::Duration(LabelComparison { name, comparison, value }))
            }
            Token::Bytes(value) => {
                let value = *value;
                self.advance();
                Ok(LabelFilter::Bytes(LabelComparison { name, comparison, value }))
            }
            Token::Number(_) | Token::Symbol(Symbol::Add | Symbol::Subtract) => {
                let value = self.literal()?;
                Ok(LabelFilter::Number(LabelComparison { name, comparison, value }))
            }
            _ => Err(self.unexpected(&[])),
        }
    }

    /// A number with or without a sign.
    pub(super) fn literal(&mut self) -> Parsed<f64> {
        let negative = self.is_next(Symbol::Subtract);
        if negative || self.is_next(Symbol::Add) {
            self.advance();
        }
        let value = number::parse(&self.expect_number()?)
            .map_err(|error| SyntaxError::whole(format!("unable to parse literal as a float: {error}")))?;
        Ok(if negative { -value } else { value })
    }
}

fn height(filter: &LabelFilter) -> usize {
    match filter {
        LabelFilter::And(left, right) | LabelFilter::Or(left, right) => 1 + height(left).max(height(right)),
        _ => 1,
    }
}

fn round_sizes(filter: &mut LabelFilter) {
    match filter {
        LabelFilter::Bytes(comparison) => comparison.value = bytes::rounded(comparison.value),
        LabelFilter::And(left, right) | LabelFilter::Or(left, right) => {
            round_sizes(left);
            round_sizes(right);
        }
        LabelFilter::Text(_) | LabelFilter::Number(_) | LabelFilter::Duration(_) | LabelFilter::Ip { .. } => {
        }
    }
}
