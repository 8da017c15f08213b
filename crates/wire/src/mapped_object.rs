//! JSON objects of any shape as log records, one after the other, under one mapping.
//!
//! Objects of one sender have the same fields, mostly in the same order. What becomes of a field is therefore worked out once for
//! each name, and the next field is looked for first where it came after the last one before: most fields cost one
//! comparison of their key, nested ones too. Names beyond [`NAMES_KNOWN_MAX`] are worked out each time.

use std::borrow::Cow;
use std::collections::HashMap;

use timberyard_model::Timestamp;
use timberyard_model::prehashed::Prehashed;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::context::DecodeContext;
use crate::error::DecodeError;
use crate::field_mapping::{FieldMapping, FieldMeaning, time_of_value};
use crate::json::{JsonKind, JsonReader};
use crate::mapped_record::MappedRecord;
use crate::record_batch::RecordBatch;

/// How many names of fields are remembered.
const NAMES_KNOWN_MAX: usize = 1024;

/// What is known of a record besides its object. Of equal names, what the object says counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Around<'a> {
    pub(crate) labels: &'a [(&'a str, &'a str)],
    pub(crate) metadata: &'a [(&'a str, &'a [u8])],
    /// The time of a record whose object says none; when it was received, otherwise.
    pub(crate) time: Option<Timestamp>,
}

/// Reads objects and adds the records that they make.
pub(crate) struct ObjectReader<'m, 'a> {
    mapping: &'m FieldMapping,
    names: Vec<Name>,
    /// Names by the hash of what they are called and of where they stand.
    by_hash: HashMap<u64, usize, Prehashed>,
    /// Where the next field is looked for first.
    expected: usize,
    /// Of the object that was read last.
    fields: Vec<MappedField<'a>>,
}

/// A field's name, or that of an object around others.
struct Name {
    /// The object that it stands in.
    parent: Option<usize>,
    key: Box<[u8]>,
    full: Box<str>,
    meaning: FieldMeaning,
}

struct MappedField<'a> {
    name: FieldName<'a>,
    value: Cow<'a, [u8]>,
    kind: JsonKind,
}

/// A whole name: its number, or itself where it has none.
#[derive(Clone)]
enum FieldName<'a> {
    Known(usize),
    Other(Cow<'a, str>),
}

impl<'m, 'a> ObjectReader<'m, 'a> {
    pub(crate) fn new(mapping: &'m FieldMapping) -> Self {
        Self { mapping, names: Vec::new(), by_hash: HashMap::default(), expected: 0, fields: Vec::new() }
    }

    /// Reads the object that the reader stands before; its fields are kept until the next one.
    pub(crate) fn read(&mut self, json: &mut JsonReader<'a>) -> Result<(), DecodeError> {
        self.fields.clear();
        self.expected = 0;
        self.read_object(json, None)
    }

    fn read_object(
        &mut self,
        json: &mut JsonReader<'a>,
        parent: Option<&FieldName<'a>>,
    ) -> Result<(), DecodeError> {
        json.begin_object()?;
        while let Some(key) = json.next_key()? {
            let name = self.name_of(key, parent);
            let kind = json.peek()?;
            let value = match kind {
                JsonKind::Object => {
                    self.read_object(json, Some(&name))?;
                    continue;
                }
                JsonKind::Null => {
                    json.null()?;
                    continue;
                }
                JsonKind::String => json.string()?,
                JsonKind::Array | JsonKind::Number | JsonKind::Boolean => Cow::Borrowed(json.raw()?),
            };
            self.fields.push(MappedField { name, value, kind });
        }
        Ok(())
    }

    fn name_of(&mut self, key: Cow<'a, [u8]>, parent: Option<&FieldName<'a>>) -> FieldName<'a> {
        let parent_number = match parent {
            None => None,
            Some(FieldName::Known(number)) => Some(*number),
            Some(FieldName::Other(parent)) => return FieldName::Other(joined(parent, &key)),
        };
        if let Some(number) = self.number_of(&key, parent_number) {
            self.expected = number + 1;
            return FieldName::Known(number);
        }
        let full = match (parent_number.and_then(|number| self.names.get(number)), key) {
            (Some(parent), key) => joined(&parent.full, &key),
            (None, Cow::Borrowed(key)) => String::from_utf8_lossy(key),
            (None, Cow::Owned(key)) => Cow::Owned(String::from_utf8_lossy(&key).into_owned()),
        };
        FieldName::Other(full)
    }

    /// The number of a name, a new one while there is room.
    fn number_of(&mut self, key: &[u8], parent: Option<usize>) -> Option<usize> {
        let is = |name: &Name| name.parent == parent && *name.key == *key;
        if self.names.get(self.expected).is_some_and(is) {
            return Some(self.expected);
        }
        let hash = xxh3_64_with_seed(key, parent.map_or(0, |number| number as u64 + 1));
        if let Some(number) = self.by_hash.get(&hash).copied()
            && self.names.get(number).is_some_and(is)
        {
            return Some(number);
        }
        if self.names.len() == NAMES_KNOWN_MAX {
            return None;
        }
        let full = match parent.and_then(|number| self.names.get(number)) {
            Some(parent) => joined(&parent.full, key),
            None => String::from_utf8_lossy(key),
        };
        let meaning = self.mapping.meaning(&full);
        self.names.push(Name { parent, key: key.into(), full: full.into(), meaning });
        self.by_hash.insert(hash, self.names.len() - 1);
        Some(self.names.len() - 1)
    }

    /// Adds the record that the object makes which was read last; `text` is the whole object. On refusal says why.
    pub(crate) fn push(
        &self,
        text: &[u8],
        around: Around<'_>,
        context: &DecodeContext<'_>,
        batch: &mut RecordBatch,
    ) -> Result<(), String> {
        let (mut line, mut time): (Option<Found<'_>>, Option<Found<'_>>) = (None, None);
        for (index, field) in self.fields.iter().enumerate() {
            let meaning = self.meaning(field);
            let better = |found: Option<Found<'_>>, rank| found.is_none_or(|found| rank < found.rank);
            if let Some(rank) = meaning.line.filter(|rank| better(line, *rank)) {
                line = Some(Found { rank, index, field });
            }
            if let Some(rank) = meaning.time.filter(|rank| better(time, *rank)) {
                time = Some(Found { rank, index, field });
            }
        }
        let timestamp = match time {
            Some(Found { field, .. }) => time_of_value(self.full_name(field), &field.value, field.kind)?,
            None => around.time.unwrap_or(context.received_at),
        };
        let mut labels: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(8);
        labels
            .extend(around.labels.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value))));
        let mut metadata: Vec<(Cow<'_, str>, &[u8])> = Vec::with_capacity(self.fields.len());
        for (index, field) in self.fields.iter().enumerate() {
            if [line, time].iter().flatten().any(|found| found.index == index) {
                continue;
            }
            let (is_label, name) = match self.meaning(field) {
                Cow::Borrowed(FieldMeaning { label, name, .. }) => {
                    (*label, name.as_deref().map(Cow::Borrowed).map_err(ToString::to_string)?)
                }
                Cow::Owned(FieldMeaning { label, name, .. }) => {
                    (label, name.map(Cow::Owned).map_err(|error| error.to_string())?)
                }
            };
            if is_label {
                if field.kind == JsonKind::Array {
                    return Err(format!("label `{}` is an array, not text", self.full_name(field)));
                }
                labels.push((name, String::from_utf8_lossy(&field.value)));
            } else {
                metadata.push((name, &field.value));
            }
        }
        for (name, value) in around.metadata {
            if !metadata.iter().any(|known| known.0 == *name) {
                metadata.push((Cow::Borrowed(name), value));
            }
        }
        let line = match line {
            Some(Found { field, .. }) => &*field.value,
            None => text.trim_ascii(),
        };
        MappedRecord { labels, metadata, timestamp, line, service: None }.push(context, batch)
    }

    fn meaning(&self, field: &MappedField<'_>) -> Cow<'_, FieldMeaning> {
        match &field.name {
            FieldName::Known(number) => match self.names.get(*number) {
                Some(name) => Cow::Borrowed(&name.meaning),
                None => Cow::Owned(self.mapping.meaning("")),
            },
            FieldName::Other(full) => Cow::Owned(self.mapping.meaning(full)),
        }
    }

    fn full_name<'f>(&'f self, field: &'f MappedField<'_>) -> &'f str {
        match &field.name {
            FieldName::Known(number) => self.names.get(*number).map_or("", |name| &name.full),
            FieldName::Other(full) => full,
        }
    }
}

/// The best field for the line or the time so far.
#[derive(Clone, Copy)]
struct Found<'f> {
    rank: usize,
    index: usize,
    field: &'f MappedField<'f>,
}

/// The name of a field within an object.
fn joined<'a>(parent: &str, key: &[u8]) -> Cow<'a, str> {
    Cow::Owned(format!("{parent}.{}", String::from_utf8_lossy(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_context::{TestContext, rows_of};

    /// The rows of these objects, read one after the other.
    fn rows(objects: &[String]) -> Vec<String> {
        let test = TestContext::new();
        let context = test.context();
        let mapping = FieldMapping::default();
        let mut batch = RecordBatch::new(context.tenant, &context);
        let mut reader = ObjectReader::new(&mapping);
        for text in objects {
            reader.read(&mut JsonReader::new(text.as_bytes(), 8)).expect("an object");
            let around = Around { time: Some(Timestamp::from_nanos(7)), ..Around::default() };
            reader.push(text.as_bytes(), around, &context, &mut batch).expect("a record");
        }
        rows_of(&batch.finish())
    }

    #[test]
    fn objects_of_changing_shapes_are_read_as_if_each_were_the_first() {
        let objects = [
            r#"{"msg":"1","a":{"b":1,"c":{"d":2}},"e":3}"#,
            r#"{"msg":"2","a":{"b":1,"c":{"d":2}},"e":3}"#,
            r#"{"e":3,"a":{"c":{"d":2},"b":1},"a.b":4,"msg":"3"}"#,
            r#"{"d":1,"b":2,"msg":"4","message":"first of the list"}"#,
            r#"{"\u006dsg":"5","a":{"\u0062":1},"e":null}"#,
            r#"{"msg":"6","msg":"twice","a":"now a text","service":{"name":"shop"}}"#,
        ];
        let objects = objects.map(|text| text.replace("\\\\", "\\"));
        let one_by_one: Vec<String> =
            objects.iter().flat_map(|text| rows(std::slice::from_ref(text))).collect();
        let together = rows(&objects);
        assert_eq!(together, one_by_one);
        assert_eq!(
            together[3],
            r#"7 {service_name="unknown_service"} first of the list d=1 b=2 msg=4 detected_level=unknown"#
        );
        assert_eq!(together[4], r#"7 {service_name="unknown_service"} 5 a_b=1 detected_level=unknown"#);
        assert!(
            together[5].ends_with(r#"{service_name="shop"} 6 msg=twice a=now a text detected_level=unknown"#)
        );
    }

    #[test]
    fn names_beyond_those_that_are_remembered_mean_the_same() {
        let mut objects: Vec<String> =
            (0..NAMES_KNOWN_MAX).map(|number| format!(r#"{{"msg":"x","n{number}":1}}"#)).collect();
        objects.push(r#"{"late":{"n":{"m":1}},"app":"shop","late.n":2,"ts":1,"msg":"y"}"#.to_owned());
        let last = rows(&objects).pop().expect("a row");
        assert_eq!(
            last,
            r#"1000000000 {app="shop", service_name="shop"} y late_n_m=1 late_n=2 detected_level=unknown"#
        );
    }
}
