//! `{app="api", env=~"prod|test"}`

use timberyard_model::matcher::{LabelMatcher, ValueTest};
use timberyard_model::pattern::Pattern;

use super::{Parsed, Parser};
use crate::syntax::ast::Selector;
use crate::syntax::error::SyntaxError;
use crate::syntax::token::{Symbol, Token};

impl Parser {
    pub(super) fn selector(&mut self) -> Parsed<Selector> {
        self.expect(Symbol::OpenBrace)?;
        let mut matchers = Vec::new();
        if self.accept(Symbol::CloseBrace) {
            return Ok(Selector { matchers });
        }
        if !matches!(self.peek(), Token::Identifier(_)) {
            return Err(self.unexpected(&["IDENTIFIER", "}"]));
        }
        loop {
            matchers.push(self.matcher()?);
            if self.accept(Symbol::CloseBrace) {
                return Ok(Selector { matchers });
            }
            if !self.accept(Symbol::Comma) {
                return Err(self.unexpected(&[",", "}"]));
            }
        }
    }

    fn matcher(&mut self) -> Parsed<LabelMatcher> {
        let name = self.expect_identifier()?;
        let Some(operator @ (Symbol::Assign | Symbol::NotEqual | Symbol::Matches | Symbol::NotMatches)) =
            self.peek_symbol()
        else {
            return Err(self.unexpected(&["=", "=~", "!~", "!="]));
        };
        self.advance();
        let value = self.expect_text()?;
        self.label_matcher(name, operator, value)
    }

    /// The matcher that `operator`, one of the four, makes; fails on a bad expression.
    pub(super) fn label_matcher(
        &self,
        name: String,
        operator: Symbol,
        value: String,
    ) -> Parsed<LabelMatcher> {
        let test = match operator {
            Symbol::Matches => ValueTest::Matches(whole_pattern(&value)?),
            Symbol::NotMatches => ValueTest::NotMatches(whole_pattern(&value)?),
            Symbol::NotEqual => ValueTest::NotEqual(value.into()),
            _ => ValueTest::Equal(value.into()),
        };
        Ok(LabelMatcher { name: name.into(), test })
    }
}

fn whole_pattern(source: &str) -> Parsed<Pattern> {
    Pattern::whole(source).map_err(|error| SyntaxError::whole(error.to_string()))
}
