//! Cuts a template into text and the words of its actions.

use super::functions::quote_text;

/// A word and where it begins, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Located {
    pub(super) token: Token,
    pub(super) at: usize,
}

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Text outside of actions.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// Blanks between words.
    Space,
    /// `.`
    Dot,
    /// `.name`, without the dot.
    Field(String),
    /// `$` or `$name`, with the dollar.
    Variable(String),
    /// A function or keyword.
    Word(String),
    /// A number as it was written.
    Number(String),
    /// `'a'`, as it was written.
    Character(String),
    /// A string as it was written, and its value.
    Quoted(String, Vec<u8>),
    /// `(`
    OpenParenthesis,
    /// `)`
    CloseParenthesis,
    /// `|`
    Pipe,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    /// `,`
    Comma,
    /// What cannot be read.
    Broken(String),
    /// The end.
    End,
}

/// Words that are not functions.
pub(super) const KEYWORDS: [&str; 11] =
    ["block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with"];

impl Token {
    /// What Go's messages call it.
    pub(super) fn describe(&self) -> String {
        let shown = |text: &str| {
            let quoted = quote_text(&text.chars().take(10).collect::<String>());
            if text.chars().count() > 10 { format!("{quoted}...") } else { quoted }
        };
        match self {
            Self::Text(text) | Self::Variable(text) | Self::Number(text) | Self::Character(text) => {
                shown(text)
            }
            Self::Quoted(text, _) => shown(text),
            Self::Open => "\"{{\"".to_owned(),
            Self::Close => "\"}}\"".to_owned(),
            Self::Space => "\" \"".to_owned(),
            Self::Dot => "<.>".to_owned(),
            Self::Field(name) => shown(&format!(".{name}")),
            Self::Word(word) if KEYWORDS.contains(&word.as_str()) => format!("<{word}>"),
            Self::Word(word) => shown(word),
            Self::OpenParenthesis => "\"(\"".to_owned(),
            Self::CloseParenthesis => "\")\"".to_owned(),
            Self::Pipe => "\"|\"".to_owned(),
            Self::Declare => "\":=\"".to_owned(),
            Self::Assign => "\"=\"".to_owned(),
            Self::Comma => "\",\"".to_owned(),
            Self::Broken(problem) => problem.clone(),
            Self::End => "EOF".to_owned(),
        }
    }
}

/// All words; the last is `End` or `Broken`.
pub(super) fn tokenize(text: &str) -> Vec<Located> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new() };
    let end = match lexer.text_and_actions() {
        Ok(()) => Token::End,
        Err(problem) => Token::Broken(problem),
    };
    lexer.push(lexer.at, end);
    lexer.tokens
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Located>,
}

const TRIMMED: [char; 4] = [' ', '\t', '\r', '\n'];

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn push(&mut self, at: usize, token: Token) {
        self.tokens.push(Located { token, at });
    }

    fn text_and_actions(&mut self) -> Result<(), String> {
        let mut trims_left = false;
        loop {
            let rest = self.rest();
            let open = rest.find("{{");
            let mut text = &rest[..open.unwrap_or(rest.len())];
            let mut at = self.at;
            if trims_left {
                let trimmed = text.trim_start_matches(TRIMMED);
                at += text.len() - trimmed.len();
                text = trimmed;
            }
            let trims_right = open.is_some_and(|open| starts_trim(&rest[open + 2..]));
            if trims_right {
                text = text.trim_end_matches(TRIMMED);
            }
            if !text.is_empty() {
                self.push(at, Token::Text(text.to_owned()));
            }
            let Some(open) = open else {
                self.at = self.text.len();
                return Ok(());
            };
            self.at += open;
            let start = self.at;
            self.at += if trims_right { 4 } else { 2 };
            trims_left = if self.rest().starts_with("/*") {
                self.comment()?
            } else {
                self.push(start, Token::Open);
                self.action()?
            };
        }
    }

    /// A comment up to its closing delimiter; answers whether that trims.
    fn comment(&mut self) -> Result<bool, String> {
        let end = self.rest().find("*/").ok_or("unclosed comment")?;
        self.at += end + 2;
        for (delimiter, trims) in [("}}", false), (" -}}", true)] {
            if self.rest().starts_with(delimiter) {
                self.at += delimiter.len();
                return Ok(trims);
            }
        }
        Err("comment ends before closing delimiter".to_owned())
    }

    /// The words of an action and its closing delimiter; answers whether that trims.
    fn action(&mut self) -> Result<bool, String> {
        let mut parentheses = 0usize;
        loop {
            let (start, rest) = (self.at, self.rest());
            let trims = rest.len() > 1 && rest.starts_with(TRIMMED) && rest[1..].starts_with("-}}");
            if trims || rest.starts_with("}}") {
                if parentheses > 0 {
                    return Err("unclosed left paren".to_owned());
                }
                self.at += if trims { 4 } else { 2 };
                self.push(start, Token::Close);
                return Ok(trims);
            }
            let Some(first) = rest.chars().next() else { return Err("unclosed action".to_owned()) };
            let (token, len) = match first {
                c if TRIMMED.contains(&c) => {
                    // A blank in front of a trimming delimiter belongs to the delimiter.
                    let mut len = rest.len() - rest.trim_start_matches(TRIMMED).len();
                    if rest[len..].starts_with("-}}") && len > 1 {
                        len -= 1;
                    }
                    (Token::Space, len)
                }
                ':' if rest.starts_with(":=") => (Token::Declare, 2),
                ':' => return Err("expected :=".to_owned()),
                '=' => (Token::Assign, 1),
                ',' => (Token::Comma, 1),
                '|' => (Token::Pipe, 1),
                '(' => {
                    parentheses += 1;
                    (Token::OpenParenthesis, 1)
                }
                ')' => {
                    parentheses = parentheses.checked_sub(1).ok_or("unexpected right paren U+0029 ')'")?;
                    (Token::CloseParenthesis, 1)
                }
                '"' => quoted(rest)?,
                '`' => {
                    let len = rest[1..].find('`').ok_or("unterminated raw quoted string")? + 2;
                    (Token::Quoted(rest[..len].to_owned(), rest.as_bytes()[1..len - 1].to_vec()), len)
                }
                '\'' => character(rest)?,
                '$' => {
                    let len = 1 + word_length(&rest[1..]);
                    check_terminator(&rest[len..])?;
                    (Token::Variable(rest[..len].to_owned()), len)
                }
                '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                    let len = word_length(&rest[1..]);
                    check_terminator(&rest[1 + len..])?;
                    let token = if len == 0 { Token::Dot } else { Token::Field(rest[1..=len].to_owned()) };
                    (token, len + 1)
                }
                '+' | '-' | '.' | '0'..='9' => {
                    let len = number_length(rest);
                    if len == 0 || rest[len..].starts_with(is_word) {
                        let bad = len + rest[len..].chars().next().map_or(0, char::len_utf8);
                        return Err(format!("bad number syntax: {}", quote_text(&rest[..bad])));
                    }
                    (Token::Number(rest[..len].to_owned()), len)
                }
                c if is_word(c) => {
                    let len = word_length(rest);
                    check_terminator(&rest[len..])?;
                    (Token::Word(rest[..len].to_owned()), len)
                }
                c => return Err(format!("unrecognized character in action: {}", code_point(c))),
            };
            self.at += len;
            self.push(start, token);
        }
    }
}

/// `- ` behind `{{`.
fn starts_trim(behind: &str) -> bool {
    behind.strip_prefix('-').is_some_and(|behind| behind.starts_with(TRIMMED))
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word_length(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

/// Refuses `$x+2`: behind a name must be something that ends it.
fn check_terminator(behind: &str) -> Result<(), String> {
    match behind.chars().next() {
        None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(' | '}') => Ok(()),
        Some(c) => Err(format!("bad character {}", code_point(c))),
    }
}

fn code_point(c: char) -> String {
    format!("U+{:04X} '{c}'", u32::from(c))
}

fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let start = at;
    let is_hexadecimal = bytes.get(at) == Some(&b'0') && matches!(bytes.get(at + 1), Some(b'x' | b'X'));
    let is_other_base =
        bytes.get(at) == Some(&b'0') && matches!(bytes.get(at + 1), Some(b'o' | b'O' | b'b' | b'B'));
    if is_hexadecimal || is_other_base {
        at += 2;
    }
    let digit = |byte: &u8| {
        *byte == b'_' || if is_hexadecimal { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() }
    };
    let run = |at: usize| at + bytes[at.min(bytes.len())..].iter().take_while(|byte| digit(byte)).count();
    at = run(at);
    if bytes.get(at) == Some(&b'.') {
        at = run(at + 1);
    }
    let exponent = if is_hexadecimal { [b'p', b'P'] } else { [b'e', b'E'] };
    if bytes.get(at).is_some_and(|byte| exponent.contains(byte)) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at += bytes[at.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    }
    if at == start { 0 } else { at }
}

fn quoted(rest: &str) -> Result<(Token, usize), String> {
    let len = delimited(rest, '"').ok_or("unterminated quoted string")?;
    let value = unquote(&rest[1..len - 1]).ok_or("invalid syntax")?;
    Ok((Token::Quoted(rest[..len].to_owned(), value), len))
}

fn character(rest: &str) -> Result<(Token, usize), String> {
    let len = delimited(rest, '\'').ok_or("unterminated character constant")?;
    Ok((Token::Character(rest[..len].to_owned()), len))
}

fn delimited(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The bytes that the inside of a Go string stands for; `None` when an escape is wrong.
pub(super) fn unquote(inner: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest.get(at + 1..)?;
        let first = escape.chars().next()?;
        let number = |start: usize, len: usize, radix: u32| {
            let digits = escape.get(start..start + len)?;
            if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return None;
            }
            u32::from_str_radix(digits, radix).ok()
        };
        let len = match first {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' | '"' | '\'' => {
                bytes.push(match first {
                    'a' => 7,
                    'b' => 8,
                    'f' => 12,
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    'v' => 11,
                    other => other as u8,
                });
                1
            }
            'x' => {
                bytes.push(u8::try_from(number(1, 2, 16)?).ok()?);
                3
            }
            '0'..='7' => {
                bytes.push(u8::try_from(number(0, 3, 8)?).ok()?);
                3
            }
            'u' | 'U' => {
                let digits = if first == 'u' { 4 } else { 8 };
                let c = char::from_u32(number(1, digits, 16)?)?;
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                digits + 1
            }
            _ => return None,
        };
        rest = &escape[len..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}
