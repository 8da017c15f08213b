//! `{app="api"} | json | unwrap bytes(size) [5m] offset 1h`
//!
//! The range may be written behind the selector or behind the pipeline; the tree is the same.

use std::time::Duration;

use super::{Parsed, Parser};
use crate::syntax::ast::{Conversion, LabelFilter, LogExpression, LogRange, Unwrap};
use crate::syntax::token::{Symbol, Token};

impl Parser {
    pub(super) fn log_range(&mut self) -> Parsed<LogRange> {
        if !self.accept(Symbol::OpenParenthesis) {
            return self.bare_log_range();
        }
        if self.is_next(Symbol::OpenParenthesis) {
            let range = self.nested(Self::log_range)?;
            self.expect(Symbol::CloseParenthesis)?;
            return Ok(range);
        }
        let mut logs = LogExpression { selector: self.selector()?, stages: Vec::new() };
        if matches!(self.peek(), Token::Range(_)) {
            let range = self.behind_selector(logs)?;
            self.expect(Symbol::CloseParenthesis)?;
            return Ok(range);
        }
        self.stages(&mut logs.stages)?;
        let mut unwrap = self.unwrap()?;
        if matches!(self.peek(), Token::Range(_)) {
            let range = self.behind_pipeline(logs, unwrap)?;
            self.expect(Symbol::CloseParenthesis)?;
            return Ok(range);
        }
        if !self.accept(Symbol::CloseParenthesis) {
            return Err(self.unexpected(&[]));
        }
        let interval = self.interval()?;
        let offset_nanos = self.offset()?;
        if unwrap.is_none() && logs.stages.is_empty() {
            unwrap = self.unwrap()?;
        }
        Ok(LogRange { logs, unwrap, interval, offset_nanos })
    }

    fn bare_log_range(&mut self) -> Parsed<LogRange> {
        if !self.is_next(Symbol::OpenBrace) {
            return Err(self.unexpected(&["{", "("]));
        }
        let mut logs = LogExpression { selector: self.selector()?, stages: Vec::new() };
        if matches!(self.peek(), Token::Range(_)) {
            return self.behind_selector(logs);
        }
        self.stages(&mut logs.stages)?;
        let unwrap = self.unwrap()?;
        self.behind_pipeline(logs, unwrap)
    }

    /// `[5m] offset 1h | json | unwrap x`
    fn behind_selector(&mut self, mut logs: LogExpression) -> Parsed<LogRange> {
        let interval = self.interval()?;
        let offset_nanos = self.offset()?;
        self.stages(&mut logs.stages)?;
        let unwrap = self.unwrap()?;
        Ok(LogRange { logs, unwrap, interval, offset_nanos })
    }

    /// `[5m] offset 1h`
    fn behind_pipeline(&mut self, logs: LogExpression, unwrap: Option<Unwrap>) -> Parsed<LogRange> {
        let interval = self.interval()?;
        let offset_nanos = self.offset()?;
        Ok(LogRange { logs, unwrap, interval, offset_nanos })
    }

    fn interval(&mut self) -> Parsed<Duration> {
        let Token::Range(nanos) = self.peek() else { return Err(self.unexpected(&[])) };
        let interval = Duration::from_nanos(nanos.unsigned_abs());
        self.advance();
        Ok(interval)
    }

    fn offset(&mut self) -> Parsed<i64> {
        if !self.accept(Symbol::Offset) {
            return Ok(0);
        }
        let Token::Duration(nanos) = self.peek() else { return Err(self.unexpected(&["DURATION"])) };
        let nanos = *nanos;
        self.advance();
        Ok(nanos)
    }

    /// `| unwrap duration(x) | y > 1`, if it follows.
    fn unwrap(&mut self) -> Parsed<Option<Unwrap>> {
        if !self.is_next(Symbol::Pipe) || self.peek_second() != &Token::Symbol(Symbol::Unwrap) {
            return Ok(None);
        }
        self.advance();
        self.advance();
        let conversion = match self.peek_symbol() {
            Some(Symbol::BytesConversion) => Conversion::Bytes,
            Some(Symbol::DurationConversion) => Conversion::Duration,
            Some(Symbol::DurationSecondsConversion) => Conversion::DurationSeconds,
            _ => Conversion::Number,
        };
        let label = if conversion == Conversion::Number {
            if !matches!(self.peek(), Token::Identifier(_)) {
                return Err(self.unexpected(&["IDENTIFIER", "bytes", "duration", "duration_seconds"]));
            }
            self.expect_identifier()?
        } else {
            self.advance();
            self.expect(Symbol::OpenParenthesis)?;
            let label = self.expect_identifier()?;
            self.expect(Symbol::CloseParenthesis)?;
            label
        };
        let mut post_filters: Vec<LabelFilter> = Vec::new();
        while self.accept(Symbol::Pipe) {
            post_filters.push(self.label_filter()?);
        }
        Ok(Some(Unwrap { label, conversion, post_filters }))
    }
}
