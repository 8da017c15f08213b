//! A scanner over JSON text that looks no further than it has to.
//!
//! It finds keys and the ends of values without checking what it passes over, so it takes some
//! text that is not JSON: what Loki takes. It never recurses.

use memchr::{memchr, memchr3};

use crate::stage::clean_text::push_clean;

/// Why text is not the JSON that was looked for; the words are those of Loki's `__error_details__`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JsonError {
    /// The text ends or goes on where it must not.
    #[error("Malformed JSON error")]
    Malformed,
    #[error("Value looks like object, but can't find closing '}}' symbol")]
    Object,
    #[error("Value is array, but can't find closing ']' symbol")]
    Array,
    #[error("Value is string, but can't find closing '\"' symbol")]
    Text,
    /// Neither string, number, literal, object nor array.
    #[error("Unknown value type")]
    Unknown,
    #[error("Encountered an invalid escape sequence in a string")]
    Escape,
    /// Not an object although it has to be one.
    #[error("expecting json object(6), but it is not")]
    NotAnObject,
    /// Our own bound; Loki has none.
    #[error("objects nest deeper than {DEPTH_MAX}")]
    Depth,
}

/// How deep objects may nest.
pub(super) const DEPTH_MAX: usize = 128;

/// A value, as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// What is between the quotes, escapes and all.
    Text(&'a [u8]),
    Number(&'a [u8]),
    Boolean(&'a [u8]),
    Null,
    /// With its braces.
    Object(&'a [u8]),
    /// With its brackets.
    Array(&'a [u8]),
}

/// The first place at or after `at` that is no blank.
pub(super) fn skip_blank(data: &[u8], at: usize) -> Option<usize> {
    data.get(at..)?.iter().position(|b| !matches!(b, b' ' | b'\n' | b'\r' | b'\t')).map(|len| at + len)
}

/// The place of the quote that ends the string whose content begins at `at`, and whether there
/// is a backslash in it.
pub(super) fn string_end(data: &[u8], at: usize) -> Option<(usize, bool)> {
    let mut from = at;
    loop {
        let quote = from + memchr(b'"', data.get(from..)?)?;
        let content = &data[at..quote];
        let backslashes = content.iter().rev().take_while(|b| **b == b'\\').count();
        if backslashes % 2 == 0 {
            return Some((quote, memchr(b'\\', content).is_some()));
        }
        from = quote + 1;
    }
}

/// The place behind the block that opens at `at`.
pub(super) fn block_end(data: &[u8], at: usize, open: u8, close: u8) -> Option<usize> {
    let mut level = 0usize;
    let mut from = at;
    loop {
        let found = from + memchr3(b'"', open, close, data.get(from..)?)?;
        match data[found] {
            b'"' => from = string_end(data, found + 1)?.0 + 1,
            byte if byte == open => {
                level += 1;
                from = found + 1;
            }
            _ => {
                from = found + 1;
                match level {
                    0 | 1 => return Some(from),
                    _ => level -= 1,
                }
            }
        }
    }
}

/// The value that begins at `at`, after blanks, and the place behind it.
pub(super) fn value_at(data: &[u8], at: usize) -> Result<(Value<'_>, usize), JsonError> {
    let start = skip_blank(data, at).ok_or(JsonError::Malformed)?;
    match data[start] {
        b'"' => {
            let (quote, _) = string_end(data, start + 1).ok_or(JsonError::Text)?;
            Ok((Value::Text(&data[start + 1..quote]), quote + 1))
        }
        b'{' => {
            let end = block_end(data, start, b'{', b'}').ok_or(JsonError::Object)?;
            Ok((Value::Object(&data[start..end]), end))
        }
        b'[' => {
            let end = block_end(data, start, b'[', b']').ok_or(JsonError::Array)?;
            Ok((Value::Array(&data[start..end]), end))
        }
        first => {
            let len = data[start..]
                .iter()
                .position(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t' | b',' | b'}' | b']'))
                .unwrap_or(data.len() - start);
            let token = &data[start..start + len];
            let value = match (first, token) {
                (_, b"true" | b"false") => Value::Boolean(token),
                (_, b"null") => Value::Null,
                (b'0'..=b'9' | b'-', _) => Value::Number(token),
                _ => return Err(JsonError::Unknown),
            };
            Ok((value, start + len))
        }
    }
}

/// Calls `visit` with every key, unescaped, and value of the object that `data` begins with.
pub(super) fn each_member<'a>(
    data: &'a [u8],
    mut visit: impl FnMut(&[u8], Value<'a>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let mut at = skip_blank(data, 0).ok_or(JsonError::Object)?;
    if data[at] != b'{' {
        return Err(JsonError::Object);
    }
    at = skip_blank(data, at + 1).ok_or(JsonError::Malformed)?;
    let mut unescaped = Vec::new();
    loop {
        match data[at] {
            b'"' => {}
            b'}' => return Ok(()),
            _ => return Err(JsonError::Object),
        }
        let (quote, is_escaped) = string_end(data, at + 1).ok_or(JsonError::Malformed)?;
        let mut key = &data[at + 1..quote];
        if is_escaped {
            unescaped.clear();
            unescape(key, &mut unescaped)?;
            key = &unescaped;
        }
        at = skip_blank(data, quote + 1).ok_or(JsonError::Malformed)?;
        if data[at] != b':' {
            return Err(JsonError::Malformed);
        }
        let (value, behind) = value_at(data, at + 1)?;
        visit(key, value)?;
        at = skip_blank(data, behind).ok_or(JsonError::Array)?;
        match data[at] {
            b'}' => return Ok(()),
            b',' => at = skip_blank(data, at + 1).ok_or(JsonError::Array)?,
            _ => return Err(JsonError::Object),
        }
    }
}

/// Appends the string that `text`, the content of a JSON string, stands for.
pub(super) fn unescape(text: &[u8], unescaped: &mut Vec<u8>) -> Result<(), JsonError> {
    let mut rest = text;
    while let Some(plain) = memchr(b'\\', rest) {
        unescaped.extend_from_slice(&rest[..plain]);
        rest = &rest[plain..];
        let simple = match rest.get(1) {
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let (c, len) = unicode_escape(rest).ok_or(JsonError::Escape)?;
                unescaped.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &rest[len..];
                continue;
            }
            _ => return Err(JsonError::Escape),
        };
        unescaped.push(simple);
        rest = &rest[2..];
    }
    unescaped.extend_from_slice(rest);
    Ok(())
}

/// Reads `\uXXXX` or a pair of them; answers the character and the bytes read.
fn unicode_escape(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        text.get(at + 2..at + 6)?
            .iter()
            .try_fold(0u32, |value, byte| Some(value << 4 | char::from(*byte).to_digit(16)?))
    };
    let first = unit(0)?;
    if !(0xd800..=0xdfff).contains(&first) {
        return Some((char::from_u32(first)?, 6));
    }
    let second = unit(6).filter(|second| *second >= 0xdc00)?;
    let combined = (first.wrapping_sub(0xd800) << 10).wrapping_add(second - 0xdc00).wrapping_add(0x1_0000);
    Some((char::from_u32(combined).unwrap_or(char::REPLACEMENT_CHARACTER), 12))
}

/// Puts the text of a JSON string into `text`, as [`push_text`] does.
pub(super) fn read_text(raw: &[u8], text: &mut String) {
    text.clear();
    push_text(raw, text);
}

/// Appends the text of a JSON string: unescaped, and a blank for each byte or character that is not a proper
/// one. Nothing when an escape is wrong.
pub(super) fn push_text(raw: &[u8], text: &mut String) {
    if memchr(b'\\', raw).is_none() {
        push_clean(raw, text);
        return;
    }
    let mut unescaped = Vec::with_capacity(raw.len());
    if unescape(raw, &mut unescaped).is_ok() {
        push_clean(&unescaped, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(data: &str) -> Result<Vec<(String, String)>, JsonError> {
        let mut members = Vec::new();
        each_member(data.as_bytes(), |key, value| {
            members.push((String::from_utf8_lossy(key).into_owned(), format!("{value:?}")));
            Ok(())
        })?;
        Ok(members)
    }

    #[test]
    fn members_are_found_with_their_values() {
        let found = members(r#" { "a" : 1 , "b\n":"x\"y","c":{"d":[1,"}"]},"e":null,"f":true} rest"#);
        let keys: Vec<String> = found.expect("json").into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a", "b\n", "c", "e", "f"]);
        assert_eq!(members("{}"), Ok(Vec::new()));
    }

    #[test]
    fn malformed_text_is_named() {
        for (text, error) in [
            ("", JsonError::Object),
            ("[1]", JsonError::Object),
            ("{", JsonError::Malformed),
            ("{a:1}", JsonError::Object),
            (r#"{"a""#, JsonError::Malformed),
            (r#"{"a":"#, JsonError::Malformed),
            (r#"{"a":1"#, JsonError::Array),
            (r#"{"a":1,"#, JsonError::Array),
            (r#"{"a":1 2}"#, JsonError::Object),
            (r#"{"a":"x}"#, JsonError::Text),
            (r#"{"a":{"b":1}"#, JsonError::Array),
            (r#"{"a":{"b":1"#, JsonError::Object),
            (r#"{"a":[1"#, JsonError::Array),
            (r#"{"a":nope}"#, JsonError::Unknown),
            (r#"{"\q":1}"#, JsonError::Escape),
        ] {
            assert_eq!(members(text), Err(error), "{text}");
        }
    }

    #[test]
    fn strings_are_unescaped_and_what_is_no_character_becomes_a_blank() {
        let mut text = String::new();
        for (raw, expected) in [
            (&br#"q\"b\\s\/n\nt\tu\u00e9\ud83d\ude00"#[..], "q\"b\\s/n\nt\tu\u{e9}\u{1f600}"),
            (br"\ud83d", ""),
            (br"\x", ""),
            (b"a\xffb\xc3(", "a b ("),
            ("a\u{fffd}b".as_bytes(), "a b"),
            (br"\u0000", "\0"),
        ] {
            read_text(raw, &mut text);
            assert_eq!(text, expected, "{raw:?}");
        }
    }
}
