//! Parameters of Loki's query endpoints, in all forms that Loki takes, with Loki's defaults and errors.
//!
//! Times are nanoseconds (more than ten digits), seconds (whole, or with a point), or RFC 3339. Without
//! `start` a query begins `since` (an hour) before its end, or before now when the end lies ahead. The text
//! of the query itself is left alone.
//!
//! <https://grafana.com/docs/loki/latest/reference/loki-http-api/#timestamps>

use timberyard_model::Timestamp;
use timberyard_model::scan::Direction;
use timberyard_model::time::NANOS_PER_SECOND;

use crate::prometheus_text::parse_duration;

/// Lines that a query returns when it does not say.
pub const LIMIT_DEFAULT: u32 = 100;
/// Detected fields, or values of one, when a question does not say.
pub const DETECTED_FIELDS_DEFAULT: u32 = 1000;
/// How far back a query looks when it does not say, in nanoseconds.
pub const SINCE_DEFAULT_NANOS: i64 = 3600 * NANOS_PER_SECOND;
/// The most seconds by which a tail may lag behind.
pub const TAIL_DELAY_SECONDS_MAX: u32 = 5;

/// A parameter that cannot be taken, in Loki's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParameterError(pub(crate) String);

type Result<T> = std::result::Result<T, ParameterError>;

/// `/loki/api/v1/query_range`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeQuery {
    /// The LogQL text; may be empty.
    pub query: String,
    /// Where the range begins, included.
    pub start: Timestamp,
    /// Where it ends: excluded for lines, the last step for metrics.
    pub end: Timestamp,
    /// Nanoseconds between points, positive.
    pub step_nanos: i64,
    /// Nanoseconds that at least lie between lines of a stream; 0 for every line.
    pub interval_nanos: i64,
    /// Lines wanted, at least 1.
    pub limit: u32,
    /// Which lines come first.
    pub direction: Direction,
}

/// `/loki/api/v1/query`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstantQuery {
    /// The LogQL text; may be empty.
    pub query: String,
    /// The time asked about.
    pub time: Timestamp,
    /// Lines wanted, at least 1.
    pub limit: u32,
    /// Which lines come first.
    pub direction: Direction,
}

/// `/loki/api/v1/detected_fields` and `/loki/api/v1/detected_field/{name}/values`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedFieldsQuery {
    /// The query whose lines are looked at. Its `limit` is how many of them at most.
    pub lines: RangeQuery,
    /// How many fields, or values, are wanted at most; at least 1.
    pub fields_max: u32,
}

/// `/loki/api/v1/labels`, `/loki/api/v1/label/{name}/values` and, with `match`, `/loki/api/v1/series`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelQuery {
    /// Where the range begins.
    pub start: Timestamp,
    /// Where it ends.
    pub end: Timestamp,
    /// Selectors of which a stream must pass one, sorted, each once; empty for all streams.
    pub selectors: Vec<String>,
}

/// `/loki/api/v1/tail`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailQuery {
    /// The LogQL text; may be empty.
    pub query: String,
    /// Lines from here on that are there already come first.
    pub start: Timestamp,
    /// How many of those are wanted at most.
    pub limit: u32,
    /// Seconds by which lines may be held back, so that late ones come in order.
    pub delay_seconds: u32,
}

/// The parameters of one request, decoded: name and value. Of a name that comes twice the first counts,
/// where one is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a>(pub &'a [(String, String)]);

impl Parameters<'_> {
    /// The value of a parameter; empty when it is absent, since Loki does not tell the two apart.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// A query over a range, of at most `points_max` steps.
    pub fn range_query(&self, now: Timestamp, points_max: usize) -> Result<RangeQuery> {
        let (start, end) = self.bounds(now)?;
        if end < start {
            return Err(ParameterError("end timestamp must not be before or equal to start time".to_owned()));
        }
        let limit = self.limit()?;
        let direction = self.direction()?;
        let span_nanos = i128::from(end.as_nanos()) - i128::from(start.as_nanos());
        let step_nanos = match self.get("step") {
            "" => default_step_nanos(span_nanos),
            text => parse_seconds_or_duration(text)?,
        };
        if step_nanos <= 0 {
            let reason =
                "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(ParameterError(reason.to_owned()));
        }
        if span_nanos / i128::from(step_nanos) > points_max as i128 {
            let points_max = with_thousands(points_max);
            return Err(ParameterError(format!(
                "exceeded maximum resolution of {points_max} points per time series. Try increasing the value of the step parameter"
            )));
        }
        let interval_nanos = match self.get("interval") {
            "" => 0,
            text => parse_seconds_or_duration(text)?,
        };
        if interval_nanos < 0 {
            return Err(ParameterError("interval must be >= 0".to_owned()));
        }
        let query = self.get("query").to_owned();
        Ok(RangeQuery { query, start, end, step_nanos, interval_nanos, limit, direction })
    }

    /// A question about volumes over a range: like a query, but a limit of 0 is none given.
    pub fn volume_query(&self, now: Timestamp, points_max: usize) -> Result<RangeQuery> {
        if parse_integer(self.get("limit"), 1)? != 0 {
            return self.range_query(now, points_max);
        }
        let others: Vec<_> = self.0.iter().filter(|(name, _)| name != "limit").cloned().collect();
        Parameters(&others).range_query(now, points_max)
    }

    /// A question about the fields of the first lines of a range.
    pub fn detected_fields_query(&self, now: Timestamp, points_max: usize) -> Result<DetectedFieldsQuery> {
        let lines_max = self.count("line_limit", LIMIT_DEFAULT)?;
        // The older name.
        let name = if self.get("limit").is_empty() { "field_limit" } else { "limit" };
        let fields_max = self.count(name, DETECTED_FIELDS_DEFAULT)?;
        let lines = RangeQuery { limit: lines_max, ..self.range_query(now, points_max)? };
        Ok(DetectedFieldsQuery { lines, fields_max })
    }

    /// A query at one time, now when it does not say.
    pub fn instant_query(&self, now: Timestamp) -> Result<InstantQuery> {
        Ok(InstantQuery {
            query: self.get("query").to_owned(),
            limit: self.limit()?,
            time: parse_time(self.get("time"), now)?,
            direction: self.direction()?,
        })
    }

    /// A question about labels or their values; its selector is in `query`.
    pub fn label_query(&self, now: Timestamp) -> Result<LabelQuery> {
        let (start, end) = self.bounds(now)?;
        Ok(LabelQuery { start, end, selectors: selectors([self.get("query")]) })
    }

    /// A question about series; its selectors are in `match` and `match[]`.
    pub fn series_query(&self, now: Timestamp) -> Result<LabelQuery> {
        let (start, end) = self.bounds(now)?;
        let matches = self.0.iter().filter(|(name, _)| name == "match" || name == "match[]");
        Ok(LabelQuery { start, end, selectors: selectors(matches.map(|(_, value)| value.as_str())) })
    }

    /// A query for lines as they come.
    pub fn tail_query(&self, now: Timestamp) -> Result<TailQuery> {
        let limit = self.limit()?;
        let (start, _) = self.bounds(now)?;
        let delay = parse_integer(self.get("delay_for"), 0)?;
        let delay_seconds = u32::try_from(delay).map_err(|_| {
            ParameterError(format!("delay_for value {delay} is out of range [0, {}]", u32::MAX))
        })?;
        if delay_seconds > TAIL_DELAY_SECONDS_MAX {
            return Err(ParameterError(format!("delay_for can't be greater than {TAIL_DELAY_SECONDS_MAX}")));
        }
        Ok(TailQuery { query: self.get("query").to_owned(), start, limit, delay_seconds })
    }

    /// `start` and `end`, or what stands for them.
    pub fn bounds(&self, now: Timestamp) -> Result<(Timestamp, Timestamp)> {
        let named = |name: &str, reason: &dyn std::fmt::Display| {
            ParameterError(format!("could not parse '{name}' parameter: {reason}"))
        };
        let since_nanos = match self.get("since") {
            "" => SINCE_DEFAULT_NANOS,
            text => parse_duration(text).map_err(|e| named("since", &e))?,
        };
        let end = parse_time(self.get("end"), now).map_err(|e| named("end", &e))?;
        let start_default = end.min(now).saturating_add_nanos(-since_nanos);
        let start = parse_time(self.get("start"), start_default).map_err(|e| named("start", &e))?;
        Ok((start, end))
    }

    /// Lines wanted.
    pub fn limit(&self) -> Result<u32> {
        self.count("limit", LIMIT_DEFAULT)
    }

    /// A number from 1 on.
    fn count(&self, name: &str, default: u32) -> Result<u32> {
        let count = parse_integer(self.get(name), i64::from(default))?;
        if count <= 0 {
            return Err(ParameterError("limit must be a positive value".to_owned()));
        }
        u32::try_from(count)
            .map_err(|_| ParameterError(format!("{name} value {count} is out of range [0, {}]", u32::MAX)))
    }

    fn direction(&self) -> Result<Direction> {
        match self.get("direction") {
            "" => Ok(Direction::Backward),
            text if text.eq_ignore_ascii_case("backward") => Ok(Direction::Backward),
            text if text.eq_ignore_ascii_case("forward") => Ok(Direction::Forward),
            text => Err(ParameterError(format!("invalid direction '{text}'"))),
        }
    }
}

/// Refuses a log query that wants more lines than a query may return. Metric queries have no such limit.
pub fn check_entries_limit(limit: u32, entries_max: usize) -> Result<()> {
    if limit as usize > entries_max {
        return Err(ParameterError(format!(
            "max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > {entries_max})"
        )));
    }
    Ok(())
}

/// Sorted and each once; nothing, or `{}` alone, asks for all streams.
fn selectors<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut selectors: Vec<String> =
        texts.into_iter().filter(|text| !text.is_empty()).map(str::to_owned).collect();
    selectors.sort();
    selectors.dedup();
    if let [only] = selectors.as_slice()
        && only.replace(' ', "") == "{}"
    {
        selectors.clear();
    }
    selectors
}

/// A 250th of the range in whole seconds, at least one.
fn default_step_nanos(span_nanos: i128) -> i64 {
    let seconds = (span_nanos / i128::from(NANOS_PER_SECOND) / 250).max(1);
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_SECOND)
}

/// A time in one of Loki's forms; `default` when the text is empty.
pub fn parse_time(text: &str, default: Timestamp) -> Result<Timestamp> {
    if text.is_empty() {
        return Ok(default);
    }
    if text.contains('.')
        && let Ok(seconds) = text.parse::<f64>()
    {
        return seconds_to_time(seconds)
            .ok_or_else(|| not_an_integer("ParseInt", text, "value out of range"));
    }
    match text.parse::<i64>() {
        Ok(seconds) if text.len() <= 10 => seconds
            .checked_mul(NANOS_PER_SECOND)
            .map(Timestamp::from_nanos)
            .ok_or_else(|| not_an_integer("ParseInt", text, "value out of range")),
        Ok(nanos) => Ok(Timestamp::from_nanos(nanos)),
        Err(error) => Timestamp::parse_rfc3339(text)
            .map_err(|_| not_an_integer("ParseInt", text, integer_error_in_go(error.kind()))),
    }
}

/// Seconds with decimals, to the millisecond as Loki does it.
fn seconds_to_time(seconds: f64) -> Option<Timestamp> {
    let whole = seconds.trunc();
    let millis = ((seconds - whole) * 1000.0).round();
    if !seconds.is_finite() || whole.abs() > i64::MAX as f64 / 1e9 - 1.0 {
        return None;
    }
    Some(Timestamp::from_nanos(whole as i64 * NANOS_PER_SECOND + millis as i64 * 1_000_000))
}

/// `300`, `0.5` (seconds), or `5m`: nanoseconds.
pub fn parse_seconds_or_duration(text: &str) -> Result<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let nanos = seconds * NANOS_PER_SECOND as f64;
        if !nanos.is_finite() || nanos.abs() >= i64::MAX as f64 {
            return Err(ParameterError(format!(
                "cannot parse {text:?} to a valid duration. It overflows int64"
            )));
        }
        return Ok(nanos as i64);
    }
    parse_duration(text).map_err(|_| ParameterError(format!("cannot parse {text:?} to a valid duration")))
}

fn parse_integer(text: &str, default: i64) -> Result<i64> {
    match text {
        "" => Ok(default),
        text => text.parse().map_err(|e: std::num::ParseIntError| {
            not_an_integer("Atoi", text, integer_error_in_go(e.kind()))
        }),
    }
}

fn not_an_integer(function: &str, text: &str, reason: &str) -> ParameterError {
    ParameterError(format!("strconv.{function}: parsing {text:?}: {reason}"))
}

fn integer_error_in_go(kind: &std::num::IntErrorKind) -> &'static str {
    match kind {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    }
}

/// `11000` as `11,000`.
fn with_thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_793_491_200_000_000_000);

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn range(parameters: &[(&str, &str)]) -> Result<RangeQuery> {
        Parameters(&pairs(parameters)).range_query(NOW, 11_000)
    }

    #[test]
    fn a_range_query_without_parameters_is_the_last_hour_backward() {
        assert_eq!(
            range(&[]).expect("defaults"),
            RangeQuery {
                query: String::new(),
                start: NOW.saturating_add_nanos(-SINCE_DEFAULT_NANOS),
                end: NOW,
                step_nanos: 14 * NANOS_PER_SECOND,
                interval_nanos: 0,
                limit: 100,
                direction: Direction::Backward,
            }
        );
    }

    #[test]
    fn times_come_in_many_forms() {
        let cases = [
            ("1793491200000000000", 1_793_491_200_000_000_000),
            ("1793491200", 1_793_491_200_000_000_000),
            ("1793491200.5", 1_793_491_200_500_000_000),
            ("1.7934912e9", 1_793_491_200_000_000_000),
            ("0", 0),
            ("-5", -5_000_000_000),
            ("2026-11-01T02:00:00.5+02:00", 1_793_491_200_500_000_000),
            ("2026-11-01T00:00:00Z", 1_793_491_200_000_000_000),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_time(text, NOW), Ok(Timestamp::from_nanos(expected)), "{text}");
        }
        let error = |text| parse_time(text, NOW).expect_err(text).to_string();
        assert_eq!(error("2026-11-02"), "strconv.ParseInt: parsing \"2026-11-02\": invalid syntax");
        assert_eq!(error("now"), "strconv.ParseInt: parsing \"now\": invalid syntax");
        assert_eq!(
            error("99999999999999999999"),
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"
        );
        assert!(parse_time("1e300.", NOW).is_err());
        assert!(parse_time("9999999999", NOW).is_err());
    }

    #[test]
    fn since_counts_from_the_end_unless_that_lies_ahead() {
        let start = |parameters: &[(&str, &str)]| range(parameters).expect("valid").start;
        let hours = |n: i64| NOW.saturating_add_nanos(n * SINCE_DEFAULT_NANOS);
        assert_eq!(start(&[("since", "2h")]), hours(-2));
        assert_eq!(start(&[("end", "1793487600")]), hours(-2));
        assert_eq!(start(&[("end", "1793498400"), ("since", "3h")]), hours(-3));
        assert_eq!(start(&[("since", "2h"), ("start", "1793487600")]), hours(-1));
    }

    #[test]
    fn what_cannot_be_taken_is_refused_in_lokis_words() {
        let cases: [(&[(&str, &str)], &str); 14] = [
            (&[("direction", "sideways")], "invalid direction 'sideways'"),
            (&[("limit", "abc")], "strconv.Atoi: parsing \"abc\": invalid syntax"),
            (&[("limit", "0")], "limit must be a positive value"),
            (&[("limit", "-1")], "limit must be a positive value"),
            (&[("limit", "4294967296")], "limit value 4294967296 is out of range [0, 4294967295]"),
            (
                &[("end", "2026-11-02"), ("start", "x")],
                "could not parse 'end' parameter: strconv.ParseInt: parsing \"2026-11-02\": invalid syntax",
            ),
            (&[("since", "1x")], "could not parse 'since' parameter: not a valid duration string: \"1x\""),
            (
                &[("step", "0")],
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            ),
            (&[("step", "abc")], "cannot parse \"abc\" to a valid duration"),
            (&[("step", "1e300")], "cannot parse \"1e300\" to a valid duration. It overflows int64"),
            (&[("step", "NaN")], "cannot parse \"NaN\" to a valid duration. It overflows int64"),
            (
                &[("step", "0.1")],
                "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter",
            ),
            (&[("interval", "-5")], "interval must be >= 0"),
            (
                &[("start", "1793491201"), ("end", "1793491200")],
                "end timestamp must not be before or equal to start time",
            ),
        ];
        for (parameters, expected) in cases {
            assert_eq!(range(parameters).expect_err(expected).to_string(), expected);
        }
        assert_eq!(
            check_entries_limit(1_000_000, 5000).expect_err("too many").to_string(),
            "max entries limit per query exceeded, limit > max_entries_limit_per_query (1000000 > 5000)"
        );
        assert_eq!(check_entries_limit(5000, 5000), Ok(()));
    }

    #[test]
    fn steps_are_seconds_or_durations() {
        let step = |text| range(&[("step", text)]).expect(text).step_nanos;
        assert_eq!(step("10m"), 600 * NANOS_PER_SECOND);
        assert_eq!(step("300"), 300 * NANOS_PER_SECOND);
        assert_eq!(step("1.5"), 1_500_000_000);
        let wide =
            range(&[("start", "-9000000000000000000"), ("end", "9000000000000000000"), ("step", "1y")]);
        assert!(wide.is_ok(), "the whole of time fits");
    }

    #[test]
    fn a_question_about_fields_has_a_limit_for_lines_and_one_for_fields() {
        for (parameters, expected) in [
            (&[][..], Ok((100, 1000))),
            (&[("line_limit", "7"), ("limit", "3")], Ok((7, 3))),
            (&[("field_limit", "3")], Ok((100, 3))),
            (&[("limit", "2"), ("field_limit", "3")], Ok((100, 2))),
            (&[("line_limit", "0")], Err("limit must be a positive value")),
            (
                &[("line_limit", "5000000000")],
                Err("line_limit value 5000000000 is out of range [0, 4294967295]"),
            ),
            (&[("field_limit", "x")], Err(r#"strconv.Atoi: parsing "x": invalid syntax"#)),
        ] {
            let parameters = pairs(parameters);
            let asked = Parameters(&parameters).detected_fields_query(NOW, 11_000);
            let limits = asked.map(|asked| (asked.lines.limit, asked.fields_max));
            assert_eq!(
                limits.map_err(|error| error.to_string()),
                expected.map_err(str::to_owned),
                "{parameters:?}"
            );
        }
    }

    #[test]
    fn a_limit_of_no_volumes_is_no_limit_given() {
        for (limit, expected) in
            [("0", Some(100)), ("", Some(100)), ("3", Some(3)), ("-1", None), ("x", None)]
        {
            let parameters = pairs(&[("limit", limit)]);
            let asked = Parameters(&parameters).volume_query(NOW, 11_000).ok();
            assert_eq!(asked.map(|asked| asked.limit), expected, "{limit}");
        }
    }

    #[test]
    fn series_take_match_in_both_spellings() {
        let series = |parameters: &[(&str, &str)]| {
            Parameters(&pairs(parameters)).series_query(NOW).expect("valid").selectors
        };
        assert_eq!(
            series(&[("match[]", "{b=\"1\"}"), ("match", "{a=\"1\"}"), ("match", "{b=\"1\"}")]),
            ["{a=\"1\"}", "{b=\"1\"}"]
        );
        assert!(series(&[]).is_empty());
        assert!(series(&[("match", "{ }")]).is_empty());
        assert_eq!(series(&[("match", "{}"), ("match", "{a=\"1\"}")]).len(), 2);
        let labels = Parameters(&pairs(&[("query", "{a=\"1\"}")])).label_query(NOW).expect("valid");
        assert_eq!(labels.selectors, ["{a=\"1\"}"]);
    }

    #[test]
    fn a_tail_may_lag_by_five_seconds() {
        let tail = |parameters: &[(&str, &str)]| Parameters(&pairs(parameters)).tail_query(NOW);
        assert_eq!(tail(&[("delay_for", "5")]).expect("valid").delay_seconds, 5);
        assert_eq!(
            tail(&[("delay_for", "6")]).expect_err("late").to_string(),
            "delay_for can't be greater than 5"
        );
        assert_eq!(
            tail(&[("delay_for", "-1")]).expect_err("early").to_string(),
            "delay_for value -1 is out of range [0, 4294967295]"
        );
    }

    #[test]
    fn an_instant_query_is_about_now() {
        let instant = Parameters(&pairs(&[("query", "1+1"), ("direction", "FORWARD")])).instant_query(NOW);
        let instant = instant.expect("valid");
        assert_eq!((instant.time, instant.limit, instant.direction), (NOW, 100, Direction::Forward));
    }
}
