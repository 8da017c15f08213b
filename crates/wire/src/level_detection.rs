//! `detected_level`: the level of a record that names none, found as Loki's distributor finds it.
//!
//! In this order: a label or a structured metadata name that speaks of the level, OpenTelemetry's
//! `severity_number`, a field of a JSON line (its first two depths) or of a logfmt line, and last
//! the first word of the line that is a level and stands alone. Besides Loki's words, a *value* may
//! be one of Java's (`FINEST`, `SEVERE`, …). No regular expression and no allocation: this runs for
//! every line that comes in.

use timberyard_model::Labels;
pub use timberyard_model::level::DETECTED_LEVEL;
use timberyard_model::level::Level;

use crate::level_word::level_word;

/// What is written when nothing says the level.
pub const UNKNOWN: &str = "unknown";

/// Names that speak of the level, the best first (Loki's `log_level_fields`).
const LEVEL_NAMES: [&str; 14] = [
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
    "SEVERITY_TEXT",
];

/// How many depths of a JSON line are looked into (Loki's `log_level_from_json_max_depth`).
const JSON_DEPTH_MAX: usize = 2;

/// Finds the levels of the records of one stream.
#[derive(Clone, Debug)]
pub struct LevelDetector {
    /// The level of all records, when a label says it.
    from_labels: Option<Box<[u8]>>,
}

impl LevelDetector {
    /// For a stream with these labels.
    pub fn new(labels: &Labels) -> Self {
        let ranked =
            labels.iter().filter_map(|(name, value)| Some((level_name_rank(name.as_bytes())?, value)));
        let best = ranked.min_by_key(|(rank, _)| *rank);
        Self { from_labels: best.map(|(_, value)| normalized(value.as_bytes()).into()) }
    }

    /// The value that `detected_level` should have for a record; a word that is no known level is kept as
    /// it is, as Loki does. `None` when the record brings the name itself (see [`normalized`]).
    pub fn detect<'a>(&'a self, metadata: &[(&str, &'a [u8])], line: &'a [u8]) -> Option<&'a [u8]> {
        if metadata.iter().any(|(name, _)| *name == DETECTED_LEVEL) {
            return None;
        }
        if let Some(level) = &self.from_labels {
            return Some(level);
        }
        if !metadata.is_empty() {
            let ranked =
                metadata.iter().filter_map(|(name, value)| Some((level_name_rank(name.as_bytes())?, value)));
            if let Some((_, value)) = ranked.min_by_key(|(rank, _)| *rank) {
                return (!value.is_empty()).then(|| normalized(value));
            }
            let number = metadata.iter().find(|(name, _)| *name == "severity_number");
            if let Some((_, number)) = number.filter(|(_, number)| !number.is_empty()) {
                return Some(level_of_severity_number(number).as_bytes());
            }
        }
        Some(level_of_line(line).map_or(UNKNOWN, Level::as_str).as_bytes())
    }
}

/// The name of the level that `value` stands for, else `value` itself.
pub fn normalized(value: &[u8]) -> &[u8] {
    match level_of_value(value) {
        Some(level) => level.as_str().as_bytes(),
        None => value,
    }
}

/// The level that a line speaks of.
pub fn level_of_line(line: &[u8]) -> Option<Level> {
    let value = if looks_like_json(line) {
        json_level_value(line, 0).ok().flatten()
    } else if memchr::memchr(b'=', line).is_some() {
        logfmt_level_value(line)
    } else {
        None
    };
    value.and_then(level_of_value).or_else(|| level_word(line))
}

/// OpenTelemetry's numbers: four for each level, from 1 on; 0 and what is beyond are unknown.
fn level_of_severity_number(number: &[u8]) -> &'static str {
    let number = std::str::from_utf8(number).ok().and_then(|text| text.parse::<i64>().ok());
    match number {
        // Loki takes what is not a number for info.
        None => Level::Info.as_str(),
        Some(0) | Some(25..) => UNKNOWN,
        Some(..=4) => Level::Trace.as_str(),
        Some(5..=8) => Level::Debug.as_str(),
        Some(9..=12) => Level::Info.as_str(),
        Some(13..=16) => Level::Warn.as_str(),
        Some(17..=20) => Level::Error.as_str(),
        Some(21..=24) => Level::Fatal.as_str(),
    }
}

/// Words that stand for a level as a value: Loki's and Java's, in lower case; whoever sends them may use any.
pub const LEVEL_WORDS: [(&str, Level); 19] = [
    ("info", Level::Info),
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("warning", Level::Warn),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
    ("err", Level::Error),
    ("inf", Level::Info),
    ("information", Level::Info),
    ("wrn", Level::Warn),
    ("dbg", Level::Debug),
    ("trc", Level::Trace),
    ("critical", Level::Critical),
    ("fatal", Level::Fatal),
    ("finest", Level::Trace),
    ("finer", Level::Trace),
    ("fine", Level::Debug),
    ("config", Level::Info),
    ("severe", Level::Error),
];

/// The level that a value is.
fn level_of_value(value: &[u8]) -> Option<Level> {
    LEVEL_WORDS.iter().find(|(word, _)| value.eq_ignore_ascii_case(word.as_bytes())).map(|(_, level)| *level)
}

/// Whether the first and the last character that are not spaces are braces.
fn looks_like_json(line: &[u8]) -> bool {
    // Go looks at the last one byte by byte, so these two count as the spaces of Latin-1.
    let is_space = |byte: u8| matches!(byte, b'\t'..=b'\r' | b' ' | 0x85 | 0xa0);
    if line.iter().rev().find(|byte| !is_space(**byte)) != Some(&b'}') {
        return false;
    }
    line.iter().find(|byte| !matches!(byte, b'\t'..=b'\r' | b' ')) == Some(&b'{')
}

/// A JSON line that cannot be read on.
struct BrokenJson;

/// The first string in the object whose key speaks of the level. As lenient as the parser that Loki
/// uses here: a line is worth a look even when it is not quite JSON.
fn json_level_value(object: &[u8], depth: usize) -> Result<Option<&[u8]>, BrokenJson> {
    let mut rest = skip_spaces(object).strip_prefix(b"{").ok_or(BrokenJson)?;
    loop {
        rest = skip_spaces(rest);
        if rest.first() == Some(&b'}') {
            return Ok(None);
        }
        let (key, after_key) = split_string(rest)?;
        rest = skip_spaces(skip_spaces(after_key).strip_prefix(b":").ok_or(BrokenJson)?);
        match rest.first() {
            Some(b'"') => {
                let (value, after) = split_string(rest)?;
                if is_level_name(key) {
                    return Ok(Some(value));
                }
                rest = after;
            }
            Some(b'{') => {
                let (value, after) = split_block(rest, b'{', b'}')?;
                if depth + 1 < JSON_DEPTH_MAX
                    && let Some(found) = json_level_value(value, depth + 1)?
                {
                    return Ok(Some(found));
                }
                rest = after;
            }
            Some(b'[') => rest = split_block(rest, b'[', b']')?.1,
            _ => rest = split_plain(rest)?,
        }
        rest = skip_spaces(rest);
        match rest.split_first() {
            Some((b',', after)) => rest = after,
            Some((b'}', _)) => return Ok(None),
            _ => return Err(BrokenJson),
        }
    }
}

fn is_level_name(key: &[u8]) -> bool {
    level_name_rank(key).is_some()
}

/// The place of a name among those that speak of the level.
fn level_name_rank(key: &[u8]) -> Option<usize> {
    if !may_be_level_name(key) {
        return None;
    }
    LEVEL_NAMES.iter().position(|name| name.as_bytes() == key)
}

/// Whether a key begins as those do that speak of the level; most others are told by that.
fn may_be_level_name(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'l' | b'L' | b's' | b'S'))
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    text.get(spaces..).unwrap_or_default()
}

/// Splits what lies in quotes, escapes and all, from what follows.
fn split_string(text: &[u8]) -> Result<(&[u8], &[u8]), BrokenJson> {
    let inside = text.strip_prefix(b"\"").ok_or(BrokenJson)?;
    let mut from = 0;
    loop {
        let found = memchr::memchr2(b'"', b'\\', inside.get(from..).unwrap_or_default()).ok_or(BrokenJson)?;
        let at = from + found;
        if inside.get(at) == Some(&b'"') {
            return Ok((inside.get(..at).unwrap_or_default(), inside.get(at + 1..).unwrap_or_default()));
        }
        from = at + 2;
    }
}

/// Splits a bracketed value from what follows; only brackets of its own kind are counted.
fn split_block(text: &[u8], open: u8, close: u8) -> Result<(&[u8], &[u8]), BrokenJson> {
    let (mut at, mut depth) = (0, 0usize);
    loop {
        let tail = text.get(at..).unwrap_or_default();
        let found = memchr::memchr3(b'"', open, close, tail).ok_or(BrokenJson)?;
        at += found;
        match text.get(at) {
            Some(b'"') => {
                let after = split_string(text.get(at..).unwrap_or_default())?.1;
                at = text.len() - after.len();
            }
            Some(byte) if *byte == open => {
                depth += 1;
                at += 1;
            }
            _ => {
                depth = depth.saturating_sub(1);
                at += 1;
                if depth == 0 {
                    return Ok((text.get(..at).unwrap_or_default(), text.get(at..).unwrap_or_default()));
                }
            }
        }
    }
}

/// What follows a number, a boolean or null.
fn split_plain(text: &[u8]) -> Result<&[u8], BrokenJson> {
    let ends = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',' | b'}' | b']');
    let (token, rest) = text.split_at(text.iter().position(ends).ok_or(BrokenJson)?);
    match token {
        b"true" | b"false" | b"null" | [b'-' | b'0'..=b'9', ..] => Ok(rest),
        _ => Err(BrokenJson),
    }
}

/// The value of the best name in a logfmt line. Reading ends at the first thing that is not logfmt.
fn logfmt_level_value(line: &[u8]) -> Option<&[u8]> {
    let mut best: Option<(usize, &[u8])> = None;
    let mut at = 0;
    let is_word = |byte: &u8| !matches!(byte, b'=' | b'"' | ..=b' ');
    loop {
        // Words without a value are passed over.
        let rest = line.get(at..)?;
        let Some(equals) = memchr::memchr2(b'=', b'"', rest).filter(|found| rest[*found] == b'=') else {
            break;
        };
        let key_len = rest[..equals].iter().rev().take_while(|byte| is_word(byte)).count();
        let key = &rest[equals - key_len..equals];
        if key.is_empty() {
            break;
        }
        at += equals + 1;
        let value = match line.get(at) {
            Some(b'"') => {
                let Ok((value, after)) = split_string(line.get(at..).unwrap_or_default()) else { break };
                at = line.len() - after.len();
                value
            }
            _ => {
                let value_start = at;
                at += line.get(at..).unwrap_or_default().iter().take_while(|byte| is_word(byte)).count();
                if let Some(b'=' | b'"') = line.get(at) {
                    break;
                }
                line.get(value_start..at).unwrap_or_default()
            }
        };
        if let Some(rank) = logfmt_name_rank(key)
            && best.is_none_or(|(best_rank, _)| rank < best_rank)
        {
            if rank == 0 {
                return Some(value);
            }
            best = Some((rank, value));
        }
    }
    best.map(|(_, value)| value)
}

/// The place of a name, whatever its case, among those that speak of the level.
fn logfmt_name_rank(key: &[u8]) -> Option<usize> {
    if !may_be_level_name(key) {
        return None;
    }
    LEVEL_NAMES.iter().position(|name| key.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::random_numbers;

    fn detect(labels: &[(&str, &str)], metadata: &[(&str, &[u8])], line: &str) -> String {
        let detector = LevelDetector::new(&Labels::from_pairs(labels.iter().copied()));
        let level = detector.detect(metadata, line.as_bytes()).unwrap_or(b"-");
        String::from_utf8_lossy(level).into_owned()
    }

    #[test]
    fn labels_come_before_metadata_and_metadata_before_the_line() {
        type Case = (
            &'static [(&'static str, &'static str)],
            &'static [(&'static str, &'static [u8])],
            &'static str,
            &'static str,
        );
        let cases: [Case; 13] = [
            (&[("level", "WARN")], &[("level", b"debug")], "error", "warn"),
            (&[("severity", "Information")], &[], "error", "info"),
            (&[("severity", "err"), ("level", "trc")], &[], "", "trace"),
            (&[("level", "SEVERE")], &[], "", "error"),
            (&[("level", "FINER")], &[], "", "trace"),
            (&[("level", "notice")], &[], "error", "notice"),
            (&[], &[("lvl", b"DBG")], "error", "debug"),
            (&[], &[("level", b"\xff")], "error", "\u{fffd}"),
            (&[], &[("level", b"")], "error", "-"),
            (&[], &[("severity_number", b"17")], "info", "error"),
            (&[], &[("severity_number", b"x")], "error", "info"),
            (&[], &[("severity_number", b"25")], "error", "unknown"),
            (&[("level", "warn")], &[("detected_level", b"INFO")], "", "-"),
        ];
        for (labels, metadata, line, expected) in cases {
            assert_eq!(detect(labels, metadata, line), expected, "{labels:?} {metadata:?} {line}");
        }
        assert_eq!(normalized(b"INFO"), b"info");
        assert_eq!(normalized(b"loud"), b"loud");
    }

    /// As [`logfmt_level_value`], byte by byte.
    fn naive_logfmt(line: &[u8]) -> Option<Vec<u8>> {
        let is_word = |at: usize| line.get(at).is_some_and(|byte| !matches!(byte, b'=' | b'"' | ..=b' '));
        let mut found: Vec<(usize, Vec<u8>)> = Vec::new();
        let mut at = 0;
        while at < line.len() {
            if line[at] <= b' ' {
                at += 1;
                continue;
            }
            let start = at;
            while is_word(at) {
                at += 1;
            }
            let key = &line[start..at];
            match line.get(at) {
                Some(b'=') if !key.is_empty() => at += 1,
                Some(b'=' | b'"') | None => break,
                Some(_) => continue,
            }
            let value_start = at;
            let value = if line.get(at) == Some(&b'"') {
                at += 1;
                while line.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if line[at] == b'\\' { 2 } else { 1 };
                }
                if at >= line.len() {
                    break;
                }
                at += 1;
                &line[value_start + 1..at - 1]
            } else {
                while is_word(at) {
                    at += 1;
                }
                if matches!(line.get(at), Some(b'=' | b'"')) {
                    break;
                }
                &line[value_start..at]
            };
            let rank = LEVEL_NAMES.iter().position(|name| key.eq_ignore_ascii_case(name.as_bytes()));
            found.extend(rank.map(|rank| (rank, value.to_vec())));
        }
        found.into_iter().min_by_key(|(rank, _)| *rank).map(|(_, value)| value)
    }

    #[test]
    fn the_value_of_a_logfmt_line_is_found_as_byte_by_byte() {
        let pieces: [&str; 16] = [
            "level",
            "lvl",
            "Severity",
            "=",
            "=",
            "=",
            " ",
            " ",
            "\"",
            "\"a b\"",
            "x",
            "error",
            "\\",
            "\t",
            "msg=\"b\\\"c\"",
            "é",
        ];
        let mut random = random_numbers();
        let mut found = 0;
        for _ in 0..50_000 {
            let line: String = (0..random(14)).map(|_| pieces[random(pieces.len())]).collect();
            let naive = naive_logfmt(line.as_bytes());
            assert_eq!(logfmt_level_value(line.as_bytes()).map(<[u8]>::to_vec), naive, "{line}");
            found += usize::from(naive.is_some());
        }
        assert!(found > 1_000, "{found}");
    }

    #[test]
    fn lines_are_read_as_json_logfmt_or_words() {
        let cases = [
            (r#"{"level":"ERROR","msg":"x"}"#, "error"),
            (r#" {"a":1,"b":[{"level":"warn"}],"log":{"severity":"warn"}} "#, "warn"),
            (r#"{"a":{"b":{"level":"fatal"}}}"#, "fatal"), // only as a word of the line
            (r#"{"a":{"b":{"level":"trc"}}}"#, "unknown"), // too deep, and not a word of its own
            (r#"{"level":"strange","msg":"a fatal thing"}"#, "fatal"),
            (r#"{"level":5,"lvl":"inf"}"#, "info"),
            (r#"{"msg":"info	tab","level":"wrn"}"#, "warn"),
            (r#"{"LEVEL":"SEVERE"}"#, "error"),
            (r#"{level:"trc"} "#, "unknown"),
            (r#"{"level":"dbg""#, "unknown"),
            ("ts=1 level=error msg=x", "error"),
            ("severity=warn level=info", "info"),
            ("lvl=dbg severity=trc", "trace"),
            ("SEVERITY=crit lvl=wrn", "unknown"),
            (r#"msg="an info thing" Level="wrn""#, "warn"),
            ("a=b=c level=dbg", "unknown"),
            ("level=", "unknown"),
            ("level= error", "error"),
            ("=x error", "error"),
            ("2026-11-20 ERROR no route", "error"),
            ("[warn] disk", "warn"),
            ("error: no route", "error"),
            ("misc:error x", "unknown"),
            ("errors and terror", "unknown"),
            ("(critical)", "critical"),
            ("an err, an info", "error"),
            ("WARNING! low", "warn"),
            ("severe weather", "unknown"),
            ("error", "error"),
            ("", "unknown"),
            ("{}", "unknown"),
            ("}{", "unknown"),
            ("\u{a0}{\"level\":\"dbg\"}", "unknown"),
        ];
        for (line, expected) in cases {
            assert_eq!(detect(&[], &[], line), expected, "{line}");
        }
    }

    #[test]
    fn broken_json_lines_are_searched_for_words() {
        for line in [&br#"{"a"#[..], b"{\"a\\\"}", b"{\"a\":}", b"{\"a\":[}", b"{\"a\":{}", b"{\"\xff\":tru}"]
        {
            assert_eq!(level_of_line(line), None);
            let with_word = [&line[..line.len() - 1], b" error }"].concat();
            assert_eq!(level_of_line(&with_word), Some(Level::Error));
        }
    }
}
