//! Splunk's HTTP event collector: events as JSON objects one after the other, and raw lines.
//!
//! An event's `event` is the line: a text as it is, anything else as its JSON. `host`, `source`, `sourcetype` and `index` become
//! labels, `fields` structured metadata; the service is the source type when no field names it. Events that cannot be
//! taken are refused by number while the others are kept; text that is no JSON ends the reading there, and what came before is
//! kept, as Splunk does.
//!
//! Format: <https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector>.

use std::borrow::Cow;

use timberyard_model::{LogBatch, Timestamp};

use crate::context::DecodeContext;
use crate::error::DecodeError;
use crate::field_mapping::{self, Field};
use crate::json::{JsonKind, JsonReader};
use crate::mapped_record::MappedRecord;
use crate::metadata_name;
use crate::record_batch::RecordBatch;
use crate::service_name::SERVICE_NAME;
use crate::text_lines::lines;

/// What surrounds an event, and every line of a raw body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventSource {
    /// The machine.
    pub host: Option<String>,
    /// The file, stream or program.
    pub source: Option<String>,
    /// The format.
    pub sourcetype: Option<String>,
    /// Splunk's index.
    pub index: Option<String>,
}

/// Why an event is not taken: Splunk's code and words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HecFault {
    /// 5: the body is empty.
    NoData,
    /// 6: it is not JSON, or a field has the wrong type or exceeds a limit.
    InvalidFormat,
    /// 12: there is no `event`.
    EventRequired,
    /// 13: `event` is empty.
    EventBlank,
}

impl HecFault {
    /// Splunk's number.
    pub const fn code(self) -> u8 {
        match self {
            Self::NoData => 5,
            Self::InvalidFormat => 6,
            Self::EventRequired => 12,
            Self::EventBlank => 13,
        }
    }

    /// Splunk's words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoData => "No data",
            Self::InvalidFormat => "Invalid data format",
            Self::EventRequired => "Event field is required",
            Self::EventBlank => "Event field cannot be blank",
        }
    }
}

/// The first event that was refused, and how many were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HecRefusal {
    /// What is wrong.
    pub fault: HecFault,
    /// The event's place in the body, from 0.
    pub event: u64,
    /// The same in more words.
    pub reason: String,
    /// How many events were refused.
    pub count: u64,
}

/// What a body held.
#[derive(Clone, Debug)]
pub struct HecEvents {
    /// The events that were taken.
    pub batch: LogBatch,
    /// Those that were not, if any.
    pub refused: Option<HecRefusal>,
}

/// An event as it was sent.
#[derive(Default)]
struct Event<'a> {
    line: Option<Cow<'a, [u8]>>,
    time: Option<Field<'a>>,
    labels: [Option<Cow<'a, [u8]>>; 4],
    fields: Vec<Field<'a>>,
}

const LABELS: [&str; 4] = ["host", "source", "sourcetype", "index"];

/// Reads events. Never fails as a whole: what cannot be read is refused.
pub fn decode_events(body: &[u8], context: &DecodeContext<'_>) -> HecEvents {
    let mut batch = RecordBatch::new(context.tenant, context);
    let mut refused = None;
    let mut json = JsonReader::new(body, context.limits.request.json_depth_max);
    if json.is_at_end() {
        refuse(&mut refused, 0, HecFault::NoData, "the body holds no event".to_owned());
    }
    let mut number = 0;
    while !json.is_at_end() {
        let event = match read_event(&mut json) {
            Ok(event) => event,
            Err(error) => {
                refuse(&mut refused, number, HecFault::InvalidFormat, error.to_string());
                break;
            }
        };
        if let Err((fault, reason)) = take_event(&event, context, &mut batch) {
            refuse(&mut refused, number, fault, reason);
        }
        number += 1;
    }
    HecEvents { batch: batch.finish(), refused }
}

/// Reads raw lines: each line of the body that is not empty is an event, received now.
pub fn decode_raw(body: &[u8], source: &EventSource, context: &DecodeContext<'_>) -> HecEvents {
    let mut batch = RecordBatch::new(context.tenant, context);
    let mut refused = None;
    let EventSource { host, source, sourcetype, index } = source;
    let labels = [host, source, sourcetype, index];
    let body_lines = lines(body).map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut number = 0;
    for line in body_lines.filter(|line| !line.is_empty()) {
        let given = LABELS.iter().zip(labels);
        let given = given.filter_map(|(name, value)| Some((Cow::from(*name), Cow::from(value.as_deref()?))));
        let timestamp = context.received_at;
        if let Err(reason) = push(given.collect(), Vec::new(), timestamp, line, context, &mut batch) {
            refuse(&mut refused, number, HecFault::InvalidFormat, reason);
        }
        number += 1;
    }
    if number == 0 {
        refuse(&mut refused, 0, HecFault::NoData, "the body holds no line".to_owned());
    }
    HecEvents { batch: batch.finish(), refused }
}

/// Remembers the first refusal and counts them all.
fn refuse(refused: &mut Option<HecRefusal>, event: u64, fault: HecFault, reason: String) {
    refused.get_or_insert(HecRefusal { fault, event, reason, count: 0 }).count += 1;
}

fn read_event<'a>(json: &mut JsonReader<'a>) -> Result<Event<'a>, DecodeError> {
    let mut event = Event::default();
    json.begin_object()?;
    while let Some(key) = json.next_key()? {
        let kind = json.peek()?;
        let label = LABELS.iter().position(|name| name.as_bytes() == &*key);
        match (&*key, kind, label) {
            (_, JsonKind::Null, _) => json.null()?,
            (b"event", JsonKind::String, _) => event.line = Some(json.string()?),
            (b"event", ..) => event.line = Some(Cow::Borrowed(json.raw()?)),
            (b"time", JsonKind::String | JsonKind::Number, _) => {
                let value = match kind {
                    JsonKind::String => json.string()?,
                    _ => Cow::Borrowed(json.raw()?),
                };
                event.time = Some(Field { name: Cow::Borrowed("time"), value, kind });
            }
            (b"fields", JsonKind::Object, _) => event.fields = field_mapping::read_fields(json)?,
            (_, JsonKind::String, Some(place)) => {
                let value = json.string()?;
                if let Some(label) = event.labels.get_mut(place) {
                    *label = Some(value);
                }
            }
            (b"time" | b"fields", ..) | (_, _, Some(_)) => {
                let name = String::from_utf8_lossy(&key);
                return Err(json.error(format!("`{name}` is {}", kind.described())));
            }
            _ => json.skip()?,
        }
    }
    Ok(event)
}

fn take_event(
    event: &Event<'_>,
    context: &DecodeContext<'_>,
    batch: &mut RecordBatch,
) -> Result<(), (HecFault, String)> {
    let invalid = |reason: String| (HecFault::InvalidFormat, reason);
    let line =
        event.line.as_deref().ok_or((HecFault::EventRequired, "the event has no `event`".to_owned()))?;
    if line.is_empty() {
        return Err((HecFault::EventBlank, "`event` is empty".to_owned()));
    }
    let timestamp = match &event.time {
        Some(field) => field_mapping::time_of(field).map_err(invalid)?,
        None => context.received_at,
    };
    let mut labels: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(LABELS.len() + 2);
    for (name, value) in LABELS.iter().zip(&event.labels) {
        let value = value.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        labels.push((Cow::Borrowed(*name), value));
    }
    let mut metadata = Vec::with_capacity(event.fields.len());
    for field in &event.fields {
        let name = metadata_name::sanitized(&field.name).map_err(|error| invalid(error.to_string()))?;
        if name == SERVICE_NAME {
            labels.push((name, field.text()));
        } else {
            metadata.push((name, &*field.value));
        }
    }
    push(labels, metadata, timestamp, line, context, batch).map_err(invalid)
}

/// The service is the source type, else the source, when no field names it.
fn push<'a>(
    labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    metadata: Vec<(Cow<'a, str>, &'a [u8])>,
    timestamp: Timestamp,
    line: &'a [u8],
    context: &DecodeContext<'_>,
    batch: &mut RecordBatch,
) -> Result<(), String> {
    let value_of = |wanted: &str| {
        labels.iter().find(|pair| pair.0 == wanted && !pair.1.is_empty()).map(|pair| pair.1.clone())
    };
    let service = value_of("sourcetype").or_else(|| value_of("source"));
    MappedRecord { labels, metadata, timestamp, line, service: service.as_deref() }.push(context, batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::{RECEIVED_AT, TestContext, rows_of};

    fn events(body: &str) -> HecEvents {
        decode_events(body.as_bytes(), &TestContext::new().context())
    }

    #[test]
    fn events_stand_one_after_the_other_with_or_without_space() {
        let body = concat!(
            r#"{"time":1793491200.5,"host":"h","source":"/var/log/a","sourcetype":"web","index":"main","event":"one","fields":{"code":"7","k8s":{"pod":"p"}}}"#,
            r#"{"time":"1793491201","event":{"a": [1]},"fields":{"service.name":"shop"}}"#,
            "\n \t",
            r#"{"event":7,"host":null,"unknown":{}}"#,
        );
        let HecEvents { batch, refused } = events(body);
        assert_eq!(refused, None);
        let now = RECEIVED_AT.as_nanos();
        assert_eq!(
            rows_of(&batch),
            [
                r#"1793491200500000000 {host="h", index="main", service_name="web", source="/var/log/a", sourcetype="web"} one code=7 k8s_pod=p detected_level=unknown"#.to_owned(),
                r#"1793491201000000000 {service_name="shop"} {\"a\": [1]} detected_level=unknown"#.to_owned(),
                format!(r#"{now} {{service_name="unknown_service"}} 7 detected_level=unknown"#),
            ]
        );
    }

    #[test]
    fn the_first_bad_event_is_named_and_the_good_ones_are_kept() {
        let cases = [
            ("", HecFault::NoData, 0, 1, 0),
            (r#"{"event":"a"}{"host":"h"}{"event":"b"}"#, HecFault::EventRequired, 1, 1, 2),
            (r#"{"event":""}{"event":null}{"event":"b"}"#, HecFault::EventBlank, 0, 2, 1),
            (r#"{"event":"a"}{"event":"b","time":"soon"}"#, HecFault::InvalidFormat, 1, 1, 1),
            (r#"{"event":"a"}{"event":"b""#, HecFault::InvalidFormat, 1, 1, 1),
            (r#"[{"event":"a"}]"#, HecFault::InvalidFormat, 0, 1, 0),
            (r#"{"event":"a","fields":7}"#, HecFault::InvalidFormat, 0, 1, 0),
        ];
        for (body, fault, event, count, kept) in cases {
            let HecEvents { batch, refused } = events(body);
            let refused = refused.expect(body);
            assert_eq!((refused.fault, refused.event, refused.count), (fault, event, count), "{body}");
            assert_eq!(batch.rows.len(), kept, "{body}");
        }
    }

    #[test]
    fn raw_bodies_give_a_row_a_line() {
        let source = EventSource { sourcetype: Some("syslog".to_owned()), ..EventSource::default() };
        let test = TestContext::new();
        let HecEvents { batch, refused } = decode_raw(b"one\r\n\ntwo\xff", &source, &test.context());
        assert_eq!(refused, None);
        let now = RECEIVED_AT.as_nanos();
        let row = |line: &str| {
            format!(r#"{now} {{service_name="syslog", sourcetype="syslog"}} {line} detected_level=unknown"#)
        };
        assert_eq!(rows_of(&batch), [row("one"), row("two\\xff")]);
        let empty = decode_raw(b"\n", &source, &test.context()).refused.expect("no line");
        assert_eq!((empty.fault, empty.fault.code()), (HecFault::NoData, 5));
    }
}
