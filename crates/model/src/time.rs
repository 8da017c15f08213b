//! Points and ranges of time, in nanoseconds since 1970-01-01T00:00:00Z.
//!
//! Nothing here reads a clock: whoever needs "now" is given it.

use std::borrow::Cow;
use std::fmt;

/// A point in time: nanoseconds since the Unix epoch, from 1677-09-21 to 2262-04-11.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// Nanoseconds in a millisecond.
pub const NANOS_PER_MILLI: i64 = 1_000_000;

/// Days from the first of March of the year 0 to the first of January 1970.
const DAYS_BEFORE_1970: i64 = 719_468;

/// A text or number that is not a point in time that a [`Timestamp`] can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The text is not RFC 3339.
    #[error("`{0}` is not an RFC 3339 time such as 2026-11-20T10:00:00Z")]
    NotRfc3339(String),
    /// The time is before 1677-09-21 or after 2262-04-11.
    #[error("time is out of range: nanoseconds since 1970 must fit 64 bits (1677-09-21 to 2262-04-11)")]
    OutOfRange,
}

impl Timestamp {
    /// The earliest time that can be held.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest time that can be held.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From milliseconds since the epoch; `OutOfRange` when that does not fit nanoseconds.
    pub fn from_millis(millis: i64) -> Result<Self, TimeError> {
        millis.checked_mul(NANOS_PER_MILLI).map(Self).ok_or(TimeError::OutOfRange)
    }

    /// Parses RFC 3339, with any offset. What is finer than a nanosecond is left out.
    pub fn parse_rfc3339(text: &str) -> Result<Self, TimeError> {
        if let Some(time) = parse_plain_utc(text.as_bytes()) {
            return Ok(time);
        }
        let to_the_nanosecond = without_finer_digits(text.trim());
        let time: jiff::Timestamp =
            to_the_nanosecond.parse().map_err(|_| TimeError::NotRfc3339(text.to_owned()))?;
        i64::try_from(time.as_nanosecond()).map(Self).map_err(|_| TimeError::OutOfRange)
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(NANOS_PER_MILLI)
    }

    /// This time moved by `nanos`, stopping at the ends of the range.
    #[must_use]
    pub const fn saturating_add_nanos(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// The UTC day that holds this time: days since 1970-01-01, rounded down.
    pub const fn day(self) -> i32 {
        self.0.div_euclid(86_400 * NANOS_PER_SECOND) as i32
    }
}

/// RFC 3339 in UTC, with as many digits of a second as are needed: `2026-11-20T10:00:00.5Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every i64 of nanoseconds lies within what jiff can hold.
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{}ns", self.0),
        }
    }
}

/// A half-open range of time: from `start`, included, to `end`, excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// The first point inside.
    pub start: Timestamp,
    /// The first point after.
    pub end: Timestamp,
}

impl TimeRange {
    /// Everything but the last nanosecond that can be expressed.
    pub const ALL: Self = Self { start: Timestamp::MIN, end: Timestamp::MAX };

    /// The range `[start, end)`; empty when `end <= start`.
    pub const fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// Whether `time` is inside.
    pub fn contains(&self, time: Timestamp) -> bool {
        self.start <= time && time < self.end
    }

    /// Whether any point of the closed range `[first, last]` is inside.
    pub fn overlaps(&self, first: Timestamp, last: Timestamp) -> bool {
        first < self.end && self.start <= last
    }

    /// Whether nothing is inside.
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }
}

/// A time of the years 1970 to 2199 as most senders write it, `2026-11-20T10:00:00.123Z`, with up to nine digits of a second;
/// nothing for every other form, right or wrong.
fn parse_plain_utc(text: &[u8]) -> Option<Timestamp> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let [c0, c1, y0, y1, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', i0, i1, b':', s0, s1] = *head else {
        return None;
    };
    let two = |high: u8, low: u8| {
        let both = high.is_ascii_digit() && low.is_ascii_digit();
        both.then(|| i64::from(high - b'0') * 10 + i64::from(low - b'0'))
    };
    let (year, month, day) = (two(c0, c1)? * 100 + two(y0, y1)?, two(m0, m1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(i0, i1)?, two(s0, s1)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let is_day = (1970..2200).contains(&year) && (1..=days_of_month).contains(&day);
    if !(is_day && hour < 24 && minute < 60 && second < 60) {
        return None;
    }
    let nanos = match rest {
        b"Z" => 0,
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => {
            let number = digits.iter().try_fold(0, |number, byte| {
                byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
            })?;
            number * 10_i64.pow(9 - digits.len() as u32)
        }
        _ => return None,
    };
    // Years begin in March, so that the day that some years have more is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - DAYS_BEFORE_1970;
    Some(Timestamp((((days * 24 + hour) * 60 + minute) * 60 + second) * NANOS_PER_SECOND + nanos))
}

/// The text with no more than nine digits after the point; RFC 3339 allows any number of them.
fn without_finer_digits(text: &str) -> Cow<'_, str> {
    let Some((head, fraction)) = text.split_once('.') else { return Cow::Borrowed(text) };
    let zone = fraction.trim_start_matches(|character: char| character.is_ascii_digit());
    let digits = fraction.strip_suffix(zone).unwrap_or(fraction);
    match digits.get(..9) {
        Some(kept) if kept.len() < digits.len() => Cow::Owned(format!("{head}.{kept}{zone}")),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_is_read_and_shown_to_the_nanosecond() {
        let time = Timestamp::parse_rfc3339("2024-01-02T03:04:05.123456789+01:00").expect("valid");
        assert_eq!(time.to_string(), "2024-01-02T02:04:05.123456789Z");
        let finer = Timestamp::parse_rfc3339("2024-01-02T03:04:05.123456789999+01:00");
        assert_eq!(finer, Ok(time));
        assert!(Timestamp::parse_rfc3339("2024-01-02T03:04:05.1234567891x").is_err());
        assert_eq!(Timestamp::from_nanos(0).to_string(), "1970-01-01T00:00:00Z");
        assert!(Timestamp::parse_rfc3339("yesterday").is_err());
        assert!(Timestamp::parse_rfc3339("2300-01-01T00:00:00Z").is_err());
    }

    #[test]
    fn the_form_that_most_senders_write_is_read_as_every_other_form() {
        let mut day = 0;
        while day < 83_000 {
            let time = Timestamp(day * 86_400 * NANOS_PER_SECOND + day * 1_000_003);
            let text = time.to_string();
            assert_eq!(parse_plain_utc(text.as_bytes()), Some(time), "{text}");
            day += 13;
        }
        for text in [
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-04-00T00:00:00Z",
            "2026-04-01T24:00:00Z",
            "2026-04-01T00:60:00Z",
            "2026-04-01T00:00:60Z",
            "2026-04-01T00:00:00.Z",
            "2026-04-01T00:00:00.1234567890Z",
            "2026-04-01T00:00:00.12x4Z",
            "2026-04-01T00:00:00",
            "2026-04-01 00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2200-01-01T00:00:00Z",
            "2026-04-01T00:00:00+00:00",
            "",
        ] {
            assert_eq!(parse_plain_utc(text.as_bytes()), None, "{text}");
        }
        let last = Timestamp::parse_rfc3339("2024-02-29T23:59:59.5Z").expect("a leap year");
        assert_eq!(last.as_nanos(), 1_709_251_199_500_000_000);
    }

    #[test]
    fn days_before_1970_round_down() {
        assert_eq!(Timestamp::from_nanos(-1).day(), -1);
        assert_eq!(Timestamp::from_nanos(0).day(), 0);
    }
}
