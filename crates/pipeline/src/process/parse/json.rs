//! Fields of a JSON object. What lies in objects is named with `_` between; lists and nulls are no fields, as in LogQL.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::draft::Fields;

/// False where the text is no JSON object, or ends early.
pub(super) fn read(text: &[u8], fields: &mut Fields) -> bool {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let mut path = Vec::new();
    let read = Value { path: &mut path, fields }.deserialize(&mut deserializer);
    read.is_ok() && deserializer.end().is_ok()
}

/// The value whose name is `path`.
struct Value<'f> {
    path: &'f mut Vec<u8>,
    fields: &'f mut Fields,
}

impl Value<'_> {
    fn field<E: de::Error>(self, value: &[u8]) -> Result<(), E> {
        if self.path.is_empty() {
            return Err(E::custom("no object"));
        }
        self.fields.push(self.path, value);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let outer = self.path.len();
        while members.next_key_seed(Key { path: self.path, outer })?.is_some() {
            members.next_value_seed(Value { path: self.path, fields: self.fields })?;
            self.path.truncate(outer);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if self.path.is_empty() {
            return Err(de::Error::custom("no object"));
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.field(value.as_bytes())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.field(if value { b"true" } else { b"false" })
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.field(value.to_string().as_bytes())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.field(value.to_string().as_bytes())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.field(value.to_string().as_bytes())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        if self.path.is_empty() { Err(E::custom("no object")) } else { Ok(()) }
    }
}

/// A member's name, which goes behind what is there already.
struct Key<'f> {
    path: &'f mut Vec<u8>,
    outer: usize,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<(), E> {
        if self.outer > 0 {
            self.path.push(b'_');
        }
        self.path.extend_from_slice(name.as_bytes());
        // A value without a name would look like the whole text.
        if self.path.is_empty() {
            self.path.push(b'_');
        }
        Ok(())
    }
}
