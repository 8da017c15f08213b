//! Datadog's logs, as its agent, its libraries and its forwarders send them: one JSON object, an array of them, or
//! plain lines.
//!
//! `message` is the line; `service`, `ddsource` (as `source`), `hostname` (as `host`) and the tag `env` become labels; the other tags
//! of `ddtags` and all other fields become structured metadata, `status` as `level`.
//!
//! Format: <https://docs.datadoghq.com/api/latest/logs/#send-logs>.

use std::borrow::Cow;

use timberyard_model::LogBatch;

use crate::context::{DecodeContext, Decoded, Rejections};
use crate::error::DecodeError;
use crate::field_mapping::{Field, read_fields, time_of};
use crate::json::{JsonKind, JsonReader};
use crate::mapped_record::MappedRecord;
use crate::metadata_name;
use crate::record_batch::RecordBatch;
use crate::text_lines::lines;

/// What the URL says of all logs of a request; what a log says of itself counts more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatadogSource {
    /// `ddsource`
    pub source: Option<String>,
    /// `ddtags`
    pub tags: Option<String>,
    /// `hostname`
    pub hostname: Option<String>,
    /// `service`
    pub service: Option<String>,
}

/// Reads JSON. Logs that break a limit are refused by their number.
pub fn decode_json(
    body: &[u8],
    source: &DatadogSource,
    context: &DecodeContext<'_>,
) -> Result<Decoded, DecodeError> {
    let mut json = JsonReader::new(body, context.limits.request.json_depth_max);
    let mut batch = RecordBatch::new(context.tenant, context);
    let mut rejected = Rejections::default();
    let mut number = 0;
    let mut take = |json: &mut JsonReader<'_>| -> Result<(), DecodeError> {
        let start = json.offset();
        let fields = read_fields(json).map_err(|error| error.within(format!("[{number}]")))?;
        let text = body.get(start..json.offset()).unwrap_or_default();
        if let Err(reason) = take_log(text, &fields, source, context, &mut batch) {
            rejected.add(number, || format!("log {number}: {reason}"));
        }
        number += 1;
        Ok(())
    };
    match json.peek()? {
        JsonKind::Object => take(&mut json)?,
        _ => {
            json.begin_array()?;
            while json.next_element()? {
                take(&mut json)?;
            }
        }
    }
    json.finish()?;
    Ok(Decoded { batch: batch.finish(), rejected })
}

/// Reads plain text: each line that is not empty is a log, received now.
pub fn decode_text(
    body: &[u8],
    source: &DatadogSource,
    context: &DecodeContext<'_>,
) -> Result<LogBatch, DecodeError> {
    let mut batch = RecordBatch::new(context.tenant, context);
    for (number, line) in lines(body).enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let field = Field { name: "message".into(), value: line.into(), kind: JsonKind::String };
        take_log(line, &[field], source, context, &mut batch)
            .map_err(|reason| DecodeError::rejected(format!("line {}", number + 1), reason))?;
    }
    Ok(batch.finish())
}

fn take_log(
    text: &[u8],
    fields: &[Field<'_>],
    source: &DatadogSource,
    context: &DecodeContext<'_>,
    batch: &mut RecordBatch,
) -> Result<(), String> {
    let mut line = None;
    let mut timestamp = context.received_at;
    let given = |value: &Option<String>| Cow::Owned(value.clone().unwrap_or_default());
    let mut labels: [(&str, Cow<'_, str>); 4] = [
        ("service", given(&source.service)),
        ("source", given(&source.source)),
        ("host", given(&source.hostname)),
        ("env", Cow::Borrowed("")),
    ];
    let mut tags: Cow<'_, str> = given(&source.tags);
    let mut metadata: Vec<(Cow<'_, str>, &[u8])> = Vec::new();
    for field in fields {
        let label = match &*field.name {
            "service" => 0,
            "ddsource" => 1,
            "hostname" | "host" => 2,
            "message" => {
                line = Some(&*field.value);
                continue;
            }
            "ddtags" => {
                tags = field.text();
                continue;
            }
            "timestamp" | "date" => {
                timestamp = time_of(field)?;
                continue;
            }
            // Not to be taken for a status of HTTP.
            "status" => {
                metadata.push((Cow::Borrowed("level"), &field.value));
                continue;
            }
            name => {
                let name = metadata_name::sanitized(name).map_err(|error| error.to_string())?;
                metadata.push((name, &field.value));
                continue;
            }
        };
        if let Some(label) = labels.get_mut(label) {
            label.1 = field.text();
        }
    }
    for tag in tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
        match tag.split_once(':') {
            Some(("env", value)) => labels[3].1 = Cow::Owned(value.to_owned()),
            Some((name, value)) => {
                let name = metadata_name::sanitized(name).map_err(|error| error.to_string())?;
                metadata.push((name, value.as_bytes()));
            }
            None => {
                let name = metadata_name::sanitized(tag).map_err(|error| error.to_string())?;
                metadata.push((name, b"true"));
            }
        }
    }
    let source = labels[1].1.clone();
    let labels = labels.map(|(name, value)| (Cow::Borrowed(name), value)).to_vec();
    let line = line.unwrap_or(text.trim_ascii());
    MappedRecord { labels, metadata, timestamp, line, service: Some(&source) }.push(context, batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::{RECEIVED_AT, TestContext, rows_of};

    fn json(body: &str, source: &DatadogSource) -> Result<Decoded, DecodeError> {
        decode_json(body.as_bytes(), source, &TestContext::new().context())
    }

    #[test]
    fn logs_of_the_agent_become_rows() {
        let body = r#"[
            {"ddsource":"nginx","ddtags":"env:prod,version:1.2,canary","hostname":"h","message":"hi","service":"shop","status":"warn","timestamp":1793491200001},
            {"message":"{\"a\":1}","http":{"status":200}}
        ]"#;
        let source = DatadogSource {
            service: Some("from-url".to_owned()),
            tags: Some("team:x".to_owned()),
            ..DatadogSource::default()
        };
        let decoded = json(body, &source).expect("an array");
        assert!(decoded.rejected.is_empty());
        let now = RECEIVED_AT.as_nanos();
        assert_eq!(
            rows_of(&decoded.batch),
            [
                r#"1793491200001000000 {env="prod", host="h", service="shop", service_name="shop", source="nginx"} hi level=warn version=1.2 canary=true detected_level=warn"#.to_owned(),
                format!(r#"{now} {{service="from-url", service_name="from-url"}} {{\"a\":1}} http_status=200 team=x detected_level=unknown"#),
            ]
        );
        let one = json(r#"{"message":"x","ddsource":"go"}"#, &DatadogSource::default()).expect("an object");
        assert_eq!(one.batch.rows.get(0).labels().get("service_name"), Some("go"));
    }

    #[test]
    fn a_log_over_a_limit_is_named_and_its_neighbours_are_kept() {
        let long = "x".repeat(5000);
        let body = format!(
            r#"[{{"message":"1","service":"{long}"}},{{"message":"2"}},{{"message":"3","timestamp":"soon"}}]"#
        );
        let decoded = json(&body, &DatadogSource::default()).expect("an array");
        assert_eq!((decoded.batch.rows.len(), decoded.rejected.count), (1, 2));
        let reasons: Vec<_> = decoded.rejected.described.iter().map(|r| r.reason.as_str()).collect();
        assert_eq!(reasons[1], "log 2: field `timestamp` is not a time: \"soon\"");
        assert!(reasons[0].contains("`service` is 5000 bytes"), "{reasons:?}");
    }

    #[test]
    fn what_is_no_json_is_refused_whole() {
        for body in ["", "x", "7", r#"[{"message":"1"},7]"#, r#"[{"message":"1"}"#, r#"{"a":1}{}"#] {
            assert!(json(body, &DatadogSource::default()).is_err(), "{body}");
        }
    }

    #[test]
    fn plain_text_gives_a_row_a_line() {
        let test = TestContext::new();
        let batch = decode_text(b"one\r\n\ntwo", &DatadogSource::default(), &test.context()).expect("lines");
        let lines: Vec<_> = batch.rows.iter().map(|row| row.line().to_vec()).collect();
        assert_eq!(lines, [b"one", b"two"]);
    }
}
