//! Sizes as text, in bytes.

use super::QuantityError;
use super::number;

/// Reads `5`, `5KB`, `5KiB`, `1.5 MB`, `1,000b` as `go-humanize` does; units in any case.
pub fn parse(text: &str) -> Result<u64, QuantityError> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ',')).unwrap_or(text.len());
    let (amount, unit) = text.split_at(digits);
    let amount =
        if amount.contains(',') { number::parse(&amount.replace(',', "")) } else { number::parse(amount) }?;
    let unit = unit.trim().to_lowercase();
    let factor: f64 = match unit.as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "p" | "pb" => 1e15,
        "e" | "eb" => 1e18,
        "ki" | "kib" => (1u64 << 10) as f64,
        "mi" | "mib" => (1u64 << 20) as f64,
        "gi" | "gib" => (1u64 << 30) as f64,
        "ti" | "tib" => (1u64 << 40) as f64,
        "pi" | "pib" => (1u64 << 50) as f64,
        "ei" | "eib" => (1u64 << 60) as f64,
        _ => return Err(QuantityError(format!("unhandled size name: {unit}"))),
    };
    let bytes = amount * factor;
    if bytes >= u64::MAX as f64 {
        return Err(QuantityError(format!("too large: {text}")));
    }
    Ok(bytes as u64)
}

/// The size that [`humanize`] writes for `bytes`: of `1KiB` 1000. Nodes of Loki hand each other pipelines as text, so that
/// sizes in label filters are these.
pub fn rounded(bytes: u64) -> u64 {
    let text = humanize(bytes);
    match parse(&text) {
        // What the lexer does not take for a size cannot be handed on.
        Ok(rounded) if !text.ends_with("EB") => rounded,
        _ => bytes,
    }
}

/// Writes a size for LogQL: rounded as `go-humanize` does where that loses nothing (`5.0MB`,
/// `20kB`), else in plain bytes.
pub fn format(bytes: u64) -> String {
    let text = humanize(bytes);
    if rounded(bytes) == bytes && !text.ends_with("EB") { text } else { format!("{bytes}B") }
}

/// Writes a size in decimal units with two digits at least, as `go-humanize` does, without the blank: `5.1MB`.
pub fn humanize(bytes: u64) -> String {
    if bytes < 10 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    let value = (value * 10.0 + 0.5).floor() / 10.0;
    if value < 10.0 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_decimal_and_binary_units() {
        for (text, bytes) in [
            ("5", 5),
            ("5KB", 5000),
            ("5kib", 5120),
            ("1.5 MB", 1_500_000),
            ("1,000b", 1000),
            ("2G", 2_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for (text, words) in [
            ("5 apples", "unhandled size name: apples"),
            ("", r#"strconv.ParseFloat: parsing "": invalid syntax"#),
            ("99999999EB", "too large: 99999999EB"),
        ] {
            assert_eq!(parse(text).expect_err("no size").to_string(), words);
        }
    }

    #[test]
    fn a_rounded_size_stays_as_it_is() {
        for (bytes, expected) in [
            (1024, 1000),
            (1 << 20, 1_000_000),
            (999_999, 1_000_000),
            (42, 42),
            (5120, 5100),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(rounded(bytes), expected);
            assert_eq!(rounded(expected), expected);
        }
    }

    #[test]
    fn sizes_are_never_written_as_another_size() {
        for (bytes, text) in [
            (5_000_000, "5.0MB"),
            (20_000, "20kB"),
            (5_123_456, "5123456B"),
            (9, "9B"),
            (5120, "5120B"),
            (0, "0B"),
        ] {
            assert_eq!(format(bytes), text);
            assert_eq!(parse(text), Ok(bytes));
        }
    }
}
