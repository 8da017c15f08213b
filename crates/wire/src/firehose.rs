//! Requests of Amazon Data Firehose to an HTTP endpoint: records in base64, each of them lines, or a gzipped
//! message of CloudWatch Logs.
//!
//! A message of CloudWatch gives a row for each of its events, with the label `log_group` and the log stream, owner and event id as
//! metadata; the service is the log group when nothing else names it. Any other record gives a row a line. The attributes
//! that the delivery stream is configured with become labels. A record that is neither stays what it is: its bytes
//! are a line.
//!
//! Format: <https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html>, and for the messages
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html>.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use timberyard_model::{LogBatch, Timestamp};

use crate::compression::{Compression, inflate};
use crate::context::{DecodeContext, Rejections};
use crate::error::DecodeError;
use crate::field_mapping::{Field, read_fields, time_of};
use crate::json::{JsonKind, JsonReader};
use crate::mapped_record::MappedRecord;
use crate::metadata_name;
use crate::record_batch::RecordBatch;

/// What a request held.
#[derive(Clone, Debug)]
pub struct FirehoseRequest {
    /// Its id, which the answer repeats.
    pub id: String,
    /// The rows that were taken.
    pub batch: LogBatch,
    /// Those that break a limit.
    pub rejected: Rejections,
}

/// How data in gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Labels that the delivery stream is configured with.
type Attributes = Vec<(String, String)>;

/// Reads a request; `attributes` is the header `X-Amz-Firehose-Common-Attributes`. `hold` is told of the bytes that each
/// compressed record comes to, and may refuse them: the body says nothing of them.
pub fn decode<E: From<DecodeError>>(
    body: &[u8],
    attributes: Option<&[u8]>,
    context: &DecodeContext<'_>,
    mut hold: impl FnMut(usize) -> Result<(), E>,
) -> Result<FirehoseRequest, E> {
    let attributes = attributes.map_or_else(|| Ok(Vec::new()), |text| read_attributes(text, context))?;
    let mut rows = Rows {
        batch: RecordBatch::new(context.tenant, context),
        rejected: Rejections::default(),
        number: 0,
        attributes,
        timestamp: context.received_at,
        context,
    };
    let Envelope { id, timestamp, records } = read_envelope(body, context)?;
    rows.timestamp = timestamp.unwrap_or(context.received_at);
    let mut inflated_bytes = 0;
    for (number, text) in records.iter().enumerate() {
        let data = STANDARD.decode(&**text);
        let data =
            data.map_err(|error| DecodeError::malformed(format!("records[{number}].data: {error}")))?;
        let limit = context.limits.request.inflated_bytes_max;
        match inflate(&data, Compression::Gzip, limit - inflated_bytes) {
            Ok(message) if data.starts_with(&GZIP) => {
                inflated_bytes += message.len();
                hold(message.len())?;
                rows.take_record(&message);
            }
            Err(error @ DecodeError::TooLarge { .. }) => return Err(error.into()),
            _ => rows.take_record(&data),
        }
    }
    let id = id.ok_or_else(|| DecodeError::malformed("the request has no `requestId`"))?;
    Ok(FirehoseRequest { id, batch: rows.batch.finish(), rejected: rows.rejected })
}

/// What a request says, its records still as they were sent.
struct Envelope<'a> {
    id: Option<String>,
    timestamp: Option<Timestamp>,
    records: Vec<Cow<'a, [u8]>>,
}

fn read_envelope<'a>(body: &'a [u8], context: &DecodeContext<'_>) -> Result<Envelope<'a>, DecodeError> {
    let mut envelope = Envelope { id: None, timestamp: None, records: Vec::new() };
    let mut json = JsonReader::new(body, context.limits.request.json_depth_max);
    json.begin_object()?;
    while let Some(key) = json.next_key()? {
        match &*key {
            b"requestId" => envelope.id = Some(String::from_utf8_lossy(&json.string()?).into_owned()),
            b"timestamp" => {
                let field =
                    Field { name: "timestamp".into(), value: json.raw()?.into(), kind: JsonKind::Number };
                envelope.timestamp = Some(time_of(&field).map_err(|reason| json.error(reason))?);
            }
            b"records" => {
                json.begin_array()?;
                while json.next_element()? {
                    envelope.records.push(read_record(&mut json)?);
                }
            }
            _ => json.skip()?,
        }
    }
    json.finish()?;
    Ok(envelope)
}

/// The data of a record, in base64.
fn read_record<'a>(json: &mut JsonReader<'a>) -> Result<Cow<'a, [u8]>, DecodeError> {
    let mut data = None;
    json.begin_object()?;
    while let Some(key) = json.next_key()? {
        match &*key {
            b"data" => data = Some(json.string()?),
            _ => json.skip()?,
        }
    }
    data.ok_or_else(|| json.error("a record has no `data`"))
}

fn read_attributes(text: &[u8], context: &DecodeContext<'_>) -> Result<Attributes, DecodeError> {
    let mut json = JsonReader::new(text, context.limits.request.json_depth_max);
    let fields = read_fields(&mut json).map_err(|error| error.within("X-Amz-Firehose-Common-Attributes"))?;
    let label = |field: &Field<'_>| {
        let name = field.name.strip_prefix("commonAttributes.")?;
        Some((metadata_name::sanitized(name).ok()?.into_owned(), field.text().into_owned()))
    };
    Ok(fields.iter().filter_map(label).collect())
}

/// Collects the rows of a request.
struct Rows<'c> {
    batch: RecordBatch,
    rejected: Rejections,
    number: u64,
    attributes: Attributes,
    timestamp: Timestamp,
    context: &'c DecodeContext<'c>,
}

/// A message of CloudWatch Logs.
#[derive(Default)]
struct CloudWatchMessage<'a> {
    kind: Cow<'a, [u8]>,
    owner: Cow<'a, [u8]>,
    group: Cow<'a, [u8]>,
    stream: Cow<'a, [u8]>,
    events: Vec<CloudWatchEvent<'a>>,
}

#[derive(Default)]
struct CloudWatchEvent<'a> {
    id: Cow<'a, [u8]>,
    timestamp: Option<Timestamp>,
    message: Cow<'a, [u8]>,
}

impl Rows<'_> {
    fn take_record(&mut self, data: &[u8]) {
        let depth_max = self.context.limits.request.json_depth_max;
        if let Ok(Some(message)) = read_message(data, depth_max) {
            // What CloudWatch sends to see whether anybody listens.
            if &*message.kind != b"CONTROL_MESSAGE" {
                self.take_message(&message);
            }
            return;
        }
        for line in data.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                self.push(None, self.timestamp, line, &[]);
            }
        }
    }

    fn take_message(&mut self, message: &CloudWatchMessage<'_>) {
        let group = String::from_utf8_lossy(&message.group).into_owned();
        for event in &message.events {
            let metadata: [(&str, &[u8]); 3] =
                [("log_stream", &message.stream), ("owner", &message.owner), ("event_id", &event.id)];
            let timestamp = event.timestamp.unwrap_or(self.timestamp);
            self.push(Some(&group), timestamp, &event.message, &metadata);
        }
    }

    fn push(&mut self, group: Option<&str>, timestamp: Timestamp, line: &[u8], metadata: &[(&str, &[u8])]) {
        let attribute =
            |(name, value): &'_ (String, String)| (Cow::from(name.clone()), Cow::from(value.clone()));
        let mut labels: Vec<_> = self.attributes.iter().map(attribute).collect();
        labels.extend(group.map(|group| (Cow::Borrowed("log_group"), Cow::Borrowed(group))));
        let metadata = metadata.iter().map(|(name, value)| (Cow::Borrowed(*name), *value)).collect();
        let record = MappedRecord { labels, metadata, timestamp, line, service: group };
        let number = self.number;
        if let Err(reason) = record.push(self.context, &mut self.batch) {
            self.rejected.add(number, || format!("event {number}: {reason}"));
        }
        self.number += 1;
    }
}

/// `None` when the data is JSON, but no message of CloudWatch.
fn read_message(data: &[u8], depth_max: usize) -> Result<Option<CloudWatchMessage<'_>>, DecodeError> {
    let mut message = CloudWatchMessage::default();
    let mut json = JsonReader::new(data, depth_max);
    json.begin_object()?;
    while let Some(key) = json.next_key()? {
        match (&*key, json.peek()?) {
            (b"messageType", JsonKind::String) => message.kind = json.string()?,
            (b"owner", JsonKind::String) => message.owner = json.string()?,
            (b"logGroup", JsonKind::String) => message.group = json.string()?,
            (b"logStream", JsonKind::String) => message.stream = json.string()?,
            (b"logEvents", JsonKind::Array) => {
                json.begin_array()?;
                while json.next_element()? {
                    message.events.push(read_event(&mut json)?);
                }
            }
            _ => json.skip()?,
        }
    }
    json.finish()?;
    Ok(matches!(&*message.kind, b"DATA_MESSAGE" | b"CONTROL_MESSAGE").then_some(message))
}

fn read_event<'a>(json: &mut JsonReader<'a>) -> Result<CloudWatchEvent<'a>, DecodeError> {
    let mut event = CloudWatchEvent::default();
    json.begin_object()?;
    while let Some(key) = json.next_key()? {
        match (&*key, json.peek()?) {
            (b"id", JsonKind::String) => event.id = json.string()?,
            (b"message", JsonKind::String) => event.message = json.string()?,
            (b"timestamp", JsonKind::Number) => {
                let field =
                    Field { name: "timestamp".into(), value: json.raw()?.into(), kind: JsonKind::Number };
                event.timestamp = time_of(&field).ok();
            }
            _ => json.skip()?,
        }
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::test_context::{TestContext, rows_of};

    fn request(records: &[&[u8]]) -> String {
        let records: Vec<_> =
            records.iter().map(|data| format!(r#"{{"data":"{}"}}"#, STANDARD.encode(data))).collect();
        format!(r#"{{"requestId":"r1","timestamp":1793491200000,"records":[{}]}}"#, records.join(","))
    }

    /// Decodes with all the room that there is.
    fn decode_freely(
        body: &str,
        attributes: Option<&[u8]>,
        test: &TestContext,
    ) -> Result<FirehoseRequest, DecodeError> {
        decode(body.as_bytes(), attributes, &test.context(), |_| Ok(()))
    }

    fn gzipped(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn messages_of_cloudwatch_and_plain_lines_become_rows() {
        let message = gzipped(
            r#"{"messageType":"DATA_MESSAGE","owner":"123","logGroup":"/aws/lambda/f","logStream":"s","logEvents":[{"id":"e1","timestamp":1793491201002,"message":"START"}]}"#,
        );
        let control = gzipped(r#"{"messageType":"CONTROL_MESSAGE","logEvents":[{"message":"ping"}]}"#);
        let body = request(&[&message, &control, b"one\r\ntwo\n", b"{\"a\":1}", b"\x1f\x8bno gzip"]);
        let attributes = br#"{"commonAttributes":{"env":"prod"}}"#;
        let test = TestContext::new();
        let request = decode_freely(&body, Some(attributes), &test).expect("a request");
        assert_eq!((request.id.as_str(), request.rejected.count), ("r1", 0));
        let line = |line: &str| {
            format!(
                r#"1793491200000000000 {{env="prod", service_name="unknown_service"}} {line} detected_level=unknown"#
            )
        };
        assert_eq!(
            rows_of(&request.batch),
            [
                r#"1793491201002000000 {env="prod", log_group="/aws/lambda/f", service_name="/aws/lambda/f"} START log_stream=s owner=123 event_id=e1 detected_level=unknown"#.to_owned(),
                line("one"),
                line("two"),
                line(r#"{\"a\":1}"#),
                line(r"\x1f\x8bno gzip"),
            ]
        );
    }

    #[test]
    fn a_request_that_is_none_is_refused_whole() {
        let test = TestContext::new();
        for body in [
            "",
            "{}",
            "[]",
            r#"{"requestId":"r","records":[{"data":"?"}]}"#,
            r#"{"requestId":"r","records":[{}]}"#,
        ] {
            assert!(decode_freely(body, None, &test).is_err(), "{body}");
        }
        assert!(decode_freely(&request(&[]), Some(b"x"), &test).is_err());
    }

    #[test]
    fn what_inflates_beyond_the_limit_is_refused() {
        let mut test = TestContext::new();
        test.limits.request.inflated_bytes_max = 1000;
        let half = gzipped(&"x".repeat(600));
        assert!(decode_freely(&request(&[&half]), None, &test).is_ok());
        let error = decode_freely(&request(&[&half, &half]), None, &test).expect_err("too large");
        assert!(matches!(error, DecodeError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn what_inflates_beyond_the_room_that_is_given_is_refused() {
        let test = TestContext::new();
        let body = request(&[&gzipped(&"x".repeat(600)), b"plain", &gzipped(&"y".repeat(500))]);
        let mut held = Vec::new();
        let refused = decode(body.as_bytes(), None, &test.context(), |bytes| {
            held.push(bytes);
            if held.len() < 2 { Ok(()) } else { Err(DecodeError::malformed("no room")) }
        });
        assert_eq!(refused.map(|request| request.id), Err(DecodeError::malformed("no room")));
        assert_eq!(held, [600, 500]);
    }
}
