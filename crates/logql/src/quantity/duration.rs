//! Durations as text, in nanoseconds.

use super::QuantityError;
use super::number::quote;

const MICRO: i64 = 1_000;
const MILLI: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
const YEAR: i64 = 365 * DAY;

/// Largest first; a text names each at most once and in this order.
const PROMETHEUS_UNITS: [(&str, i64); 7] =
    [("y", YEAR), ("w", WEEK), ("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", MILLI)];

/// Reads `1h30m`, `5d`, `1w`, `1y`: whole numbers, units from large to small, no sign.
pub fn parse_prometheus(text: &str) -> Result<i64, QuantityError> {
    match text {
        "" => return Err(QuantityError("empty duration string".to_owned())),
        "0" => return Ok(0),
        _ => {}
    }
    let invalid = || QuantityError(format!("not a valid duration string: {}", quote(text)));
    let out_of_range = || QuantityError("duration out of range".to_owned());
    let mut units = PROMETHEUS_UNITS.iter();
    let mut rest = text;
    let mut nanos: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        if number.is_empty() {
            return Err(invalid());
        }
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at(letters);
        let (_, factor) = units.find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        let number: i64 = number.parse().map_err(|_| out_of_range())?;
        nanos = number.checked_mul(*factor).and_then(|n| nanos.checked_add(n)).ok_or_else(out_of_range)?;
        rest = behind;
    }
    Ok(nanos)
}

/// Writes a duration as Prometheus does: `5m`, `1h30m`, `1w`; years and weeks only when nothing
/// remains. Below a millisecond nothing is shown.
pub fn format_prometheus(nanos: i64) -> String {
    let mut rest = nanos / MILLI * MILLI;
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in PROMETHEUS_UNITS {
        let exact_only = factor >= WEEK;
        if exact_only && rest % factor != 0 {
            continue;
        }
        let count = rest / factor;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
            rest -= count * factor;
        }
    }
    text
}

/// Reads `1.5s`, `-2h3m`, `300ms`, `2us` as Go's `time.ParseDuration` does.
pub fn parse_go(text: &str) -> Result<i64, QuantityError> {
    let invalid = || QuantityError(format!("time: invalid duration {}", quote(text)));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let whole_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, behind) = rest.split_at(whole_digits);
        let (fraction, behind) = match behind.strip_prefix('.') {
            Some(behind) => behind.split_at(behind.bytes().take_while(u8::is_ascii_digit).count()),
            None => ("", behind),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let unit_len = behind.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_len);
        let factor = match unit {
            "" => return Err(QuantityError(format!("time: missing unit in duration {}", quote(text)))),
            "ns" => 1,
            // Micro sign and Greek mu.
            "us" | "\u{b5}s" | "\u{3bc}s" => MICRO,
            "ms" => MILLI,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            _ => {
                return Err(QuantityError(format!(
                    "time: unknown unit {} in duration {}",
                    quote(unit),
                    quote(text)
                )));
            }
        };
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        nanos = whole
            .checked_mul(i128::from(factor))
            .and_then(|n| nanos.checked_add(n))
            .filter(|n| *n <= 1 << 63)
            .ok_or_else(invalid)?;
        if !fraction.is_empty() {
            // More digits than this are below a nanosecond whatever the unit.
            let digits = &fraction[..fraction.len().min(18)];
            let value: i128 = digits.parse().map_err(|_| invalid())?;
            nanos += value * i128::from(factor) / 10i128.pow(digits.len() as u32);
        }
        rest = behind;
    }
    i64::try_from(if negative { -nanos } else { nanos }).map_err(|_| invalid())
}

/// A duration in seconds, as Go's `Duration.Seconds` computes it.
pub fn as_seconds(nanos: i64) -> f64 {
    (nanos / SECOND) as f64 + (nanos % SECOND) as f64 / 1e9
}

/// Writes a duration as Go's `Duration.String` does: `1h0m0s`, `1.5s`, `100ms`, `2µs`.
pub fn format_go(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let magnitude = nanos.unsigned_abs();
    let (micro, milli, second) = (MICRO as u64, MILLI as u64, SECOND as u64);
    match magnitude {
        0 => "0s".to_owned(),
        n if n < micro => format!("{sign}{n}ns"),
        n if n < milli => format!("{sign}{}µs", decimal(n, micro)),
        n if n < second => format!("{sign}{}ms", decimal(n, milli)),
        n => {
            let (minutes, seconds) = (n / (60 * second), decimal(n % (60 * second), second));
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

fn decimal(number: u64, unit: u64) -> String {
    let (whole, rest) = (number / unit, number % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let places = unit.ilog10() as usize;
    let digits = format!("{rest:0places$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_durations_go_from_large_units_to_small() {
        for (text, nanos) in [
            ("5m", 5 * MINUTE),
            ("1h30m", 90 * MINUTE),
            ("1y2w3d", YEAR + 2 * WEEK + 3 * DAY),
            ("1500ms", 1500 * MILLI),
            ("0s", 0),
            ("0", 0),
        ] {
            assert_eq!(parse_prometheus(text), Ok(nanos), "{text}");
        }
        for text in ["5", "-5m", "30m1h", "1.5h", "5m ", "m", "1s1s"] {
            assert!(parse_prometheus(text).is_err(), "{text}");
        }
        assert_eq!(parse_prometheus("").expect_err("empty").to_string(), "empty duration string");
        assert_eq!(parse_prometheus("300y").expect_err("long").to_string(), "duration out of range");
    }

    #[test]
    fn prometheus_durations_are_written_shortly() {
        for (nanos, text) in [
            (90 * MINUTE, "1h30m"),
            (WEEK, "1w"),
            (8 * DAY, "8d"),
            (1500 * MILLI, "1s500ms"),
            (0, "0s"),
            (YEAR, "1y"),
        ] {
            assert_eq!(format_prometheus(nanos), text);
        }
    }

    #[test]
    fn go_durations_take_signs_fractions_and_small_units() {
        for (text, nanos) in [
            ("1.5s", 1500 * MILLI),
            ("-2h3m", -(123 * MINUTE)),
            ("2us", 2 * MICRO),
            ("2µs", 2 * MICRO),
            ("1m.5s", MINUTE + 500 * MILLI),
            ("0", 0),
        ] {
            assert_eq!(parse_go(text), Ok(nanos), "{text}");
        }
        for (text, words) in [
            ("", r#"time: invalid duration """#),
            ("5", r#"time: missing unit in duration "5""#),
            ("5d", r#"time: unknown unit "d" in duration "5d""#),
            ("abc", r#"time: invalid duration "abc""#),
            ("9999999999h", r#"time: invalid duration "9999999999h""#),
        ] {
            assert_eq!(parse_go(text).expect_err("no duration").to_string(), words);
        }
    }

    #[test]
    fn go_durations_are_written_with_all_units_below_the_largest() {
        for (nanos, text) in [
            (HOUR, "1h0m0s"),
            (-5 * MINUTE, "-5m0s"),
            (1500 * MILLI, "1.5s"),
            (100 * MILLI, "100ms"),
            (1500, "1.5µs"),
            (7, "7ns"),
            (0, "0s"),
        ] {
            assert_eq!(format_go(nanos), text);
            assert_eq!(parse_go(text), Ok(nanos));
        }
    }
}
