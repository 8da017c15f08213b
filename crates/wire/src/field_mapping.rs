//! JSON objects of any shape as log records: which of their fields are the line, the time and the labels.
//!
//! Nested objects are read as if their fields stood at the top, under names joined with dots
//! (`{"host":{"name":"a"}}` has a field `host.name`). A field becomes the line, the time or a label when the
//! mapping says so; every other field becomes structured metadata, strings by their text, other values by their
//! JSON, `null` not at all. An object without a field for the line is kept whole as the line.

use std::borrow::Cow;

use timberyard_model::Timestamp;
use timberyard_model::time::NANOS_PER_SECOND;

use crate::error::DecodeError;
use crate::json::{JsonKind, JsonReader};
use crate::metadata_name::{self, MetadataNameError};

/// The level by Elastic's Common Schema, which becomes `level`, so that it is known as one.
const ECS_LEVEL: &str = "log.level";

/// Which fields mean what. Of several names in a list the first that an object has counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMapping {
    /// Fields that hold the line.
    pub line_fields: Vec<String>,
    /// Fields that hold the time: RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since
    /// 1970, told apart by their size.
    pub time_fields: Vec<String>,
    /// Fields that become labels, all that are there.
    pub label_fields: Vec<String>,
}

impl Default for FieldMapping {
    /// The names that loggers and shippers use most.
    fn default() -> Self {
        Self {
            line_fields: owned(&["message", "msg", "log", "line", "_msg", "event.original"]),
            time_fields: owned(&["@timestamp", "timestamp", "time", "ts", "_time"]),
            label_fields: owned(&[
                "service_name",
                "service.name",
                "service",
                "app",
                "level",
                "log.level",
                "env",
                "namespace",
                "kubernetes.namespace_name",
                "kubernetes.namespace",
                "kubernetes.container_name",
                "kubernetes.container.name",
            ]),
        }
    }
}

/// What a field means by its name.
#[derive(Clone, Debug)]
pub(crate) struct FieldMeaning {
    /// Its place among the fields for the line.
    pub(crate) line: Option<usize>,
    /// Its place among those for the time.
    pub(crate) time: Option<usize>,
    /// Whether it is a label where it is neither.
    pub(crate) label: bool,
    /// What the label or metadata is called.
    pub(crate) name: Result<String, MetadataNameError>,
}

impl FieldMapping {
    /// What a field of this name means. Compares it with every name of the mapping.
    pub(crate) fn meaning(&self, field: &str) -> FieldMeaning {
        let place = |names: &[String]| names.iter().position(|name| name == field);
        FieldMeaning {
            line: place(&self.line_fields),
            time: place(&self.time_fields),
            label: place(&self.label_fields).is_some(),
            name: match field {
                ECS_LEVEL => Ok("level".to_owned()),
                name => metadata_name::sanitized(name).map(Cow::into_owned),
            },
        }
    }
}

pub(crate) fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A field of an object that is not `null`.
#[derive(Clone, Debug)]
pub(crate) struct Field<'a> {
    /// Its name, with those of the objects around it before it.
    pub(crate) name: Cow<'a, str>,
    /// The text of a string, the JSON of anything else.
    pub(crate) value: Cow<'a, [u8]>,
    pub(crate) kind: JsonKind,
}

impl Field<'_> {
    /// The value as text; bytes that are not UTF-8 are replaced.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.value)
    }
}

/// The fields of the object that the reader stands before.
pub(crate) fn read_fields<'a>(json: &mut JsonReader<'a>) -> Result<Vec<Field<'a>>, DecodeError> {
    let mut fields = Vec::new();
    read_object(json, "", &mut fields)?;
    Ok(fields)
}

fn read_object<'a>(
    json: &mut JsonReader<'a>,
    prefix: &str,
    fields: &mut Vec<Field<'a>>,
) -> Result<(), DecodeError> {
    json.begin_object()?;
    while let Some(key) = json.next_key()? {
        let name = match key {
            Cow::Borrowed(key) if prefix.is_empty() => String::from_utf8_lossy(key),
            key => Cow::Owned(format!("{prefix}{}", String::from_utf8_lossy(&key))),
        };
        let kind = json.peek()?;
        let value = match kind {
            JsonKind::Object => {
                read_object(json, &format!("{name}."), fields)?;
                continue;
            }
            JsonKind::Null => {
                json.null()?;
                continue;
            }
            JsonKind::String => json.string()?,
            JsonKind::Array | JsonKind::Number | JsonKind::Boolean => Cow::Borrowed(json.raw()?),
        };
        fields.push(Field { name, value, kind });
    }
    Ok(())
}

/// The time that a field says, or why it says none.
pub(crate) fn time_of(field: &Field<'_>) -> Result<Timestamp, String> {
    time_of_value(&field.name, &field.value, field.kind)
}

/// As [`time_of`], of a value by itself.
pub(crate) fn time_of_value(name: &str, value: &[u8], kind: JsonKind) -> Result<Timestamp, String> {
    read_time(value, kind).ok_or_else(|| {
        let shown = String::from_utf8_lossy(value.get(..64).unwrap_or(value));
        format!("field `{name}` is not a time: {shown:?}")
    })
}

fn read_time(value: &[u8], kind: JsonKind) -> Option<Timestamp> {
    let text = std::str::from_utf8(value).ok()?;
    match kind {
        JsonKind::String if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
            Timestamp::parse_rfc3339(text).ok()
        }
        JsonKind::String | JsonKind::Number => time_of_number(text),
        _ => None,
    }
}

/// Seconds, milliseconds, microseconds or nanoseconds, by the size of the number: each unit is taken to mean
/// times up to the year 5138, which leaves the first weeks of 1970 in finer units to be misread.
fn time_of_number(text: &str) -> Option<Timestamp> {
    const SECONDS_BELOW: u64 = 100_000_000_000;
    if let Ok(number) = text.parse::<i64>() {
        let nanos_per_unit = match number.unsigned_abs() {
            0..SECONDS_BELOW => NANOS_PER_SECOND,
            SECONDS_BELOW..100_000_000_000_000 => 1_000_000,
            100_000_000_000_000..100_000_000_000_000_000 => 1_000,
            _ => 1,
        };
        return number.checked_mul(nanos_per_unit).map(Timestamp::from_nanos);
    }
    let seconds: f64 = text.parse().ok()?;
    if !seconds.is_finite() || seconds.abs() >= 9e9 {
        return None;
    }
    // Whole and broken seconds apart, since a float cannot hold nanoseconds of today.
    let nanos = ((seconds - seconds.trunc()) * 1e9).round() as i64;
    Some(Timestamp::from_nanos(seconds.trunc() as i64 * NANOS_PER_SECOND).saturating_add_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_apart_by_their_size() {
        let cases = [
            ("1793491200", Some(1_793_491_200_000_000_000)),
            ("1793491200123", Some(1_793_491_200_123_000_000)),
            ("1793491200123456", Some(1_793_491_200_123_456_000)),
            ("1793491200123456789", Some(1_793_491_200_123_456_789)),
            ("1793491200.5", Some(1_793_491_200_500_000_000)),
            ("-1.5", Some(-1_500_000_000)),
            ("1e300", None),
            ("99999999999999999999", None),
        ];
        for (text, expected) in cases {
            assert_eq!(time_of_number(text).map(Timestamp::as_nanos), expected, "{text}");
        }
    }

    #[test]
    fn nested_objects_give_their_fields_under_joined_names() {
        let text = br#"{"a":{"b":{"c":1},"d":"x","e":{}},"f":[{"g":1}],"h":null}"#;
        let fields = read_fields(&mut JsonReader::new(text, 8)).expect("an object");
        let fields: Vec<_> = fields.iter().map(|field| (&*field.name, field.text())).collect();
        assert_eq!(fields, [("a.b.c", "1".into()), ("a.d", "x".into()), ("f", r#"[{"g":1}]"#.into())]);
        assert!(read_fields(&mut JsonReader::new(text, 2)).is_err(), "too deep");
    }
}
