//! A member of an event as `jsonb` can hold it.
//!
//! PostgreSQL refuses what JSON allows: the character NUL, halves of surrogate pairs, numbers of any size, and bytes
//! that are not UTF-8. These become U+FFFD, or the text of the number; the event as it was sent stands beside it.

use timberyard_wire::json::{DEPTH_MAX, JsonKind, JsonReader};

/// What stands in the place of a character that cannot be held.
const REPLACEMENT: &str = "\\ufffd";
/// The longest number that is kept as one, in bytes: an exponent of more digits than [`EXPONENT_DIGITS_MAX`] makes a
/// number of more bytes than its text.
const NUMBER_BYTES_MAX: usize = 300;
const EXPONENT_DIGITS_MAX: usize = 3;

/// An object of no members, which stands for one that is absent.
pub(super) const EMPTY: &str = "{}";

/// The objects `names` of an event, each as `jsonb` can hold it; [`EMPTY`] where there is none.
pub(super) fn objects_of<const N: usize>(line: &[u8], names: [&str; N]) -> [String; N] {
    let mut found: [&[u8]; N] = [EMPTY.as_bytes(); N];
    let mut json = JsonReader::new(line, DEPTH_MAX);
    let mut read = || -> Result<(), timberyard_wire::error::DecodeError> {
        json.begin_object()?;
        while let Some(key) = json.next_key()? {
            let is_object = json.peek()? == JsonKind::Object;
            let text = json.raw()?;
            for (name, place) in names.iter().zip(&mut found).filter(|(name, _)| name.as_bytes() == &*key) {
                debug_assert!(!name.is_empty());
                *place = if is_object { text } else { EMPTY.as_bytes() };
            }
        }
        Ok(())
    };
    // A line that a step has made something else of has no members.
    if read().is_err() {
        found = [EMPTY.as_bytes(); N];
    }
    found.map(|text| holdable(&String::from_utf8_lossy(text)))
}

/// A JSON text without what `jsonb` refuses.
fn holdable(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => write_string(&mut out, rest),
            '-' | '0'..='9' => write_number(&mut out, rest),
            other => {
                out.push(other);
                other.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}

/// Writes the string that `text` begins with; says how many bytes it has.
fn write_string(out: &mut String, text: &str) -> usize {
    out.push('"');
    let mut at = 1;
    while let Some(next) = text.get(at..).and_then(|rest| rest.find(['"', '\\'])) {
        out.push_str(text.get(at..at + next).unwrap_or_default());
        at += next;
        if text.as_bytes().get(at) == Some(&b'"') {
            out.push('"');
            return at + 1;
        }
        at += write_escape(out, text.get(at..).unwrap_or_default());
    }
    // It was read before, so it has an end.
    out.push('"');
    text.len()
}

/// Writes the escape that `text` begins with, or two that are one character; says how many bytes they have.
fn write_escape(out: &mut String, text: &str) -> usize {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (length, kept) = match (unit(0), unit(6)) {
        (None, _) => (2, true),
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, true),
        (Some(0 | 0xd800..=0xdfff), _) => (6, false),
        (Some(_), _) => (6, true),
    };
    out.push_str(if kept { text.get(..length).unwrap_or(text) } else { REPLACEMENT });
    length
}

fn write_number(out: &mut String, text: &str) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let length = text.bytes().take_while(is_part).count();
    let number = text.get(..length).unwrap_or_default();
    let exponent = number.find(['e', 'E']).map_or("", |at| number.get(at + 1..).unwrap_or_default());
    let digits = exponent.trim_start_matches(['+', '-']).len();
    if length <= NUMBER_BYTES_MAX && digits <= EXPONENT_DIGITS_MAX {
        out.push_str(number);
    } else {
        out.push('"');
        out.push_str(number);
        out.push('"');
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_jsonb_refuses_is_replaced_and_all_else_stays() {
        for (sent, kept) in [
            (r#"{"a":[1.0,-2e10,true,null,"x\"y\\"]}"#, r#"{"a":[1.0,-2e10,true,null,"x\"y\\"]}"#),
            (r#"{"a\u0000":"\u0000\ud83d\ude00\u00e4"}"#, r#"{"a\ufffd":"\ufffd\ud83d\ude00\u00e4"}"#),
            (r#"["\ud83d","\ude00x","\ud83d\n"]"#, r#"["\ufffd","\ufffdx","\ufffd\n"]"#),
            (r"[1e9999,1e-99999]", r#"["1e9999","1e-99999"]"#),
        ] {
            assert_eq!(holdable(sent), kept);
        }
    }

    #[test]
    fn the_last_of_equal_members_counts_and_only_objects_do() {
        let line =
            b"{\"properties\":{\"a\":1},\"x\":\"{\",\"properties\":{\"b\":\"\xff\"},\"device_info\":null}";
        assert_eq!(objects_of(line, ["properties", "device_info"]), ["{\"b\":\"\u{fffd}\"}", "{}"]);
        assert_eq!(objects_of(b"no json", ["properties"]), ["{}"]);
    }
}
