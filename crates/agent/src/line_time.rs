//! The time of a line that one of its fields says.

use jiff::Timestamp as JiffTimestamp;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use timberyard_model::{RowRef, Timestamp};

/// Where the time of a line stands.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineTimeSettings {
    /// The structured metadata or label that a step has parsed.
    pub field: String,
    /// `rfc3339`, `unix`, `unix_ms`, `unix_us`, `unix_ns`, or a text with the conversions of `strptime`, such as `%d/%b/%Y:%T %z`.
    #[serde(default = "rfc3339")]
    pub format: String,
    /// The zone of times that do not say theirs.
    #[serde(default = "utc")]
    pub zone: String,
}

fn rfc3339() -> String {
    "rfc3339".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

/// How times of lines are read.
pub(crate) struct LineTime {
    field: String,
    form: Form,
    zone: TimeZone,
}

enum Form {
    Rfc3339,
    /// A number; nanoseconds in one of its units, and digits behind the point.
    Unix {
        digits: u32,
    },
    Text(String),
}

impl LineTime {
    pub(crate) fn new(settings: &LineTimeSettings) -> Result<Self, String> {
        let form = match settings.format.as_str() {
            "rfc3339" => Form::Rfc3339,
            "unix" => Form::Unix { digits: 9 },
            "unix_ms" => Form::Unix { digits: 6 },
            "unix_us" => Form::Unix { digits: 3 },
            "unix_ns" => Form::Unix { digits: 0 },
            text if text.contains('%') => Form::Text(text.to_owned()),
            other => {
                return Err(format!(
                    "time.format: `{other}` is none of rfc3339, unix, unix_ms, unix_us, unix_ns, and has no conversions such as %Y"
                ));
            }
        };
        let zone = match settings.zone.as_str() {
            "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|error| format!("time.zone: {error}"))?,
        };
        Ok(Self { field: settings.field.clone(), form, zone })
    }

    /// The time of a row; `None` when it has no such field, or the field is no such time.
    pub(crate) fn of(&self, row: RowRef<'_>) -> Option<Timestamp> {
        let label = row.labels().get(&self.field);
        let value = label.or_else(|| std::str::from_utf8(row.metadata_value(&self.field)?).ok())?;
        self.read(value.trim()).map(Timestamp::from_nanos)
    }

    fn read(&self, text: &str) -> Option<i64> {
        let nanos = |time: JiffTimestamp| i64::try_from(time.as_nanosecond()).ok();
        match &self.form {
            Form::Unix { digits } => unix(text, *digits),
            Form::Rfc3339 => nanos(text.parse().ok()?),
            Form::Text(form) => {
                let read = BrokenDownTime::parse(form, text).ok()?;
                let time = match read.offset() {
                    Some(_) => read.to_timestamp().ok()?,
                    None => self.zone.to_timestamp(read.to_datetime().ok()?).ok()?,
                };
                nanos(time)
            }
        }
    }
}

/// A number with digits behind its point, times ten to the power of `digits`; what is less than one is left out.
fn unix(text: &str, digits: u32) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole = whole.parse::<i64>().ok()?.checked_mul(10i64.pow(digits))?;
    let part: String = part.chars().chain(std::iter::repeat('0')).take(digits as usize).collect();
    let part = if part.is_empty() { 0 } else { part.parse::<i64>().ok()? };
    whole.checked_add(if text.starts_with('-') { -part } else { part })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, zone: &str, text: &str) -> Option<i64> {
        let settings =
            LineTimeSettings { field: "ts".to_owned(), format: format.to_owned(), zone: zone.to_owned() };
        LineTime::new(&settings).expect("valid").read(text)
    }

    #[test]
    fn times_are_read_in_every_form() {
        let time = 1_795_255_200_000_000_000;
        for (format, zone, text) in [
            ("rfc3339", "UTC", "2026-11-21T10:00:00Z"),
            ("rfc3339", "UTC", "2026-11-21T11:00:00+01:00"),
            ("unix", "UTC", "1795255200"),
            ("unix", "UTC", "1795255200.000"),
            ("unix_ms", "UTC", "1795255200000"),
            ("unix_us", "UTC", "1795255200000000"),
            ("unix_ns", "UTC", "1795255200000000000"),
            ("%d/%b/%Y:%T %z", "UTC", "21/Nov/2026:12:00:00 +0200"),
            ("%Y-%m-%d %H:%M:%S", "UTC", "2026-11-21 10:00:00"),
            ("%Y-%m-%d %H:%M:%S%.f", "Europe/Berlin", "2026-11-21 11:00:00.000"),
        ] {
            assert_eq!(read(format, zone, text), Some(time), "{format} {text}");
        }
        assert_eq!(read("unix", "UTC", "1.5"), Some(1_500_000_000));
        assert_eq!(read("unix_ms", "UTC", "1.0015"), Some(1_001_500));
        for text in ["", "x", "1.x", "2026-11-21", "99999999999999999999"] {
            assert_eq!(read("unix", "UTC", text), None, "{text}");
        }
    }

    #[test]
    fn forms_and_zones_that_are_not_known_are_refused() {
        let new = |format: &str, zone: &str| {
            let settings =
                LineTimeSettings { field: "ts".to_owned(), format: format.to_owned(), zone: zone.to_owned() };
            LineTime::new(&settings).err()
        };
        assert!(new("iso", "UTC").is_some_and(|error| error.contains("`iso`")));
        assert!(new("unix", "Nowhere/Else").is_some_and(|error| error.contains("time.zone")));
    }
}
