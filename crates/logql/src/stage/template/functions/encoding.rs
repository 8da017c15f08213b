//! Escaping, base64, and units as numbers.

use super::super::value::Type::{Any, Text};
use super::super::value::Value;
use super::text::printed;
use super::{Function, Outcome, bytes, fixed, quote_text, string, variadic};
use crate::quantity::{bytes as size, duration};

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("b64enc", &[Text], |_, a| Ok(Value::text(encode_base64(bytes(&a[0]))))),
    fixed("b64dec", &[Text], |_, a| {
        Ok(match decode_base64(bytes(&a[0])) {
            Ok(decoded) => Value::text(decoded),
            // As a value, so that one bad line does not cost the others.
            Err(at) => Value::text(format!("illegal base64 data at input byte {at}")),
        })
    }),
    fixed("urlencode", &[Text], |_, a| Ok(Value::text(encode_query(bytes(&a[0]))))),
    fixed("urldecode", &[Text], |_, a| decode_query(bytes(&a[0]))),
    variadic("urlquery", &[], Any, |environment, a| Ok(Value::text(encode_query(&printed(environment, a))))),
    variadic("html", &[], Any, |environment, a| Ok(Value::text(escape_html(&printed(environment, a))))),
    variadic("js", &[], Any, |environment, a| {
        let text = printed(environment, a);
        Ok(Value::text(escape_javascript(&String::from_utf8_lossy(&text))))
    }),
    fixed("bytes", &[Text], |_, a| match size::parse(&string(&a[0])) {
        Ok(bytes) => Ok(Value::Float(bytes as f64)),
        Err(error) => Err(error.to_string()),
    }),
    fixed("duration", &[Text], |_, a| seconds(&a[0])),
    fixed("duration_seconds", &[Text], |_, a| seconds(&a[0])),
];

fn seconds(value: &Value) -> Outcome {
    match duration::parse_go(&string(value)) {
        Ok(nanos) => Ok(Value::Float(duration::as_seconds(nanos))),
        Err(error) => Err(error.to_string()),
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode_base64(data: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let bits =
            chunk.iter().enumerate().fold(0u32, |bits, (i, byte)| bits | u32::from(*byte) << (16 - 8 * i));
        for digit in 0..4 {
            encoded.push(match digit <= chunk.len() {
                true => BASE64[(bits >> (18 - 6 * digit) & 63) as usize],
                false => b'=',
            });
        }
    }
    encoded
}

/// The data, or the place of the first byte that does not belong. Padding may be missing.
fn decode_base64(encoded: &[u8]) -> Result<Vec<u8>, usize> {
    let mut padded = encoded.to_vec();
    if encoded.len() % 4 > 1 {
        padded.resize(encoded.len().next_multiple_of(4), b'=');
    }
    let mut decoded = Vec::with_capacity(padded.len() / 4 * 3);
    let mut group: Vec<u8> = Vec::with_capacity(4);
    let mut places = padded.iter().enumerate().filter(|(_, byte)| !matches!(byte, b'\n' | b'\r'));
    while let Some((at, byte)) = places.next() {
        if let Some(value) = BASE64.iter().position(|digit| digit == byte) {
            group.push(value as u8);
            if let [a, b, c, d] = group[..] {
                decoded.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
                group.clear();
            }
            continue;
        }
        if *byte != b'=' {
            return Err(at);
        }
        match group[..] {
            [a, b] => {
                match places.next() {
                    Some((_, b'=')) => {}
                    Some((at, _)) => return Err(at),
                    None => return Err(padded.len()),
                }
                decoded.push(a << 2 | b >> 4);
            }
            [a, b, c] => decoded.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2]),
            _ => return Err(at),
        }
        return match places.next() {
            Some((at, _)) => Err(at),
            None => Ok(decoded),
        };
    }
    if group.is_empty() { Ok(decoded) } else { Err(padded.len() - group.len()) }
}

fn encode_query(text: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(*byte));
            }
            b' ' => encoded.push('+'),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn decode_query(text: &[u8]) -> Outcome {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match first {
            b'+' => decoded.push(b' '),
            b'%' => {
                let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
                let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                    let shown = String::from_utf8_lossy(&behind[..behind.len().min(2)]).into_owned();
                    return Err(format!("invalid URL escape {}", quote_text(&format!("%{shown}"))));
                };
                decoded.push((high << 4 | low) as u8);
                rest = &behind[2..];
            }
            byte => decoded.push(*byte),
        }
    }
    Ok(Value::text(decoded))
}

fn escape_html(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'"' => escaped.extend_from_slice(b"&#34;"),
            b'\'' => escaped.extend_from_slice(b"&#39;"),
            b'&' => escaped.extend_from_slice(b"&amp;"),
            b'<' => escaped.extend_from_slice(b"&lt;"),
            b'>' => escaped.extend_from_slice(b"&gt;"),
            0 => escaped.extend_from_slice("\u{fffd}".as_bytes()),
            byte => escaped.push(*byte),
        }
    }
    escaped
}

fn escape_javascript(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("\\'"),
            '"' => escaped.push_str("\\\""),
            '<' | '>' | '&' | '=' => escaped.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c < ' ' || (!c.is_ascii() && c.is_control()) => {
                escaped.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            c => escaped.push(c),
        }
    }
    escaped
}
