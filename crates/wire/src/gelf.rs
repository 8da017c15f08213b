//! Graylog's extended log format: JSON objects, in packets that may be compressed and in parts, or in a stream with a zero
//! after each.
//!
//! The line is `short_message`, followed by `full_message` where that says more. `host` and the `level` that the severity stands
//! for become labels, additional fields structured metadata, without their underscore; the service is the field that names
//! one, else the facility. Senders hear of nothing, so a line over the limit is cut, and a message whose time is out of
//! bounds is kept under the time it was received.
//!
//! Format: <https://go2docs.graylog.org/current/getting_in_log_data/gelf.html>.

use std::borrow::Cow;

use timberyard_model::Timestamp;

use crate::context::{DecodeContext, Decoded, Rejections};
use crate::field_mapping::{self, Field};
use crate::json::{JsonKind, JsonReader};
use crate::mapped_record::MappedRecord;
use crate::metadata_name;
use crate::record_batch::RecordBatch;
use crate::service_name::DISCOVERY_LABELS;
use crate::syslog;

/// Decodes messages, each one JSON object.
pub fn decode<'m>(messages: impl IntoIterator<Item = &'m [u8]>, context: &DecodeContext<'_>) -> Decoded {
    let mut batch = RecordBatch::new(context.tenant, context);
    let mut rejected = Rejections::default();
    for (number, message) in messages.into_iter().enumerate() {
        if let Err(reason) = push(message, context, &mut batch) {
            rejected.add(number as u64, || reason);
        }
    }
    Decoded { batch: batch.finish(), rejected }
}

fn push(message: &[u8], context: &DecodeContext<'_>, batch: &mut RecordBatch) -> Result<(), String> {
    let mut json = JsonReader::new(message, context.limits.request.json_depth_max);
    let fields = field_mapping::read_fields(&mut json).and_then(|fields| json.finish().map(|()| fields));
    let fields = fields.map_err(|error| error.to_string())?;
    let text = |name: &str| {
        let field = fields.iter().find(|field| field.name == name && !field.value.is_empty());
        field.map(|field| &*field.value)
    };
    let (short, full) = (text("short_message"), text("full_message"));
    let line = match (short, full) {
        (Some(short), Some(full)) if !full.starts_with(short) => Cow::Owned([short, b"\n", full].concat()),
        (_, Some(full)) => Cow::Borrowed(full),
        (Some(short), None) => Cow::Borrowed(short),
        (None, None) => return Err("message has no short_message".to_owned()),
    };
    let mut labels: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(4);
    if let Some(host) = text("host") {
        labels.push((Cow::Borrowed("host"), String::from_utf8_lossy(host)));
    }
    if let Some(level) = text("level").and_then(syslog::level_of) {
        labels.push((Cow::Borrowed("level"), Cow::Borrowed(level)));
    }
    let mut metadata: Vec<(Cow<'_, str>, &[u8])> = Vec::new();
    for field in &fields {
        match &*field.name {
            "version" | "host" | "short_message" | "full_message" | "timestamp" | "level" => {}
            name => {
                let name = name.strip_prefix('_').unwrap_or(name);
                let name = metadata_name::sanitized(name).map_err(|error| error.to_string())?;
                metadata.push((name, &field.value));
            }
        }
    }
    let named = |wanted: &&str| metadata.iter().find(|(name, _)| *name == **wanted).map(|(_, value)| *value);
    let service = DISCOVERY_LABELS.iter().find_map(named).or_else(|| text("facility"));
    let service = service.map(String::from_utf8_lossy);
    let record = MappedRecord {
        timestamp: time_of(&fields).unwrap_or(context.received_at),
        line: cut(&line, context),
        metadata,
        labels,
        service: service.as_deref(),
    };
    record.push_at_any_time(context, batch)
}

fn time_of(fields: &[Field<'_>]) -> Option<Timestamp> {
    let time = fields.iter().find(|field| field.name == "timestamp")?;
    matches!(time.kind, JsonKind::Number | JsonKind::String).then(|| field_mapping::time_of(time).ok())?
}

/// As much of a line as the limit allows.
pub(crate) fn cut<'l>(line: &'l [u8], context: &DecodeContext<'_>) -> &'l [u8] {
    line.get(..context.limits.record.line_bytes_max).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::{RECEIVED_AT, TestContext, rows_of};

    fn rows(message: &str) -> Vec<String> {
        let test = TestContext::new();
        let decoded = decode([message.as_bytes()], &test.context());
        let mut rows = rows_of(&decoded.batch);
        rows.extend(decoded.rejected.described.into_iter().map(|rejection| rejection.reason));
        rows
    }

    #[test]
    fn messages_become_rows() {
        let now = RECEIVED_AT.as_nanos();
        for (message, expected) in [
            (
                r#"{"version":"1.1","host":"web-1","short_message":"order failed","full_message":"order failed\n at x","timestamp":1793534300.25,"level":3,"_app":"shop","_user_id":9001,"_id":null,"line":356}"#,
                r#"1793534300250000000 {host="web-1", level="error", service_name="shop"} order failed\n at x app=shop user_id=9001 line=356 detected_level=error"#.to_owned(),
            ),
            (
                r#"{"host":"h","short_message":"short","full_message":"other","facility":"gelf"}"#,
                format!(r#"{now} {{host="h", service_name="gelf"}} short\nother facility=gelf detected_level=unknown"#),
            ),
            (
                r#"{"short_message":"info only","timestamp":"never","level":"6","_a":{"b":[1]}}"#,
                format!(r#"{now} {{level="info", service_name="unknown_service"}} info only a_b=[1] detected_level=info"#),
            ),
            (r#"{"short_message":"old","timestamp":99999999999}"#, format!(r#"{now} {{service_name="unknown_service"}} old detected_level=unknown"#)),
        ] {
            assert_eq!(rows(message), [expected], "{message}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (message, named) in [
            ("", "expected"),
            ("[]", "expected"),
            (r#"{"host":"h"}"#, "no short_message"),
            (r#"{"short_message":""}"#, "no short_message"),
            (r#"{"short_message":"a"} b"#, "the end"),
            (r#"{"short_message":"a","_!":1}"#, "no letter or digit"),
        ] {
            let rows = rows(message);
            assert!(rows.len() == 1 && rows[0].contains(named), "{message}: {rows:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut() {
        let mut test = TestContext::new();
        test.limits.record.line_bytes_max = 4;
        let decoded = decode([&br#"{"short_message":"abcdef"}"#[..]], &test.context());
        assert_eq!(decoded.batch.rows.get(0).line(), b"abcd");
    }
}
