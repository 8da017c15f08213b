//! Webhooks of Prometheus' Alertmanager (version 4): each alert is a row.
//!
//! The line is the alert's JSON; the labels are `alertname`, `severity`, `alertstate` (`firing` or `resolved`) and the receiver, all
//! other labels of the alert are structured metadata. The time is when it began to fire, or when it was
//! resolved. The service is `alertmanager` unless the alert's labels name one.
//!
//! Format: <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.

use std::borrow::Cow;

use timberyard_model::LogBatch;

use crate::context::DecodeContext;
use crate::error::DecodeError;
use crate::field_mapping::{Field, read_fields, time_of};
use crate::json::JsonReader;
use crate::mapped_record::MappedRecord;
use crate::metadata_name;
use crate::record_batch::RecordBatch;
use crate::service_name::SERVICE_NAME;

/// What the service is called when no label names one.
const SERVICE: &str = "alertmanager";

/// Reads a webhook's body. All of it is taken or nothing.
pub fn decode(body: &[u8], context: &DecodeContext<'_>) -> Result<LogBatch, DecodeError> {
    let mut json = JsonReader::new(body, context.limits.request.json_depth_max);
    let mut receiver = Cow::Borrowed(&b""[..]);
    let mut alerts: Option<Vec<(&[u8], Vec<Field<'_>>)>> = None;
    json.begin_object()?;
    while let Some(key) = json.next_key()? {
        match &*key {
            b"receiver" => receiver = json.string()?,
            b"alerts" => {
                let alerts = alerts.insert(Vec::new());
                json.begin_array()?;
                while json.next_element()? {
                    let start = json.offset();
                    let fields = read_fields(&mut json)
                        .map_err(|error| error.within(format!("alerts[{}]", alerts.len())))?;
                    alerts.push((body.get(start..json.offset()).unwrap_or_default().trim_ascii(), fields));
                }
            }
            _ => json.skip()?,
        }
    }
    json.finish()?;
    let alerts = alerts.ok_or_else(|| DecodeError::malformed("the body has no `alerts`"))?;
    let receiver = String::from_utf8_lossy(&receiver);
    let mut batch = RecordBatch::new(context.tenant, context);
    for (number, (text, fields)) in alerts.iter().enumerate() {
        take_alert(text, fields, &receiver, context, &mut batch)
            .map_err(|reason| DecodeError::rejected(format!("alerts[{number}]"), reason))?;
    }
    Ok(batch.finish())
}

fn take_alert(
    text: &[u8],
    fields: &[Field<'_>],
    receiver: &str,
    context: &DecodeContext<'_>,
    batch: &mut RecordBatch,
) -> Result<(), String> {
    let field = |name: &str| fields.iter().find(|field| field.name == name);
    let state = field("status").map_or(Cow::Borrowed("firing"), Field::text);
    let time = field(if state == "resolved" { "endsAt" } else { "startsAt" });
    let timestamp = match time {
        Some(field) => time_of(field)?,
        None => context.received_at,
    };
    let mut labels = vec![("alertstate", state), ("receiver", Cow::Borrowed(receiver))];
    let mut metadata: Vec<(Cow<'_, str>, &[u8])> = Vec::new();
    for field in fields {
        let Some(name) = field.name.strip_prefix("labels.") else { continue };
        match name {
            "alertname" => labels.push(("alertname", field.text())),
            "severity" => labels.push(("severity", field.text())),
            SERVICE_NAME | "service" => labels.push((SERVICE_NAME, field.text())),
            name => {
                let name = metadata_name::sanitized(name).map_err(|error| error.to_string())?;
                metadata.push((name, &field.value));
            }
        }
    }
    let labels = labels.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
    MappedRecord { labels, metadata, timestamp, line: text, service: Some(SERVICE) }.push(context, batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::{TestContext, rows_of};

    fn webhook(body: &str) -> Result<LogBatch, DecodeError> {
        decode(body.as_bytes(), &TestContext::new().context())
    }

    #[test]
    fn each_alert_is_a_row_at_the_time_it_fired_or_was_resolved() {
        let body = r#"{"version":"4","receiver":"team","status":"firing","alerts":[
            {"status":"firing","labels":{"alertname":"Down","severity":"critical","instance":"a:1"},"startsAt":"2026-11-01T00:00:00Z","endsAt":"0001-01-01T00:00:00Z"},
            {"status":"resolved","labels":{"alertname":"Slow","service":"shop"},"startsAt":"2026-11-01T00:00:00Z","endsAt":"2026-11-01T00:00:01Z"}]}"#;
        let rows = rows_of(&webhook(body).expect("a webhook"));
        assert!(rows[0].starts_with(
            r#"1793491200000000000 {alertname="Down", alertstate="firing", receiver="team", service_name="alertmanager", severity="critical"} {\"status\""#
        ), "{rows:?}");
        assert!(rows[0].contains("instance=a:1 detected_level=critical"), "{rows:?}");
        assert!(rows[1].starts_with(
            r#"1793491201000000000 {alertname="Slow", alertstate="resolved", receiver="team", service_name="shop"} "#
        ), "{rows:?}");
    }

    #[test]
    fn a_body_that_is_no_webhook_is_refused_whole() {
        for body in ["", "[]", "{}", r#"{"alerts":[7]}"#, r#"{"alerts":[{"startsAt":"soon"}]}"#] {
            assert!(webhook(body).is_err(), "{body}");
        }
        assert_eq!(webhook(r#"{"alerts":[]}"#).expect("no alerts").rows.len(), 0);
    }
}
