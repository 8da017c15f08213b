//! Cuts the text of a query into words.
//!
//! What cannot be read becomes a [`Token::Broken`] that ends the list, so that an error in the
//! grammar in front of it is reported first.

use super::ast::{RangeOperation, VectorOperation};
use super::error::Position;
use super::token::{Located, Symbol, Token};
use crate::quantity::{bytes, duration};

/// All words of `text`; the last is [`Token::End`] or [`Token::Broken`].
pub(super) fn tokenize(text: &str) -> Vec<Located> {
    let mut lexer = Lexer { rest: text, position: Position { line: 1, column: 1 } };
    let mut tokens = Vec::new();
    loop {
        let problem = lexer.skip_blank();
        let position = lexer.position;
        let token = match problem {
            Some(problem) => Token::Broken(problem),
            None => lexer.next_token(),
        };
        let is_last = matches!(token, Token::End | Token::Broken(_));
        tokens.push(Located { token, position });
        if is_last {
            return tokens;
        }
    }
}

struct Lexer<'t> {
    rest: &'t str,
    position: Position,
}

impl<'t> Lexer<'t> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Takes `len` bytes, which end between characters.
    fn take(&mut self, len: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        match taken.rfind('\n') {
            Some(last) => {
                self.position.line += taken.bytes().filter(|b| *b == b'\n').count();
                self.position.column = taken[last + 1..].chars().count() + 1;
            }
            None => self.position.column += taken.chars().count(),
        }
        taken
    }

    fn length_while(&self, accepts: impl Fn(char) -> bool) -> usize {
        self.rest.find(|c| !accepts(c)).unwrap_or(self.rest.len())
    }

    /// Skips white space and comments; answers what is wrong with a comment.
    fn skip_blank(&mut self) -> Option<String> {
        loop {
            let blank = self.length_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            self.take(blank);
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                let line = self.length_while(|c| c != '\n');
                self.take(line);
            } else if self.rest.starts_with("/*") {
                match self.rest.find("*/") {
                    Some(end) => self.take(end + 2),
                    None => return Some("comment not terminated".to_owned()),
                };
            } else {
                return None;
            }
        }
    }

    fn next_token(&mut self) -> Token {
        let Some(first) = self.peek() else { return Token::End };
        match first {
            '"' => self.quoted(),
            '`' => self.raw(),
            '[' => self.range(),
            '0'..='9' => self.quantity(),
            '.' if self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.quantity(),
            '-' if self.rest.starts_with("--") && self.flag().is_some() => match self.flag() {
                Some(flag) => {
                    self.take(flag.as_str().len());
                    Token::Symbol(flag)
                }
                None => Token::Stray,
            },
            '-' => match self.measure("-", 1) {
                Some(token) => token,
                None => {
                    self.take(1);
                    Token::Symbol(Symbol::Subtract)
                }
            },
            c if c == '_' || c.is_alphabetic() => self.word(),
            _ => self.operator(first),
        }
    }

    fn flag(&self) -> Option<Symbol> {
        let len = self.length_while(|c| c == '-' || c.is_alphabetic());
        match &self.rest[..len] {
            "--strict" => Some(Symbol::Strict),
            "--keep-empty" => Some(Symbol::KeepEmpty),
            _ => None,
        }
    }

    fn word(&mut self) -> Token {
        let len = self.length_while(|c| c == '_' || c.is_alphanumeric());
        let word = self.take(len);
        let lower = word.to_ascii_lowercase();
        let range = RangeOperation::ALL.into_iter().find(|o| o.as_str() == lower).map(Token::RangeFunction);
        let vector =
            || VectorOperation::ALL.into_iter().find(|o| o.as_str() == lower).map(Token::VectorFunction);
        let symbol = Symbol::of(&lower);
        let function =
            range.or_else(vector).or_else(|| symbol.filter(|s| s.is_function()).map(Token::Symbol));
        match (function, symbol) {
            (Some(function), _) if self.is_called() => function,
            (Some(_), _) | (None, None) => Token::Identifier(word.to_owned()),
            (None, Some(symbol)) => Token::Symbol(symbol),
        }
    }

    /// Whether `(`, `by (` or `without (` follows.
    fn is_called(&self) -> bool {
        let rest = self.rest.trim_start();
        if rest.starts_with('(') {
            return true;
        }
        ["by", "without"].iter().any(|word| {
            rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
                && rest[word.len()..].trim_start().starts_with('(')
        })
    }

    fn operator(&mut self, first: char) -> Token {
        let second = first.len_utf8();
        let two = self.rest[second..].chars().next().map(|c| &self.rest[..second + c.len_utf8()]);
        if let Some(symbol) = two.and_then(Symbol::of) {
            self.take(symbol.as_str().len());
            return Token::Symbol(symbol);
        }
        match Symbol::of(self.take(second)) {
            Some(symbol) => Token::Symbol(symbol),
            None => Token::Stray,
        }
    }

    /// A number, or a duration or size that begins with one.
    fn quantity(&mut self) -> Token {
        let len = number_length(self.rest);
        let number = &self.rest[..len];
        if let Some(token) = self.measure(number, len) {
            return token;
        }
        Token::Number(self.take(len).to_owned())
    }

    /// A duration or a size whose first `len` bytes are `start`; takes it when there is one.
    fn measure(&mut self, start: &str, len: usize) -> Option<Token> {
        let behind = &self.rest[len..];
        let run = |unit: fn(char) -> bool| {
            behind.find(|c: char| !(c.is_numeric() || c == '.' || unit(c))).unwrap_or(behind.len())
        };
        let time = run(|c| matches!(c, 'n' | 'u' | 'µ' | 'm' | 's' | 'h' | 'd' | 'w' | 'y'));
        if time > 0 {
            let text = &self.rest[..len + time];
            if let Ok(nanos) = duration::parse_prometheus(text).or_else(|_| duration::parse_go(text)) {
                self.take(len + time);
                return Some(Token::Duration(nanos));
            }
        }
        if start == "-" {
            return None;
        }
        let size = run(|c| matches!(c, 'B' | 'i' | 'k' | 'K' | 'M' | 'G' | 'T' | 'P'));
        if size > 0
            && let Ok(bytes) = bytes::parse(&self.rest[..len + size])
        {
            self.take(len + size);
            return Some(Token::Bytes(bytes));
        }
        None
    }

    fn range(&mut self) -> Token {
        let Some(end) = self.rest.find(']') else {
            return Token::Broken("missing closing ']' in duration".to_owned());
        };
        match duration::parse_prometheus(&self.rest[1..end]) {
            Ok(nanos) => {
                self.take(end + 1);
                Token::Range(nanos)
            }
            Err(error) => Token::Broken(error.to_string()),
        }
    }

    fn raw(&mut self) -> Token {
        match self.rest[1..].find('`') {
            Some(len) => Token::Text(self.take(len + 2)[1..=len].to_owned()),
            None => Token::Broken("literal not terminated".to_owned()),
        }
    }

    fn quoted(&mut self) -> Token {
        match unquote(&self.rest[1..]) {
            Ok((text, len)) => {
                self.take(len + 1);
                Token::Text(text)
            }
            Err(problem) => Token::Broken(problem.to_owned()),
        }
    }
}

/// The length of the number that `text` begins with, by Go's rules.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize, accepts: fn(&u8) -> bool| {
        from + bytes[from..].iter().take_while(|b| accepts(b) || **b == b'_').count()
    };
    if bytes.len() > 2 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'X') {
        let mut end = digits(2, u8::is_ascii_hexdigit);
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1, u8::is_ascii_hexdigit);
        }
        return exponent_end(bytes, end, b'p').unwrap_or(end);
    }
    // Binary and octal numbers are words of the language, and nothing can be made of them.
    if bytes.len() > 2 && bytes[0] == b'0' && matches!(bytes[1], b'b' | b'B' | b'o' | b'O') {
        return digits(2, u8::is_ascii_digit);
    }
    let mut end = digits(0, u8::is_ascii_digit);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1, u8::is_ascii_digit);
    }
    exponent_end(bytes, end, b'e').unwrap_or(end)
}

fn exponent_end(bytes: &[u8], start: usize, letter: u8) -> Option<usize> {
    if bytes.get(start)?.to_ascii_lowercase() != letter {
        return None;
    }
    let sign = usize::from(matches!(bytes.get(start + 1), Some(b'+' | b'-')));
    let digits = bytes[start + 1 + sign..].iter().take_while(|b| b.is_ascii_digit()).count();
    (digits > 0).then_some(start + 1 + sign + digits)
}

/// Reads a string up to its closing quote; answers it and the bytes read.
fn unquote(text: &str) -> Result<(String, usize), &'static str> {
    let bytes = text.as_bytes();
    let mut unquoted = Vec::new();
    let mut at = 0;
    loop {
        match bytes.get(at) {
            None | Some(b'\n') => return Err("literal not terminated"),
            Some(b'"') => {
                let unquoted = String::from_utf8(unquoted).map_err(|_| "invalid UTF-8 in string")?;
                return Ok((unquoted, at + 1));
            }
            Some(b'\\') => at += 1 + escape(&bytes[at + 1..], &mut unquoted)?,
            Some(byte) => {
                unquoted.push(*byte);
                at += 1;
            }
        }
    }
}

/// Reads what follows a backslash; answers the bytes read.
fn escape(bytes: &[u8], unquoted: &mut Vec<u8>) -> Result<usize, &'static str> {
    const INVALID: &str = "invalid char escape";
    let first = *bytes.first().ok_or("literal not terminated")?;
    let simple = match first {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' | b'"' => first,
        b'0'..=b'7' => {
            let value = digits(bytes.get(..3).ok_or(INVALID)?, 8).ok_or(INVALID)?;
            unquoted.push(u8::try_from(value).map_err(|_| INVALID)?);
            return Ok(3);
        }
        b'x' => {
            let value = digits(bytes.get(1..3).ok_or(INVALID)?, 16).ok_or(INVALID)?;
            unquoted.push(u8::try_from(value).map_err(|_| INVALID)?);
            return Ok(3);
        }
        b'u' | b'U' => {
            let end = if first == b'u' { 5 } else { 9 };
            let value = digits(bytes.get(1..end).ok_or(INVALID)?, 16).ok_or(INVALID)?;
            let c = char::from_u32(value).ok_or(INVALID)?;
            unquoted.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(end);
        }
        _ => return Err(INVALID),
    };
    unquoted.push(simple);
    Ok(1)
}

fn digits(bytes: &[u8], radix: u32) -> Option<u32> {
    bytes.iter().try_fold(0u32, |value, byte| {
        let digit = char::from(*byte).to_digit(radix)?;
        value.checked_mul(radix)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        tokenize(text).into_iter().map(|located| located.token).collect()
    }

    #[test]
    fn words_before_a_parenthesis_are_functions_and_label_names_elsewhere() {
        assert_eq!(
            tokens("sum by (rate) (RATE ( ip"),
            [
                Token::VectorFunction(VectorOperation::Sum),
                Token::Symbol(Symbol::By),
                Token::Symbol(Symbol::OpenParenthesis),
                Token::Identifier("rate".to_owned()),
                Token::Symbol(Symbol::CloseParenthesis),
                Token::Symbol(Symbol::OpenParenthesis),
                Token::RangeFunction(RangeOperation::Rate),
                Token::Symbol(Symbol::OpenParenthesis),
                Token::Identifier("ip".to_owned()),
                Token::End,
            ]
        );
    }

    #[test]
    fn numbers_durations_and_sizes_are_told_apart() {
        assert_eq!(
            tokens("5 5m 1h30m 1.5s 5KB 5.5KiB 1e3 .5 -5m -5 0x1p3 1d"),
            [
                Token::Number("5".to_owned()),
                Token::Duration(300_000_000_000),
                Token::Duration(5_400_000_000_000),
                Token::Duration(1_500_000_000),
                Token::Bytes(5000),
                Token::Bytes(5632),
                Token::Number("1e3".to_owned()),
                Token::Number(".5".to_owned()),
                Token::Duration(-300_000_000_000),
                Token::Symbol(Symbol::Subtract),
                Token::Number("5".to_owned()),
                Token::Number("0x1p3".to_owned()),
                Token::Duration(86_400_000_000_000),
                Token::End,
            ]
        );
    }

    #[test]
    fn strings_are_unquoted_and_raw_strings_are_not() {
        assert_eq!(
            tokens(r#""a\"\\\n\x41\101\u00fc\U0001F680" `a\n"`"#),
            [Token::Text("a\"\\\nAAü🚀".to_owned()), Token::Text("a\\n\"".to_owned()), Token::End]
        );
        for (text, problem) in [
            ("\"a", "literal not terminated"),
            ("\"a\nb\"", "literal not terminated"),
            ("`a", "literal not terminated"),
            (r#""\q""#, "invalid char escape"),
            (r#""\'""#, "invalid char escape"),
            (r#""\xff""#, "invalid UTF-8 in string"),
            ("[5", "missing closing ']' in duration"),
            ("[]", "empty duration string"),
            ("/* x", "comment not terminated"),
        ] {
            assert_eq!(tokens(text), [Token::Broken(problem.to_owned())], "{text}");
        }
    }

    #[test]
    fn comments_are_skipped_and_places_counted_in_characters() {
        let located = tokenize("ü # no \"string\n  /* nor\n this */ \"é\" x");
        let places: Vec<_> = located.iter().map(|l| (l.position.line, l.position.column)).collect();
        assert_eq!(places, [(1, 1), (3, 10), (3, 14), (3, 15)]);
    }

    #[test]
    fn flags_are_words_and_other_dashes_are_not() {
        assert_eq!(
            tokens("--strict --keep-empty --foo"),
            [
                Token::Symbol(Symbol::Strict),
                Token::Symbol(Symbol::KeepEmpty),
                Token::Symbol(Symbol::Subtract),
                Token::Symbol(Symbol::Subtract),
                Token::Identifier("foo".to_owned()),
                Token::End,
            ]
        );
    }
}
