//! What a template computes with: the handful of Go's types that its functions know.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Scope;
use super::moment::Moment;
use crate::quantity::number;

/// A value. Copies share lists and maps.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing: a missing entry, JSON's null.
    Nil,
    Bool(bool),
    /// Go's `int`.
    Int(i64),
    /// Go's `int64`, which is another type.
    Int64(i64),
    /// One byte of a text.
    Byte(u8),
    Float(f64),
    Text(Rc<[u8]>),
    Time(Rc<Moment>),
    List(Rc<Vec<Value>>),
    Map(Rc<BTreeMap<String, Value>>),
    /// All labels of the row.
    Labels,
}

/// Types that parameters of functions have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Int,
    Float,
    Time,
    /// Anything.
    Any,
}

impl Type {
    /// Its name in Go.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Int => "int",
            Self::Float => "float64",
            Self::Time => "time.Time",
            Self::Any => "interface {}",
        }
    }
}

impl Value {
    pub(super) fn text(bytes: impl AsRef<[u8]>) -> Self {
        Self::Text(bytes.as_ref().into())
    }

    /// The name of its type in Go.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Byte(_) => "uint8",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Time(_) => "time.Time",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Labels => "map[string]string",
        }
    }

    /// Whether it may be given where `wanted` is asked for.
    pub(super) fn is(&self, wanted: Type) -> bool {
        match wanted {
            Type::Any => true,
            Type::Text => matches!(self, Self::Text(_)),
            Type::Int => matches!(self, Self::Int(_)),
            Type::Float => matches!(self, Self::Float(_)),
            Type::Time => matches!(self, Self::Time(_)),
        }
    }

    /// Whether a condition takes it for true: whatever is not zero or empty.
    pub(super) fn is_true(&self, scope: &dyn Scope) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Int64(value) => *value != 0,
            Self::Byte(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Time(_) => true,
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Labels => !label_map(scope).is_empty(),
        }
    }

    /// Appends it as Go's `%v` prints it.
    pub(super) fn print(&self, scope: &dyn Scope, output: &mut Vec<u8>) {
        match self {
            Self::Nil => output.extend_from_slice(b"<nil>"),
            Self::Bool(value) => output.extend_from_slice(value.to_string().as_bytes()),
            Self::Int(value) | Self::Int64(value) => output.extend_from_slice(value.to_string().as_bytes()),
            Self::Byte(value) => output.extend_from_slice(value.to_string().as_bytes()),
            Self::Float(value) => output.extend_from_slice(number::format(*value).as_bytes()),
            Self::Text(text) => output.extend_from_slice(text),
            Self::Time(time) => output.extend_from_slice(time.to_string().as_bytes()),
            Self::List(list) => {
                output.push(b'[');
                for (index, item) in list.iter().enumerate() {
                    if index > 0 {
                        output.push(b' ');
                    }
                    item.print(scope, output);
                }
                output.push(b']');
            }
            Self::Map(map) => {
                output.extend_from_slice(b"map[");
                for (index, (key, value)) in map.iter().enumerate() {
                    if index > 0 {
                        output.push(b' ');
                    }
                    output.extend_from_slice(key.as_bytes());
                    output.push(b':');
                    value.print(scope, output);
                }
                output.push(b']');
            }
            Self::Labels => {
                let map = label_map(scope);
                let pairs: Vec<String> = map.iter().map(|(name, value)| format!("{name}:{value}")).collect();
                output.extend_from_slice(format!("map[{}]", pairs.join(" ")).as_bytes());
            }
        }
    }

    /// What `%v` prints, as a text of its own.
    pub(super) fn printed(&self, scope: &dyn Scope) -> Vec<u8> {
        let mut output = Vec::new();
        self.print(scope, &mut output);
        output
    }
}

/// All labels, sorted by name.
pub(super) fn label_map(scope: &dyn Scope) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    scope.for_each_label(&mut |name, value| {
        map.insert(name.to_owned(), value.to_owned());
    });
    map
}
