//! Newline-delimited JSON: one object a line, mapped to a log entry by the names of its fields.
//!
//! A field becomes the line, the time or a label when the mapping says so; every other field becomes
//! structured metadata, strings by their text, other values by their JSON, `null` not at all. An object without
//! a field for the line is kept whole as the line. A line that cannot be taken is refused by its number while
//! the others are kept; empty lines are passed over. Equal entries are kept apart.

use std::borrow::Cow;

use timberyard_model::Timestamp;
use timberyard_model::time::NANOS_PER_SECOND;

use crate::context::{DecodeContext, Decoded, Rejections};
use crate::error::{DecodeError, Malformed, Position};
use crate::json::{JsonKind, JsonReader};
use crate::metadata_name;
use crate::record_batch::{Record, RecordBatch};
use crate::service_name::{DISCOVERY_LABELS, SERVICE_NAME, UNKNOWN_SERVICE};

/// Which fields mean what. Of several names in a list the first that an object has counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NdjsonMapping {
    /// Fields that hold the line.
    pub line_fields: Vec<String>,
    /// Fields that hold the time: RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since
    /// 1970, told apart by their size.
    pub time_fields: Vec<String>,
    /// Fields that become labels, all that are there.
    pub label_fields: Vec<String>,
}

impl Default for NdjsonMapping {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            line_fields: owned(&["message", "msg", "log", "line", "_msg"]),
            time_fields: owned(&["timestamp", "time", "ts", "@timestamp", "_time"]),
            label_fields: owned(&["service_name", "service", "app", "level"]),
        }
    }
}

/// Decodes a body. Refused lines are in [`Decoded::rejected`].
pub fn decode(
    body: &[u8],
    mapping: &NdjsonMapping,
    context: &DecodeContext<'_>,
) -> Result<Decoded, DecodeError> {
    let mut batch = RecordBatch::new(context.tenant, context);
    let mut rejected = Rejections::default();
    let mut index = 0;
    let mut offset = 0;
    for (number, text) in body.split(|byte| *byte == b'\n').enumerate() {
        let start = offset;
        offset += text.len() + 1;
        if text.trim_ascii().is_empty() {
            continue;
        }
        if let Err(reason) = take_object(text, mapping, context, &mut batch) {
            let reason = match reason {
                Refusal::Malformed(error) => in_body(error, start, number).to_string(),
                Refusal::Other(reason) => format!("line {}: {reason}", number + 1),
            };
            rejected.add(index, || reason);
        }
        index += 1;
    }
    if index == 0 {
        return Err(DecodeError::Empty("body holds no JSON object"));
    }
    Ok(Decoded { batch: batch.finish(), rejected })
}

/// Why one line is not taken.
enum Refusal {
    Malformed(DecodeError),
    Other(String),
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

/// An error of one line, told by its place in the body.
fn in_body(error: DecodeError, start: usize, lines_before: usize) -> DecodeError {
    match error {
        DecodeError::Malformed(malformed) => {
            let position = match malformed.position {
                Some(Position::Text { offset, line, column }) => {
                    Some(Position::Text { offset: offset + start, line: line + lines_before, column })
                }
                other => other,
            };
            DecodeError::Malformed(Box::new(Malformed { position, ..*malformed }))
        }
        other => other,
    }
}

/// A field of one object.
struct Field<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, [u8]>,
    kind: JsonKind,
}

fn take_object(
    text: &[u8],
    mapping: &NdjsonMapping,
    context: &DecodeContext<'_>,
    batch: &mut RecordBatch,
) -> Result<(), Refusal> {
    let fields = read_fields(text, context.limits.request.json_depth_max)?;
    let find =
        |names: &[String]| names.iter().find_map(|name| fields.iter().position(|field| field.name == *name));
    let (line, time) = (find(&mapping.line_fields), find(&mapping.time_fields));
    let timestamp = match time.and_then(|index| fields.get(index)) {
        Some(field) => time_of(field).ok_or_else(|| {
            let shown = String::from_utf8_lossy(field.value.get(..64).unwrap_or(&field.value)).into_owned();
            Refusal::Other(format!("field `{}` is not a time: {shown:?}", field.name))
        })?,
        None => context.received_at,
    };
    let mut labels: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    let mut metadata: Vec<(Cow<'_, str>, &[u8])> = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        if Some(index) == line || Some(index) == time {
            continue;
        }
        let name = metadata_name::sanitized(&field.name).map_err(|e| Refusal::Other(e.to_string()))?;
        if mapping.label_fields.iter().any(|label| *label == *field.name) {
            check_label_value(field, context)?;
            labels.push((name, String::from_utf8_lossy(&field.value)));
        } else {
            metadata.push((name, &field.value));
        }
    }
    let mut pairs: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
    if context.discover_service_name && !pairs.iter().any(|(name, _)| *name == SERVICE_NAME) {
        let known = |name: &&str| pairs.iter().find(|pair| pair.0 == *name).map(|pair| pair.1);
        pairs.push((SERVICE_NAME, DISCOVERY_LABELS.iter().find_map(known).unwrap_or(UNKNOWN_SERVICE)));
    }
    let metadata: Vec<(&str, &[u8])> = metadata.iter().map(|(name, value)| (&**name, *value)).collect();
    let line = match line.and_then(|index| fields.get(index)) {
        Some(field) => &*field.value,
        None => text.trim_ascii(),
    };
    let record = Record { labels: &pairs, timestamp, line, metadata: &metadata };
    batch.push(&record).map_err(|error| Refusal::Other(error.to_string()))
}

/// The fields of an object that are not `null`.
fn read_fields(text: &[u8], depth_max: usize) -> Result<Vec<Field<'_>>, DecodeError> {
    let mut reader = JsonReader::new(text, depth_max);
    let mut fields = Vec::new();
    reader.begin_object()?;
    while let Some(name) = reader.next_key()? {
        let kind = reader.peek()?;
        let value = match kind {
            JsonKind::String => reader.string()?,
            _ => Cow::Borrowed(reader.raw()?),
        };
        if kind == JsonKind::Null {
            continue;
        }
        let name = match name {
            Cow::Borrowed(name) => String::from_utf8_lossy(name),
            Cow::Owned(name) => Cow::Owned(String::from_utf8_lossy(&name).into_owned()),
        };
        fields.push(Field { name, value, kind });
    }
    reader.finish()?;
    Ok(fields)
}

/// A label's value must be short and no structure.
fn check_label_value(field: &Field<'_>, context: &DecodeContext<'_>) -> Result<(), Refusal> {
    let (name, bytes) = (&field.name, field.value.len());
    let limit = context.limits.record.label_value_bytes_max;
    match field.kind {
        JsonKind::Object | JsonKind::Array => {
            Err(Refusal::Other(format!("label `{name}` is {}, not text", field.kind.described())))
        }
        _ if bytes > limit => {
            Err(Refusal::Other(format!("label `{name}` is {bytes} bytes, limit is {limit}")))
        }
        _ => Ok(()),
    }
}

fn time_of(field: &Field<'_>) -> Option<Timestamp> {
    let text = std::str::from_utf8(&field.value).ok()?;
    match field.kind {
        JsonKind::String if !text.bytes().all(|byte| byte.is_ascii_digit()) => {
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
    use crate::test_context::{RECEIVED_AT, TestContext, rows_of};

    fn decode_text(body: &str) -> Result<Decoded, DecodeError> {
        decode(body.as_bytes(), &NdjsonMapping::default(), &TestContext::new().context())
    }

    #[test]
    fn fields_become_line_time_labels_and_metadata() {
        let now = RECEIVED_AT.as_nanos();
        let cases = [
            (
                r#"{"message":"hi","timestamp":"1970-01-01T00:00:01Z","app":"api","n":1.50,"o":{ "a":[1]},"z":null,"b":true}"#,
                r#"1000000000 {app="api", service_name="api"} hi n=1.50 o={ \"a\":[1]} b=true detected_level=unknown"#
                    .to_owned(),
            ),
            (
                r#"{"level":"WARN","msg":"x"}"#,
                format!(r#"{now} {{level="WARN", service_name="unknown_service"}} x detected_level=warn"#),
            ),
            (
                r#" {"a.b":"c"} "#,
                format!(r#"{now} {{service_name="unknown_service"}} {{\"a.b\":\"c\"}} a_b=c detected_level=unknown"#),
            ),
            (r#"{"msg":"1","ts":1}"#, r#"1000000000 {service_name="unknown_service"} 1 detected_level=unknown"#.to_owned()),
        ];
        for (body, expected) in cases {
            let decoded = decode_text(body).expect(body);
            assert!(decoded.rejected.is_empty(), "{}", decoded.rejected.grouped());
            assert_eq!(rows_of(&decoded.batch), [expected], "{body}");
        }
    }

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
    fn a_bad_line_is_named_by_its_number_and_its_neighbours_are_kept() {
        let body = "{\"msg\":\"1\"}\n\n{\"msg\":2\n[1]\r\n{\"msg\":\"3\",\"ts\":\"soon\"}\n{\"app\":[1]}\n{\"msg\":\"4\"}\n";
        let decoded = decode_text(body).expect("neighbours are kept");
        let lines: Vec<_> = decoded.batch.rows.iter().map(|row| row.line().to_vec()).collect();
        assert_eq!(lines, [b"1", b"4"]);
        let reasons: Vec<_> =
            decoded.rejected.described.iter().map(|r| (r.index, r.reason.as_str())).collect();
        assert_eq!(
            reasons,
            [
                (1, "expected `,` or `}`, found the end of the JSON text at line 3, column 9 (byte 21)"),
                (2, "expected an object, found an array at line 4, column 1 (byte 22)"),
                (3, "line 5: field `ts` is not a time: \"soon\""),
                (4, "line 6: label `app` is an array, not text"),
            ]
        );
    }

    #[test]
    fn an_empty_body_is_told_apart_from_a_bad_one() {
        for body in ["", "\n\r\n "] {
            assert_eq!(
                decode_text(body).expect_err("empty"),
                DecodeError::Empty("body holds no JSON object")
            );
        }
        let decoded = decode_text("no json").expect("a refused line");
        assert_eq!((decoded.batch.rows.len(), decoded.rejected.count), (0, 1));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept() {
        let mapping = NdjsonMapping { line_fields: vec!["text".to_owned()], ..NdjsonMapping::default() };
        let test = TestContext::new();
        let decoded = decode(b"{\"text\":\"\xff\"}", &mapping, &test.context()).expect("valid");
        assert_eq!(decoded.batch.rows.get(0).line(), b"\xff");
    }
}
