//! Times for test entries.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds of a second.
pub(crate) const SECOND: i64 = 1_000_000_000;

/// Nanoseconds of an hour.
pub(crate) const HOUR: i64 = 3600 * SECOND;

/// Nanoseconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since.as_nanos()).expect("the clock is before 2262")
}

/// A time as RFC 3339, with as many digits as it needs.
pub(crate) fn rfc3339(time_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time_ns)).expect("a time").to_string()
}

/// Nanoseconds since 1970 of a time as RFC 3339.
#[track_caller]
pub(crate) fn parse(text: &str) -> i64 {
    let time: jiff::Timestamp = text.parse().unwrap_or_else(|error| panic!("`{text}`: {error}"));
    i64::try_from(time.as_nanosecond()).expect("a time before 2262")
}
