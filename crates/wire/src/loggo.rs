//! log-go's entries:
//! `[{"timestamp":1700000000000,"service":"auth","level":"info","message":"…","labels":{}}]`.
//!
//! All of a body is taken or nothing. Each entry may name its tenant by `org_id`; whether the sender may
//! write there is the caller's to check, before anything is stored.

use std::borrow::Cow;

use timberyard_model::labels::is_label_name;
use timberyard_model::{LogBatch, TenantId, Timestamp};

use crate::context::DecodeContext;
use crate::error::DecodeError;
use crate::json::{DEPTH_MAX, JsonReader};
use crate::json_text::{write_integer, write_key, write_string};
use crate::log_entry::{LogEntry, write_json_or_string, write_optional_number, write_optional_string};
use crate::record_batch::{Record, RecordBatch};
use crate::record_fields::FieldReader;
use crate::service_name::SERVICE_NAME;

/// Labels of the stream that are not among the entry's own `labels`.
const OWN_LABELS: [&str; 3] = [SERVICE_NAME, "service", "level"];

/// How many tenants the entries of one body may name.
const TENANTS_MAX: usize = 100;

/// A label as it was sent.
type SentLabel<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The fields of one entry.
#[derive(Default)]
struct Entry<'a> {
    timestamp: Option<Timestamp>,
    service: Option<Cow<'a, str>>,
    level: Option<Cow<'a, str>>,
    message: Option<Cow<'a, [u8]>>,
    labels: Option<&'a [u8]>,
    org_id: Option<Cow<'a, str>>,
}

/// Reads an array of entries into one batch for each tenant that they name, in the order of their first
/// entries. An empty array is refused.
pub fn decode(body: &[u8], context: &DecodeContext<'_>) -> Result<Vec<LogBatch>, DecodeError> {
    let mut fields = FieldReader::new(body, context.limits.request.json_depth_max);
    let mut tenants =
        Tenants { batches: Vec::new(), received_at_ms: context.received_at.as_millis().to_string() };
    fields.json.begin_array()?;
    let mut count = 0;
    while fields.json.next_element()? {
        fields.enter("", count);
        count += 1;
        if fields.begin_record()? {
            let entry = read_entry(&mut fields)?;
            tenants.take(&entry, &mut fields, context)?;
        }
        fields.leave();
    }
    if count == 0 {
        fields.refuse("", "no entries: the array is empty");
    }
    fields.finish()?;
    Ok(tenants
        .batches
        .into_iter()
        .map(|(_, batch)| batch.finish())
        .filter(|batch| !batch.rows.is_empty())
        .collect())
}

fn read_entry<'a>(fields: &mut FieldReader<'a>) -> Result<Entry<'a>, DecodeError> {
    let mut entry = Entry::default();
    while let Some(key) = fields.next_key()? {
        match &*key {
            b"timestamp" => {
                let millis = fields.integer::<i64>("timestamp", "whole milliseconds since 1970")?;
                entry.timestamp = match millis.map(|(_, millis)| Timestamp::from_millis(millis)) {
                    Some(Err(error)) => {
                        fields.refuse("timestamp", error.to_string());
                        None
                    }
                    other => other.and_then(Result::ok),
                };
            }
            b"service" => entry.service = fields.text("service")?,
            b"level" => entry.level = fields.text("level")?,
            b"message" => entry.message = fields.bytes("message")?,
            b"labels" => entry.labels = fields.object("labels")?,
            b"org_id" => entry.org_id = fields.text("org_id")?,
            _ => fields.json.skip().map_err(|error| fields.within("", error))?,
        }
    }
    Ok(entry)
}

/// The batches, one for each tenant.
struct Tenants {
    batches: Vec<(TenantId, RecordBatch)>,
    received_at_ms: String,
}

impl Tenants {
    fn take(
        &mut self,
        entry: &Entry<'_>,
        fields: &mut FieldReader<'_>,
        context: &DecodeContext<'_>,
    ) -> Result<(), DecodeError> {
        let limits = &context.limits.record;
        let service = entry.service.as_deref().unwrap_or_default();
        let level = entry.level.as_deref().unwrap_or_default();
        if entry.timestamp.is_none() {
            fields.require("timestamp", "must be whole milliseconds since 1970");
        }
        if service.is_empty() {
            fields.require("service", "must be a string that is not empty");
        }
        if entry.message.is_none() {
            fields.require("message", "must be a string");
        }
        fields.check_label_value("service", service, limits.label_value_bytes_max);
        fields.check_label_value("level", level, limits.label_value_bytes_max);
        let sent = match entry.labels {
            Some(text) => read_labels(text, fields, limits.metadata_pairs_max)?,
            None => Vec::new(),
        };
        let tenant = match entry.org_id.as_deref().filter(|name| !name.is_empty()).map(TenantId::new) {
            None => context.tenant.clone(),
            Some(Ok(tenant)) => tenant,
            Some(Err(error)) => {
                fields.refuse("org_id", error.to_string());
                return Ok(());
            }
        };
        let (Some(timestamp), Some(message), false) = (entry.timestamp, &entry.message, fields.has_faults())
        else {
            return Ok(());
        };

        let mut labels: Vec<(&str, &str)> =
            vec![(SERVICE_NAME, service), ("service", service), ("level", level)];
        let mut metadata: Vec<(&str, &[u8])> = Vec::with_capacity(4);
        let mut all_are_labels = entry.labels.is_none() || !sent.is_empty();
        for (index, (name, value)) in sent.iter().enumerate() {
            let repeated = sent.iter().take(index).any(|(earlier, _)| earlier == name);
            let fits = index < limits.label_names_max
                && is_label_name(name)
                && name.len() <= limits.label_name_bytes_max
                && (1..=limits.label_value_bytes_max).contains(&value.len());
            if fits && !repeated && !OWN_LABELS.contains(&&**name) {
                labels.push((name, value));
                continue;
            }
            all_are_labels = false;
            if !repeated && is_label_name(name) && !OWN_LABELS.contains(&&**name) {
                metadata.push((name, value.as_bytes()));
            }
        }
        // What cannot be given back from the stream is kept as it was sent.
        if let (Some(text), false) = (entry.labels, all_are_labels) {
            metadata.push(("labels", text));
        }
        if entry.level.is_some() && level.is_empty() {
            metadata.push(("level", b""));
        }
        metadata.push(("received_at", self.received_at_ms.as_bytes()));
        if let Some(client_ip) = context.client_ip {
            metadata.push(("client_ip", client_ip.as_bytes()));
        }
        metadata.push(("ingested_node_id", context.node_id.as_bytes()));

        let record = Record { labels: &labels, timestamp, line: message, metadata: &metadata };
        let index = match self.batches.iter().position(|(known, _)| *known == tenant) {
            Some(index) => index,
            None if self.batches.len() == TENANTS_MAX => {
                fields.refuse("org_id", format!("is one more than the {TENANTS_MAX} tenants of one body"));
                return Ok(());
            }
            None => {
                let batch = RecordBatch::new(&tenant, context);
                self.batches.push((tenant, batch));
                self.batches.len() - 1
            }
        };
        if let Some((_, batch)) = self.batches.get_mut(index)
            && let Err(error) = batch.push(&record)
        {
            fields.refuse_record(&error, "timestamp", "message");
        }
        Ok(())
    }
}

/// The labels that an entry brings; each must be a string.
fn read_labels<'a>(
    text: &'a [u8],
    fields: &mut FieldReader<'_>,
    labels_max: usize,
) -> Result<Vec<SentLabel<'a>>, DecodeError> {
    let mut inner = FieldReader::new(text, DEPTH_MAX);
    let mut labels = Vec::new();
    inner.json.begin_object()?;
    while let Some(key) = inner.json.next_key()? {
        let name = match key {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        };
        let shown: String = name.chars().take(80).collect();
        if labels.len() == labels_max {
            fields.refuse("labels", format!("has more than {labels_max} labels, the limit"));
            break;
        }
        let kind = inner.json.peek()?;
        if kind == crate::json::JsonKind::String {
            labels.push((name, inner.json.text()?));
        } else {
            fields
                .refuse(&format!("labels.{shown}"), format!("must be a string, found {}", kind.described()));
            inner.json.skip()?;
        }
    }
    Ok(labels)
}

/// Writes the members that log-go's readers expect besides `level` and `message`, without braces.
pub fn write_members(out: &mut Vec<u8>, entry: &LogEntry<'_>) {
    write_key(out, "timestamp");
    write_integer(out, entry.timestamp().as_millis());
    out.push(b',');
    write_key(out, "service");
    write_string(out, entry.service());
    out.push(b',');
    write_key(out, "labels");
    write_labels(out, entry);
    out.push(b',');
    write_key(out, "received_at");
    write_optional_number(out, entry.enrichment("received_at"));
    out.push(b',');
    write_key(out, "ingested_node_id");
    write_optional_string(out, entry.enrichment("ingested_node_id"));
}

/// The labels as they were sent; for rows of other systems the stream's labels, `null` when there are none.
fn write_labels(out: &mut Vec<u8>, entry: &LogEntry<'_>) {
    if let Some(sent) = entry.metadata().find(|(name, _)| *name == "labels").map(|(_, text)| text)
        && JsonReader::new(sent, DEPTH_MAX).begin_object().is_ok()
    {
        return write_json_or_string(out, sent);
    }
    let mut shown = entry.labels().iter().filter(|(name, _)| !OWN_LABELS.contains(name)).peekable();
    if shown.peek().is_none() {
        out.extend_from_slice(b"null");
        return;
    }
    let mut separator = b'{';
    for (name, value) in shown {
        out.push(separator);
        separator = b',';
        write_key(out, name);
        write_string(out, value.as_bytes());
    }
    out.push(b'}');
}

/// What a fuzzer calls: decoding must not panic, and every answer is UTF-8.
pub fn fuzz(body: &[u8], context: &DecodeContext<'_>) {
    if let Ok(batches) = decode(body, context) {
        let mut out = Vec::new();
        for row in batches.iter().flat_map(|batch| batch.rows.iter()) {
            write_members(&mut out, &LogEntry::new(row));
        }
        assert!(std::str::from_utf8(&out).is_ok(), "an answer is always UTF-8");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record_tests::{mutate, refusal, shown, with_context};

    const FULL: &str = r#"[{"timestamp":1795168800123,"service":"auth","level":"warn","message":"slow","labels":{"env":"prod"}},
        {"timestamp":-1,"service":"auth","message":"error: bad","org_id":"team-b"},
        {"timestamp":1,"service":"auth","level":"","message":"","labels":{"k8s.io/x":"1","level":"x","zone":""}}]"#;

    #[test]
    fn entries_go_to_their_tenants_with_what_the_server_adds() {
        let batches = with_context(|context| decode(FULL.as_bytes(), context)).expect("valid");
        let tenants: Vec<&str> = batches.iter().map(|batch| batch.tenant.as_str()).collect();
        assert_eq!(tenants, ["default", "team-b"]);
        let added = r#"received_at="1795168800500" client_ip="192.0.2.7" ingested_node_id="n1""#;
        assert_eq!(
            shown(&batches[0]),
            [
                format!(
                    r#"2026-11-20T10:00:00.123Z {{env="prod", level="warn", service="auth", service_name="auth"}} "slow" {added} detected_level="warn""#
                ),
                format!(
                    r#"1970-01-01T00:00:00.001Z {{service="auth", service_name="auth"}} "" zone="" labels="{{\"k8s.io/x\":\"1\",\"level\":\"x\",\"zone\":\"\"}}" level="" {added}"#
                ),
            ]
        );
        assert_eq!(
            shown(&batches[1]),
            [format!(
                r#"1969-12-31T23:59:59.999Z {{service="auth", service_name="auth"}} "error: bad" {added} detected_level="error""#
            )]
        );
    }

    #[test]
    fn labels_come_back_as_sent() {
        let cases = [
            (r#"{"b":"2","a":"1"}"#, r#"{"a":"1","b":"2"}"#),
            (r#"{"a.b":"1","c":"2"}"#, r#"{"a.b":"1","c":"2"}"#),
            (r#"{"service":"other"}"#, r#"{"service":"other"}"#),
            ("{}", "{}"),
            ("null", "null"),
        ];
        for (sent, expected) in cases {
            let body = format!(r#"[{{"timestamp":1,"service":"s","message":"m","labels":{sent}}}]"#);
            let batches = with_context(|context| decode(body.as_bytes(), context)).expect("valid");
            let mut out = Vec::new();
            write_labels(&mut out, &LogEntry::new(batches[0].rows.get(0)));
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn refuses_what_is_wrong_and_says_where() {
        let cases = [
            ("[]", "no entries: the array is empty"),
            (
                r#"[{"timestamp":1.5,"service":"s","message":"m"}]"#,
                "[0].timestamp: must be whole milliseconds since 1970, found 1.5",
            ),
            (
                r#"[{"timestamp":9223372036854775807,"service":"s","message":"m"}]"#,
                "[0].timestamp: time is out of range: nanoseconds since 1970 must fit 64 bits (1677-09-21 to 2262-04-11)",
            ),
            (
                r#"[{"timestamp":1,"service":"","message":3}]"#,
                "[0].message: must be a string, found a number; [0].service: must be a string that is not empty",
            ),
            (
                r#"[{"timestamp":1,"service":"s","message":"m","labels":{"a":1}}]"#,
                "[0].labels.a: must be a string, found a number",
            ),
            (
                r#"[{"timestamp":1,"service":"s","message":"m","org_id":"../x"}]"#,
                "[0].org_id: tenant `../x` is not 1 to 150 characters of A-Z a-z 0-9 ! - _ . * ' ( )",
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(with_context(|context| refusal(decode(body.as_bytes(), context))), expected, "{body}");
        }
    }

    #[test]
    fn survives_broken_bodies() {
        mutate(&[FULL], fuzz);
    }
}
