//! How an answer differs from the one that Loki gave.
//!
//! A refusal agrees when its status does, and when it says a position where Loki says one. Where Loki answers 500, any
//! refusal agrees, and 404 and 405 are one.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use timberyard_testkit::http::Answer;

use crate::folder::{Case, array};
use crate::{lines, points, shape};

/// Differences that are listed of one answer.
const LISTED_MAX: usize = 8;

/// How the answer to a case differs; nothing when it agrees.
pub(crate) fn differences(case: &Case, answer: &Answer) -> Vec<String> {
    let expected_status = case.expected["status"].as_u64().unwrap_or(0);
    let status = u64::from(answer.status);
    if statuses_agree(expected_status, status) {
        return Vec::new();
    }
    if status != expected_status {
        let text: String = answer.text().chars().take(300).collect();
        return vec![format!("status {status} instead of {expected_status}: {}", text.trim())];
    }
    if case.mode == "http" {
        return shape::of_http(case, answer);
    }
    if status != 200 {
        let says_position = has_position(&answer.text());
        return match case.expected["error"] == "parse-pos" && !says_position {
            true => vec![format!("the error says no position: {}", answer.text().trim())],
            false => Vec::new(),
        };
    }
    let Ok(body) = serde_json::from_str::<Value>(&answer.text()) else {
        return vec!["the answer is not JSON".to_owned()];
    };
    let mut found = match case.mode.as_str() {
        "query" => of_query(case, &body),
        "strset" => of_sets(&case.expected["data"], &body["data"], "value"),
        "series" => of_sets(&case.expected["data"], &body["data"], "stream"),
        "values" => of_sets(&case.expected["data"], &body["values"], "value"),
        "index_stats" => of_index_stats(case, &body),
        "detected_fields" => of_fields(&case.expected["fields"], &body["fields"]),
        "detected_labels" => of_labels(&case.expected["labels"], &body["detectedLabels"]),
        "patterns" => shape::of_patterns(&body),
        "format_query" => equal("query", &case.expected["data"], &body["data"]),
        "shape" => shape::of_document(case, &body),
        other => vec![format!("no rule for mode `{other}`")],
    };
    if found.len() > LISTED_MAX {
        let more = found.len() - LISTED_MAX;
        found.truncate(LISTED_MAX);
        found.push(format!("… and {more} more"));
    }
    found
}

/// Whether nothing more has to be compared, since two refusals are one.
pub(crate) fn statuses_agree(expected: u64, got: u64) -> bool {
    let is_missing = |status| status == 404 || status == 405;
    expected >= 500 && got >= 400 || is_missing(expected) && is_missing(got)
}

fn has_position(text: &str) -> bool {
    let number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    text.split("line ")
        .skip(1)
        .any(|behind| number(behind) && behind.split_once(", col ").is_some_and(|(_, column)| number(column)))
}

fn equal(what: &str, expected: &Value, got: &Value) -> Vec<String> {
    if expected == got { Vec::new() } else { vec![format!("{what}: {got} instead of {expected}")] }
}

fn of_query(case: &Case, body: &Value) -> Vec<String> {
    let data = &body["data"];
    let mut found = equal("status", &json!("success"), &body["status"]);
    found.extend(equal("resultType", &case.expected["resultType"], &data["resultType"]));
    if case.expected["has_stats"] == true && !data["stats"].is_object() {
        found.push("there is no `stats`".to_owned());
    }
    if case.expected.get("encodingFlags").is_some() {
        found.extend(equal("encodingFlags", &case.expected["encodingFlags"], &data["encodingFlags"]));
    }
    if !found.is_empty() {
        return found;
    }
    let (expected, got) = (&case.expected["result"], &data["result"]);
    match data["resultType"].as_str() {
        Some("streams") => lines::differences(case, expected, got),
        _ => points::differences(case, expected, got),
    }
}

fn of_sets(expected: &Value, got: &Value, what: &str) -> Vec<String> {
    let set = |value: &Value| array(value).iter().map(Value::to_string).collect::<BTreeSet<_>>();
    let (expected, got) = (set(expected), set(got));
    let missing = expected.difference(&got).map(|value| format!("{what} {value} is missing"));
    let surplus = got.difference(&expected).map(|value| format!("{what} {value} is not expected"));
    missing.chain(surplus).collect()
}

/// Streams exactly; entries and bytes may be estimates.
fn of_index_stats(case: &Case, body: &Value) -> Vec<String> {
    let tolerance = case.options["rel_tol"].as_f64().unwrap_or(0.25);
    let streams = case.expected["streams"].as_f64().unwrap_or(0.0);
    let mut found = equal("streams", &case.expected["streams"], &body["streams"]);
    for name in ["entries", "bytes"] {
        let wanted = case.expected[name].as_f64().unwrap_or(0.0);
        let got = body[name].as_f64().unwrap_or(0.0);
        // Loki counts the bytes of a chunk in whole KB.
        let slack = if name == "bytes" { 2048.0 * streams.max(1.0) } else { 0.0 };
        if (wanted - got).abs() > (tolerance * wanted.max(got)).max(slack) {
            found.push(format!("{name}: {got} instead of {wanted}"));
        }
    }
    found
}

fn of_fields(expected: &Value, got: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let fields = array(got);
    for (name, wanted) in expected.as_object().into_iter().flatten() {
        let Some(field) = fields.iter().find(|field| field["label"] == name.as_str()) else {
            found.push(format!("field {name} is missing"));
            continue;
        };
        found.extend(equal(&format!("type of {name}"), &wanted["type"], &field["type"]));
        found.extend(of_sets(&wanted["parsers"], &field["parsers"], &format!("parser of {name}")));
        found.extend(of_number(
            &format!("cardinality of {name}"),
            &wanted["cardinality"],
            &field["cardinality"],
        ));
    }
    let surplus =
        fields.iter().filter(|field| field["label"].as_str().is_none_or(|name| expected.get(name).is_none()));
    found.extend(surplus.map(|field| format!("field {} is not expected", field["label"])));
    found
}

fn of_labels(expected: &Value, got: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let labels = array(got);
    for (name, wanted) in expected.as_object().into_iter().flatten() {
        match labels.iter().find(|label| label["label"] == name.as_str()) {
            Some(label) => {
                found.extend(of_number(&format!("cardinality of {name}"), wanted, &label["cardinality"]));
            }
            None => found.push(format!("label {name} is missing")),
        }
    }
    let surplus =
        labels.iter().filter(|label| label["label"].as_str().is_none_or(|name| expected.get(name).is_none()));
    found.extend(surplus.map(|label| format!("label {} is not expected", label["label"])));
    found
}

/// Numbers that Loki estimates: a tenth more or less agrees.
fn of_number(what: &str, expected: &Value, got: &Value) -> Vec<String> {
    let (wanted, number) = (expected.as_f64().unwrap_or(0.0), got.as_f64().unwrap_or(f64::NAN));
    match (wanted - number).abs() <= 0.1 * wanted.abs().max(number.abs()) {
        true => Vec::new(),
        false => vec![format!("{what}: {got} instead of {expected}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_found_in_errors() {
        assert!(has_position("parse error at line 1, col 5: unexpected"));
        assert!(!has_position("the line is too long") && !has_position("line 1"));
    }

    #[test]
    fn refusals_are_one_where_loki_is_vague() {
        assert!(statuses_agree(500, 400) && statuses_agree(404, 405));
        assert!(!statuses_agree(400, 500) && !statuses_agree(400, 400));
    }
}
