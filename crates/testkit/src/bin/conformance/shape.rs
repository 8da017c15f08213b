//! Compares answers of which only the form counts.

use serde_json::Value;
use timberyard_testkit::http::Answer;

use crate::folder::{Case, array};

/// Headers and whether the body says certain words.
pub(crate) fn of_http(case: &Case, answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    for name in array(&case.options["header"]).iter().filter_map(Value::as_str) {
        let got = answer.header(name).and_then(|value| value.split(';').next()).unwrap_or_default();
        let wanted = case.expected[format!("header:{name}")].as_str().unwrap_or_default();
        if !got.trim().eq_ignore_ascii_case(wanted) {
            found.push(format!("{name}: {got} instead of {wanted}"));
        }
    }
    if let Some(expression) = case.options["text"].as_str() {
        let is_there = regex::Regex::new(expression).map(|regex| regex.is_match(&answer.text()));
        if is_there.ok() != case.expected["text"].as_bool() {
            found.push(format!("whether the text has `{expression}` differs"));
        }
    }
    found
}

/// Patterns are texts with counts at whole seconds; which ones is every system's own business.
pub(crate) fn of_patterns(body: &Value) -> Vec<String> {
    let is_sound = |pattern: &Value| {
        let samples = array(&pattern["samples"]).iter();
        pattern["pattern"].is_string()
            && samples.into_iter().all(|sample| sample[0].is_i64() && sample[1].is_i64())
    };
    match array(&body["data"]).iter().find(|pattern| !is_sound(pattern)) {
        Some(pattern) => vec![format!("no pattern: {pattern}")],
        None => Vec::new(),
    }
}

/// Everything that Loki's document has is there, and of the same kind.
pub(crate) fn of_document(case: &Case, body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let shape = &case.expected["shape"];
    if case.options["keys"].is_array() {
        for (path, kind) in shape.as_object().into_iter().flatten() {
            let value = path.split('.').try_fold(body, |value, name| value.get(name));
            compare(path, kind, value.unwrap_or(&Value::Null), &mut found);
        }
    } else {
        compare("", shape, body, &mut found);
    }
    found
}

fn compare(path: &str, kind: &Value, value: &Value, found: &mut Vec<String>) {
    match kind {
        Value::Object(members) => {
            if !value.is_object() {
                found.push(format!("{path} is no object: {value}"));
                return;
            }
            for (name, kind) in members {
                compare(&format!("{path}.{name}"), kind, &value[name], found);
            }
        }
        Value::Array(elements) => match (elements.first(), value.as_array()) {
            (_, None) if value.is_null() => {}
            (_, None) => found.push(format!("{path} is no list: {value}")),
            (Some(kind), Some(values)) => {
                values.iter().take(1).for_each(|value| compare(&format!("{path}[]"), kind, value, found));
            }
            (None, Some(_)) => {}
        },
        Value::String(kind) => {
            let agrees = match kind.as_str() {
                "null" | "missing" => true,
                "object" => value.is_object(),
                "bool" => value.is_boolean(),
                "number" => value.is_number(),
                _ => value.is_string(),
            };
            if !agrees {
                found.push(format!("{path} is no {kind}: {value}"));
            }
        }
        _ => {}
    }
}
