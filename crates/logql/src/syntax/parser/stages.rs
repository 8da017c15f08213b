//! The stages of a log pipeline.

use super::{Parsed, Parser};
use crate::stage;
use crate::syntax::ast::{
    LabelExtraction, LabelFormat, LabelFormatSource, LineFilter, LineFilterOperand, LineFilterOperator,
    LogExpression, LogfmtParser, NamedMatcher, PipelineStage,
};
use crate::syntax::error::SyntaxError;
use crate::syntax::token::{Symbol, Token};

impl Parser {
    /// A selector and its stages, up to the first word that belongs to neither.
    pub(super) fn log_expression(&mut self) -> Parsed<LogExpression> {
        let selector = self.selector()?;
        let mut stages = Vec::new();
        self.stages(&mut stages)?;
        Ok(LogExpression { selector, stages })
    }

    /// All stages that follow; stops in front of `| unwrap`.
    pub(super) fn stages(&mut self, stages: &mut Vec<PipelineStage>) -> Parsed<()> {
        loop {
            if let Some(operator) = self.line_filter_operator() {
                self.advance();
                self.line_filter(operator, stages)?;
            } else if self.is_next(Symbol::Pipe) && self.peek_second() != &Token::Symbol(Symbol::Unwrap) {
                self.advance();
                stages.push(self.stage()?);
            } else {
                return Ok(());
            }
        }
    }

    fn line_filter_operator(&self) -> Option<LineFilterOperator> {
        Some(match self.peek_symbol()? {
            Symbol::PipeExact => LineFilterOperator::Contains,
            Symbol::NotEqual => LineFilterOperator::NotContains,
            Symbol::PipeMatch => LineFilterOperator::Matches,
            Symbol::NotMatches => LineFilterOperator::NotMatches,
            Symbol::PipePattern => LineFilterOperator::MatchesPattern,
            Symbol::NotPattern => LineFilterOperator::NotMatchesPattern,
            _ => return None,
        })
    }

    fn line_filter(&mut self, operator: LineFilterOperator, stages: &mut Vec<PipelineStage>) -> Parsed<()> {
        let mut operands = vec![self.line_filter_operand()?];
        while self.accept(Symbol::Or) {
            operands.push(self.line_filter_operand()?);
        }
        if operator.is_negated() {
            // Neither this nor that: one filter for each.
            stages.extend(
                operands
                    .into_iter()
                    .map(|operand| PipelineStage::LineFilter(LineFilter { operator, any_of: vec![operand] })),
            );
        } else {
            stages.push(PipelineStage::LineFilter(LineFilter { operator, any_of: operands }));
        }
        Ok(())
    }

    fn line_filter_operand(&mut self) -> Parsed<LineFilterOperand> {
        if self.accept(Symbol::Ip) {
            return Ok(LineFilterOperand::Ip(self.expect_text_in_parentheses()?));
        }
        if !matches!(self.peek(), Token::Text(_)) {
            return Err(self.unexpected(&["STRING", "ip"]));
        }
        Ok(LineFilterOperand::Text(self.expect_text()?))
    }

    /// What follows a pipe.
    fn stage(&mut self) -> Parsed<PipelineStage> {
        let symbol = match self.peek() {
            Token::Identifier(_) | Token::Symbol(Symbol::OpenParenthesis) => {
                return Ok(PipelineStage::LabelFilter(self.stage_label_filter()?));
            }
            Token::Symbol(symbol) => *symbol,
            _ => return Err(self.unexpected(&[])),
        };
        let stage = match symbol {
            Symbol::Json => {
                self.advance();
                PipelineStage::Json(self.extractions()?)
            }
            Symbol::Logfmt => {
                self.advance();
                self.logfmt()?
            }
            Symbol::Unpack => {
                self.advance();
                PipelineStage::Unpack
            }
            Symbol::Decolorize => {
                self.advance();
                PipelineStage::Decolorize
            }
            Symbol::Regexp => {
                self.advance();
                let expression = self.expect_text()?;
                stage::regexp::check(&expression)
                    .map_err(|reason| SyntaxError::whole(format!("invalid regexp parser: {reason}")))?;
                PipelineStage::Regexp(expression)
            }
            Symbol::Pattern => {
                self.advance();
                let expression = self.expect_text()?;
                stage::pattern::check(&expression)
                    .map_err(|reason| SyntaxError::whole(format!("invalid pattern parser: {reason}")))?;
                PipelineStage::Pattern(expression)
            }
            Symbol::LineFormat => {
                self.advance();
                PipelineStage::LineFormat(self.expect_text()?)
            }
            Symbol::LabelFormat => {
                self.advance();
                PipelineStage::LabelFormat(self.separated(Self::label_format)?)
            }
            Symbol::Drop => {
                self.advance();
                PipelineStage::Drop(self.separated(Self::named_matcher)?)
            }
            Symbol::Keep => {
                self.advance();
                PipelineStage::Keep(self.separated(Self::named_matcher)?)
            }
            _ => return Err(self.unexpected(&[])),
        };
        Ok(stage)
    }

    fn logfmt(&mut self) -> Parsed<PipelineStage> {
        let mut parser = LogfmtParser::default();
        loop {
            if self.accept(Symbol::Strict) {
                parser.strict = true;
            } else if self.accept(Symbol::KeepEmpty) {
                parser.keep_empty = true;
            } else {
                break;
            }
        }
        parser.extractions = self.extractions()?;
        Ok(PipelineStage::Logfmt(parser))
    }

    fn separated<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.accept(Symbol::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `a, b="c.d"`, or nothing.
    fn extractions(&mut self) -> Parsed<Vec<LabelExtraction>> {
        if !matches!(self.peek(), Token::Identifier(_)) {
            return Ok(Vec::new());
        }
        self.separated(|parser| {
            let label = parser.expect_identifier()?;
            let expression =
                if parser.accept(Symbol::Assign) { parser.expect_text()? } else { label.clone() };
            Ok(LabelExtraction { label, expression })
        })
    }

    fn label_format(&mut self) -> Parsed<LabelFormat> {
        let target = self.expect_identifier()?;
        self.expect(Symbol::Assign)?;
        let source = match self.peek() {
            Token::Identifier(name) => LabelFormatSource::Rename(name.clone()),
            Token::Text(template) => LabelFormatSource::Template(template.clone()),
            _ => return Err(self.unexpected(&["IDENTIFIER", "STRING"])),
        };
        self.advance();
        Ok(LabelFormat { target, source })
    }

    fn named_matcher(&mut self) -> Parsed<NamedMatcher> {
        let name = self.expect_identifier()?;
        match self.peek_symbol() {
            // `drop a != "x"` is a matcher, not a line filter behind `drop a`.
            Some(operator @ (Symbol::Assign | Symbol::NotEqual | Symbol::Matches | Symbol::NotMatches)) => {
                self.advance();
                let value = self.expect_text()?;
                Ok(NamedMatcher::Matcher(self.label_matcher(name, operator, value)?))
            }
            _ => Ok(NamedMatcher::Name(name)),
        }
    }
}
