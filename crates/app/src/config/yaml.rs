//! Reads the configuration file into keys with their lines.
//!
//! The file is YAML; LogPulse's server file is one, since its keys are ours. Keys that do not exist,
//! and keys of parts that this build does not have, are errors with their line.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::error::ConfigError;
use super::keys::{Key, Place};
use super::lookup::{Found, Lookup, lookup};
use super::origin::Origin;
use super::written::Written;

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// One setting of the file.
pub(crate) struct Assignment {
    /// The key.
    pub(crate) found: Found,
    /// Its value.
    pub(crate) written: Written,
    /// Its line.
    pub(crate) origin: Origin,
}

/// Reads a file from disk: its settings, and what is wrong with the rest.
pub(crate) fn read(path: &Path) -> Result<(Vec<Assignment>, Vec<ConfigError>), ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if metadata.len() > FILE_BYTES_MAX {
        return Err(unreadable(format!("it is {} bytes, limit is {FILE_BYTES_MAX}", metadata.len())));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    parse(path, &text)
}

/// Reads the text of a file; `path` is what errors call it.
fn parse(path: &Path, text: &str) -> Result<(Vec<Assignment>, Vec<ConfigError>), ConfigError> {
    let root: Option<Node> = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        // The excerpt of the source that follows the first line may show a secret.
        let reason = error.without_snippet().to_string().lines().next().unwrap_or_default().to_owned();
        ConfigError::Malformed { path: path.to_owned(), line, reason }
    })?;
    let mut reading = Reading { path, segments: Vec::new(), assignments: Vec::new(), errors: Vec::new() };
    match root {
        None | Some(Node::Null) => {}
        Some(Node::Map(entries)) => reading.section(entries),
        Some(_) => reading.errors.push(ConfigError::Malformed {
            path: path.to_owned(),
            line: 1,
            reason: "the file must be a mapping of keys to values".to_owned(),
        }),
    }
    Ok((reading.assignments, reading.errors))
}

struct Reading<'a> {
    path: &'a Path,
    segments: Vec<String>,
    assignments: Vec<Assignment>,
    errors: Vec<ConfigError>,
}

impl Reading<'_> {
    fn section(&mut self, entries: Vec<(Spanned<String>, Spanned<Node>)>) {
        for (name, node) in entries {
            let line = name.referenced.line();
            self.segments.push(name.value);
            self.entry(line, node.value);
            self.segments.pop();
        }
    }

    fn entry(&mut self, line: u64, node: Node) {
        let origin = Origin::File { path: self.path.to_owned(), line };
        let name = self.segments.join(".");
        match (lookup(&self.segments), node) {
            (Lookup::Leaf(found), node) => match node.into_value(found.key()) {
                Ok(written) => self.assignments.push(Assignment { found, written, origin }),
                Err(reason) => self.errors.push(ConfigError::BadValue { origin, key: name, reason }),
            },
            (Lookup::Section, Node::Map(entries)) => self.section(entries),
            (Lookup::Section | Lookup::Absent(_), Node::Null) => {}
            (Lookup::Section, _) => {
                let reason = "is a section: it must hold keys".to_owned();
                self.errors.push(ConfigError::BadValue { origin, key: name, reason });
            }
            (Lookup::Absent(part), _) => self.errors.push(ConfigError::Missing { origin, name, part }),
            (Lookup::Unknown(nearest), _) => {
                self.errors.push(ConfigError::Unknown { origin, kind: "key", name, nearest });
            }
        }
    }
}

/// A YAML value with the lines of what is in it.
enum Node {
    Null,
    Scalar(Written),
    List(Vec<Node>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl Node {
    /// The value of a key: a section only where its settings are not keys of their own.
    fn into_value(self, key: &Key) -> Result<Written, String> {
        match key.place {
            Place::Sinks(_) | Place::Inputs(_) => self.into_item(),
            _ => self.into_written(),
        }
    }

    fn into_written(self) -> Result<Written, String> {
        match self {
            Self::Null => Ok(Written::Text(String::new())),
            Self::Scalar(written) => Ok(written),
            Self::List(items) => {
                items.into_iter().map(Self::into_item).collect::<Result<_, _>>().map(Written::List)
            }
            Self::Map(_) => Err("must be a value, not a section".to_owned()),
        }
    }
}

impl Node {
    /// The same in a list, whose items may have fields, and those too.
    fn into_item(self) -> Result<Written, String> {
        let Self::Map(entries) = self else { return self.into_written() };
        let field =
            |(name, node): (Spanned<String>, Spanned<Self>)| Ok((name.value, node.value.into_item()?));
        entries.into_iter().map(field).collect::<Result<_, String>>().map(Written::Fields)
    }
}

/// Reads one value that stands alone, as in an environment variable.
pub(super) fn parse_value(text: &str) -> Result<Written, String> {
    let node: Node = serde_saphyr::from_str(text).map_err(|error| {
        let reason = error.without_snippet().to_string();
        format!("is not YAML: {}", reason.lines().next().unwrap_or_default())
    })?;
    node.into_item()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a section")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(Written::Bare(value.to_string())))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(Written::Bare(value.to_string())))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(Written::Bare(value.to_string())))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(Written::Bare(value.to_string())))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(Written::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> String {
        let (assignments, errors) = match parse(Path::new("t.yaml"), text) {
            Ok(read) => read,
            Err(error) => return format!("{error}\n"),
        };
        let set = assignments.iter().map(|a| format!("{} {} {:?}\n", a.origin, a.found.path(), a.written));
        set.chain(errors.iter().map(|error| format!("{error}\n"))).collect()
    }

    #[test]
    fn values_have_their_lines() {
        assert_eq!(
            check(
                "# yard\nlisten: 127.0.0.1:1\nauth:\n  enabled: true\n  api_keys:\n    - a\n    - '7'\nserver:\n"
            ),
            "t.yaml:2 listen Text(\"127.0.0.1:1\")\n\
             t.yaml:4 auth.enabled Bare(\"true\")\n\
             t.yaml:5 auth.api_keys List([Text(\"a\"), Text(\"7\")])\n"
        );
        assert_eq!(check(""), "");
        assert_eq!(
            check("storage:\n  tenants:\n    a.b:\n      retention_days: 3\n"),
            "t.yaml:4 storage.tenants.a.b.retention_days Bare(\"3\")\n"
        );
    }

    #[test]
    fn every_error_is_named_with_its_line() {
        assert_eq!(
            check("listn: x\nkafka:\n  brokers: b\nauth: yes\nlog:\n  level: {a: b}\n"),
            "t.yaml:1: unknown key `listn`; did you mean `listen`?\n\
             t.yaml:2: `kafka` asks for Kafka, which this build does not have; remove it or leave it empty\n\
             t.yaml:4: `auth` is a section: it must hold keys\n\
             t.yaml:6: `log.level` must be a value, not a section\n"
        );
        assert!(check("a: [\n").starts_with("t.yaml:"), "{}", check("a: [\n"));
        assert!(check("- a\n").contains("must be a mapping"));
        assert!(check("listen: a\nlisten: b\n").contains("duplicate"), "{}", check("listen: a\nlisten: b\n"));
    }
}
