//! Durations, numbers and times as Prometheus, and so Loki, writes them in parameters and answers.

use std::io::Write;

use timberyard_model::time::NANOS_PER_MILLI;
use timberyard_model::{Timestamp, decimal};

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is empty.
    #[error("empty duration string")]
    Empty,
    /// The text is not of the form `1h30m`.
    #[error("not a valid duration string: {0:?}")]
    NotADuration(String),
    /// More than 292 years.
    #[error("duration out of range")]
    OutOfRange,
}

/// Units from the largest to the smallest, in milliseconds: each at most once, in this order.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads `5m`, `1h30m`, `2w`, `0`: nanoseconds, never negative.
pub fn parse_duration(text: &str) -> Result<i64, DurationError> {
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(0),
        _ => {}
    }
    let malformed = || DurationError::NotADuration(text.to_owned());
    let mut millis = 0u64;
    let mut units = UNITS.iter();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let (_, unit_millis) = units.find(|(name, _)| *name == unit).ok_or_else(malformed)?;
        if number.is_empty() {
            return Err(malformed());
        }
        let number: u64 = number.parse().map_err(|_| DurationError::OutOfRange)?;
        let part = number.checked_mul(*unit_millis).ok_or(DurationError::OutOfRange)?;
        millis = millis.checked_add(part).ok_or(DurationError::OutOfRange)?;
        rest = after;
    }
    let millis = i64::try_from(millis).map_err(|_| DurationError::OutOfRange)?;
    millis.checked_mul(NANOS_PER_MILLI).ok_or(DurationError::OutOfRange)
}

/// Appends a sample's value: the shortest decimal without an exponent that reads back the same, `NaN`,
/// `+Inf` or `-Inf`.
pub fn write_value(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if value.abs() < EXACT_INTEGERS_END && value.fract() == 0.0 && value.to_bits() != NEGATIVE_ZERO {
        // Most values are counts, and a whole number is written in a tenth of the time.
        if value < 0.0 {
            out.push(b'-');
        }
        decimal::append(value.abs() as u64, 0, out);
    } else {
        // Writing to a vector does not fail.
        let _ = write!(out, "{value}");
    }
}

/// Below this every whole number is a float of its own.
const EXACT_INTEGERS_END: f64 = (1_u64 << 53) as f64;
/// The bits of `-0.0`, which is written with its sign.
const NEGATIVE_ZERO: u64 = 1 << 63;

/// Appends a time as seconds with up to three decimals, the precision of Prometheus.
pub fn write_seconds(out: &mut Vec<u8>, time: Timestamp) {
    let millis = time.as_millis();
    let (seconds, rest) = (millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000);
    if millis < 0 {
        out.push(b'-');
    }
    decimal::append(seconds, 0, out);
    if rest > 0 {
        out.push(b'.');
        match (rest % 100, rest % 10) {
            (0, _) => decimal::append(rest / 100, 1, out),
            (_, 0) => decimal::append(rest / 10, 2, out),
            _ => decimal::append(rest, 3, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::time::NANOS_PER_SECOND;

    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_reads_them() {
        let second = NANOS_PER_SECOND;
        let cases = [
            ("0", 0),
            ("5m", 300 * second),
            ("1h30m", 5400 * second),
            ("1y2w3d4h5m6s7ms", (365 + 14 + 3) * 86_400 * second + 14_706 * second + 7_000_000),
            ("90s", 90 * second),
            ("0s", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_duration(text), Ok(expected), "{text}");
        }
        for text in ["5", "m", "5x", "5m5m", "5m1h", "-5m", "1.5h", "5m ", "5M", "1us"] {
            assert_eq!(parse_duration(text), Err(DurationError::NotADuration(text.to_owned())), "{text}");
        }
        assert_eq!(parse_duration(""), Err(DurationError::Empty));
        assert_eq!(parse_duration("300y"), Err(DurationError::OutOfRange));
        assert_eq!(parse_duration("99999999999999999999s"), Err(DurationError::OutOfRange));
    }

    #[test]
    fn values_and_times_are_written_as_prometheus_writes_them() {
        let value = |value: f64| {
            let mut out = Vec::new();
            write_value(&mut out, value);
            String::from_utf8(out).expect("ASCII")
        };
        let cases = [
            (1.0, "1"),
            (0.1, "0.1"),
            (-0.0, "-0"),
            (0.0, "0"),
            (-3.0, "-3"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (1e16, "10000000000000000"),
            (1e21, "1000000000000000000000"),
            (1.5e-7, "0.00000015"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (number, expected) in cases {
            assert_eq!(value(number), expected);
        }
        let seconds = |nanos| {
            let mut out = Vec::new();
            write_seconds(&mut out, Timestamp::from_nanos(nanos));
            String::from_utf8(out).expect("ASCII")
        };
        assert_eq!(seconds(1_793_491_200_000_000_000), "1793491200");
        assert_eq!(seconds(1_793_491_200_123_999_999), "1793491200.123");
        assert_eq!(seconds(1_500_000_000), "1.5");
        assert_eq!(seconds(1_050_000_000), "1.05");
        assert_eq!(seconds(-5_000_000), "-0.005");
    }
}
