//! Sizes and spans of time as people write them in settings: `16MiB`, `2 GB`, `30s`, `5m`, `7d`; whole numbers only.

/// Bytes in the units that a size may be written in.
const SIZE_UNITS: [(&str, u64); 10] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("b", 1),
    ("", 1),
];

/// Seconds in the units that a span of time may be written in.
const SPAN_UNITS: [(&str, u64); 7] =
    [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800), ("y", 31_536_000), ("", 1)];

/// A size in bytes: `1048576`, `16MiB`, `2 GB`.
///
/// # Errors
/// What it must be, as the end of a sentence that begins with a setting's name.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    scaled(text, &SIZE_UNITS)
        .ok_or_else(|| format!("must be a size such as 1048576, 16MiB or 2GB, not `{text}`"))
}

/// A span of time in seconds: `30`, `30s`, `5m`, `1h`, `7d`.
///
/// # Errors
/// What it must be, as the end of a sentence that begins with a setting's name.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    scaled(text, &SPAN_UNITS)
        .ok_or_else(|| format!("must be a time span such as 30, 30s, 5m or 1h, not `{text}`"))
}

/// A whole number with one of the units, multiplied out; `None` when it is neither or overflows.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let scale = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_have_units() {
        for (written, bytes) in [("7", 7), ("16MiB", 16 << 20), ("2 GB", 2_000_000_000), ("1b", 1)] {
            assert_eq!(parse_bytes(written), Ok(bytes), "{written}");
        }
        for (written, seconds) in [("30", 30), ("30s", 30), ("5m", 300), ("7d", 604_800)] {
            assert_eq!(parse_seconds(written), Ok(seconds), "{written}");
        }
        for bad in ["", "MiB", "-1", "1.5GB", "16 parsecs", "99999999999TB"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }
}
