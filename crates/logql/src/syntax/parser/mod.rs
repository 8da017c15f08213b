//! Reads a query: recursive descent over the words of its text, bounded in depth.
//!
//! The grammar is Loki's. Where Loki's grammar is ambiguous, what its generated parser does is
//! written at the rule concerned.

mod label_filter;
mod metric;
mod range;
mod selector;
mod stages;
#[cfg(test)]
mod tests;

use timberyard_model::limits::QueryLimits;
use timberyard_model::matcher::LabelMatcher;

use super::ast::Expression;
use super::check;
use super::error::{Position, SyntaxError};
use super::lexer::tokenize;
use super::token::{Located, Symbol, Token};

/// Reads a query and checks that it can run.
///
/// Fails on what is not LogQL, on queries that make no sense (with Loki's words for it), and on
/// those longer or deeper than `limits` allow.
pub fn parse(text: &str, limits: &QueryLimits) -> Result<Expression, SyntaxError> {
    let expression = read(text, limits)?;
    check::has_selective_matchers(&expression)?;
    Ok(expression)
}

/// Reads a stream selector such as a `match[]` parameter. `{}` and matchers that accept every
/// stream are allowed; a pipeline or a function is not.
pub fn parse_selector(text: &str, limits: &QueryLimits) -> Result<Vec<LabelMatcher>, SyntaxError> {
    match read(text, limits)? {
        Expression::Logs(logs) if logs.stages.is_empty() => Ok(logs.selector.matchers),
        _ => Err(SyntaxError::whole("only label matchers are supported")),
    }
}

/// Reads a query whose selectors may accept every stream.
pub(crate) fn read(text: &str, limits: &QueryLimits) -> Result<Expression, SyntaxError> {
    if text.len() >= limits.text_bytes_max {
        return Err(SyntaxError::whole(format!(
            "input size too long ({} > {})",
            text.len(),
            limits.text_bytes_max
        )));
    }
    let mut parser = Parser { tokens: tokenize(text), at: 0, depth: 0, depth_max: limits.depth_max };
    let expression = parser.expression()?;
    if parser.peek() != &Token::End {
        return Err(parser.unexpected(&[]));
    }
    Ok(expression)
}

type Parsed<T> = Result<T, SyntaxError>;

/// The words of a query and how far they have been read.
struct Parser {
    /// Ends with `End` or `Broken`, which are never taken.
    tokens: Vec<Located>,
    at: usize,
    depth: usize,
    depth_max: usize,
}

impl Parser {
    fn located(&self) -> &Located {
        &self.tokens[self.at]
    }

    fn peek(&self) -> &Token {
        &self.located().token
    }

    /// The word after the next one.
    fn peek_second(&self) -> &Token {
        self.tokens.get(self.at + 1).map_or(&Token::End, |located| &located.token)
    }

    fn position(&self) -> Position {
        self.located().position
    }

    fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    fn peek_symbol(&self) -> Option<Symbol> {
        match self.peek() {
            Token::Symbol(symbol) => Some(*symbol),
            _ => None,
        }
    }

    fn is_next(&self, symbol: Symbol) -> bool {
        self.peek_symbol() == Some(symbol)
    }

    /// Takes the symbol if it is next.
    fn accept(&mut self, symbol: Symbol) -> bool {
        let is_next = self.is_next(symbol);
        if is_next {
            self.advance();
        }
        is_next
    }

    fn expect(&mut self, symbol: Symbol) -> Parsed<()> {
        if self.accept(symbol) { Ok(()) } else { Err(self.unexpected(&[symbol.as_str()])) }
    }

    fn expect_identifier(&mut self) -> Parsed<String> {
        let Token::Identifier(name) = self.peek() else { return Err(self.unexpected(&["IDENTIFIER"])) };
        let name = name.clone();
        self.advance();
        Ok(name)
    }

    fn expect_text(&mut self) -> Parsed<String> {
        let Token::Text(text) = self.peek() else { return Err(self.unexpected(&["STRING"])) };
        let text = text.clone();
        self.advance();
        Ok(text)
    }

    fn expect_number(&mut self) -> Parsed<String> {
        let Token::Number(number) = self.peek() else { return Err(self.unexpected(&["NUMBER"])) };
        let number = number.clone();
        self.advance();
        Ok(number)
    }

    /// `"…")`, behind an opening parenthesis.
    fn expect_text_in_parentheses(&mut self) -> Parsed<String> {
        self.expect(Symbol::OpenParenthesis)?;
        let text = self.expect_text()?;
        self.expect(Symbol::CloseParenthesis)?;
        Ok(text)
    }

    /// `a, b, c)`, or `)` alone, behind an opening parenthesis.
    fn expect_names_in_parentheses(&mut self) -> Parsed<Vec<String>> {
        self.expect(Symbol::OpenParenthesis)?;
        let mut names = Vec::new();
        if self.accept(Symbol::CloseParenthesis) {
            return Ok(names);
        }
        if !matches!(self.peek(), Token::Identifier(_)) {
            return Err(self.unexpected(&["IDENTIFIER", ")"]));
        }
        loop {
            names.push(self.expect_identifier()?);
            if self.accept(Symbol::CloseParenthesis) {
                return Ok(names);
            }
            if !self.accept(Symbol::Comma) {
                return Err(self.unexpected(&[",", ")"]));
            }
        }
    }

    /// The error that the next word does not fit; with what would, as long as that is a short list.
    fn unexpected(&self, expected: &[&str]) -> SyntaxError {
        // `| unwrap` outside of a range: it is the word behind the pipe that does not fit.
        let is_unwrap = self.is_next(Symbol::Pipe) && self.peek_second() == &Token::Symbol(Symbol::Unwrap);
        let located = self.tokens.get(self.at + usize::from(is_unwrap)).unwrap_or(self.located());
        let message = match &located.token {
            Token::Broken(problem) => problem.clone(),
            token if expected.is_empty() => format!("syntax error: unexpected {}", token.describe()),
            token => {
                format!("syntax error: unexpected {}, expecting {}", token.describe(), expected.join(" or "))
            }
        };
        SyntaxError::at(located.position, message)
    }

    /// Runs `parse` one level deeper, unless that is too deep.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.check_depth(self.depth + 1)?;
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn check_depth(&self, depth: usize) -> Parsed<()> {
        if depth <= self.depth_max {
            return Ok(());
        }
        Err(SyntaxError::at(
            self.position(),
            format!("query nests deeper than the limit of {}", self.depth_max),
        ))
    }
}
