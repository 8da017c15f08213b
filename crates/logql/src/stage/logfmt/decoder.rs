//! Reads `key=value key="quoted value" flag` pair by pair.

use std::borrow::Cow;

use memchr::memchr;
use timberyard_model::fields::ValueForm;

/// What is wrong with a pair, and where: bytes from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("logfmt syntax error at pos {position} : {fault}")]
pub(super) struct LogfmtError {
    position: usize,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("invalid key")]
    Key,
    #[error("unexpected {0}")]
    Unexpected(Quote),
    #[error("unterminated quoted value")]
    Unterminated,
    #[error("invalid quoted value")]
    Quoted,
}

/// The two characters that can be out of place, as Go quotes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Quote {
    #[error("'='")]
    Equals,
    #[error("'\"'")]
    Double,
}

impl Quote {
    fn of(byte: u8) -> Self {
        if byte == b'=' { Self::Equals } else { Self::Double }
    }
}

/// A key and its value; both may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair<'l> {
    pub(super) key: &'l [u8],
    pub(super) value: Cow<'l, [u8]>,
    /// The value as it stands in the line, without quotes.
    pub(super) raw: &'l [u8],
    pub(super) form: ValueForm,
}

/// The pairs of a line. After an error it goes on behind the next blank.
pub(super) struct Decoder<'l> {
    line: &'l [u8],
    at: usize,
}

impl<'l> Decoder<'l> {
    pub(super) fn new(line: &'l [u8]) -> Self {
        Self { line, at: 0 }
    }

    fn byte(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn skip_until(&mut self, stops: impl Fn(u8) -> bool) {
        let rest = &self.line[self.at..];
        self.at += rest.iter().position(|byte| stops(*byte)).unwrap_or(rest.len());
    }

    fn fault(&mut self, fault: Fault, skips: bool) -> LogfmtError {
        let position = self.at + 1;
        if skips {
            self.skip_until(is_blank);
        }
        LogfmtError { position, fault }
    }

    fn pair(&mut self) -> Result<Pair<'l>, LogfmtError> {
        let start = self.at;
        self.skip_until(|byte| byte == b'=' || byte == b'"' || is_blank(byte));
        let key = &self.line[start..self.at];
        match self.byte() {
            Some(b'"') => return Err(self.fault(Fault::Unexpected(Quote::Double), true)),
            Some(b'=') if key.is_empty() => {
                return Err(self.fault(Fault::Unexpected(Quote::Equals), true));
            }
            next => {
                if !key.is_ascii() && has_no_character(key) {
                    return Err(self.fault(Fault::Key, next == Some(b'=')));
                }
                if next != Some(b'=') {
                    return Ok(Pair { key, value: Cow::Borrowed(&[]), raw: &[], form: ValueForm::Bare });
                }
            }
        }
        self.at += 1;
        match self.byte() {
            Some(b'"') => {
                let (raw, value) = self.quoted()?;
                Ok(Pair { key, value, raw, form: ValueForm::Quoted })
            }
            _ => {
                let raw = self.plain()?;
                Ok(Pair { key, value: Cow::Borrowed(raw), raw, form: ValueForm::Bare })
            }
        }
    }

    fn plain(&mut self) -> Result<&'l [u8], LogfmtError> {
        let start = self.at;
        self.skip_until(|byte| byte == b'=' || byte == b'"' || is_blank(byte));
        match self.byte() {
            Some(byte @ (b'=' | b'"')) => Err(self.fault(Fault::Unexpected(Quote::of(byte)), true)),
            _ => Ok(&self.line[start..self.at]),
        }
    }

    /// A value between quotes, as it stands there and what it means; the decoder stands at the first.
    fn quoted(&mut self) -> Result<(&'l [u8], Cow<'l, [u8]>), LogfmtError> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            match self.line.get(at) {
                None => {
                    self.at = self.line.len();
                    return Err(self.fault(Fault::Unterminated, false));
                }
                Some(b'\\') => at += 2,
                Some(b'"') => break,
                Some(_) => at += 1,
            }
        }
        self.at = at + 1;
        let content = &self.line[start..at];
        match value_of(ValueForm::Quoted, content) {
            Some(value) => Ok((content, value)),
            None => Err(self.fault(Fault::Quoted, false)),
        }
    }
}

impl<'l> Iterator for Decoder<'l> {
    type Item = Result<Pair<'l>, LogfmtError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_until(|byte| !is_blank(byte));
        if self.at >= self.line.len() {
            return None;
        }
        Some(self.pair())
    }
}

fn is_blank(byte: u8) -> bool {
    byte <= b' '
}

/// Whether the bytes hold U+FFFD or are not UTF-8.
pub(super) fn has_no_character(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.contains(char::REPLACEMENT_CHARACTER),
        Err(_) => true,
    }
}

/// What the raw bytes of a value mean; `None` when an escape is wrong.
pub(super) fn value_of(form: ValueForm, raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    if form == ValueForm::Bare || memchr(b'\\', raw).is_none() {
        return Some(Cow::Borrowed(raw));
    }
    unescape(raw).map(Cow::Owned)
}

/// The content of a quoted value, as JSON reads it; `\'` is allowed too, and a lone surrogate is U+FFFD.
fn unescape(content: &[u8]) -> Option<Vec<u8>> {
    let mut unescaped = Vec::with_capacity(content.len());
    let mut rest = content;
    while let [first, behind @ ..] = rest {
        if *first != b'\\' {
            unescaped.push(*first);
            rest = behind;
            continue;
        }
        let (simple, len) = match behind.first()? {
            byte @ (b'"' | b'\\' | b'/' | b'\'') => (*byte, 1),
            b'b' => (8, 1),
            b'f' => (12, 1),
            b'n' => (b'\n', 1),
            b'r' => (b'\r', 1),
            b't' => (b'\t', 1),
            b'u' => {
                let (c, len) = unicode_escape(rest)?;
                unescaped.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[len..];
                continue;
            }
            _ => return None,
        };
        unescaped.push(simple);
        rest = &behind[len..];
    }
    Some(unescaped)
}

fn unicode_escape(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let escape = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        escape.iter().try_fold(0u32, |value, byte| Some(value << 4 | char::from(*byte).to_digit(16)?))
    };
    let first = unit(0)?;
    if let Some(c) = char::from_u32(first) {
        return Some((c, 6));
    }
    let pair = unit(6).filter(|second| first < 0xdc00 && (0xdc00..0xe000).contains(second));
    match pair.and_then(|second| char::from_u32(((first - 0xd800) << 10) + (second - 0xdc00) + 0x1_0000)) {
        Some(c) => Some((c, 12)),
        None => Some((char::REPLACEMENT_CHARACTER, 6)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(line: &str) -> Vec<Result<(String, String), String>> {
        Decoder::new(line.as_bytes())
            .map(|pair| {
                let pair = pair.map_err(|error| error.to_string())?;
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                Ok((text(pair.key), text(&pair.value)))
            })
            .collect()
    }

    fn pair(key: &str, value: &str) -> Result<(String, String), String> {
        Ok((key.to_owned(), value.to_owned()))
    }

    #[test]
    fn pairs_flags_and_quoted_values_are_read() {
        assert_eq!(
            decoded("a=1  b=\"x \\\"y\\\"\\n\\u00e9\\ud83d\\ude00\" flag c= d=\"\" é=ü"),
            [
                pair("a", "1"),
                pair("b", "x \"y\"\n\u{e9}\u{1f600}"),
                pair("flag", ""),
                pair("c", ""),
                pair("d", ""),
                pair("é", "ü"),
            ]
        );
        assert_eq!(decoded(" \t "), []);
    }

    #[test]
    fn errors_name_their_place_and_reading_goes_on() {
        let error = |text: &str| Err(format!("logfmt syntax error at pos {text}"));
        assert_eq!(decoded("=x a=1"), [error("1 : unexpected '='"), pair("a", "1")]);
        assert_eq!(decoded("a\"b c=1"), [error("2 : unexpected '\"'"), pair("c", "1")]);
        assert_eq!(decoded("a=b=c d=1"), [error("4 : unexpected '='"), pair("d", "1")]);
        assert_eq!(decoded("a=\"x"), [error("5 : unterminated quoted value")]);
        assert_eq!(decoded("a=\"\\q\" b=1"), [error("7 : invalid quoted value"), pair("b", "1")]);
        assert_eq!(
            Decoder::new(b"\xff=1").next().expect("one").expect_err("bad key").to_string(),
            "logfmt syntax error at pos 2 : invalid key"
        );
    }
}
