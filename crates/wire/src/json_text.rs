//! Writes pieces of JSON text into a byte buffer.
//!
//! Bytes that are not UTF-8 come out as U+FFFD, one for each maximal broken run, so that what is
//! written is always valid JSON.

/// Appends `bytes` as a JSON string, with its quotes.
pub fn write_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    match std::str::from_utf8(bytes) {
        Ok(_) => write_escaped(out, bytes),
        Err(_) => {
            for chunk in bytes.utf8_chunks() {
                write_escaped(out, chunk.valid().as_bytes());
                if !chunk.invalid().is_empty() {
                    out.extend_from_slice("\u{fffd}".as_bytes());
                }
            }
        }
    }
    out.push(b'"');
}

/// Appends `"key":`.
pub fn write_key(out: &mut Vec<u8>, key: &str) {
    write_string(out, key.as_bytes());
    out.push(b':');
}

/// Appends a whole number.
pub fn write_integer(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends a JSON text without the whitespace between its tokens. `json` must have been read by
/// [`JsonReader`](crate::json::JsonReader); numbers and strings stay as they were sent.
pub fn write_compact(out: &mut Vec<u8>, json: &[u8]) {
    let mut rest = json;
    while let Some((byte, tail)) = rest.split_first() {
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => rest = tail,
            b'"' => {
                let length = string_length(rest);
                out.extend_from_slice(rest.get(..length).unwrap_or(rest));
                rest = rest.get(length..).unwrap_or_default();
            }
            _ => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
}

/// Bytes of the string token that `text` starts with, quotes included.
fn string_length(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = memchr::memchr2(b'"', b'\\', text.get(at..).unwrap_or_default()) {
        if text.get(at + found) == Some(&b'"') {
            return at + found + 1;
        }
        at += found + 2;
    }
    text.len()
}

fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\') {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, tail)) = tail.split_first() else { return };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: [u8; 16] = *b"0123456789abcdef";
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::JsonReader;

    fn string(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_string(&mut out, bytes);
        String::from_utf8(out).expect("always UTF-8")
    }

    #[test]
    fn strings_are_escaped_and_broken_bytes_replaced() {
        assert_eq!(string(b"plain"), r#""plain""#);
        assert_eq!(string(b"a\"b\\c\n\r\t\x01\x7f"), "\"a\\\"b\\\\c\\n\\r\\t\\u0001\x7f\"");
        assert_eq!(string("é😀".as_bytes()), "\"é😀\"");
        assert_eq!(string(b"a\xffb\xe2\x82"), "\"a\u{fffd}b\u{fffd}\"");
    }

    #[test]
    fn what_is_written_reads_back() {
        let all: Vec<u8> = (0..=127).collect();
        let text = string(&all);
        assert_eq!(&*JsonReader::new(text.as_bytes(), 1).string().expect("valid"), &all[..]);
    }

    #[test]
    fn integers_reach_both_ends() {
        for number in [0, 7, -7, 10, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            write_integer(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }

    #[test]
    fn compact_text_keeps_strings_and_numbers_as_sent() {
        let mut out = Vec::new();
        write_compact(&mut out, b" { \"a b\\\" \" : [ 1.50 , \" \\\\\" ] }\n");
        assert_eq!(String::from_utf8_lossy(&out), r#"{"a b\" ":[1.50," \\"]}"#);
    }
}
