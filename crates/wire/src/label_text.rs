//! Stream labels as text, `{app="api", env="prod"}`: how Loki's clients write them and how Loki shows them.
//!
//! The grammar is that of a metric in PromQL, which Loki uses here: values in double or single
//! quotes with Go's escapes or in backquotes, an optional metric name before the braces, spaces and
//! `#` comments anywhere between. Errors carry line and column as Loki's do.

use std::fmt::Write;

use timberyard_model::labels::is_label_name;

/// Labels with every pair that was written, in the order written.
pub type Pairs = Vec<(String, String)>;

/// A text that is not a set of labels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: parse error: {reason}")]
pub struct LabelTextError {
    /// The line of the text, from 1.
    pub line: usize,
    /// The column in bytes, from 1.
    pub column: usize,
    /// What is wrong there.
    pub reason: String,
}

/// Reads labels; an empty text is no labels. Names follow Loki's rule, also when they stand in quotes.
pub fn parse(text: &str) -> Result<Pairs, LabelTextError> {
    let mut cursor = Cursor { text, at: 0 };
    let mut pairs = Vec::new();
    cursor.skip_blank();
    let metric = cursor.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
    if !metric.is_empty() {
        if metric.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(cursor.error_at(cursor.at - metric.len(), format!("unexpected number {metric:?}")));
        }
        pairs.push(("__name__".to_owned(), metric.to_owned()));
        cursor.skip_blank();
    }
    if cursor.eat('{') {
        cursor.label_set(&mut pairs)?;
        cursor.skip_blank();
    }
    match cursor.peek() {
        None => Ok(pairs),
        Some(c) => Err(cursor.error(format!("unexpected character: {c:?}"))),
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn skip_blank(&mut self) {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            if !self.eat('#') {
                return;
            }
            self.take_while(|c| c != '\n' && c != '\r');
        }
    }

    fn error(&self, reason: impl Into<String>) -> LabelTextError {
        self.error_at(self.at, reason)
    }

    fn error_at(&self, at: usize, reason: impl Into<String>) -> LabelTextError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        LabelTextError {
            line: before.matches('\n').count() + 1,
            column: before.len() - line_start + 1,
            reason: reason.into(),
        }
    }

    /// What follows the opening brace, to the closing one.
    fn label_set(&mut self, pairs: &mut Pairs) -> Result<(), LabelTextError> {
        loop {
            self.skip_blank();
            if self.eat('}') {
                return Ok(());
            }
            pairs.push(self.label()?);
            self.skip_blank();
            if self.eat('}') {
                return Ok(());
            }
            if !self.eat(',') {
                return Err(self.unexpected("\",\" or \"}\""));
            }
        }
    }

    fn label(&mut self) -> Result<(String, String), LabelTextError> {
        let start = self.at;
        let name = if matches!(self.peek(), Some('"' | '\'' | '`')) {
            let name = self.quoted()?;
            if !is_label_name(&name) {
                return Err(self.error_at(start, format!("label name {name:?} is not valid")));
            }
            name
        } else {
            let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
            if !is_label_name(name) {
                self.at = start;
                return Err(self.unexpected("identifier or \"}\""));
            }
            name.to_owned()
        };
        self.skip_blank();
        if !self.eat('=') {
            return Err(self.unexpected("\"=\""));
        }
        self.skip_blank();
        if !matches!(self.peek(), Some('"' | '\'' | '`')) {
            return Err(self.unexpected("string"));
        }
        Ok((name, self.quoted()?))
    }

    /// The error for the character under the cursor, where `expected` should stand.
    fn unexpected(&self, expected: &str) -> LabelTextError {
        match self.peek() {
            None => self.error("unexpected end of input inside braces"),
            Some('{') => self.error("unexpected left brace '{'"),
            Some(c @ (',' | '}' | '=' | '!' | '"' | '\'' | '`')) => {
                self.error(format!("unexpected {:?} in label set, expected {expected}", String::from(c)))
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let rest = self.rest();
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let word = rest.get(..end).unwrap_or_default();
                self.error(format!("unexpected identifier {word:?} in label set, expected {expected}"))
            }
            Some(c) => self.error(format!("unexpected character inside braces: {c:?}")),
        }
    }

    /// A string in the quotes that are under the cursor.
    fn quoted(&mut self) -> Result<String, LabelTextError> {
        let start = self.at;
        let Some(quote) = self.peek() else { return Err(self.unexpected("string")) };
        self.at += 1;
        if quote == '`' {
            let value = self.take_while(|c| c != '`');
            return if self.eat('`') {
                Ok(value.to_owned())
            } else {
                Err(self.error_at(start, "unterminated raw string"))
            };
        }
        let mut bytes = Vec::new();
        loop {
            let plain = self.take_while(|c| c != quote && c != '\\' && c != '\n');
            bytes.extend_from_slice(plain.as_bytes());
            if self.eat(quote) {
                // `\xff` can make bytes that are not UTF-8, which a label cannot hold.
                return Ok(match String::from_utf8(bytes) {
                    Ok(value) => value,
                    Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
                });
            }
            if !self.eat('\\') {
                return Err(self.error_at(start, "unterminated quoted string"));
            }
            self.escape(start, quote, &mut bytes)?;
        }
    }

    /// What follows a backslash, as Go reads it.
    fn escape(&mut self, start: usize, quote: char, bytes: &mut Vec<u8>) -> Result<(), LabelTextError> {
        let Some(letter) = self.peek() else {
            return Err(self.error_at(start, "escape sequence not terminated"));
        };
        let (digits, radix) = match letter {
            '0'..='7' => (3, 8),
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            _ => (0, 0),
        };
        if digits == 0 {
            bytes.push(match letter {
                'a' => 0x07,
                'b' => 0x08,
                'f' => 0x0c,
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                'v' => 0x0b,
                '\\' => b'\\',
                c if c == quote => c as u8,
                c => {
                    let code = c as u32;
                    return Err(self.error_at(start, format!("unknown escape sequence U+{code:04X} {c:?}")));
                }
            });
            self.at += 1;
            return Ok(());
        }
        self.at += usize::from(radix == 16);
        let code = self.rest().get(..digits).filter(|text| text.chars().all(|c| c.is_digit(radix)));
        let code = code.and_then(|text| u32::from_str_radix(text, radix).ok());
        let Some(code) = code else {
            return Err(self.error_at(start, "illegal character in escape sequence"));
        };
        self.at += digits;
        let byte = if digits <= 3 { Some(u8::try_from(code).ok()) } else { None };
        match (byte, char::from_u32(code)) {
            (Some(Some(byte)), _) => bytes.push(byte),
            (None, Some(c)) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => return Err(self.error_at(start, "escape sequence is an invalid Unicode code point")),
        }
        Ok(())
    }
}

/// Labels as Loki shows them in messages: `{app="api", env="prod"}`, values quoted as Go does.
pub fn write<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::from("{");
    for (name, value) in pairs {
        if text.len() > 1 {
            text.push_str(", ");
        }
        text.push_str(name);
        text.push('=');
        write_quoted(&mut text, value);
    }
    text.push('}');
    text
}

/// Appends a text in double quotes, escaped as Go's `strconv.Quote` does.
pub fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            ' '..='\x7e' => out.push(c),
            // Writing to a string does not fail.
            '\0'..='\x7f' => drop(write!(out, "\\x{:02x}", c as u32)),
            c if c.is_control() || c.is_whitespace() => drop(write!(out, "\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_loki_reads() {
        let cases: [(&str, &[(&str, &str)]); 9] = [
            ("", &[]),
            ("{}", &[]),
            (r#"{a="b"}"#, &[("a", "b")]),
            (r#" { a = "b" , c='d"' ,} # end"#, &[("a", "b"), ("c", "d\"")]),
            (
                "{a=`x\\n`,\n# why\nb=\"\\n\\t\\x41\\101\\u00e9\\\"\\\\\"}",
                &[("a", "x\\n"), ("b", "\n\tAAé\"\\")],
            ),
            (r#"{"a"="b", a="c"}"#, &[("a", "b"), ("a", "c")]),
            (r#"up{a="b"}"#, &[("__name__", "up"), ("a", "b")]),
            ("job:up", &[("__name__", "job:up")]),
            (r#"{a="\xff"}"#, &[("a", "\u{fffd}")]),
        ];
        for (text, expected) in cases {
            let pairs = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(pairs, expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_loki_refuses_at_the_same_place() {
        let cases = [
            (r#"{bad-name="v", push="x"}"#, "1:5: parse error: unexpected character inside braces: '-'"),
            (r#"{push="x""#, "1:10: parse error: unexpected end of input inside braces"),
            ("{a=1}", "1:4: parse error: unexpected character inside braces: '1'"),
            ("{a}", r#"1:3: parse error: unexpected "}" in label set, expected "=""#),
            (
                r#"{a="b" c="d"}"#,
                r#"1:8: parse error: unexpected identifier "c" in label set, expected "," or "}""#,
            ),
            (r#"{a=b}"#, r#"1:4: parse error: unexpected identifier "b" in label set, expected string"#),
            ("{a=\"x\n\"}", "1:4: parse error: unterminated quoted string"),
            ("{a=`x", "1:4: parse error: unterminated raw string"),
            (r#"{a="\q"}"#, "1:4: parse error: unknown escape sequence U+0071 'q'"),
            (r#"{a="\ud800"}"#, "1:4: parse error: escape sequence is an invalid Unicode code point"),
            (r#"{a="\777"}"#, "1:4: parse error: escape sequence is an invalid Unicode code point"),
            (r#"{a="\x4"}"#, "1:4: parse error: illegal character in escape sequence"),
            (r#"{a="b"}}"#, "1:8: parse error: unexpected character: '}'"),
            (r#"{,}"#, r#"1:2: parse error: unexpected "," in label set, expected identifier or "}""#),
            (r#"{="v"}"#, r#"1:2: parse error: unexpected "=" in label set, expected identifier or "}""#),
            (r#"{"bad-name"="v"}"#, r#"1:2: parse error: label name "bad-name" is not valid"#),
            ("{a=\"b\",\n 9=\"c\"}", "2:2: parse error: unexpected character inside braces: '9'"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).expect_err(text).to_string(), expected, "{text}");
        }
    }

    #[test]
    fn shown_labels_read_back() {
        let value = "a\"b\\c\n\x07\x01\u{85}é😀\u{7f}";
        let text = write([("a", value), ("b", "")]);
        assert_eq!(text, "{a=\"a\\\"b\\\\c\\n\\a\\x01\\u0085é😀\\x7f\", b=\"\"}");
        let pairs = parse(&text).expect("what is shown reads back");
        assert_eq!(pairs[0].1, value);
    }
}
