//! Sizes and spans of time in settings: a number, or text with a unit, such as `64MiB` or `10m`.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use timberyard_model::quantity::{parse_bytes, parse_seconds};

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// A span of time in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u64);

impl ByteSize {
    /// As a number of bytes in memory; the most that there can be where it is more.
    pub fn in_memory(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Seconds {
    /// The same as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

/// What is written as a number, or as text with a unit.
trait Quantity: From<u64> {
    fn parse(text: &str) -> Result<u64, String>;
}

impl From<u64> for ByteSize {
    fn from(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl From<u64> for Seconds {
    fn from(seconds: u64) -> Self {
        Self(seconds)
    }
}

impl Quantity for ByteSize {
    fn parse(text: &str) -> Result<u64, String> {
        parse_bytes(text)
    }
}

impl Quantity for Seconds {
    fn parse(text: &str) -> Result<u64, String> {
        parse_seconds(text)
    }
}

struct Reader<T>(PhantomData<T>);

impl<T: Quantity> Visitor<'_> for Reader<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number, or text with a unit")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::parse(text).map(T::from).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_numbers_or_text_with_a_unit() {
        let read: (ByteSize, ByteSize, Seconds) =
            serde_json::from_str(r#"[7, "64MiB", "10m"]"#).expect("quantities");
        assert_eq!(read, (ByteSize(7), ByteSize(64 << 20), Seconds(600)));
        let refused = serde_json::from_str::<ByteSize>(r#""much""#).expect_err("no size").to_string();
        assert!(refused.contains("must be a size such as"), "{refused}");
    }
}
