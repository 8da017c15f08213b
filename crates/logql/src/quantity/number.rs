//! Floating point numbers as text.

use std::borrow::Cow;

use super::QuantityError;

/// Reads a number as Go's `strconv.ParseFloat` does: decimal or hexadecimal, `inf`, `nan`, with a sign.
pub fn parse(text: &str) -> Result<f64, QuantityError> {
    let invalid = || QuantityError(format!("strconv.ParseFloat: parsing {}: invalid syntax", quote(text)));
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let value = if let Some(hex) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        let magnitude = parse_hexadecimal(hex).ok_or_else(invalid)?;
        if text.starts_with('-') { -magnitude } else { magnitude }
    } else {
        without_separators(text).and_then(|text| text.parse::<f64>().ok()).ok_or_else(invalid)?
    };
    if value.is_infinite() && unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(QuantityError(format!(
            "strconv.ParseFloat: parsing {}: value out of range",
            quote(text)
        )));
    }
    Ok(value)
}

/// The text without `_` between digits; `None` when one stands elsewhere.
fn without_separators(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let well_placed = (0..bytes.len())
        .filter(|at| bytes[*at] == b'_')
        .all(|at| is_digit(at.checked_sub(1)) && is_digit(at.checked_add(1)));
    well_placed.then(|| Cow::Owned(text.replace('_', "")))
}

/// `1.8p3` behind `0x`. The exponent is required, as in Go.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 || whole.len() + fraction.len() > 64 {
        return None;
    }
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent: i32 = exponent.parse().ok()?;
    let places = i32::try_from(fraction.len()).ok()?;
    Some(value * 2f64.powi(exponent.saturating_sub(4 * places)))
}

/// Writes a number as Go's `%v` does: the fewest digits that give it back, with an exponent when
/// it is below 1e-4 or at least 1e6.
pub fn format(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.parse::<i32>() {
        Ok(-4..=5) => format!("{value}"),
        _ => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{digits:0>2}")
        }
    }
}

/// Quotes a text as Go's `strconv.Quote` does.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            ' '..='~' => quoted.push(c),
            c if c.is_ascii() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_alphanumeric() || c.escape_debug().count() == 1 => quoted.push(c),
            c if u32::from(c) < 0x1_0000 => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, value) in
            [("1", 1.0), ("1_000", 1000.0), ("-1.5e3", -1500.0), (".5", 0.5), ("5.", 5.0), ("0x1p-2", 0.25)]
        {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
        assert_eq!(parse("+Inf"), Ok(f64::INFINITY));
        assert!(parse("NaN").expect("a number").is_nan());
        for (text, words) in [
            ("", r#"strconv.ParseFloat: parsing "": invalid syntax"#),
            ("12abc", r#"strconv.ParseFloat: parsing "12abc": invalid syntax"#),
            ("0x10", r#"strconv.ParseFloat: parsing "0x10": invalid syntax"#),
            ("1e999", r#"strconv.ParseFloat: parsing "1e999": value out of range"#),
        ] {
            assert_eq!(parse(text).expect_err("no number").to_string(), words);
        }
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (123456.7, "123456.7"),
            (2_097_152.0, "2.097152e+06"),
            (1e21, "1e+21"),
            (0.00001, "1e-05"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(format(value), text);
        }
    }

    #[test]
    fn quoting_escapes_what_does_not_print() {
        assert_eq!(quote("a\"b\\c\n\u{1}é🚀\u{200b}"), "\"a\\\"b\\\\c\\n\\x01é🚀\\u200b\"");
    }
}
