//! A message of a topic as rows: by its headers where they say what it is, else as the input's settings say.

use rdkafka::message::{Headers, Message};
use timberyard_model::{Limits, LogBatch, TenantId, Timestamp};
use timberyard_wire::field_mapping::FieldMapping;
use timberyard_wire::service_name::SERVICE_NAME;
use timberyard_wire::{
    DecodeContext, DecodeError, Decoded, LabelAttributes, Rejections, batch_record, logstream,
    loki_push_json, loki_push_proto, ndjson, otlp_json, otlp_proto, raw_lines,
};
use xxhash_rust::xxh3::xxh3_128;

use super::input_settings::{InputFormat, KafkaInputSettings};
use super::schema::{FORMAT_BATCH, FORMAT_HEADER, FORMAT_LOGSTREAM, ID_HEADER, TENANT_HEADER};

/// What a decoder is told that no message says.
#[derive(Clone, Debug)]
pub struct DecodeSettings {
    /// Bounds on a message and on each record.
    pub limits: Limits,
    /// The name of this node.
    pub node_id: Box<str>,
    /// Whether streams without `service_name` get one.
    pub discover_service_name: bool,
    /// Whether records get `detected_level`.
    pub detect_level: bool,
    /// Which attributes of OTLP's resources become labels.
    pub label_attributes: LabelAttributes,
}

/// The rows of a message.
pub(super) struct Content {
    pub(super) batch: LogBatch,
    /// Rows of it that were refused, in words; the others are taken.
    pub(super) refused: Option<String>,
    /// What tells it apart from every other message, where its sender said so.
    pub(super) id: Option<u128>,
    /// Whether it went through the door and the steps of one of us before.
    pub(super) is_ours: bool,
}

/// Reads the messages of one input.
pub(super) struct Decoder {
    settings: DecodeSettings,
    format: InputFormat,
    mapping: FieldMapping,
    tenant: TenantId,
    labels: Vec<(String, String)>,
}

impl Decoder {
    /// `input` has been checked.
    pub(super) fn new(settings: DecodeSettings, input: &KafkaInputSettings) -> Self {
        Self {
            settings,
            format: input.format,
            mapping: input.mapping.mapping(),
            tenant: TenantId::new(&input.tenant).unwrap_or_default(),
            labels: input.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }

    /// The rows of a message, or why there are none. `now` stands for the time of a message that has none.
    pub(super) fn decode(&self, message: &impl Message, now: Timestamp) -> Result<Content, String> {
        let body = message.payload().filter(|payload| !payload.is_empty()).ok_or("message is empty")?;
        let limit = self.settings.limits.request.inflated_bytes_max;
        if body.len() > limit {
            return Err(format!("message is {} bytes, limit is {limit}", body.len()));
        }
        let header = |name| header_text(message, name);
        let id = header(ID_HEADER).map(|id| xxh3_128(id.as_bytes()));
        let received_at =
            message.timestamp().to_millis().and_then(|millis| Timestamp::from_millis(millis).ok());
        let received_at = received_at.unwrap_or(now);
        match header(FORMAT_HEADER) {
            Some(FORMAT_BATCH) => {
                let batch = batch_record::decode(body).map_err(|error| error.to_string())?;
                Ok(Content { batch, refused: None, id, is_ours: true })
            }
            Some(FORMAT_LOGSTREAM) => {
                let tenant = match header(TENANT_HEADER) {
                    Some(name) => TenantId::new(name).map_err(|error| error.to_string())?,
                    None => self.tenant.clone(),
                };
                let decoded = self.logstream(body, &self.context(&tenant, received_at));
                let batch = decoded.map_err(|error| error.to_string())?.batch;
                Ok(Content { id: id.or_else(|| id_of(&batch)), batch, refused: None, is_ours: true })
            }
            Some(other) => Err(format!("header {FORMAT_HEADER} says `{other}`, which is not known")),
            None => {
                let context = self.context(&self.tenant, received_at);
                let decoded =
                    self.foreign(body, message.topic(), &context).map_err(|error| error.to_string())?;
                let id = (self.format == InputFormat::Logstream).then(|| id_of(&decoded.batch)).flatten();
                let Decoded { batch, rejected } = decoded;
                let refused = (!rejected.is_empty()).then(|| rejected.grouped());
                Ok(Content { batch, refused, id, is_ours: false })
            }
        }
    }

    fn foreign(&self, body: &[u8], topic: &str, context: &DecodeContext<'_>) -> Result<Decoded, DecodeError> {
        let is_json = body.trim_ascii_start().first() == Some(&b'{');
        match self.format {
            InputFormat::Json => ndjson::decode_object(body, &self.mapping, context),
            InputFormat::Ndjson => ndjson::decode(body, &self.mapping, context),
            InputFormat::Otlp if is_json => otlp_json::decode(body, context),
            InputFormat::Otlp => otlp_proto::decode(body, context),
            InputFormat::Loki if is_json => loki_push_json::decode(body, context),
            InputFormat::Loki => loki_push_proto::decode(body, context),
            InputFormat::Logstream => self.logstream(body, context),
            InputFormat::Lines => {
                let written = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                let labels: Vec<_> = std::iter::once((SERVICE_NAME, topic)).chain(written).collect();
                raw_lines::decode(body, &labels, context)
            }
        }
    }

    fn logstream(&self, body: &[u8], context: &DecodeContext<'_>) -> Result<Decoded, DecodeError> {
        let batch = logstream::decode_message(body, context)?;
        Ok(Decoded { batch, rejected: Rejections::default() })
    }

    fn context<'c>(&'c self, tenant: &'c TenantId, received_at: Timestamp) -> DecodeContext<'c> {
        DecodeContext {
            tenant,
            received_at,
            client_ip: None,
            node_id: &self.settings.node_id,
            limits: &self.settings.limits,
            discover_service_name: self.settings.discover_service_name,
            detect_level: self.settings.detect_level,
            label_attributes: &self.settings.label_attributes,
        }
    }
}

/// The id that a log of LogStream's brings.
fn id_of(batch: &LogBatch) -> Option<u128> {
    let row = batch.rows.iter().next()?;
    row.metadata_value("id").map(xxh3_128)
}

fn header_text<'m>(message: &'m impl Message, name: &str) -> Option<&'m str> {
    let headers = message.headers()?;
    let value = headers.iter().find(|header| header.key == name)?.value?;
    std::str::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};

    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_793_491_200_000_000_000);

    fn decoder(input: &KafkaInputSettings) -> Decoder {
        let settings = DecodeSettings {
            limits: Limits::default(),
            node_id: "n".into(),
            discover_service_name: true,
            detect_level: false,
            label_attributes: LabelAttributes::loki().clone(),
        };
        Decoder::new(settings, input)
    }

    fn message(payload: &[u8], headers: &[(&str, &str)]) -> OwnedMessage {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }));
        let timestamp = rdkafka::Timestamp::NotAvailable;
        OwnedMessage::new(Some(payload.to_vec()), None, "app-logs".to_owned(), timestamp, 0, 7, Some(headers))
    }

    fn lines(content: &Content) -> Vec<String> {
        let rows = content.batch.rows.iter();
        rows.map(|row| format!("{} {}", row.labels(), String::from_utf8_lossy(row.line()))).collect()
    }

    #[test]
    fn a_message_without_a_header_is_what_the_settings_say() {
        let loki: &[u8] = br#"{"streams":[{"stream":{"app":"a"},"values":[["1793491200000000000","x"]]}]}"#;
        let otlp: &[u8] =
            br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#;
        for (format, body, expected) in [
            (InputFormat::Json, &br#"{"app":"a","msg":"x"}"#[..], r#"{app="a", service_name="a"} x"#),
            (InputFormat::Ndjson, b"{\"app\":\"a\",\"msg\":\"x\"}\n", r#"{app="a", service_name="a"} x"#),
            (InputFormat::Loki, loki, r#"{app="a", service_name="a"} x"#),
            (InputFormat::Otlp, otlp, r#"{service_name="unknown_service"} x"#),
            (InputFormat::Lines, b"x\n", r#"{env="p", service_name="app-logs"} x"#),
            (
                InputFormat::Logstream,
                br#"{"service":"a","level":"INFO","message":"x","id":"7"}"#,
                r#"{level="INFO", service="a", service_name="a"} x"#,
            ),
        ] {
            let labels = [("env".to_owned(), "p".to_owned())].into();
            let decoder = decoder(&KafkaInputSettings { format, labels, ..KafkaInputSettings::default() });
            let content = decoder.decode(&message(body, &[]), NOW).expect("decodes");
            assert_eq!(lines(&content), [expected], "{format:?}");
            assert!(!content.is_ours);
            assert_eq!(content.id.is_some(), format == InputFormat::Logstream);
        }
    }

    #[test]
    fn headers_say_what_a_message_is() {
        let decoder = decoder(&KafkaInputSettings::default());
        let body = br#"{"service":"a","level":"INFO","message":"x","id":"7"}"#;
        let headers = [(FORMAT_HEADER, FORMAT_LOGSTREAM), (TENANT_HEADER, "team-a"), (ID_HEADER, "1-0")];
        let content = decoder.decode(&message(body, &headers), NOW).expect("decodes");
        assert_eq!((content.batch.tenant.as_str(), content.is_ours), ("team-a", true));
        assert_eq!(content.id, Some(xxh3_128(b"1-0")));
        let record = batch_record::encode_uncompressed(&content.batch);
        let content =
            decoder.decode(&message(&record, &[(FORMAT_HEADER, FORMAT_BATCH)]), NOW).expect("decodes");
        assert_eq!(lines(&content), [r#"{level="INFO", service="a", service_name="a"} x"#]);
    }

    #[test]
    fn what_cannot_be_taken_says_why() {
        let decoder = decoder(&KafkaInputSettings { format: InputFormat::Ndjson, ..Default::default() });
        for (body, headers, expected) in [
            (&b""[..], &[][..], "message is empty"),
            (b"\n", &[], "body holds no JSON object"),
            (b"x", &[(FORMAT_HEADER, "avro")], "header timberyard-format says `avro`, which is not known"),
            (b"{}", &[(FORMAT_HEADER, FORMAT_LOGSTREAM), (TENANT_HEADER, "a/b")], "tenant"),
            (b"\x09", &[(FORMAT_HEADER, FORMAT_BATCH)], "batch record has version 9"),
        ] {
            let refused = decoder.decode(&message(body, headers), NOW).err().expect("refused");
            assert!(refused.contains(expected), "{refused}");
        }
        let some = decoder.decode(&message(b"{\"msg\":\"x\"}\nno\n", &[]), NOW).expect("one is good");
        assert_eq!(some.batch.rows.len(), 1);
        assert!(some.refused.is_some());
    }
}
