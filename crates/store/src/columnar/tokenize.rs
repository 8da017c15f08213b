//! Finds the variable parts of a line; what lies between them is its template.
//!
//! A wrong guess costs ratio, never a byte: any choice of parts gives the line back.
//!
//! - A line that starts with `{` is read as JSON: every string that is not a key, and every number or word outside
//!   of strings, is variable; keys, punctuation and white space are not.
//! - In other lines a token with a digit is variable, and so is what follows `=` and what stands in double quotes.
//! - In a value, the runs of digits are, and words of hexadecimal digits with letters among them, such as ids.
//!
//! Reading goes from left to right and remembers nothing at the end of a part but whether a quote is to be closed. So
//! a literal that was seen before need not be read again, only compared: where it stands, and the same kind of part
//! follows, reading would have found the same.

use std::ops::Range;

use super::classes::{Classes, DELIMITER, JSON_END, JSON_NO_START, QUOTE};
use super::strings::Span;
use super::words::{self, word_at};

/// A line with more variable parts than this becomes one variable as a whole.
pub(crate) const SLOTS_MAX: usize = 256;
/// Shorter words are as likely to be anything else.
const HEX_WORD_BYTES_MIN: usize = 8;
const HEX_WORD_BYTES_MAX: usize = 128;
/// Groups of 8, 4, 4, 4 and 12 digits with hyphens between them.
const UUID_BYTES: usize = 36;

/// A line that is being read. Places are those of the text.
#[derive(Clone, Copy)]
pub(super) struct Line<'t> {
    text: &'t [u8],
    start: usize,
    end: usize,
    classes: &'t Classes,
}

/// How bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// A line that is not JSON.
    Text,
    /// A line that starts with `{`.
    Json,
    /// A value.
    Value,
}

/// What stands after a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Nothing: the line ends.
    End,
    /// A token with a digit.
    Token,
    /// A token after `=`.
    Assigned,
    /// Text up to the closing quote, or up to the end where none is.
    Quoted,
    /// A JSON string that is not a key.
    JsonString,
    /// Another JSON value.
    JsonOther,
    /// A run of digits that is no part of a hexadecimal word.
    Digits,
    /// A hexadecimal word.
    HexWord,
}

impl Reading {
    /// How a line is read.
    pub(super) fn of_line(line: &[u8]) -> Self {
        if line.first() == Some(&b'{') { Self::Json } else { Self::Text }
    }
}

impl<'t> Line<'t> {
    /// The line at `place` of the text, whose classes these are; they are not looked at when only digits are.
    #[inline]
    pub(super) fn new(text: &'t [u8], place: Span, classes: &'t Classes) -> Self {
        let start = place.start as usize;
        Self { text, start, end: start + place.len as usize, classes }
    }

    #[inline]
    pub(super) fn text(&self) -> &'t [u8] {
        self.text
    }

    #[inline]
    pub(super) fn start(&self) -> usize {
        self.start
    }

    #[inline]
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Where a part of this kind that starts at `at` ends; `None` when what stands there is none. `at` is where reading
    /// came to the end of a literal.
    #[inline]
    pub(super) fn part_end(&self, part: Part, at: usize) -> Option<usize> {
        match part {
            Part::End => (at == self.end).then_some(at),
            Part::Token => {
                let (end, has_digit) = self.token(at);
                has_digit.then_some(end)
            }
            Part::Assigned => {
                let end = self.next(at, DELIMITER);
                (end > at).then_some(end)
            }
            Part::Quoted => Some(self.closing_quote(at)),
            Part::JsonString => {
                let quote = self.closing_quote(at);
                (!self.is_key(quote)).then_some(quote)
            }
            Part::JsonOther => (self.class(at) & JSON_NO_START == 0).then(|| self.next(at, JSON_END)),
            Part::Digits => {
                let end = self.digits_end(at);
                (end > at && !self.is_in_hex_word(at, end)).then_some(end)
            }
            Part::HexWord => self.hex_word(at).filter(|word| word.start == at).map(|word| word.end),
        }
    }

    /// The first variable part from `at` on, which is where the part `before` ended: where it starts, where it ends, and
    /// what it is.
    pub(super) fn next_part(&self, reading: Reading, at: usize, before: Part) -> (usize, usize, Part) {
        let closed = matches!(before, Part::Quoted | Part::JsonString);
        let from = (at + usize::from(closed)).min(self.end);
        let found = match reading {
            Reading::Text => self.next_in_text(from),
            Reading::Json => self.next_in_json(from),
            Reading::Value => self.next_in_value(from),
        };
        found.unwrap_or((self.end, self.end, Part::End))
    }

    fn next_in_text(&self, from: usize) -> Option<(usize, usize, Part)> {
        let mut at = from;
        let mut assigned = false;
        while at < self.end {
            let byte = self.text[at];
            if self.class(at) & DELIMITER != 0 {
                at += 1;
                if byte == b'"' {
                    return Some((at, self.closing_quote(at), Part::Quoted));
                }
                assigned = byte == b'=';
                continue;
            }
            let (end, has_digit) = self.token(at);
            if assigned {
                return Some((at, end, Part::Assigned));
            }
            if has_digit {
                return Some((at, end, Part::Token));
            }
            at = end;
        }
        None
    }

    fn next_in_json(&self, from: usize) -> Option<(usize, usize, Part)> {
        let mut at = from;
        while at < self.end {
            if self.text[at] == b'"' {
                let end = self.closing_quote(at + 1);
                if !self.is_key(end) {
                    return Some((at + 1, end, Part::JsonString));
                }
                at = end + 1;
            } else if self.class(at) & JSON_NO_START == 0 {
                return Some((at, self.next(at, JSON_END), Part::JsonOther));
            } else {
                at += 1;
            }
        }
        None
    }

    fn next_in_value(&self, from: usize) -> Option<(usize, usize, Part)> {
        let rest = self.text.get(from..self.end)?;
        let at = from + rest.iter().position(u8::is_ascii_digit)?;
        let end = self.digits_end(at);
        let word = if self.is_beside_hex_letter(at, end) { self.hex_word(at) } else { None };
        match word {
            // What goes on before `from` is not read again.
            Some(word) if word.start >= from => Some((word.start, word.end, Part::HexWord)),
            _ => Some((at, end, Part::Digits)),
        }
    }

    #[inline]
    fn class(&self, at: usize) -> u8 {
        self.classes.of(at - self.start)
    }

    #[inline]
    fn next(&self, at: usize, classes: u8) -> usize {
        self.start + self.classes.next(at - self.start, classes)
    }

    #[inline]
    fn token(&self, at: usize) -> (usize, bool) {
        let (end, has_digit) = self.classes.token(at - self.start);
        (self.start + end, has_digit)
    }

    /// The place of the quote that closes what starts at `at`, or the end.
    #[inline]
    fn closing_quote(&self, at: usize) -> usize {
        let mut at = at.min(self.end);
        loop {
            at = self.next(at, QUOTE);
            if at == self.end || self.text[at] == b'"' {
                return at;
            }
            at = (at + 2).min(self.end);
        }
    }

    /// Whether the string whose closing quote is at `quote` is the key of what follows.
    #[inline]
    fn is_key(&self, quote: usize) -> bool {
        let mut next = quote + 1;
        while next < self.end && self.text[next] == b' ' {
            next += 1;
        }
        next < self.end && self.text[next] == b':'
    }

    /// Whether the digits from `at` to `end`, all that stand there, belong to a hexadecimal word.
    #[inline]
    fn is_in_hex_word(&self, at: usize, end: usize) -> bool {
        self.is_beside_hex_letter(at, end) && self.hex_word(at).is_some()
    }

    /// Every run of digits in a hexadecimal word is, since the word has a letter.
    #[inline]
    fn is_beside_hex_letter(&self, at: usize, end: usize) -> bool {
        let is_letter = |place: usize| matches!(self.text[place], b'a'..=b'f');
        at > self.start && is_letter(at - 1) || end < self.end && is_letter(end)
    }

    /// The hexadecimal word that has the digit or letter at `at`: 8 to 128 digits in small letters, not all of them
    /// decimal, that stand alone or behind `0x`; with the other groups of a UUID where it is the first.
    #[inline(never)]
    fn hex_word(&self, at: usize) -> Option<Range<usize>> {
        let line = self.text.get(self.start..self.end)?;
        let at = at - self.start;
        let is_hex = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let before = line[..at].iter().rev().take(HEX_WORD_BYTES_MAX).take_while(is_hex).count();
        let behind = line[at..].iter().take(HEX_WORD_BYTES_MAX).take_while(is_hex).count();
        let (start, mut end) = (at - before, at + behind);
        let stands_alone = match line[..start] {
            [.., b'0', b'x'] => true,
            [.., byte] => !byte.is_ascii_alphanumeric(),
            [] => true,
        } && !line.get(end).is_some_and(u8::is_ascii_alphanumeric);
        let word = &line[start..end];
        let is_word = (HEX_WORD_BYTES_MIN..=HEX_WORD_BYTES_MAX).contains(&word.len())
            && word.iter().any(u8::is_ascii_digit)
            && !word.iter().all(u8::is_ascii_digit);
        if !stands_alone || !is_word {
            return None;
        }
        let groups = line.get(end..start + UUID_BYTES).filter(|_| word.len() == 8).unwrap_or_default();
        let is_uuid = |(place, byte): (usize, &u8)| match place {
            0 | 5 | 10 | 15 => *byte == b'-',
            _ => is_hex(&byte),
        };
        let goes_on = line.get(start + UUID_BYTES).is_some_and(u8::is_ascii_alphanumeric);
        if !groups.is_empty() && !goes_on && groups.iter().enumerate().all(is_uuid) {
            end = start + UUID_BYTES;
        }
        Some(self.start + start..self.start + end)
    }

    #[inline]
    fn digits_end(&self, at: usize) -> usize {
        let mut at = at;
        loop {
            let digits = words::digits(word_at(self.text, at));
            let len = words::before(!digits & words::HIGHS).min(self.end - at);
            at += len;
            if len < 8 {
                return at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<&str> {
        parts_of(text, Reading::of_line(text.as_bytes()))
    }

    fn parts_of(text: &str, reading: Reading) -> Vec<&str> {
        let mut classes = Classes::default();
        let place = Span { start: 0, len: text.len() as u32 };
        classes.read(text.as_bytes(), place, reading);
        let line = Line::new(text.as_bytes(), place, &classes);
        let (mut at, mut before) = (0, Part::End);
        let mut parts = Vec::new();
        loop {
            let (start, end, part) = line.next_part(reading, at, before);
            assert_eq!(line.part_end(part, start), Some(end), "{part:?} in {text}");
            if part == Part::End {
                return parts;
            }
            parts.push(&text[start..end]);
            (at, before) = (end, part);
        }
    }

    #[test]
    fn json_values_are_variable_and_keys_are_not() {
        assert_eq!(
            parts(r#"{"a":"x\"y", "b" : 1.50,"c":[true,null],"d":{}}"#),
            [r#"x\"y"#, "1.50", "true", "null"]
        );
        assert_eq!(parts(r#"{"a" "b":"c\"#), ["a", r"c\"]);
    }

    #[test]
    fn tokens_with_digits_values_and_quoted_text_are_variable() {
        assert_eq!(
            parts(r#"10.0.0.1 - GET took 12ms level=info msg="a b" [x]"#),
            ["10.0.0.1", "12ms", "info", "a b"]
        );
        assert_eq!(parts(r#"open "quote"#), ["quote"]);
        assert_eq!(parts(r#"k= "" a1"#), ["", "a1"]);
        assert_eq!(parts(""), Vec::<&str>::new());
    }

    #[test]
    fn digits_and_hexadecimal_words_are_variable_in_values() {
        for (value, expected) in [
            ("10.0.0.1:80", &["10", "0", "0", "1", "80"][..]),
            ("/v1/sessions/cd3e80c9/7", &["1", "cd3e80c9", "7"]),
            ("cd3e80c", &["3", "80"]),
            ("12345678", &["12345678"]),
            ("abcdefab", &[]),
            ("12abcdef34 took 5d", &["12abcdef34", "5"]),
            ("g12abcdef34", &["12", "34"]),
            ("12abcdef34g", &["12", "34"]),
            ("at 0x7fffa0b1c2d3", &["0", "7fffa0b1c2d3"]),
            ("b41ba707-efc6-aed5-84b8-5c6d073c9070.", &["b41ba707-efc6-aed5-84b8-5c6d073c9070"]),
            ("b41ba707-efc6-aed5", &["b41ba707", "6", "5"]),
            ("b41ba707-efc6-aed5-84b8-5c6d073c90701", &["b41ba707", "6", "5", "84", "8", "5c6d073c90701"]),
            ("CD3E80C9", &["3", "80", "9"]),
        ] {
            assert_eq!(parts_of(value, Reading::Value), expected, "{value}");
        }
        let long = format!("a{}", "1".repeat(HEX_WORD_BYTES_MAX));
        assert_eq!(parts_of(&long, Reading::Value), [&long[1..]]);
        assert_eq!(parts_of(&long[..HEX_WORD_BYTES_MAX], Reading::Value), [&long[..HEX_WORD_BYTES_MAX]]);
    }
}
