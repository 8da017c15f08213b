//! Compares the lines of log queries: which ones, with which labels, in the order asked for.
//!
//! Of lines at the time at which the limit cuts, any may be in the answer.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::folder::{Case, array};

/// A line with everything that clients see of it.
type Line = (String, i64, String, String);

/// How the lines differ.
pub(crate) fn differences(case: &Case, expected: &Value, got: &Value) -> Vec<String> {
    let backward =
        case.parameter("direction").is_none_or(|direction| !direction.eq_ignore_ascii_case("forward"));
    let mut found = Vec::new();
    if case.expected["order_ok"] != false && !is_ordered(got, backward) {
        found.push("lines of a stream are not in the order asked for".to_owned());
    }
    let (Some(mut wanted), Some(mut seen)) = (lines(expected), lines(got)) else {
        return vec!["a stream is not {\"stream\":{…},\"values\":[[time, line, …]]}".to_owned()];
    };
    if wanted.len() != seen.len() {
        found.push(format!("{} lines instead of {}", seen.len(), wanted.len()));
    }
    let limit = case.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(100_usize);
    if wanted.len() == limit && seen.len() == limit {
        let times = wanted.iter().map(|(_, time, _, _)| *time);
        let cut = if backward { times.min() } else { times.max() };
        wanted.retain(|(_, time, _, _)| Some(*time) != cut);
        seen.retain(|(_, time, _, _)| Some(*time) != cut);
    }
    let mut counts: BTreeMap<Line, i64> = BTreeMap::new();
    wanted.into_iter().for_each(|line| *counts.entry(line).or_default() += 1);
    seen.into_iter().for_each(|line| *counts.entry(line).or_default() -= 1);
    for ((labels, time, line, beside), count) in counts {
        let what = match count {
            0 => continue,
            1.. => "is missing",
            _ => "is not expected",
        };
        let line: String = line.chars().take(160).collect();
        found.push(format!("{labels} {time} {line:?} {beside} {what}"));
    }
    found
}

fn is_ordered(streams: &Value, backward: bool) -> bool {
    array(streams).iter().all(|stream| {
        let times =
            array(&stream["values"]).iter().filter_map(|value| value[0].as_str()?.parse::<i64>().ok());
        let times: Vec<i64> = times.collect();
        if backward { times.is_sorted_by(|a, b| a >= b) } else { times.is_sorted() }
    })
}

/// All lines of all streams; `None` when the answer has another form.
fn lines(streams: &Value) -> Option<Vec<Line>> {
    let mut lines = Vec::new();
    for stream in array(streams) {
        let labels = Value::Object(relaxed(stream["stream"].as_object()?)).to_string();
        for value in stream["values"].as_array()? {
            let time = value[0].as_str()?.parse().ok()?;
            let beside = value.get(2).map_or_else(|| "{}".to_owned(), beside);
            lines.push((labels.clone(), time, value[1].as_str()?.to_owned(), beside));
        }
    }
    Some(lines)
}

/// The object beside a line, without what is empty.
fn beside(value: &Value) -> String {
    let categories = value.as_object().into_iter().flatten();
    let filled = categories.filter_map(|(name, labels)| {
        let labels = labels.as_object().filter(|labels| !labels.is_empty())?;
        Some((name.clone(), Value::Object(relaxed(labels))))
    });
    let sorted: BTreeMap<String, Value> = filled.collect();
    Value::from_iter(sorted).to_string()
}

/// Labels sorted by name; of `__error_details__` only that it is there, since its words are those of Go's libraries.
pub(crate) fn relaxed(labels: &Map<String, Value>) -> Map<String, Value> {
    let mut sorted: Vec<(String, Value)> = labels
        .iter()
        .map(|(name, value)| match name.as_str() {
            "__error_details__" => (name.clone(), json!("…")),
            _ => (name.clone(), value.clone()),
        })
        .collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted.into_iter().collect()
}
