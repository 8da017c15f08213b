//! Functions, aggregations and operators.

use timberyard_model::pattern::Pattern;

use super::{Parsed, Parser};
use crate::quantity::number;
use crate::syntax::ast::{
    BinaryOperator, Cardinality, Expression, Grouping, LabelReplace, MatchingLabels, MetricExpression,
    RangeAggregation, RangeOperation, VectorAggregation, VectorMatching, VectorOperation,
};
use crate::syntax::check;
use crate::syntax::error::SyntaxError;
use crate::syntax::token::{Symbol, Token};

/// An expression and how deep it is below where it stands.
struct Tall {
    expression: Expression,
    height: usize,
}

impl Parser {
    /// Any expression, with its operators.
    pub(super) fn expression(&mut self) -> Parsed<Expression> {
        Ok(self.operation(0)?.expression)
    }

    /// Operands joined by operators that bind tighter than `floor`.
    fn operation(&mut self, floor: u8) -> Parsed<Tall> {
        let mut left = self.operand()?;
        while let Some(operator) = self.binary_operator() {
            let precedence = operator.precedence();
            if precedence <= floor {
                break;
            }
            self.advance();
            let (returns_bool, matching) = self.operator_modifiers()?;
            let right_floor = if operator == BinaryOperator::Power { precedence - 1 } else { precedence };
            let right = self.nested(|parser| parser.operation(right_floor))?;
            let height = 1 + left.height.max(right.height);
            self.check_depth(self.depth + height)?;
            let expression =
                check::binary(left.expression, operator, returns_bool, matching, right.expression)?;
            left = Tall { expression: Expression::Metric(expression), height };
        }
        Ok(left)
    }

    fn binary_operator(&self) -> Option<BinaryOperator> {
        let symbol = self.peek_symbol()?;
        BinaryOperator::ALL.into_iter().find(|operator| operator.as_str() == symbol.as_str())
    }

    fn operator_modifiers(&mut self) -> Parsed<(bool, VectorMatching)> {
        let returns_bool = self.accept(Symbol::Bool);
        let mut matching = VectorMatching::default();
        if self.accept(Symbol::On) {
            matching.labels = MatchingLabels::On(self.expect_names_in_parentheses()?);
        } else if self.accept(Symbol::Ignoring) {
            matching.labels = MatchingLabels::Ignoring(self.expect_names_in_parentheses()?);
        } else {
            return Ok((returns_bool, matching));
        }
        matching.cardinality = match self.peek_symbol() {
            Some(Symbol::GroupLeft) => Cardinality::ManyToOne,
            Some(Symbol::GroupRight) => Cardinality::OneToMany,
            _ => return Ok((returns_bool, matching)),
        };
        self.advance();
        if self.is_next(Symbol::OpenParenthesis) {
            matching.include = self.expect_names_in_parentheses()?;
        }
        Ok((returns_bool, matching))
    }

    fn operand(&mut self) -> Parsed<Tall> {
        let leaf = |expression| Tall { expression, height: 1 };
        let metric = |expression| Tall { expression: Expression::Metric(expression), height: 1 };
        Ok(match self.peek() {
            Token::Symbol(Symbol::OpenBrace) => leaf(Expression::Logs(self.log_expression()?)),
            Token::Symbol(Symbol::OpenParenthesis) => {
                self.advance();
                let inner = self.nested(|parser| parser.operation(0))?;
                if !self.accept(Symbol::CloseParenthesis) {
                    return Err(self.unexpected(&[]));
                }
                inner
            }
            Token::Number(_) | Token::Symbol(Symbol::Add | Symbol::Subtract) => {
                metric(MetricExpression::Literal(self.literal()?))
            }
            Token::RangeFunction(operation) => {
                let operation = *operation;
                self.advance();
                metric(self.range_aggregation(operation)?)
            }
            Token::VectorFunction(operation) => {
                let operation = *operation;
                self.advance();
                self.vector_aggregation(operation)?
            }
            Token::Symbol(Symbol::LabelReplace) => {
                self.advance();
                self.label_replace()?
            }
            Token::Symbol(Symbol::Vector) => {
                self.advance();
                metric(self.constant()?)
            }
            _ => return Err(self.unexpected(&[])),
        })
    }

    fn constant(&mut self) -> Parsed<MetricExpression> {
        self.expect(Symbol::OpenParenthesis)?;
        let value = number::parse(&self.expect_number()?)
            .map_err(|error| SyntaxError::whole(format!("unable to parse vectorExpr as a float: {error}")))?;
        self.expect(Symbol::CloseParenthesis)?;
        Ok(MetricExpression::Constant(value))
    }

    fn range_aggregation(&mut self, operation: RangeOperation) -> Parsed<MetricExpression> {
        self.expect(Symbol::OpenParenthesis)?;
        let parameter = match self.peek() {
            Token::Number(_) => {
                let parameter = self.expect_number()?;
                self.expect(Symbol::Comma)?;
                Some(parameter)
            }
            Token::Symbol(Symbol::OpenBrace | Symbol::OpenParenthesis) => None,
            _ => return Err(self.unexpected(&["NUMBER", "{", "("])),
        };
        let range = self.log_range()?;
        self.expect(Symbol::CloseParenthesis)?;
        let grouping = self.grouping()?;
        let parameter = check::range_parameter(operation, parameter.as_deref())?;
        let aggregation = RangeAggregation { operation, parameter, range, grouping };
        check::range_aggregation(&aggregation)?;
        Ok(MetricExpression::Range(Box::new(aggregation)))
    }

    fn vector_aggregation(&mut self, operation: VectorOperation) -> Parsed<Tall> {
        let mut grouping = self.grouping()?;
        self.expect(Symbol::OpenParenthesis)?;
        let parameter = match (self.peek(), self.peek_second()) {
            (Token::Number(number), Token::Symbol(Symbol::Comma)) => {
                let number = number.clone();
                self.advance();
                self.advance();
                Some(number)
            }
            _ => None,
        };
        let (inner, height) = self.metric_argument()?;
        if !self.accept(Symbol::CloseParenthesis) {
            return Err(self.unexpected(&[]));
        }
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let parameter = check::vector_parameter(operation, parameter.as_deref())?;
        let aggregation = VectorAggregation { operation, parameter, inner, grouping };
        check::vector_aggregation(&aggregation)?;
        let expression = Expression::Metric(MetricExpression::Vector(Box::new(aggregation)));
        Ok(Tall { expression, height: height + 1 })
    }

    fn label_replace(&mut self) -> Parsed<Tall> {
        self.expect(Symbol::OpenParenthesis)?;
        let (inner, height) = self.metric_argument()?;
        let mut arguments = [String::new(), String::new(), String::new(), String::new()];
        for argument in &mut arguments {
            self.expect(Symbol::Comma)?;
            *argument = self.expect_text()?;
        }
        self.expect(Symbol::CloseParenthesis)?;
        let [target, replacement, source, pattern] = arguments;
        let pattern = Pattern::whole(&pattern)
            .map_err(|error| SyntaxError::whole(format!("invalid regex in label_replace: {error}")))?;
        let replace = LabelReplace { inner, target, replacement, source, pattern };
        let expression = Expression::Metric(MetricExpression::LabelReplace(Box::new(replace)));
        Ok(Tall { expression, height: height + 1 })
    }

    /// An expression that has to return numbers, and its height.
    fn metric_argument(&mut self) -> Parsed<(MetricExpression, usize)> {
        let inner = self.nested(|parser| parser.operation(0))?;
        match inner.expression {
            Expression::Metric(metric) => Ok((metric, inner.height)),
            Expression::Logs(_) => Err(self.unexpected(&[])),
        }
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = self.is_next(Symbol::Without);
        if !without && !self.is_next(Symbol::By) {
            return Ok(None);
        }
        self.advance();
        Ok(Some(Grouping { without, labels: self.expect_names_in_parentheses()? }))
    }
}
