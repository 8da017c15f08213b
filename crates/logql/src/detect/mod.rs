//! Which fields the lines of an answer have: names, types, and values of structured metadata, of labels
//! that the query parsed, and of what `json`, or else `logfmt`, finds in the line.
//!
//! Works on the lines that a log query returned, so its bounds are the query's. The rules are those of
//! Loki's `detected_fields`, except that cardinalities are counted, not estimated.

mod field_type;
mod json_path;
mod line_fields;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};

pub use self::field_type::FieldType;
use self::line_fields::{FieldParser, LineFields};
use crate::quantity::bytes;
use crate::result::Streams;

/// Endings of a value that is a size; a bare number is none.
const SIZE_ENDINGS: [char; 8] = ['b', 'i', 'k', 'm', 'g', 't', 'p', 'e'];

/// A field that some lines have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedField {
    /// Its name, as a label.
    pub name: String,
    /// What the last value looked at is, as in Loki; streams come in the order of their labels.
    pub field_type: FieldType,
    /// How many values it has.
    pub cardinality: u64,
    /// `json` and `logfmt`, as far as they found it; none for structured metadata.
    pub parsers: Vec<&'static str>,
    /// The members that lead to it in a line of JSON, outermost first; empty when it is not there.
    pub json_path: Vec<String>,
}

struct Found {
    field_type: FieldType,
    values: HashSet<u64>,
    parsers: Vec<&'static str>,
    json_path: Vec<String>,
}

/// The fields of the lines, at most `fields_max`, sorted by name. Which are left out when there are more is
/// decided by who comes first.
pub fn fields(streams: &Streams, fields_max: usize) -> Vec<DetectedField> {
    // Seeded anew for each answer: nobody can prepare values that count as one.
    let hashes = RandomState::new();
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    each_line(streams, |line| {
        let metadata = line.metadata().map(|(name, value)| (name, value, None));
        let parsed = line.parsed().map(|(name, value)| (name, value, Some(line.parser())));
        let mut lacks_path = false;
        for (name, value, parser) in metadata.chain(parsed) {
            if !found.contains_key(name) {
                if found.len() >= fields_max {
                    continue;
                }
                found.insert(name.to_owned(), Found::default());
            }
            let Some(field) = found.get_mut(name) else { continue };
            field.field_type = FieldType::of(value);
            field.values.insert(hashes.hash_one(value));
            if let Some(parser) = parser {
                if !field.parsers.contains(&parser.name()) {
                    field.parsers.push(parser.name());
                }
                lacks_path |= parser == FieldParser::Json && field.json_path.is_empty();
            }
        }
        if lacks_path {
            for (name, path) in json_path::paths(line.text()) {
                if let Some(field) = found.get_mut(&name)
                    && field.json_path.is_empty()
                    && !field.parsers.is_empty()
                {
                    field.json_path = path;
                }
            }
        }
        true
    });
    found.into_iter().map(|(name, found)| found.into_field(name)).collect()
}

/// The values of one field, at most about `values_max` (those of the line that reaches it all count).
///
/// Sizes come as LogQL writes them (`20kB`), so that they can be put into a query.
pub fn values(streams: &Streams, name: &str, values_max: usize) -> BTreeSet<String> {
    let mut values = BTreeSet::new();
    each_line(streams, |line| {
        if values.len() >= values_max {
            return false;
        }
        let of_name = |(own, value)| (own == name).then_some(value);
        values.extend(line.metadata().filter_map(of_name).map(str::to_owned));
        values.extend(line.parsed().filter_map(of_name).map(as_size_or_text));
        true
    });
    values
}

/// Calls `visit` with every line until it answers false.
fn each_line(streams: &Streams, mut visit: impl FnMut(&LineFields<'_>) -> bool) {
    for stream in &streams.streams {
        let mut reader = line_fields::Reader::new(&stream.stream);
        if !stream.entries.iter().all(|entry| visit(&reader.read(entry))) {
            return;
        }
    }
}

fn as_size_or_text(value: &str) -> String {
    let has_unit = value.to_lowercase().ends_with(SIZE_ENDINGS);
    match bytes::parse(value) {
        Ok(size) if has_unit => bytes::humanize(size),
        _ => value.to_owned(),
    }
}

impl Default for Found {
    fn default() -> Self {
        Self {
            field_type: FieldType::String,
            values: HashSet::new(),
            parsers: Vec::new(),
            json_path: Vec::new(),
        }
    }
}

impl Found {
    fn into_field(self, name: String) -> DetectedField {
        DetectedField {
            name,
            field_type: self.field_type,
            cardinality: self.values.len() as u64,
            parsers: self.parsers,
            json_path: self.json_path,
        }
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::scan::Direction;
    use timberyard_model::{Labels, Timestamp};

    use super::*;
    use crate::result::Entry;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    /// Lines of one stream, with the metadata and parsed labels that each has.
    fn lines(lines: &[(&str, Pairs<'_>, Pairs<'_>)]) -> Streams {
        let stream = Labels::from_pairs([("app", "api")]);
        let entries = lines.iter().enumerate().map(|(index, (line, metadata, parsed))| {
            let entry = Entry {
                timestamp: Timestamp::from_nanos(index as i64),
                line: line.as_bytes().into(),
                metadata: Labels::from_pairs(metadata.iter().copied()),
                parsed: Labels::from_pairs(parsed.iter().copied()),
            };
            (stream.clone(), entry)
        });
        Streams::group(Direction::Forward, entries)
    }

    fn shown(fields: &[DetectedField]) -> Vec<String> {
        let show = |field: &DetectedField| {
            let path = field.json_path.join(">");
            let (name, kind) = (&field.name, field.field_type.name());
            format!("{name} {kind} {} {} {path}", field.cardinality, field.parsers.join("+"))
        };
        fields.iter().map(show).collect()
    }

    #[test]
    fn fields_come_from_metadata_and_from_what_a_parser_finds() {
        for (line, expected) in [
            (
                r#"{"code":200,"user":{"first name":"ann"}}"#,
                vec![
                    "code int 1 json code",
                    "trace string 1  ",
                    "user_first_name string 1 json user>first name",
                ],
            ),
            (
                "took=3.5ms size=2KB \"broken",
                vec!["size bytes 1 logfmt ", "took duration 1 logfmt ", "trace string 1  "],
            ),
            ("just words", vec!["trace string 1  "]),
            (r#"{"app":"other"}"#, vec!["app_extracted string 1 json app", "trace string 1  "]),
            (r#"{"unfinished": "#, vec!["trace string 1  "]),
        ] {
            let found = fields(&lines(&[(line, &[("trace", "t1")], &[])]), 10);
            assert_eq!(shown(&found), expected, "{line}");
        }
    }

    #[test]
    fn values_are_counted_once_and_the_last_one_tells_the_type() {
        let streams =
            lines(&[("n=1", &[], &[]), ("n=1", &[], &[]), ("n=x", &[], &[]), (r#"{"n":2.5}"#, &[], &[])]);
        assert_eq!(shown(&fields(&streams, 10)), ["n float 3 logfmt+json n"]);
    }

    #[test]
    fn labels_that_the_query_parsed_count_too_but_not_its_errors() {
        let parsed: Pairs<'_> = &[("word", "a"), ("__error__", "JSONParserErr")];
        assert_eq!(shown(&fields(&lines(&[("a b", &[], parsed)]), 10)), ["word string 1 logfmt "]);
    }

    #[test]
    fn no_more_fields_and_values_than_asked_for() {
        let streams = lines(&[("a=1 b=2 c=3", &[], &[]), ("a=4", &[], &[]), ("a=5", &[], &[])]);
        assert_eq!(shown(&fields(&streams, 2)), ["a int 3 logfmt ", "b int 1 logfmt "]);
        assert_eq!(values(&streams, "a", 2).into_iter().collect::<Vec<_>>(), ["1", "4"]);
    }

    #[test]
    fn sizes_among_values_are_written_for_queries() {
        let streams =
            lines(&[("s=20KB", &[("s", "20KB")], &[]), ("s=1536", &[], &[]), ("s=5 other=x", &[], &[])]);
        let found: Vec<String> = values(&streams, "s", 10).into_iter().collect();
        assert_eq!(found, ["1536", "20KB", "20kB", "5"]);
    }
}
