//! Functions on texts.

use std::borrow::Cow;

use memchr::memmem;
use regex::bytes::NoExpand;

use super::super::TEXT_BYTES_MAX;
use super::super::format::sprintf;
use super::super::value::Type::{Any, Int, Text};
use super::super::value::Value;
use super::{Environment, Function, Outcome, bytes, chars, fixed, integer, string, variadic};

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("__line__", &[], |environment, _| Ok(Value::text(environment.scope.line()))),
    fixed("ToLower", &[Text], |_, a| Ok(Value::text(lower(&a[0])))),
    fixed("ToUpper", &[Text], |_, a| Ok(Value::text(upper(&a[0])))),
    fixed("lower", &[Text], |_, a| Ok(Value::text(lower(&a[0])))),
    fixed("upper", &[Text], |_, a| Ok(Value::text(upper(&a[0])))),
    fixed("title", &[Text], |_, a| Ok(Value::text(title(&a[0])))),
    fixed("Replace", &[Text, Text, Text, Int], |_, a| replace(&a[0], &a[1], &a[2], integer(&a[3]))),
    fixed("replace", &[Text, Text, Text], |_, a| replace(&a[2], &a[0], &a[1], -1)),
    fixed("Trim", &[Text, Text], |_, a| Ok(trim_set(&a[0], &a[1], true, true))),
    fixed("TrimLeft", &[Text, Text], |_, a| Ok(trim_set(&a[0], &a[1], true, false))),
    fixed("TrimRight", &[Text, Text], |_, a| Ok(trim_set(&a[0], &a[1], false, true))),
    fixed("trimAll", &[Text, Text], |_, a| Ok(trim_set(&a[1], &a[0], true, true))),
    fixed("TrimPrefix", &[Text, Text], |_, a| Ok(trim_prefix(&a[0], &a[1]))),
    fixed("trimPrefix", &[Text, Text], |_, a| Ok(trim_prefix(&a[1], &a[0]))),
    fixed("TrimSuffix", &[Text, Text], |_, a| Ok(trim_suffix(&a[0], &a[1]))),
    fixed("trimSuffix", &[Text, Text], |_, a| Ok(trim_suffix(&a[1], &a[0]))),
    fixed("TrimSpace", &[Text], |_, a| Ok(trim_space(&a[0]))),
    fixed("trim", &[Text], |_, a| Ok(trim_space(&a[0]))),
    fixed("trunc", &[Int, Text], |_, a| Ok(truncate(integer(&a[0]), bytes(&a[1])))),
    fixed("substr", &[Int, Int, Text], |_, a| substring(integer(&a[0]), integer(&a[1]), bytes(&a[2]))),
    fixed("contains", &[Text, Text], |_, a| {
        Ok(Value::Bool(memmem::find(bytes(&a[1]), bytes(&a[0])).is_some()))
    }),
    fixed("hasPrefix", &[Text, Text], |_, a| Ok(Value::Bool(bytes(&a[1]).starts_with(bytes(&a[0]))))),
    fixed("hasSuffix", &[Text, Text], |_, a| Ok(Value::Bool(bytes(&a[1]).ends_with(bytes(&a[0]))))),
    fixed("indent", &[Int, Text], |_, a| indent(integer(&a[0]), bytes(&a[1]), b"")),
    fixed("nindent", &[Int, Text], |_, a| indent(integer(&a[0]), bytes(&a[1]), b"\n")),
    fixed("repeat", &[Int, Text], |_, a| Ok(Value::text(repeated(bytes(&a[1]), integer(&a[0]))?))),
    fixed("alignLeft", &[Int, Text], |_, a| align(integer(&a[0]), &a[1], false)),
    fixed("alignRight", &[Int, Text], |_, a| align(integer(&a[0]), &a[1], true)),
    fixed("regexReplaceAll", &[Text, Text, Text], |environment, a| {
        let pattern = environment.expressions.get(bytes(&a[0]))?;
        bounded(pattern.regex().replace_all(bytes(&a[1]), bytes(&a[2])))
    }),
    fixed("regexReplaceAllLiteral", &[Text, Text, Text], |environment, a| {
        let pattern = environment.expressions.get(bytes(&a[0]))?;
        bounded(pattern.regex().replace_all(bytes(&a[1]), NoExpand(bytes(&a[2]))))
    }),
    fixed("count", &[Text, Text], |environment, a| {
        let pattern = environment.expressions.get(bytes(&a[0]))?;
        Ok(Value::Int(pattern.regex().find_iter(bytes(&a[1])).count() as i64))
    }),
    variadic("print", &[], Any, |environment, a| Ok(Value::text(printed(environment, a)))),
    variadic("println", &[], Any, |environment, a| {
        let mut text = Vec::new();
        for (index, value) in a.iter().enumerate() {
            if index > 0 {
                text.push(b' ');
            }
            value.print(environment.scope, &mut text);
        }
        text.push(b'\n');
        Ok(Value::text(text))
    }),
    variadic("printf", &[Text], Any, |environment, a| {
        Ok(Value::text(sprintf(bytes(&a[0]), &a[1..], environment.scope)?))
    }),
];

/// Values one behind the other, with a blank between two that are no texts.
pub(super) fn printed(environment: &Environment<'_>, values: &[Value]) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if index > 0 && !is_text(value) && !is_text(&values[index - 1]) {
            text.push(b' ');
        }
        value.print(environment.scope, &mut text);
    }
    text
}

fn bounded(text: Cow<'_, [u8]>) -> Outcome {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("text is {} bytes, limit is {TEXT_BYTES_MAX}", text.len()));
    }
    Ok(Value::text(text))
}

/// Case by single characters, as Go does: `ß` has no upper case.
fn upper_char(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(single), None) => single,
        _ => c,
    }
}

/// As upper case, but for the letters that are two in one.
fn title_char(c: char) -> char {
    match c {
        'Ǆ'..='ǆ' => 'ǅ',
        'Ǉ'..='ǉ' => 'ǈ',
        'Ǌ'..='ǌ' => 'ǋ',
        'Ǳ'..='ǳ' => 'ǲ',
        c => upper_char(c),
    }
}

fn upper(value: &Value) -> String {
    string(value).chars().map(upper_char).collect()
}

fn lower(value: &Value) -> String {
    string(value)
        .chars()
        .map(|c| {
            let mut lower = c.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(single), None) => single,
                (first, _) => first.unwrap_or(c),
            }
        })
        .collect()
}

/// Every first letter of a word in upper case.
fn title(value: &Value) -> String {
    let mut before = ' ';
    string(value)
        .chars()
        .map(|c| {
            let starts_word = match before {
                c if c.is_ascii_alphanumeric() || c == '_' => false,
                c if c.is_ascii() => true,
                c => !c.is_alphanumeric() && c.is_whitespace(),
            };
            before = c;
            if starts_word { title_char(c) } else { c }
        })
        .collect()
}

fn replace(text: &Value, old: &Value, new: &Value, count: i64) -> Outcome {
    let (text, old, new) = (bytes(text), bytes(old), bytes(new));
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut done = 0;
    while done < limit {
        // An empty text is found before every character and at the end.
        let at = if old.is_empty() {
            match rest.first() {
                _ if done == 0 => Some(0),
                Some(first) => Some(character_length(*first).min(rest.len())),
                None => None,
            }
        } else {
            memmem::find(rest, old)
        };
        let Some(at) = at else { break };
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(new);
        rest = &rest[at + old.len()..];
        done += 1;
        if replaced.len() > TEXT_BYTES_MAX {
            return Err(format!("text is longer than {TEXT_BYTES_MAX} bytes"));
        }
    }
    replaced.extend_from_slice(rest);
    Ok(Value::text(replaced))
}

fn character_length(first: u8) -> usize {
    match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    }
}

fn trim_set(text: &Value, set: &Value, left: bool, right: bool) -> Value {
    let (text, set) = (string(text), chars(set));
    let mut trimmed = text.as_str();
    if left {
        trimmed = trimmed.trim_start_matches(|c| set.contains(&c));
    }
    if right {
        trimmed = trimmed.trim_end_matches(|c| set.contains(&c));
    }
    Value::text(trimmed)
}

fn trim_prefix(text: &Value, prefix: &Value) -> Value {
    let text = bytes(text);
    Value::text(text.strip_prefix(bytes(prefix)).unwrap_or(text))
}

fn trim_suffix(text: &Value, suffix: &Value) -> Value {
    let text = bytes(text);
    Value::text(text.strip_suffix(bytes(suffix)).unwrap_or(text))
}

fn trim_space(text: &Value) -> Value {
    match std::str::from_utf8(bytes(text)) {
        Ok(text) => Value::text(text.trim()),
        Err(_) => Value::text(bytes(text).trim_ascii()),
    }
}

/// The first bytes, or with a negative count the last.
fn truncate(count: i64, text: &[u8]) -> Value {
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    Value::text(match (count < 0, wanted < text.len()) {
        (false, true) => &text[..wanted],
        (true, true) => &text[text.len() - wanted..],
        _ => text,
    })
}

fn substring(start: i64, end: i64, text: &[u8]) -> Outcome {
    let len = text.len();
    let out_of_range = |bounds: String| Err(format!("runtime error: slice bounds out of range [{bounds}]"));
    let Ok(start) = usize::try_from(start) else {
        return match usize::try_from(end) {
            Ok(end) if end <= len => Ok(Value::text(&text[..end])),
            Ok(end) => Err(format!("runtime error: slice bounds out of range [:{end}] with length {len}")),
            Err(_) => out_of_range(format!(":{end}")),
        };
    };
    match usize::try_from(end) {
        Ok(end) if end <= len && start <= end => Ok(Value::text(&text[start..end])),
        Ok(end) if end <= len => out_of_range(format!("{start}:{end}")),
        _ if start <= len => Ok(Value::text(&text[start..])),
        _ => out_of_range(format!("{start}:{len}")),
    }
}

fn repeated(text: &[u8], count: i64) -> Result<Vec<u8>, String> {
    let Ok(count) = usize::try_from(count) else { return Err("strings: negative Repeat count".to_owned()) };
    match text.len().checked_mul(count) {
        Some(len) if len <= TEXT_BYTES_MAX => Ok(text.repeat(count)),
        _ => Err(format!("text is {} bytes times {count}, limit is {TEXT_BYTES_MAX}", text.len())),
    }
}

fn indent(count: i64, text: &[u8], before: &[u8]) -> Outcome {
    let blanks = repeated(b" ", count)?;
    let mut indented = [before, &blanks].concat();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if index > 0 {
            indented.push(b'\n');
            indented.extend_from_slice(&blanks);
        }
        indented.extend_from_slice(line);
        if indented.len() > TEXT_BYTES_MAX {
            return Err(format!("text is longer than {TEXT_BYTES_MAX} bytes"));
        }
    }
    Ok(Value::text(indented))
}

/// The text with exactly `count` characters: blanks are added, or what is too much is cut.
fn align(count: i64, text: &Value, right: bool) -> Outcome {
    let Ok(count) = usize::try_from(count) else { return Ok(text.clone()) };
    let all = chars(text);
    let aligned: String = if count <= all.len() {
        let kept = if right { &all[all.len() - count..] } else { &all[..count] };
        kept.iter().collect()
    } else {
        let blanks = String::from_utf8_lossy(&repeated(b" ", (count - all.len()) as i64)?).into_owned();
        let text: String = all.iter().collect();
        if right { blanks + &text } else { text + &blanks }
    };
    Ok(Value::text(aligned))
}
