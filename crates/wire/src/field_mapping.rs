//! JSON objects of any shape as log records: which of their fields are the line, the time and the labels.
//!
//! Nested objects are read as if their fields stood at the top, under names joined with dots
//! (`{"host":{"name":"a"}}` has a field `host.name`). A field becomes the line, the time or a label when the
//! mapping says so; every other field becomes structured metadata, strings by their text, other values by their
//! JSON, `null` not at all. An object without a field for the line is kept whole as the line.

use std::borrow::Cow;

use timberyard_model::Timestamp;
use timberyard_model::time::NANOS_PER_SECOND;

use crate::context::DecodeContext;
use crate::error::DecodeError;
use crate::json::{JsonKind, JsonReader};
use crate::metadata_name;
use crate::record_batch::{Record, RecordBatch};
use crate::service_name::{DISCOVERY_LABELS, SERVICE_NAME, UNKNOWN_SERVICE};

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

/// What is known of a record besides its object. Of equal names, what the object says counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Around<'a> {
    pub(crate) labels: &'a [(&'a str, &'a str)],
    pub(crate) metadata: &'a [(&'a str, &'a [u8])],
    /// The time of a record whose object says none; when it was received, otherwise.
    pub(crate) time: Option<Timestamp>,
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

/// Adds the record that the fields of an object make; `text` is the whole object. On refusal says why.
pub(crate) fn push(
    text: &[u8],
    fields: &[Field<'_>],
    mapping: &FieldMapping,
    around: Around<'_>,
    context: &DecodeContext<'_>,
    batch: &mut RecordBatch,
) -> Result<(), String> {
    let find =
        |names: &[String]| names.iter().find_map(|name| fields.iter().position(|field| field.name == *name));
    let (line, time) = (find(&mapping.line_fields), find(&mapping.time_fields));
    let timestamp = match time.and_then(|index| fields.get(index)) {
        Some(field) => time_of(field)?,
        None => around.time.unwrap_or(context.received_at),
    };
    let mut labels: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    labels.extend(around.labels.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value))));
    let mut metadata: Vec<(Cow<'_, str>, &[u8])> = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        if Some(index) == line || Some(index) == time {
            continue;
        }
        let name = match &*field.name {
            ECS_LEVEL => Cow::Borrowed("level"),
            name => metadata_name::sanitized(name).map_err(|error| error.to_string())?,
        };
        if mapping.label_fields.iter().any(|label| *label == *field.name) {
            if field.kind == JsonKind::Array {
                return Err(format!("label `{}` is an array, not text", field.name));
            }
            labels.push((name, field.text()));
        } else {
            metadata.push((name, &field.value));
        }
    }
    for (name, value) in around.metadata {
        if !metadata.iter().any(|known| known.0 == *name) {
            metadata.push((Cow::Borrowed(name), value));
        }
    }
    let line = match line.and_then(|index| fields.get(index)) {
        Some(field) => &*field.value,
        None => text.trim_ascii(),
    };
    MappedRecord { labels, metadata, timestamp, line, service: None }.push(context, batch)
}

/// A record whose names and values were put together from what was sent.
#[derive(Clone)]
pub(crate) struct MappedRecord<'a> {
    /// Labels, in any order; empty ones are left out, of equal names the last counts.
    pub(crate) labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(crate) metadata: Vec<(Cow<'a, str>, &'a [u8])>,
    pub(crate) timestamp: Timestamp,
    pub(crate) line: &'a [u8],
    /// The service, when no label names it.
    pub(crate) service: Option<&'a str>,
}

impl MappedRecord<'_> {
    /// Adds the record, under the time it was received where its own is out of bounds: for senders that would not hear of a
    /// refusal.
    pub(crate) fn push_at_any_time(
        self,
        context: &DecodeContext<'_>,
        batch: &mut RecordBatch,
    ) -> Result<(), String> {
        let late = MappedRecord { timestamp: context.received_at, ..self.clone() };
        self.push(context, batch).or_else(|_| late.push(context, batch))
    }

    /// Adds the record, or says why it is refused.
    pub(crate) fn push(self, context: &DecodeContext<'_>, batch: &mut RecordBatch) -> Result<(), String> {
        let limit = context.limits.record.label_value_bytes_max;
        if let Some((name, value)) = self.labels.iter().find(|(_, value)| value.len() > limit) {
            return Err(format!("label `{name}` is {} bytes, limit is {limit}", value.len()));
        }
        let mut labels: Vec<(&str, &str)> =
            self.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        if context.discover_service_name {
            add_service_name(&mut labels, self.service.filter(|service| !service.is_empty()));
        }
        let metadata: Vec<(&str, &[u8])> =
            self.metadata.iter().map(|(name, value)| (&**name, *value)).collect();
        let record =
            Record { labels: &labels, timestamp: self.timestamp, line: self.line, metadata: &metadata };
        batch.push(&record).map_err(|error| error.to_string())
    }
}

/// Names the service of labels that do not: by Loki's list, else by `otherwise`.
fn add_service_name<'a>(labels: &mut Vec<(&'a str, &'a str)>, otherwise: Option<&'a str>) {
    if labels.iter().any(|(name, value)| *name == SERVICE_NAME && !value.is_empty()) {
        return;
    }
    let known =
        |name: &&str| labels.iter().find(|pair| pair.0 == *name && !pair.1.is_empty()).map(|pair| pair.1);
    let service = DISCOVERY_LABELS.iter().find_map(known).or(otherwise).unwrap_or(UNKNOWN_SERVICE);
    labels.push((SERVICE_NAME, service));
}

/// The time that a field says, or why it says none.
pub(crate) fn time_of(field: &Field<'_>) -> Result<Timestamp, String> {
    read_time(field).ok_or_else(|| {
        let shown = String::from_utf8_lossy(field.value.get(..64).unwrap_or(&field.value));
        format!("field `{}` is not a time: {shown:?}", field.name)
    })
}

fn read_time(field: &Field<'_>) -> Option<Timestamp> {
    let text = std::str::from_utf8(&field.value).ok()?;
    match field.kind {
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

    #[test]
    fn a_service_is_named_by_its_own_label_then_by_lokis_list_then_by_what_is_at_hand() {
        type Case = (&'static [(&'static str, &'static str)], Option<&'static str>, &'static str);
        let cases: [Case; 4] = [
            (&[("service_name", "own"), ("app", "a")], Some("x"), "own"),
            (&[("job", "j"), ("app", "a")], Some("x"), "a"),
            (&[("env", "e")], Some("x"), "x"),
            (&[("service_name", "")], None, UNKNOWN_SERVICE),
        ];
        for (labels, otherwise, expected) in cases {
            let mut labels = labels.to_vec();
            add_service_name(&mut labels, otherwise);
            let last = labels.iter().rev().find(|pair| pair.0 == SERVICE_NAME);
            assert_eq!(last.map(|pair| pair.1), Some(expected));
        }
    }
}
