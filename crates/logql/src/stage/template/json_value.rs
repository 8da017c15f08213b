//! JSON for `fromJson`: all of it, checked, unlike the scanner of the `json` stage.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::DEPTH_MAX;
use super::value::Value;

/// The value; `None` when the text is not JSON or nests deeper than templates may.
pub(super) fn parse(text: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(text);
    let mut reader = Reader { rest: &text };
    let value = reader.value(0)?;
    reader.skip_blank();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn skip_blank(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn accept(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.skip_blank();
        match self.rest.bytes().next()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => Some(Value::text(self.text()?)),
            b't' => self.accept("true").then_some(Value::Bool(true)),
            b'f' => self.accept("false").then_some(Value::Bool(false)),
            b'n' => self.accept("null").then_some(Value::Nil),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.accept("{");
        let mut map = BTreeMap::new();
        self.skip_blank();
        if self.accept("}") {
            return Some(Value::Map(Rc::new(map)));
        }
        loop {
            self.skip_blank();
            let key = self.text()?;
            self.skip_blank();
            if !self.accept(":") {
                return None;
            }
            let value = self.value(depth + 1)?;
            map.insert(key, value);
            self.skip_blank();
            if self.accept("}") {
                return Some(Value::Map(Rc::new(map)));
            }
            if !self.accept(",") {
                return None;
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.accept("[");
        let mut list = Vec::new();
        self.skip_blank();
        if self.accept("]") {
            return Some(Value::List(Rc::new(list)));
        }
        loop {
            list.push(self.value(depth + 1)?);
            self.skip_blank();
            if self.accept("]") {
                return Some(Value::List(Rc::new(list)));
            }
            if !self.accept(",") {
                return None;
            }
        }
    }

    fn text(&mut self) -> Option<String> {
        self.rest = self.rest.strip_prefix('"')?;
        let mut text = String::new();
        loop {
            let at = self.rest.find(['"', '\\'])?;
            let (plain, behind) = self.rest.split_at(at);
            if plain.chars().any(|c| c < ' ') {
                return None;
            }
            text.push_str(plain);
            if let Some(rest) = behind.strip_prefix('"') {
                self.rest = rest;
                return Some(text);
            }
            let mut escape = behind[1..].chars();
            let c = match escape.next()? {
                c @ ('"' | '\\' | '/') => c,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    self.rest = &behind[2..];
                    text.push(self.unicode()?);
                    continue;
                }
                _ => return None,
            };
            text.push(c);
            self.rest = escape.as_str();
        }
    }

    /// What follows `\u`; half a pair is U+FFFD.
    fn unicode(&mut self) -> Option<char> {
        let unit = |text: &str| {
            let digits = text.get(..4)?;
            if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            u32::from_str_radix(digits, 16).ok()
        };
        let first = unit(self.rest)?;
        self.rest = &self.rest[4..];
        if let Some(c) = char::from_u32(first) {
            return Some(c);
        }
        if first < 0xdc00
            && let Some(second) =
                self.rest.strip_prefix("\\u").and_then(unit).filter(|u| (0xdc00..0xe000).contains(u))
        {
            self.rest = &self.rest[6..];
            return char::from_u32(((first - 0xd800) << 10) + (second - 0xdc00) + 0x1_0000);
        }
        Some(char::REPLACEMENT_CHARACTER)
    }

    fn number(&mut self) -> Option<Value> {
        let len = self
            .rest
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E')))
            .unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(len);
        let digits = text.strip_prefix('-').unwrap_or(text);
        let starts_well = digits.starts_with(|c: char| c.is_ascii_digit())
            && !(digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit()));
        let point_is_followed =
            digits.split_once('.').is_none_or(|(_, d)| d.starts_with(|c: char| c.is_ascii_digit()));
        let value: f64 = text.parse().ok()?;
        self.rest = rest;
        (starts_well && point_is_followed && value.is_finite()).then_some(Value::Float(value))
    }
}
