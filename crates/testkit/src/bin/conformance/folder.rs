//! The files of a conformance folder.

use std::path::Path;

use serde_json::{Map, Value};

/// Everything in a folder.
pub(crate) struct Folder {
    /// The time from which offsets count, in nanoseconds.
    pub(crate) base_ns: i64,
    /// Entries in the order in which they are pushed.
    pub(crate) entries: Vec<Entry>,
    pub(crate) cases: Vec<Case>,
    pub(crate) sequences: Vec<Sequence>,
}

/// A log line of the data set.
pub(crate) struct Entry {
    pub(crate) labels: Value,
    pub(crate) time_ns: String,
    pub(crate) line: String,
    pub(crate) metadata: Option<Value>,
}

/// A request with the answer that Loki gave.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) group: String,
    /// Which kind of answer it is, and so how it is compared.
    pub(crate) mode: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) parameters: Vec<(String, String)>,
    /// Whether parameters stand in the body.
    pub(crate) is_form: bool,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) options: Value,
    pub(crate) expected: Value,
}

/// Steps that belong together.
pub(crate) struct Sequence {
    pub(crate) group: String,
    pub(crate) steps: Vec<Value>,
}

impl Case {
    /// The first value of a parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The request on one line.
    pub(crate) fn shown(&self) -> String {
        let parameters = self.parameters.iter().map(|(name, value)| format!(" {name}={value}"));
        format!("{} {}{}", self.method, self.path, parameters.collect::<String>())
    }
}

impl Folder {
    /// Reads all files.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let text = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let json = |name: &str| -> Result<Value, String> {
            serde_json::from_str(&text(name)?).map_err(|error| format!("{name}: {error}"))
        };
        let entries = text("dataset.ndjson")?
            .lines()
            .map(|line| entry(line).ok_or_else(|| format!("dataset.ndjson: no entry: {line}")))
            .collect::<Result<_, _>>()?;
        let cases = array(&json("cases.json")?)
            .iter()
            .map(|value| case(value).ok_or_else(|| format!("cases.json: no case: {value}")))
            .collect::<Result<_, _>>()?;
        let sequences = array(&json("sequences.json")?)
            .iter()
            .map(|value| Sequence { group: text_of(value, "group"), steps: array(&value["steps"]).to_vec() })
            .map(|sequence| match sequence.group.is_empty() {
                true => Sequence { group: "sequences".to_owned(), ..sequence },
                false => sequence,
            })
            .collect();
        let base_ns = json("meta.json")?["base_ns"].as_i64().ok_or("meta.json: no `base_ns`")?;
        Ok(Self { base_ns, entries, cases, sequences })
    }
}

fn entry(line: &str) -> Option<Entry> {
    let value: Value = serde_json::from_str(line).ok()?;
    let time = &value["ts"];
    Some(Entry {
        labels: value["labels"].clone(),
        time_ns: time.as_str().map_or_else(|| time.to_string(), str::to_owned),
        line: value["line"].as_str()?.to_owned(),
        metadata: value.get("structured_metadata").filter(|metadata| metadata.is_object()).cloned(),
    })
}

fn case(value: &Value) -> Option<Case> {
    let request = &value["request"];
    let pair = |pair: &Value| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()));
    let none = Map::new();
    let headers = request["headers"].as_object().unwrap_or(&none).iter();
    Some(Case {
        id: text_of(value, "id"),
        group: text_of(value, "group"),
        mode: text_of(value, "mode"),
        method: text_of(request, "method"),
        path: text_of(request, "path"),
        parameters: array(&request["params"]).iter().map(pair).collect::<Option<_>>()?,
        is_form: request["form"] == true,
        headers: headers
            .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect::<Option<_>>()?,
        options: value["opts"].clone(),
        expected: value.get("expected")?.clone(),
    })
}

/// The elements of an array; none of anything else.
pub(crate) fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A member that is a text; empty when there is none.
pub(crate) fn text_of(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
