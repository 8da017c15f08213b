//! Change66's analytics events: one, or `{"logs":[…]}`.
//!
//! The line of an event is the event itself as compact JSON, with the members and the order that were sent,
//! so that everything comes back as it was and `| json` reads it. All of a body is taken or nothing.

use std::borrow::Cow;
use std::collections::HashMap;

use timberyard_model::{LogBatch, Timestamp};

use crate::context::DecodeContext;
use crate::error::{DecodeError, FieldError};
use crate::json::JsonKind;
use crate::json_text::write_compact;
use crate::record_batch::{Record, RecordBatch};
use crate::record_fields::FieldReader;
use crate::service_name::SERVICE_NAME;

/// The service that events belong to.
pub const SERVICE: &str = "analytics";
/// The types that an event can have.
pub const EVENT_TYPES: [&str; 5] = ["behavioral", "telemetry", "observability", "error", "performance"];
/// The priorities that an event can have.
pub const PRIORITIES: [&str; 2] = ["normal", "high"];
/// The priority of events that name none.
pub const PRIORITY_DEFAULT: &str = "normal";
/// The longest `event_id`, in bytes.
pub const EVENT_ID_BYTES_MAX: usize = 1024;

/// Structured metadata that holds the number the server gave to an event: microseconds since 1970 of when it
/// was taken, made unique and increasing.
pub const NUMBER: &str = "id";

/// Why events were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// The body is not JSON, or not an object.
    #[error(transparent)]
    Malformed(DecodeError),
    /// A batch without events.
    #[error("logs must hold at least one event")]
    Empty,
    /// A batch with too many events.
    #[error("batch has {count} events, limit is {limit}")]
    TooMany {
        /// Events in the body.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// Fields hold what they must not.
    #[error("{} fields are wrong, the first is {}", .0.len(), .0.first().map(ToString::to_string).unwrap_or_default())]
    Invalid(Vec<FieldError>),
    /// A batch that has an `event_id` twice.
    #[error("event_id `{event_id}` occurs twice in the batch, again in logs[{index}]")]
    Repeated {
        /// The id.
        event_id: String,
        /// The number of the second event that has it, from 0.
        index: usize,
    },
}

/// Events that were taken.
#[derive(Clone, Debug)]
pub struct Events {
    /// One row an event, each with its `event_id` as unique key.
    pub batch: LogBatch,
    /// The ids of the events, in their order.
    pub event_ids: Vec<String>,
}

/// The fields of one event that become labels or metadata.
#[derive(Default)]
struct Event<'a> {
    event_id: Option<Cow<'a, str>>,
    timestamp: Option<Timestamp>,
    event_type: Option<Cow<'a, str>>,
    event_name: Option<Cow<'a, str>>,
    user_id: Option<Cow<'a, [u8]>>,
    session_id: Option<Cow<'a, [u8]>>,
    app_version: Option<Cow<'a, str>>,
    sequence_number: Option<&'a str>,
    priority: Option<Cow<'a, str>>,
}

/// Reads one event, which gets the number `number`.
pub fn decode_event(body: &[u8], context: &DecodeContext<'_>, number: i64) -> Result<Events, EventsError> {
    let mut reading = Reading::new(body, context, number);
    if reading.fields.json.peek().map_err(EventsError::Malformed)? != JsonKind::Object {
        let error = reading.fields.json.begin_object().err();
        return Err(EventsError::Malformed(
            error.unwrap_or_else(|| DecodeError::malformed("expected an event")),
        ));
    }
    reading.event().map_err(EventsError::Malformed)?;
    reading.finish()
}

/// Reads a batch, whose events get the numbers from `first_number` on. It must hold 1 to `events_max` events.
pub fn decode_batch(
    body: &[u8],
    context: &DecodeContext<'_>,
    first_number: i64,
) -> Result<Events, EventsError> {
    let mut reading = Reading::new(body, context, first_number);
    let count = reading.logs().map_err(EventsError::Malformed)?;
    let limit = context.limits.request.events_max;
    if count > limit {
        return Err(EventsError::TooMany { count, limit });
    }
    if count == 0 && !reading.fields.has_faults() {
        reading.fields.json.finish().map_err(EventsError::Malformed)?;
        return Err(EventsError::Empty);
    }
    reading.finish()
}

/// How many events a batch holds, without looking into them; so many numbers are needed. 0 for what is not a
/// batch.
pub fn count_events(body: &[u8], depth_max: usize) -> usize {
    let mut fields = FieldReader::new(body, depth_max);
    let mut count = 0;
    let mut walk = || -> Result<(), DecodeError> {
        fields.json.begin_object()?;
        while let Some(key) = fields.json.next_key()? {
            if &*key == b"logs" && fields.json.peek()? == JsonKind::Array {
                fields.json.begin_array()?;
                while fields.json.next_element()? {
                    fields.json.skip()?;
                    count += 1;
                }
            } else {
                fields.json.skip()?;
            }
        }
        Ok(())
    };
    // Decoding says what is wrong.
    if walk().is_ok() { count } else { 0 }
}

struct Reading<'a, 'c> {
    fields: FieldReader<'a>,
    context: &'c DecodeContext<'c>,
    batch: RecordBatch,
    next_number: i64,
    event_ids: Vec<String>,
    /// Which event had an id first.
    indices: HashMap<String, usize>,
    repeated: Option<(String, usize)>,
    line: Vec<u8>,
}

impl<'a, 'c> Reading<'a, 'c> {
    fn new(body: &'a [u8], context: &'c DecodeContext<'c>, next_number: i64) -> Self {
        Self {
            fields: FieldReader::new(body, context.limits.request.json_depth_max),
            context,
            batch: RecordBatch::new(context.tenant, context),
            next_number,
            event_ids: Vec::new(),
            indices: HashMap::new(),
            repeated: None,
            line: Vec::new(),
        }
    }

    /// Reads `{"logs":[…]}`; gives the number of events, of which only as many as allowed are looked into.
    fn logs(&mut self) -> Result<usize, DecodeError> {
        let mut count = 0;
        self.fields.json.begin_object()?;
        while let Some(key) = self.fields.next_key()? {
            if &*key != b"logs" {
                self.fields.json.skip()?;
                continue;
            }
            if !self.fields.begin_list("logs")? {
                continue;
            }
            while self.fields.json.next_element()? {
                if count < self.context.limits.request.events_max {
                    self.fields.enter("logs", count);
                    self.event()?;
                    self.fields.leave();
                } else {
                    self.fields.json.skip()?;
                }
                count += 1;
            }
        }
        Ok(count)
    }

    fn event(&mut self) -> Result<(), DecodeError> {
        let mut ahead = self.fields.json.clone();
        if !self.fields.begin_record()? {
            return Ok(());
        }
        let event = read_event(&mut self.fields)?;
        let raw = ahead.raw()?;
        self.check(&event);
        if self.fields.has_faults() {
            return Ok(());
        }
        self.line.clear();
        write_compact(&mut self.line, raw);
        self.push(&event);
        Ok(())
    }

    fn check(&mut self, event: &Event<'_>) {
        let fields = &mut self.fields;
        for (field, value) in [
            ("event_id", &event.event_id),
            ("event_type", &event.event_type),
            ("event_name", &event.event_name),
        ] {
            if value.as_deref().unwrap_or_default().is_empty() {
                fields.require(field, "is required and must not be empty");
            }
        }
        let value_bytes_max = self.context.limits.record.label_value_bytes_max;
        fields.check_label_value(
            "app_version",
            event.app_version.as_deref().unwrap_or_default(),
            value_bytes_max,
        );
        fields.check_label_value(
            "event_id",
            event.event_id.as_deref().unwrap_or_default(),
            EVENT_ID_BYTES_MAX,
        );
        let event_type = event.event_type.as_deref().unwrap_or_default();
        if !event_type.is_empty() && !EVENT_TYPES.contains(&event_type) {
            fields.refuse("event_type", format!("must be one of {}", EVENT_TYPES.join(", ")));
        }
        let priority = event.priority.as_deref().unwrap_or_default();
        if !priority.is_empty() && !PRIORITIES.contains(&priority) {
            fields.refuse("priority", format!("must be one of {}", PRIORITIES.join(", ")));
        }
    }

    fn push(&mut self, event: &Event<'_>) {
        let event_id = event.event_id.as_deref().unwrap_or_default();
        let event_type = event.event_type.as_deref().unwrap_or_default();
        let priority = event.priority.as_deref().filter(|priority| !priority.is_empty());
        let labels = [
            (SERVICE_NAME, SERVICE),
            ("event_type", event_type),
            ("priority", priority.unwrap_or(PRIORITY_DEFAULT)),
            ("app_version", event.app_version.as_deref().unwrap_or_default()),
        ];
        let number = self.next_number.to_string();
        let level = (event_type == "error").then_some(&b"error"[..]);
        let metadata = [
            ("event_id", Some(event_id.as_bytes())),
            ("event_name", event.event_name.as_deref().map(str::as_bytes)),
            ("user_id", event.user_id.as_deref()),
            ("session_id", event.session_id.as_deref()),
            ("sequence_number", event.sequence_number.map(str::as_bytes)),
            (NUMBER, Some(number.as_bytes())),
            (crate::level_detection::DETECTED_LEVEL, level.filter(|_| self.context.detect_level)),
        ];
        let metadata: Vec<(&str, &[u8])> =
            metadata.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let record = Record {
            labels: &labels,
            timestamp: event.timestamp.unwrap_or(self.context.received_at),
            line: &self.line,
            metadata: &metadata,
        };
        if let Err(error) = self.batch.push(&record) {
            self.fields.refuse_record(&error, "timestamp", "");
            return;
        }
        self.batch.unique_key(event_id);
        self.next_number += 1;
        let index = self.event_ids.len();
        if self.indices.insert(event_id.to_owned(), index).is_some() && self.repeated.is_none() {
            self.repeated = Some((event_id.to_owned(), index));
        }
        self.event_ids.push(event_id.to_owned());
    }

    fn finish(self) -> Result<Events, EventsError> {
        self.fields.finish().map_err(|error| match error {
            DecodeError::Rejected(errors) => EventsError::Invalid(errors),
            other => EventsError::Malformed(other),
        })?;
        match self.repeated {
            Some((event_id, index)) => Err(EventsError::Repeated { event_id, index }),
            None => Ok(Events { batch: self.batch.finish(), event_ids: self.event_ids }),
        }
    }
}

fn read_event<'a>(fields: &mut FieldReader<'a>) -> Result<Event<'a>, DecodeError> {
    let mut event = Event::default();
    while let Some(key) = fields.next_key()? {
        match &*key {
            b"event_id" => event.event_id = fields.text("event_id")?,
            b"timestamp" => event.timestamp = fields.time("timestamp")?,
            b"event_type" => event.event_type = fields.text("event_type")?,
            b"event_name" => event.event_name = fields.text("event_name")?,
            b"properties" => drop(fields.object("properties")?),
            b"user_id" => event.user_id = fields.bytes("user_id")?,
            b"session_id" => event.session_id = fields.bytes("session_id")?,
            b"app_version" => event.app_version = fields.text("app_version")?,
            b"device_info" => drop(fields.object("device_info")?),
            b"sequence_number" => {
                let number = fields.integer::<i64>("sequence_number", "a whole number of 64 bits")?;
                event.sequence_number = number.map(|(text, _)| text);
            }
            b"priority" => event.priority = fields.text("priority")?,
            _ => fields.json.skip().map_err(|error| fields.within("", error))?,
        }
    }
    Ok(event)
}

/// What a fuzzer calls: decoding must not panic, and as many keys as events are claimed.
pub fn fuzz(body: &[u8], context: &DecodeContext<'_>) {
    for events in [decode_event(body, context, 1), decode_batch(body, context, 1)].into_iter().flatten() {
        assert_eq!(events.batch.rows.len(), events.event_ids.len());
        assert_eq!(events.batch.unique_keys.len(), events.event_ids.len());
        let mut out = Vec::new();
        for row in events.batch.rows.iter() {
            crate::change66_event::Event::new(row).write(&mut out);
        }
        assert!(std::str::from_utf8(&out).is_ok(), "an answer is always UTF-8");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change66_event;
    use crate::record_tests::{mutate, shown, with_context};

    const FULL: &str = r#"{"event_id":"e1", "timestamp":"2026-11-20T09:00:00.25Z","event_type":"behavioral","event_name":"click",
        "properties":{"x": 1.0, "provider_name":"p"},"user_id":"","session_id":"s","app_version":"1.2",
        "device_info":{"os":"ios"},"sequence_number":7,"priority":"high","more":[true]}"#;
    const BATCH: &str = r#"{"logs":[{"event_id":"a","event_type":"error","event_name":"n"},{"event_id":"b","event_type":"error","event_name":"n"}]}"#;

    fn batch(body: &str) -> Result<Events, EventsError> {
        with_context(|context| decode_batch(body.as_bytes(), context, 100))
    }

    fn refused(body: &str) -> String {
        let EventsError::Invalid(errors) = batch(body).expect_err("refused") else {
            panic!("other kind: {body}")
        };
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn an_event_is_kept_as_compact_json_and_comes_back_as_sent() {
        let events = with_context(|context| decode_event(FULL.as_bytes(), context, 1_795_168_800_500_000))
            .expect("valid");
        assert_eq!(events.event_ids, ["e1"]);
        assert_eq!(&*events.batch.unique_keys[0].key, "e1");
        let row = events.batch.rows.get(0);
        assert_eq!(
            row.labels().to_string(),
            r#"{app_version="1.2", event_type="behavioral", priority="high", service_name="analytics"}"#
        );
        let pairs: Vec<String> = row
            .metadata()
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
            .collect();
        assert_eq!(
            pairs,
            [
                "event_id=e1",
                "event_name=click",
                "user_id=",
                "session_id=s",
                "sequence_number=7",
                "id=1795168800500000",
                "detected_level=unknown"
            ]
        );
        assert_eq!(
            String::from_utf8_lossy(row.line()),
            r#"{"event_id":"e1","timestamp":"2026-11-20T09:00:00.25Z","event_type":"behavioral","event_name":"click","properties":{"x":1.0,"provider_name":"p"},"user_id":"","session_id":"s","app_version":"1.2","device_info":{"os":"ios"},"sequence_number":7,"priority":"high","more":[true]}"#
        );
        let event = change66_event::Event::new(row);
        assert!(event.has_property("provider_name", "p") && !event.has_property("provider_name", "q"));
        let mut out = Vec::new();
        event.write(&mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"id":1795168800500000,"event_id":"e1","timestamp":"2026-11-20T09:00:00.25Z","event_type":"behavioral","event_name":"click","properties":{"x":1.0,"provider_name":"p"},"user_id":"","session_id":"s","app_version":"1.2","device_info":{"os":"ios"},"sequence_number":7,"priority":"high","more":[true],"created_at":"2026-11-20T10:00:00.5Z","processed_at":"2026-11-20T10:00:00.5Z"}"#
        );
    }

    #[test]
    fn what_an_event_left_out_is_answered_with_its_default() {
        let events = batch(BATCH).expect("valid");
        assert_eq!(shown(&events.batch)[0].split(' ').next_back(), Some(r#"detected_level="error""#));
        let mut out = Vec::new();
        change66_event::Event::new(events.batch.rows.get(1)).write(&mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            r#"{"id":101,"event_id":"b","timestamp":"2026-11-20T10:00:00.5Z","event_type":"error","event_name":"n","properties":{},"user_id":null,"session_id":null,"app_version":null,"device_info":{},"sequence_number":null,"priority":"normal","created_at":"1970-01-01T00:00:00.000101Z","processed_at":"1970-01-01T00:00:00.000101Z"}"#
        );
    }

    #[test]
    fn every_bad_field_is_named() {
        let cases = [
            (
                r#"{"logs":[{},{"event_id":"a","event_type":"error","event_name":"n"}]}"#,
                "logs[0].event_id: is required and must not be empty; logs[0].event_type: is required and must not be empty; logs[0].event_name: is required and must not be empty",
            ),
            (
                r#"{"logs":[{"event_id":"a","event_type":"x","event_name":"n","priority":"low","properties":[]}]}"#,
                "logs[0].properties: must be an object, found an array; logs[0].event_type: must be one of behavioral, telemetry, observability, error, performance; logs[0].priority: must be one of normal, high",
            ),
            (
                r#"{"logs":[{"event_id":"a","event_type":"error","event_name":"n","timestamp":"2026-11-20T10:11:00Z"}]}"#,
                "logs[0].timestamp: timestamp 2026-11-20T10:11:00Z is more than 600 seconds in the future",
            ),
            (r#"{"logs":7}"#, "logs: must be an array, found a number"),
        ];
        for (body, expected) in cases {
            assert_eq!(refused(body), expected, "{body}");
        }
    }

    #[test]
    fn batches_have_bounds_and_no_id_twice() {
        assert_eq!(batch(r#"{"logs":[]}"#).expect_err("empty"), EventsError::Empty);
        assert_eq!(batch("{}").expect_err("empty"), EventsError::Empty);
        assert_eq!(
            batch(r#"{"logs":[1,2,3,4]}"#).expect_err("too many"),
            EventsError::TooMany { count: 4, limit: 3 }
        );
        assert!(matches!(batch(r#"{"logs":["#), Err(EventsError::Malformed(_))));
        assert!(matches!(batch("[]"), Err(EventsError::Malformed(_))));
        let twice = BATCH.replace(r#""b""#, r#""a""#);
        assert_eq!(
            batch(&twice).expect_err("repeated"),
            EventsError::Repeated { event_id: "a".to_owned(), index: 1 }
        );
        assert_eq!(count_events(BATCH.as_bytes(), 8), 2);
        assert_eq!(count_events(b"{\"logs\":[1", 8), 0);
    }

    #[test]
    fn survives_broken_bodies() {
        mutate(&[FULL, BATCH], fuzz);
    }
}
