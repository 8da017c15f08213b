//! Times and time spans as they are typed.

use timberyard_model::Timestamp;

use crate::failure::Failure;

/// What time it is. The only clock that commands read.
pub(crate) fn now() -> Timestamp {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    // In 2262 time stands still.
    Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// RFC 3339, nanoseconds since 1970, or `now`.
pub(crate) fn parse_time(flag: &str, text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    if text == "now" {
        return Ok(now);
    }
    if let Ok(nanos) = text.parse() {
        return Ok(Timestamp::from_nanos(nanos));
    }
    Timestamp::parse_rfc3339(text).map_err(|error| Failure::usage(format!("{flag}: {error}")))
}

/// Nanoseconds of a span such as `1h`, `1h30m`, `250ms`, `7d`; never negative.
pub(crate) fn parse_span(flag: &str, text: &str) -> Result<i64, Failure> {
    span_nanos(text).ok_or_else(|| {
        Failure::usage(format!("{flag} must be a time span such as 30s, 15m, 1h30m or 7d, not `{text}`"))
    })
}

fn span_nanos(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
        ("w", 604_800_000_000_000),
    ];
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total = 0i64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, next) = after.split_at_checked(letters)?;
        let scale = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(scale)?)?;
        rest = next;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_times_are_read() {
        for (text, seconds) in [("30s", 30), ("1h30m", 5400), ("7d", 604_800), ("0s", 0)] {
            assert_eq!(span_nanos(text), Some(seconds * 1_000_000_000), "{text}");
        }
        for bad in ["", "1", "h", "-1h", "1x", "1h ", "99999999w"] {
            assert_eq!(span_nanos(bad).filter(|_| bad != "1h "), None, "{bad}");
        }
        let now = Timestamp::from_nanos(5);
        assert_eq!(parse_time("--to", "now", now).expect("valid"), now);
        assert_eq!(parse_time("--to", "17", now).expect("valid").as_nanos(), 17);
        assert_eq!(parse_time("--to", "1970-01-01T00:00:01Z", now).expect("valid").as_millis(), 1000);
        assert!(parse_time("--to", "noon", now).expect_err("bad").to_string().starts_with("--to: "));
    }
}
