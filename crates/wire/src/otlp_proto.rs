//! OTLP logs as protobuf (`ExportLogsServiceRequest`).
//!
//! ```text
//! ExportLogsServiceRequest { 1: repeated ResourceLogs }
//! ResourceLogs { 1: Resource, 2: repeated ScopeLogs }
//! Resource     { 1: repeated KeyValue attributes }
//! ScopeLogs    { 1: InstrumentationScope, 2: repeated LogRecord }
//! InstrumentationScope { 1: name, 2: version, 3: repeated KeyValue attributes, 4: uint32 dropped }
//! LogRecord    { 1: fixed64 time, 2: severity number, 3: severity text, 5: AnyValue body,
//!                6: repeated KeyValue attributes, 7: uint32 dropped, 8: fixed32 flags, 9: trace id,
//!                10: span id, 11: fixed64 observed time, 12: event name }
//! KeyValue     { 1: key, 2: AnyValue }
//! AnyValue     { 1: string, 2: bool, 3: int64, 4: double, 5: ArrayValue, 6: KeyValueList, 7: bytes }
//! ```
//!
//! The message is walked where it lies, in any order of fields; unknown fields are passed over. Values may nest as
//! deep as JSON may. What becomes of it all, and what is refused, is in `otlp.rs`.
//!
//! <https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto>

use std::borrow::Cow;

use crate::context::{DecodeContext, Decoded};
use crate::error::DecodeError;
use crate::loki_push::Metadata;
use crate::otlp::{Export, LogRecord, Resource, Scope};
use crate::otlp_value::{Attribute, Value as AnyValue, ValueBudget};
use crate::protobuf::{Fields, Message, Value};

type Result<T> = std::result::Result<T, DecodeError>;

/// Decodes a message. Refused records are in [`Decoded::rejected`]; their neighbours are in the batch.
pub fn decode(body: &[u8], context: &DecodeContext<'_>) -> Result<Decoded> {
    let mut decoder = Decoder {
        export: Export::new(context, body.len()),
        depth_max: context.limits.request.json_depth_max,
    };
    let mut fields = Message::new(body).fields();
    let mut index = 0;
    while let Some((number, value)) = fields.next_field()? {
        match (number, value) {
            (1, Value::Bytes(message)) => {
                decoder
                    .resource_logs(message)
                    .map_err(|e| e.within(format_args!("resourceLogs[{index}]")))?;
                index += 1;
            }
            (2.., _) => {}
            _ => return Err(wrong_type(&fields)),
        }
    }
    decoder.export.finish()
}

struct Decoder<'c> {
    export: Export<'c>,
    depth_max: usize,
}

/// Reads the values of one resource, scope or record.
struct Values {
    budget: ValueBudget,
    depth_left: usize,
}

fn wrong_type(fields: &Fields<'_>) -> DecodeError {
    fields.error("protobuf field has the wrong type")
}

impl Decoder<'_> {
    fn values(&self) -> Values {
        Values { budget: ValueBudget::default(), depth_left: self.depth_max }
    }

    fn resource_logs(&mut self, message: Message<'_>) -> Result<()> {
        // Fields may come in any order, so the resource is looked for before the records are read.
        let mut attributes = Vec::new();
        let mut values = self.values();
        let mut fields = message.fields();
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1, Value::Bytes(resource)) => {
                    resource_attributes(resource, &mut values, &mut attributes)
                        .map_err(|e| e.within("resource"))?;
                }
                (2, Value::Bytes(_)) | (3.., _) => {}
                _ => return Err(wrong_type(&fields)),
            }
        }
        let resource = self.export.resource(attributes);
        let mut fields = message.fields();
        let mut index = 0;
        while let Some((number, value)) = fields.next_field()? {
            if let (2, Value::Bytes(message)) = (number, value) {
                self.scope_logs(message, &resource)
                    .map_err(|e| e.within(format_args!("scopeLogs[{index}]")))?;
                index += 1;
            }
        }
        Ok(())
    }

    fn scope_logs(&mut self, message: Message<'_>, resource: &Resource<'_>) -> Result<()> {
        let mut scope = Scope::default();
        let mut values = self.values();
        let mut fields = message.fields();
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1, Value::Bytes(message)) => {
                    read_scope(message, &mut values, &mut scope).map_err(|e| e.within("scope"))?;
                }
                (2, Value::Bytes(_)) | (3.., _) => {}
                _ => return Err(wrong_type(&fields)),
            }
        }
        let scope = self.export.scope(scope);
        let mut metadata: Metadata<'_> = Vec::new();
        let mut fields = message.fields();
        let mut index = 0;
        while let Some((number, value)) = fields.next_field()? {
            if let (2, Value::Bytes(message)) = (number, value) {
                read_record(message, &mut self.values())
                    .and_then(|record| self.export.record(resource, &scope, record, &mut metadata))
                    .map_err(|e| e.within(format_args!("logRecords[{index}]")))?;
                index += 1;
            }
        }
        Ok(())
    }
}

fn resource_attributes<'a>(
    message: Message<'a>,
    values: &mut Values,
    attributes: &mut Vec<Attribute<'a>>,
) -> Result<()> {
    let mut fields = message.fields();
    while let Some((number, value)) = fields.next_field()? {
        match (number, value) {
            (1, Value::Bytes(message)) => values.attribute(message, attributes, "attributes")?,
            (2.., _) => {}
            _ => return Err(wrong_type(&fields)),
        }
    }
    Ok(())
}

fn read_scope<'a>(message: Message<'a>, values: &mut Values, scope: &mut Scope<'a>) -> Result<()> {
    let mut fields = message.fields();
    while let Some((number, value)) = fields.next_field()? {
        match (number, value) {
            (1, Value::Bytes(text)) => scope.name = Cow::Borrowed(text.bytes),
            (2, Value::Bytes(text)) => scope.version = Cow::Borrowed(text.bytes),
            (3, Value::Bytes(message)) => values.attribute(message, &mut scope.attributes, "attributes")?,
            (4, Value::Varint(count)) => scope.dropped_attributes_count = count as u32,
            (5.., _) => {}
            _ => return Err(wrong_type(&fields)),
        }
    }
    Ok(())
}

fn read_record<'a>(message: Message<'a>, values: &mut Values) -> Result<LogRecord<'a>> {
    let mut record = LogRecord::default();
    let mut fields = message.fields();
    while let Some((number, value)) = fields.next_field()? {
        match (number, value) {
            (1, Value::Fixed64(nanos)) => record.time_nanos = nanos,
            // Enumerations are 32 bits; what is beyond is cut off, as everywhere.
            (2, Value::Varint(number)) => record.severity_number = number as i32,
            (3, Value::Bytes(text)) => record.severity_text = Cow::Borrowed(text.bytes),
            (5, Value::Bytes(message)) => record.body = values.read(message).map_err(|e| e.within("body"))?,
            (6, Value::Bytes(message)) => values.attribute(message, &mut record.attributes, "attributes")?,
            (7, Value::Varint(count)) => record.dropped_attributes_count = count as u32,
            (8, Value::Fixed32(flags)) => record.flags = flags,
            (9, Value::Bytes(id)) => record.trace_id = read_id(id, "traceId")?,
            (10, Value::Bytes(id)) => record.span_id = read_id(id, "spanId")?,
            (11, Value::Fixed64(nanos)) => record.observed_time_nanos = nanos,
            (12, Value::Bytes(text)) => record.event_name = Cow::Borrowed(text.bytes),
            (4 | 13.., _) => {}
            _ => return Err(wrong_type(&fields)),
        }
    }
    Ok(record)
}

/// Zeros when there are no bytes.
fn read_id<const N: usize>(id: Message<'_>, name: &str) -> Result<[u8; N]> {
    if id.bytes.is_empty() {
        return Ok([0; N]);
    }
    id.bytes.try_into().map_err(|_| {
        let reason = format!("{} bytes, expected {N} or none", id.bytes.len());
        DecodeError::malformed_bytes(id.offset, reason).within(name)
    })
}

impl Values {
    /// Appends one attribute of the list `name`.
    fn attribute<'a>(
        &mut self,
        message: Message<'a>,
        out: &mut Vec<Attribute<'a>>,
        name: &str,
    ) -> Result<()> {
        let index = out.len();
        let attribute = self.key_value(message).map_err(|e| e.within(format_args!("{name}[{index}]")))?;
        out.push(attribute);
        Ok(())
    }

    fn key_value<'a>(&mut self, message: Message<'a>) -> Result<Attribute<'a>> {
        let mut key = Cow::Borrowed("");
        let mut value = None;
        let mut fields = message.fields();
        while let Some((number, field)) = fields.next_field()? {
            match (number, field) {
                (1, Value::Bytes(text)) => key = String::from_utf8_lossy(text.bytes),
                (2, Value::Bytes(message)) => {
                    value = Some(self.read(message).map_err(|e| e.within("value"))?);
                }
                (3.., _) => {}
                _ => return Err(wrong_type(&fields)),
            }
        }
        match value {
            Some(value) => Ok((key, value)),
            None => {
                self.budget.take().map_err(|reason| fields.error(reason))?;
                Ok((key, AnyValue::Empty))
            }
        }
    }

    fn read<'a>(&mut self, message: Message<'a>) -> Result<AnyValue<'a>> {
        let mut read = AnyValue::Empty;
        let mut fields = message.fields();
        self.budget.take().map_err(|reason| fields.error(reason))?;
        while let Some((number, value)) = fields.next_field()? {
            read = match (number, value) {
                (1, Value::Bytes(text)) => AnyValue::Text(Cow::Borrowed(text.bytes)),
                (2, Value::Varint(value)) => AnyValue::Boolean(value != 0),
                // Negative numbers are written in two's complement.
                (3, Value::Varint(value)) => AnyValue::Integer(value as i64),
                (4, Value::Fixed64(bits)) => AnyValue::Double(f64::from_bits(bits)),
                (5, Value::Bytes(message)) => AnyValue::Array(self.nested(
                    message,
                    |values, message, out: &mut Vec<AnyValue<'a>>| {
                        let index = out.len();
                        out.push(values.read(message).map_err(|e| e.within(format_args!("[{index}]")))?);
                        Ok(())
                    },
                )?),
                (6, Value::Bytes(message)) => {
                    AnyValue::Map(self.nested(message, |values, message, out: &mut Vec<Attribute<'a>>| {
                        values.attribute(message, out, "")
                    })?)
                }
                (7, Value::Bytes(bytes)) => AnyValue::Bytes(Cow::Borrowed(bytes.bytes)),
                (8.., _) => continue,
                _ => return Err(wrong_type(&fields)),
            };
        }
        Ok(read)
    }

    /// The members of an array or a map, which both are field 1 of their message.
    fn nested<'a, T>(
        &mut self,
        message: Message<'a>,
        mut member: impl FnMut(&mut Self, Message<'a>, &mut Vec<T>) -> Result<()>,
    ) -> Result<Vec<T>> {
        let mut fields = message.fields();
        self.depth_left = self
            .depth_left
            .checked_sub(1)
            .ok_or_else(|| fields.error("values nest deeper than is allowed"))?;
        let mut members = Vec::new();
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (1, Value::Bytes(message)) => member(self, message, &mut members)?,
                (2.., _) => {}
                _ => return Err(wrong_type(&fields)),
            }
        }
        self.depth_left += 1;
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::{write_bytes, write_number};
    use crate::test_context::{TestContext, rows_of};

    fn message(fields: &[(u64, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, bytes) in fields {
            write_bytes(&mut out, *number, bytes);
        }
        out
    }

    fn fixed64(number: u8, value: u64) -> Vec<u8> {
        [&[number << 3 | 1][..], &value.to_le_bytes()].concat()
    }

    fn number(field: u64, value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        write_number(&mut out, field, value);
        out
    }

    fn attribute(key: &str, value: &[u8]) -> Vec<u8> {
        message(&[(1, key.as_bytes()), (2, value)])
    }

    fn request(record: &[u8]) -> Vec<u8> {
        // The record before its scope, the scope before its resource: the order of fields is free.
        let scope_logs = message(&[(2, record), (1, &message(&[(1, b"lib"), (2, b"1")])), (3, b"schema")]);
        let service = attribute("service.name", &message(&[(1, b"shop")]));
        let resource = message(&[(1, &service), (1, &attribute("host.name", &message(&[(1, b"h")])))]);
        message(&[(1, &message(&[(2, &scope_logs), (1, &resource)]))])
    }

    fn rows(record: &[u8]) -> Vec<String> {
        let decoded = decode(&request(record), &TestContext::new().context()).expect("valid");
        rows_of(&decoded.batch)
    }

    #[test]
    fn resource_scope_and_record_become_labels_metadata_and_line() {
        let list = message(&[(1, &number(3, 1)), (1, &message(&[(1, b"x")])), (1, b"")]);
        let map = message(&[
            (1, &attribute("id", &number(3, -7i64 as u64))),
            (1, &attribute("l", &message(&[(5, &list)]))),
        ]);
        let record = [
            fixed64(1, 1_700_000_000_000_000_001),
            number(2, 9),
            message(&[(3, b"INFO"), (5, &message(&[(1, b"order \xff paid")]))]),
            message(&[
                (6, &attribute("user", &message(&[(6, &map)]))),
                (6, &attribute("half", &fixed64(4, 0.5f64.to_bits()))),
            ]),
            message(&[
                (6, &attribute("ok", &number(2, 1))),
                (6, &attribute("raw", &message(&[(7, b"\x00\x01")]))),
            ]),
            number(7, 2),
            vec![8 << 3 | 5, 1, 0, 0, 0],
            message(&[(9, &[1; 16]), (10, &[0; 8])]),
            fixed64(11, 1_700_000_000_000_000_002),
            message(&[(12, b"paid")]),
        ]
        .concat();
        assert_eq!(
            rows(&record),
            [concat!(
                r#"1700000000000000001 {service_name="shop"} order \xff paid "#,
                "dropped_attributes_count=2 event_name=paid flags=1 half=0.5 host_name=h ",
                "observed_timestamp=1700000000000000002 ok=true raw=AAE= scope_name=lib scope_version=1 ",
                "severity_number=9 severity_text=INFO trace_id=01010101010101010101010101010101 user_id=-7 ",
                r#"user_l=[1,\"x\",null] detected_level=info"#
            )]
        );
    }

    #[test]
    fn a_body_that_is_no_request_is_refused_with_its_place() {
        let context = TestContext::new();
        let refused = |body: &[u8]| decode(body, &context.context()).expect_err("refused").to_string();
        let place = "resourceLogs[0].scopeLogs[0].logRecords[0]";
        assert_eq!(
            refused(&request(&message(&[(9, b"short")]))),
            format!("5 bytes, expected 16 or none at byte 8, in `{place}.traceId`")
        );
        assert!(refused(&request(&number(5, 1))).ends_with(&format!("wrong type at byte 8, in `{place}`")));
        let mut deep = Vec::new();
        for _ in 0..65 {
            deep = message(&[(5, &message(&[(1, &deep)]))]);
        }
        let error = refused(&request(&message(&[(5, &deep)])));
        assert!(error.starts_with("values nest deeper than is allowed at byte "), "{error}");
        assert!(error.contains(&format!("in `{place}.body[0][0]")), "{error}");
        let wide = [0x0a, 0x00].repeat(crate::otlp_value::VALUES_MAX);
        let error = refused(&request(&message(&[(5, &message(&[(5, &wide)]))])));
        assert!(error.starts_with("more than 262144 values, nested ones counted"), "{error}");
        assert!(decode(b"", &context.context()).expect("empty").batch.rows.is_empty());
        assert!(decode(b"{}", &context.context()).is_err());
        let whole = request(&message(&[(5, &message(&[(1, b"line")]))]));
        for length in 0..whole.len() {
            // A cut message is an error or, between two fields, a shorter message.
            let _ = decode(&whole[..length], &context.context());
        }
    }

    #[test]
    fn values_may_nest_as_deep_as_the_limit() {
        let mut deep = message(&[(1, b"x")]);
        for _ in 0..64 {
            deep = message(&[(5, &message(&[(1, &deep)]))]);
        }
        let line = format!(r#"{}\"x\"{} "#, "[".repeat(64), "]".repeat(64));
        assert!(rows(&message(&[(5, &deep)]))[0].contains(&line));
    }
}
