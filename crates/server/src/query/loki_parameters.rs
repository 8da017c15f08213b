//! The parameters of Loki's questions, with Loki's defaults and Loki's words for what is wrong.
//!
//! <https://grafana.com/docs/loki/latest/reference/loki-http-api/>

use timberyard_logql::LimitError;
use timberyard_logql::quantity::duration::parse_prometheus;
use timberyard_model::scan::Direction;
use timberyard_model::time::NANOS_PER_SECOND;
use timberyard_model::{TimeRange, Timestamp};

use super::form::Form;
use crate::error_response::ErrorResponse;

/// Lines that are answered when no limit is given.
const LIMIT_DEFAULT: usize = 100;
/// Nanoseconds before the end at which a range starts when nothing is said.
const SINCE_DEFAULT_NANOS: i64 = 3600 * NANOS_PER_SECOND;
/// Steps of a range when no step is given.
const STEPS_DEFAULT: i64 = 250;
/// The most seconds that a tail may wait for slow senders.
const DELAY_SECONDS_MAX: u64 = 5;

type Result<T> = std::result::Result<T, ErrorResponse>;

/// Parameters of `query_range`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RangeParameters {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) step_ns: i64,
    pub(super) interval_ns: i64,
    pub(super) limit: usize,
    pub(super) direction: Direction,
}

/// Parameters of `query`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InstantParameters {
    pub(super) time: Timestamp,
    pub(super) limit: usize,
    pub(super) direction: Direction,
}

/// Parameters of `tail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TailParameters {
    pub(super) start: Timestamp,
    pub(super) limit: usize,
    pub(super) delay_seconds: u64,
}

impl RangeParameters {
    /// Reads them; a range has at most `points_max` steps.
    pub(super) fn read(form: &Form, now: Timestamp, points_max: usize) -> Result<Self> {
        let (start, end) = bounds(form, now)?;
        if end < start {
            return Err(refused("end timestamp must not be before or equal to start time"));
        }
        let limit = limit(form)?;
        let direction = direction(form)?;
        let span = end.as_nanos().saturating_sub(start.as_nanos());
        let step_ns = match present(form, "step") {
            Some(text) => seconds_or_duration(text)?,
            None => (span / NANOS_PER_SECOND / STEPS_DEFAULT).max(1).saturating_mul(NANOS_PER_SECOND),
        };
        if step_ns <= 0 {
            return Err(refused(
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            ));
        }
        if span / step_ns > i64::try_from(points_max).unwrap_or(i64::MAX) {
            return Err(refused(&LimitError::Points { limit: points_max }.to_string()));
        }
        let interval_ns = present(form, "interval").map_or(Ok(0), seconds_or_duration)?;
        if interval_ns < 0 {
            return Err(refused("interval must be >= 0"));
        }
        Ok(Self { start, end, step_ns, interval_ns, limit, direction })
    }
}

impl InstantParameters {
    pub(super) fn read(form: &Form, now: Timestamp) -> Result<Self> {
        let limit = limit(form)?;
        let time = present(form, "time").map_or(Ok(now), timestamp)?;
        Ok(Self { time, limit, direction: direction(form)? })
    }
}

impl TailParameters {
    pub(super) fn read(form: &Form, now: Timestamp) -> Result<Self> {
        let limit = limit(form)?;
        let (start, _) = bounds(form, now)?;
        let delay_seconds = match integer(form, "delay_for", 0)? {
            seconds if seconds < 0 => {
                return Err(refused(&format!("delay_for value {seconds} is out of range [0, {}]", u32::MAX)));
            }
            seconds => seconds.unsigned_abs(),
        };
        if delay_seconds > DELAY_SECONDS_MAX {
            return Err(refused(&format!("delay_for can't be greater than {DELAY_SECONDS_MAX}")));
        }
        Ok(Self { start, limit, delay_seconds })
    }
}

/// The time range of a question about labels, both ends inside.
pub(super) fn range(form: &Form, now: Timestamp) -> Result<TimeRange> {
    let (start, end) = bounds(form, now)?;
    Ok(TimeRange::new(start, end.saturating_add_nanos(1)))
}

/// `start`, `end` and `since`, which counts back from the end, or from now when the end lies ahead.
fn bounds(form: &Form, now: Timestamp) -> Result<(Timestamp, Timestamp)> {
    let since_ns = match present(form, "since") {
        Some(text) => parse_prometheus(text)
            .map_err(|error| refused(&format!("could not parse 'since' parameter: {error}")))?,
        None => SINCE_DEFAULT_NANOS,
    };
    let read = |name: &str, default: Timestamp| match present(form, name) {
        Some(text) => timestamp(text)
            .map_err(|error| refused(&format!("could not parse '{name}' parameter: {}", error.message))),
        None => Ok(default),
    };
    let end = read("end", now)?;
    let start = read("start", end.min(now).saturating_add_nanos(-since_ns))?;
    Ok((start, end))
}

/// Seconds when there is a point or at most ten digits, nanoseconds otherwise, or RFC 3339.
fn timestamp(text: &str) -> Result<Timestamp> {
    if text.contains('.')
        && let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        let millis = (seconds.fract() * 1e3).round();
        let nanos = seconds.trunc() * 1e9 + millis * 1e6;
        return Ok(Timestamp::from_nanos(exact(seconds.trunc(), millis).unwrap_or(nanos as i64)));
    }
    match text.parse::<i64>() {
        Ok(number) if text.len() <= 10 => Ok(Timestamp::from_nanos(number.saturating_mul(NANOS_PER_SECOND))),
        Ok(number) => Ok(Timestamp::from_nanos(number)),
        Err(_) => Timestamp::parse_rfc3339(text)
            .map_err(|_| refused(&format!("{text:?} is neither a Unix time nor RFC 3339"))),
    }
}

/// Whole seconds and milliseconds as nanoseconds, without the rounding of floats.
fn exact(seconds: f64, millis: f64) -> Option<i64> {
    let fits = seconds.abs() < 9.0e9;
    fits.then(|| seconds as i64 * NANOS_PER_SECOND + millis as i64 * (NANOS_PER_SECOND / 1000))
}

fn seconds_or_duration(text: &str) -> Result<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let nanos = seconds * 1e9;
        // The bounds of i64 as floats; NaN is in no range.
        if !(-9.2e18..=9.2e18).contains(&nanos) {
            let message = format!("cannot parse {text:?} to a valid duration. It overflows int64");
            return Err(refused(&message));
        }
        return Ok(nanos as i64);
    }
    parse_prometheus(text).map_err(|_| refused(&format!("cannot parse {text:?} to a valid duration")))
}

fn limit(form: &Form) -> Result<usize> {
    match integer(form, "limit", LIMIT_DEFAULT as i64)? {
        limit if limit <= 0 => Err(refused("limit must be a positive value")),
        limit => match u32::try_from(limit) {
            Ok(limit) => Ok(limit as usize),
            Err(_) => Err(refused(&format!("limit value {limit} is out of range [0, {}]", u32::MAX))),
        },
    }
}

fn direction(form: &Form) -> Result<Direction> {
    match present(form, "direction") {
        None => Ok(Direction::Backward),
        Some(text) if text.eq_ignore_ascii_case("backward") => Ok(Direction::Backward),
        Some(text) if text.eq_ignore_ascii_case("forward") => Ok(Direction::Forward),
        Some(text) => Err(refused(&format!("invalid direction '{text}'"))),
    }
}

fn integer(form: &Form, name: &str, default: i64) -> Result<i64> {
    match present(form, name) {
        None => Ok(default),
        Some(text) => {
            let words = || format!("could not parse '{name}' parameter: {text:?} is not a whole number");
            text.parse().map_err(|_| refused(&words()))
        }
    }
}

/// The value of a parameter; an empty one is an absent one.
fn present<'a>(form: &'a Form, name: &str) -> Option<&'a str> {
    form.get(name).filter(|value| !value.is_empty())
}

fn refused(message: &str) -> ErrorResponse {
    ErrorResponse::bad_request("invalid_parameter", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_793_494_800_000_000_000);

    fn form(pairs: &[(&str, &str)]) -> Form {
        Form::from_pairs(pairs)
    }

    #[test]
    fn times_are_read_in_all_forms() {
        for (text, nanos) in [
            ("1793494800", 1_793_494_800_000_000_000),
            ("1793494800.25", 1_793_494_800_250_000_000),
            ("1793494800000000001", 1_793_494_800_000_000_001),
            ("2026-11-01T03:00:00.5+02:00", 1_793_494_800_500_000_000),
            ("0", 0),
        ] {
            assert_eq!(timestamp(text).expect(text).as_nanos(), nanos, "{text}");
        }
        for bad in ["2026-11-01", "yesterday", "1.2.3"] {
            assert!(timestamp(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_hour_is_asked_for_when_nothing_is_said() {
        let range = RangeParameters::read(&form(&[]), NOW, 11_000).expect("valid");
        assert_eq!(range.end, NOW);
        assert_eq!(range.start, NOW.saturating_add_nanos(-3600 * NANOS_PER_SECOND));
        assert_eq!((range.step_ns, range.limit), (14 * NANOS_PER_SECOND, 100));
        assert_eq!(range.direction, Direction::Backward);
    }

    #[test]
    fn since_counts_back_from_now_when_the_end_lies_ahead() {
        let ahead = (NOW.as_nanos() + 3600 * NANOS_PER_SECOND).to_string();
        let range = range(&form(&[("since", "5m"), ("end", &ahead)]), NOW).expect("valid");
        assert_eq!(range.start, NOW.saturating_add_nanos(-300 * NANOS_PER_SECOND));
    }

    #[test]
    fn steps_are_seconds_or_durations_and_not_too_small() {
        for (text, nanos) in [("60", 60_000_000_000), ("0.5", 500_000_000), ("1h30m", 5_400_000_000_000)] {
            let range = RangeParameters::read(&form(&[("step", text)]), NOW, 11_000).expect(text);
            assert_eq!(range.step_ns, nanos);
        }
        for (text, words) in [
            ("0", "zero or negative"),
            ("-1", "zero or negative"),
            ("abc", "cannot parse \"abc\" to a valid duration"),
            ("1e300", "overflows"),
            ("0.1", "exceeded maximum resolution of 11,000 points"),
        ] {
            let error = RangeParameters::read(&form(&[("step", text)]), NOW, 11_000).expect_err(text);
            assert!(error.message.contains(words), "{text}: {}", error.message);
        }
    }
}
