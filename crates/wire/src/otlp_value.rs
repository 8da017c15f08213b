//! Values of OpenTelemetry, which may nest, and the texts that Loki makes of them.
//!
//! How deep they nest is the decoders' business; how many there are is bounded here, so that a small body
//! cannot become a large tree.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::json_text::{write_integer, write_string};

/// The most values in one resource, one scope or one record, nested ones included.
pub(crate) const VALUES_MAX: usize = 1 << 18;

/// A value as it was sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Value<'a> {
    /// Nothing was sent.
    #[default]
    Empty,
    /// A text; nothing makes sure that it is UTF-8.
    Text(Cow<'a, [u8]>),
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Bytes(Cow<'a, [u8]>),
    Array(Vec<Value<'a>>),
    Map(Vec<Attribute<'a>>),
}

/// A key and its value.
pub(crate) type Attribute<'a> = (Cow<'a, str>, Value<'a>);

/// Counts the values of one resource, scope or record.
#[derive(Debug)]
pub(crate) struct ValueBudget(usize);

impl Default for ValueBudget {
    fn default() -> Self {
        Self(VALUES_MAX)
    }
}

impl ValueBudget {
    /// One more value, or what is to be told to the sender.
    pub(crate) fn take(&mut self) -> Result<(), String> {
        self.0 = self
            .0
            .checked_sub(1)
            .ok_or_else(|| format!("more than {VALUES_MAX} values, nested ones counted"))?;
        Ok(())
    }
}

impl<'a> Value<'a> {
    /// The value as a line or as one label value: arrays and maps as JSON, bytes as base64.
    pub(crate) fn into_text(self) -> Cow<'a, [u8]> {
        match self {
            Self::Empty => Cow::Borrowed(b""),
            Self::Text(text) => text,
            Self::Boolean(true) => Cow::Borrowed(b"true"),
            Self::Boolean(false) => Cow::Borrowed(b"false"),
            Self::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
            Self::Double(number) => Cow::Owned(double_text(number).into_bytes()),
            Self::Bytes(bytes) => Cow::Owned(STANDARD.encode(bytes).into_bytes()),
            nested @ (Self::Array(_) | Self::Map(_)) => {
                let mut out = Vec::new();
                nested.write_json(&mut out);
                Cow::Owned(out)
            }
        }
    }

    /// Appends the value as JSON without spaces, maps sorted by key; of equal keys the last one counts.
    fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Empty => out.extend_from_slice(b"null"),
            Self::Text(text) => write_string(out, text),
            Self::Boolean(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Self::Integer(number) => write_integer(out, *number),
            Self::Double(number) if number.is_finite() => {
                out.extend_from_slice(double_text(*number).as_bytes());
            }
            // JSON has no such numbers. Loki would lose the whole line.
            Self::Double(number) => write_string(out, double_text(*number).as_bytes()),
            Self::Bytes(bytes) => write_string(out, STANDARD.encode(bytes).as_bytes()),
            Self::Array(values) => {
                out.push(b'[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    value.write_json(out);
                }
                out.push(b']');
            }
            Self::Map(attributes) => {
                let sorted: BTreeMap<&str, &Value<'_>> =
                    attributes.iter().map(|(key, value)| (&**key, value)).collect();
                out.push(b'{');
                for (index, (key, value)) in sorted.into_iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_string(out, key.as_bytes());
                    out.push(b':');
                    value.write_json(out);
                }
                out.push(b'}');
            }
        }
    }
}

/// A number in JavaScript's way: with an exponent below a millionth and from 1e21 on.
fn double_text(number: f64) -> String {
    let size = number.abs();
    if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{number:e}");
        if text.contains("e-") { text } else { text.replace('e', "e+") }
    } else {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: Value<'_>) -> String {
        String::from_utf8(value.into_text().into_owned()).expect("UTF-8")
    }

    #[test]
    fn values_of_every_kind_become_text() {
        let map = Value::Map(vec![
            ("z".into(), Value::Array(vec![Value::Integer(-1), Value::Empty, Value::Boolean(true)])),
            ("a".into(), Value::Double(f64::NAN)),
            ("b".into(), Value::Text(b"first".into())),
            ("b".into(), Value::Text(b"<\"&".into())),
            ("c".into(), Value::Bytes(b"\xff\xfe\xfd\xfc".into())),
        ]);
        let cases = [
            (Value::Empty, ""),
            (Value::Boolean(false), "false"),
            (Value::Integer(i64::MIN), "-9223372036854775808"),
            (Value::Double(200.0), "200"),
            (Value::Double(-0.25), "-0.25"),
            (Value::Double(1e21), "1e+21"),
            (Value::Double(1.5e-7), "1.5e-7"),
            (Value::Double(f64::NEG_INFINITY), "-Infinity"),
            (Value::Bytes(b"\x00\x01".into()), "AAE="),
            (Value::Array(Vec::new()), "[]"),
            (map, r#"{"a":"NaN","b":"<\"&","c":"//79/A==","z":[-1,null,true]}"#),
        ];
        for (value, expected) in cases {
            assert_eq!(text(value), expected);
        }
    }
}
