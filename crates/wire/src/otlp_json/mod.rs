//! OTLP logs as JSON: the same messages as in protobuf, with names in camel case.
//!
//! Ids are hexadecimal digits, 64-bit integers are strings or numbers, bytes are base64, severities are numbers or
//! their names; `null` is the same as nothing. Names in snake case are read too, unknown ones passed over. What
//! becomes of it all, and what is refused, is in `otlp.rs`.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

use std::borrow::Cow;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::context::{DecodeContext, Decoded};
use crate::error::DecodeError;
use crate::json::{JsonKind, JsonReader};
use crate::loki_push::Metadata;
use crate::otlp::{Export, LogRecord, Resource, Scope};
use crate::otlp_value::{Attribute, Value, ValueBudget};

type Result<T> = std::result::Result<T, DecodeError>;

/// Decodes a body. Refused records are in [`Decoded::rejected`]; their neighbours are in the batch.
pub fn decode(body: &[u8], context: &DecodeContext<'_>) -> Result<Decoded> {
    let mut export = Export::new(context, body.len());
    let mut fields = Fields(JsonReader::new(body, context.limits.request.json_depth_max));
    fields.0.begin_object()?;
    while let Some(key) = fields.0.next_key()? {
        match &*key {
            b"resourceLogs" | b"resource_logs" => {
                fields.list("resourceLogs", |fields| fields.resource_logs(&mut export))?;
            }
            _ => fields.0.skip()?,
        }
    }
    fields.0.finish()?;
    export.finish()
}

/// A cursor that reads the fields of protobuf messages from JSON.
struct Fields<'a>(JsonReader<'a>);

impl<'a> Fields<'a> {
    fn resource_logs(&mut self, export: &mut Export<'_>) -> Result<()> {
        let mut resource = None;
        // Records that stand before their resource are come back to.
        let mut waiting = None;
        self.0.begin_object()?;
        while let Some(key) = self.0.next_key()? {
            match &*key {
                b"resource" => {
                    if resource.is_some() {
                        return Err(self.0.error("resource is given twice, or after scopeLogs were read"));
                    }
                    let attributes = self.resource().map_err(|e| e.within("resource"))?;
                    resource = Some(export.resource(attributes));
                }
                b"scopeLogs" | b"scope_logs" => match &resource {
                    Some(resource) => self.scope_logs_list(export, resource)?,
                    None if waiting.is_some() => return Err(self.0.error("scopeLogs are given twice")),
                    None => {
                        waiting = Some(self.0.clone());
                        self.0.skip()?;
                    }
                },
                _ => self.0.skip()?,
            }
        }
        if let Some(records) = waiting {
            let resource = resource.unwrap_or_else(|| export.resource(Vec::new()));
            let after = std::mem::replace(&mut self.0, records);
            self.scope_logs_list(export, &resource)?;
            self.0 = after;
        }
        Ok(())
    }

    fn resource(&mut self) -> Result<Vec<Attribute<'a>>> {
        let mut attributes = Vec::new();
        if self.is_null()? {
            return Ok(attributes);
        }
        let mut budget = ValueBudget::default();
        self.0.begin_object()?;
        while let Some(key) = self.0.next_key()? {
            match &*key {
                b"attributes" => self.attributes("attributes", &mut budget, &mut attributes)?,
                _ => self.0.skip()?,
            }
        }
        Ok(attributes)
    }

    fn scope_logs_list(&mut self, export: &mut Export<'_>, resource: &Resource<'_>) -> Result<()> {
        self.list("scopeLogs", |fields| fields.scope_logs(export, resource))
    }

    fn scope_logs(&mut self, export: &mut Export<'_>, resource: &Resource<'_>) -> Result<()> {
        let mut scope = None;
        let mut waiting = None;
        self.0.begin_object()?;
        while let Some(key) = self.0.next_key()? {
            match &*key {
                b"scope" => {
                    if scope.is_some() {
                        return Err(self.0.error("scope is given twice, or after logRecords were read"));
                    }
                    let read = self.scope().map_err(|e| e.within("scope"))?;
                    scope = Some(export.scope(read));
                }
                b"logRecords" | b"log_records" => match &scope {
                    Some(scope) => self.records(export, resource, scope)?,
                    None if waiting.is_some() => return Err(self.0.error("logRecords are given twice")),
                    None => {
                        waiting = Some(self.0.clone());
                        self.0.skip()?;
                    }
                },
                _ => self.0.skip()?,
            }
        }
        if let Some(records) = waiting {
            let after = std::mem::replace(&mut self.0, records);
            self.records(export, resource, &scope.unwrap_or_default())?;
            self.0 = after;
        }
        Ok(())
    }

    fn scope(&mut self) -> Result<Scope<'a>> {
        let mut scope = Scope::default();
        if self.is_null()? {
            return Ok(scope);
        }
        let mut budget = ValueBudget::default();
        self.0.begin_object()?;
        while let Some(key) = self.0.next_key()? {
            match &*key {
                b"name" => scope.name = self.bytes("name")?,
                b"version" => scope.version = self.bytes("version")?,
                b"attributes" => self.attributes("attributes", &mut budget, &mut scope.attributes)?,
                b"droppedAttributesCount" | b"dropped_attributes_count" => {
                    scope.dropped_attributes_count = self.integer("droppedAttributesCount")?;
                }
                _ => self.0.skip()?,
            }
        }
        Ok(scope)
    }

    fn records(
        &mut self,
        export: &mut Export<'_>,
        resource: &Resource<'_>,
        scope: &Metadata<'_>,
    ) -> Result<()> {
        let mut metadata = Vec::new();
        self.list("logRecords", |fields| {
            let record = fields.record()?;
            export.record(resource, scope, record, &mut metadata)
        })
    }

    fn record(&mut self) -> Result<LogRecord<'a>> {
        let mut record = LogRecord::default();
        let mut budget = ValueBudget::default();
        self.0.begin_object()?;
        while let Some(key) = self.0.next_key()? {
            match &*key {
                b"timeUnixNano" | b"time_unix_nano" => record.time_nanos = self.integer("timeUnixNano")?,
                b"observedTimeUnixNano" | b"observed_time_unix_nano" => {
                    record.observed_time_nanos = self.integer("observedTimeUnixNano")?;
                }
                b"severityNumber" | b"severity_number" => record.severity_number = self.severity()?,
                b"severityText" | b"severity_text" => record.severity_text = self.bytes("severityText")?,
                b"body" => record.body = self.value(&mut budget).map_err(|e| e.within("body"))?,
                b"attributes" => self.attributes("attributes", &mut budget, &mut record.attributes)?,
                b"droppedAttributesCount" | b"dropped_attributes_count" => {
                    record.dropped_attributes_count = self.integer("droppedAttributesCount")?;
                }
                b"flags" => record.flags = self.integer("flags")?,
                b"traceId" | b"trace_id" => record.trace_id = self.id("traceId")?,
                b"spanId" | b"span_id" => record.span_id = self.id("spanId")?,
                b"eventName" | b"event_name" => record.event_name = self.bytes("eventName")?,
                _ => self.0.skip()?,
            }
        }
        Ok(record)
    }

    /// Appends the attributes of a list.
    fn attributes(
        &mut self,
        name: &'static str,
        budget: &mut ValueBudget,
        out: &mut Vec<Attribute<'a>>,
    ) -> Result<()> {
        self.list(name, |fields| {
            out.push(fields.attribute(budget)?);
            Ok(())
        })
    }

    fn attribute(&mut self, budget: &mut ValueBudget) -> Result<Attribute<'a>> {
        let (mut name, mut value) = (Cow::Borrowed(""), None);
        self.0.begin_object()?;
        while let Some(key) = self.0.next_key()? {
            match &*key {
                b"key" if !self.is_null()? => name = self.0.text().map_err(|e| e.within("key"))?,
                b"key" => {}
                b"value" => value = Some(self.value(budget).map_err(|e| e.within("value"))?),
                _ => self.0.skip()?,
            }
        }
        match value {
            Some(value) => Ok((name, value)),
            None => {
                budget.take().map_err(|reason| self.0.error(reason))?;
                Ok((name, Value::Empty))
            }
        }
    }

    fn value(&mut self, budget: &mut ValueBudget) -> Result<Value<'a>> {
        let mut value = Value::Empty;
        budget.take().map_err(|reason| self.0.error(reason))?;
        if self.is_null()? {
            return Ok(value);
        }
        self.0.begin_object()?;
        while let Some(key) = self.0.next_key()? {
            let known: &'static str = match &*key {
                b"stringValue" | b"string_value" => "stringValue",
                b"boolValue" | b"bool_value" => "boolValue",
                b"intValue" | b"int_value" => "intValue",
                b"doubleValue" | b"double_value" => "doubleValue",
                b"bytesValue" | b"bytes_value" => "bytesValue",
                b"arrayValue" | b"array_value" => "arrayValue",
                b"kvlistValue" | b"kvlist_value" => "kvlistValue",
                _ => {
                    self.0.skip()?;
                    continue;
                }
            };
            if self.is_null()? {
                continue;
            }
            value = match known {
                "stringValue" => Value::Text(self.bytes(known)?),
                "boolValue" => Value::Boolean(self.0.boolean().map_err(|e| e.within(known))?),
                "intValue" => Value::Integer(self.integer(known)?),
                "doubleValue" => Value::Double(self.double(known)?),
                "bytesValue" => Value::Bytes(Cow::Owned(self.base64(known)?)),
                "arrayValue" => {
                    let mut members = Vec::new();
                    self.nested(known, |fields| {
                        members.push(fields.value(budget)?);
                        Ok(())
                    })?;
                    Value::Array(members)
                }
                _ => {
                    let mut members = Vec::new();
                    self.nested(known, |fields| {
                        members.push(fields.attribute(budget)?);
                        Ok(())
                    })?;
                    Value::Map(members)
                }
            };
        }
        Ok(value)
    }

    /// `{"values": […]}`
    fn nested(&mut self, name: &'static str, mut member: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.0.begin_object().map_err(|e| e.within(name))?;
        while let Some(key) = self.0.next_key()? {
            match &*key {
                b"values" => self.list("values", &mut member).map_err(|e| e.within(name))?,
                _ => self.0.skip()?,
            }
        }
        Ok(())
    }

    /// Reads a list with `element`, whose errors get its place.
    fn list(&mut self, name: &'static str, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        if self.is_null()? {
            return Ok(());
        }
        self.0.begin_array().map_err(|e| e.within(name))?;
        let mut index = 0;
        while self.0.next_element().map_err(|e| e.within(name))? {
            element(self).map_err(|e| e.within(format_args!("{name}[{index}]")))?;
            index += 1;
        }
        Ok(())
    }

    /// Whether `null` was there, which then is read.
    fn is_null(&mut self) -> Result<bool> {
        let is_null = self.0.peek()? == JsonKind::Null;
        if is_null {
            self.0.null()?;
        }
        Ok(is_null)
    }

    /// A text, empty for `null`.
    fn bytes(&mut self, name: &'static str) -> Result<Cow<'a, [u8]>> {
        if self.is_null()? {
            return Ok(Cow::Borrowed(b""));
        }
        self.0.string().map_err(|e| e.within(name))
    }

    /// What `parse` makes of a number or a text; the default for `null`.
    fn parsed<T: Default>(
        &mut self,
        name: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T> {
        let kind = self.0.peek()?;
        let before = self.0.offset();
        let text = match kind {
            JsonKind::Null => {
                self.0.null()?;
                return Ok(T::default());
            }
            JsonKind::Number => Cow::Borrowed(self.0.number()?),
            JsonKind::String => self.0.text()?,
            kind => {
                let reason = format!("expected {expected}, found {}", kind.described());
                return Err(self.0.error(reason).within(name));
            }
        };
        parse(&text).ok_or_else(|| self.0.error_at(before, format!("expected {expected}")).within(name))
    }

    fn integer<T: FromStr + Default>(&mut self, name: &'static str) -> Result<T> {
        let bits = 8 * size_of::<T>();
        self.parsed(name, &format!("an integer of {bits} bits"), |text| text.parse().ok())
    }

    fn double(&mut self, name: &'static str) -> Result<f64> {
        self.parsed(name, "a number", |text| match text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text => text.parse().ok(),
        })
    }

    /// A severity by its number or by its name.
    fn severity(&mut self) -> Result<i32> {
        self.parsed("severityNumber", "a severity number or its name", |text| match severity_named(text) {
            None => text.parse().ok(),
            number => number,
        })
    }

    fn base64(&mut self, name: &'static str) -> Result<Vec<u8>> {
        self.parsed(name, "base64", |text| {
            STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()
        })
    }

    /// An id of `N` bytes in hexadecimal digits; zeros when there are none.
    fn id<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N]> {
        let digits = 2 * N;
        let id = self.parsed(name, &format!("{digits} hexadecimal digits, or none"), |text| {
            if text.is_empty() {
                return Some(None);
            }
            if text.len() != digits {
                return None;
            }
            let mut id = [0; N];
            for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
                *byte = (digit(0)? << 4 | digit(1)?) as u8;
            }
            Some(Some(id))
        })?;
        Ok(id.unwrap_or([0; N]))
    }
}

/// `SEVERITY_NUMBER_INFO` is 9, `SEVERITY_NUMBER_INFO2` is 10.
fn severity_named(name: &str) -> Option<i32> {
    const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
    let name = name.strip_prefix("SEVERITY_NUMBER_")?;
    if name == "UNSPECIFIED" {
        return Some(0);
    }
    let (level, step) = match name.strip_suffix(['2', '3', '4']) {
        Some(level) => (level, name.bytes().last().map_or(0, |digit| i32::from(digit - b'1'))),
        None => (name, 0),
    };
    let position = LEVELS.iter().position(|known| *known == level)?;
    Some(4 * i32::try_from(position).ok()? + 1 + step)
}

#[cfg(test)]
mod tests;
