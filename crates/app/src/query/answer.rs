//! Reads the JSON that Loki's query API answers.

use serde_json::{Map, Value};
use timberyard_model::Timestamp;
use timberyard_wire::loki_query_json::{NEXT_CURSOR, decode_line};

use crate::cli::Output;
use crate::show::{ShownLine, selector};

/// What a server answered.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    /// Lines or points.
    pub(super) data: Data,
    /// What the query cost, as the server says it.
    pub(super) statistics: Value,
    /// What the server remarks.
    pub(super) warnings: Vec<String>,
    /// Where the lines go on, from a server that knows cursors.
    pub(super) next_cursor: Option<String>,
}

/// The result of a query.
#[derive(Debug, PartialEq)]
pub(super) enum Data {
    /// Of a log query.
    Lines(Vec<ShownLine>),
    /// Of a metric query, by series.
    Points(Vec<Point>),
}

/// One value of one series.
#[derive(Debug, PartialEq)]
pub(super) struct Point {
    /// Its time, RFC 3339.
    pub(super) time: String,
    /// The series' labels as a selector.
    pub(super) series: String,
    /// The series' labels.
    pub(super) labels: Value,
    /// The value as the server writes it.
    pub(super) value: String,
}

impl Point {
    /// In the form that was asked for.
    pub(super) fn text(&self, output: Output) -> String {
        match output {
            Output::Default => format!("{} {} {}", self.time, self.series, self.value),
            Output::Raw => self.value.clone(),
            Output::Jsonl => self.to_json(),
        }
    }

    /// As a JSON object on one line.
    fn to_json(&self) -> String {
        let mut object = Map::new();
        object.insert("labels".to_owned(), self.labels.clone());
        object.insert("value".to_owned(), Value::from(self.value.as_str()));
        object.insert("timestamp".to_owned(), Value::from(self.time.as_str()));
        Value::Object(object).to_string()
    }
}

/// Reads an answer, or says what is wrong with it.
pub(super) fn read(body: &[u8]) -> Result<Answer, String> {
    let mut root: Value =
        serde_json::from_slice(body).map_err(|error| format!("the answer is not JSON: {error}"))?;
    let missing = |name: &str| format!("the answer has no `{name}`; is this a Loki API?");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let warnings = root.get("warnings").and_then(Value::as_array).into_iter().flatten();
    let warnings = warnings.filter_map(text).collect();
    let data = root.get_mut("data").ok_or_else(|| missing("data"))?;
    let next_cursor = data.get(NEXT_CURSOR).and_then(text);
    let kind = data.get("resultType").and_then(Value::as_str).unwrap_or_default().to_owned();
    let statistics = data.get_mut("stats").map(Value::take).unwrap_or_default();
    let result = data.get_mut("result").ok_or_else(|| missing("data.result"))?.take();
    let series = match (kind.as_str(), result) {
        ("scalar", value) => {
            vec![Value::from_iter([("metric", Value::Object(Map::new())), ("value", value)])]
        }
        (_, Value::Array(series)) => series,
        _ => return Err(missing("data.result")),
    };
    let data = match kind.as_str() {
        "streams" => Data::Lines(series.iter().map(lines).collect::<Result<Vec<_>, _>>()?.concat()),
        "matrix" | "vector" | "scalar" => {
            let points: Result<Vec<Vec<Point>>, String> = series.iter().map(points).collect();
            Data::Points(points?.into_iter().flatten().collect())
        }
        other => return Err(format!("the answer has the unknown resultType `{other}`")),
    };
    Ok(Answer { data, statistics, warnings, next_cursor })
}

fn lines(stream: &Value) -> Result<Vec<ShownLine>, String> {
    let bad =
        || "the answer has a stream that is not {\"stream\":{…},\"values\":[[time, line], …]}".to_owned();
    let labels = stream.get("stream").and_then(Value::as_object).ok_or_else(bad)?;
    let values = stream.get("values").and_then(Value::as_array).ok_or_else(bad)?;
    let line = |value: &Value| {
        let nanos = value.get(0)?.as_str()?.parse().ok()?;
        let text = value.get(1)?.as_str()?.to_owned();
        let bytes = match value.get(2).and_then(|object| object.get("lineBase64")) {
            Some(bytes) => Some(decode_line(bytes.as_str()?)?),
            None => None,
        };
        Some(ShownLine { timestamp: Timestamp::from_nanos(nanos), labels: labels.clone(), text, bytes })
    };
    values.iter().map(|value| line(value).ok_or_else(bad)).collect()
}

fn points(series: &Value) -> Result<Vec<Point>, String> {
    let bad =
        || "the answer has a series that is not {\"metric\":{…},\"values\":[[time, value], …]}".to_owned();
    let labels = series.get("metric").and_then(Value::as_object).ok_or_else(bad)?;
    let point = |value: &Value| {
        let seconds = value.get(0)?.as_f64()?;
        // To the millisecond, as Loki writes them; `as` stops at the ends of the range.
        let time = Timestamp::from_millis((seconds * 1000.0).round() as i64).ok()?.to_string();
        let value = value.get(1)?.as_str()?.to_owned();
        Some(Point { time, series: selector(labels), labels: Value::Object(labels.clone()), value })
    };
    match (series.get("values"), series.get("value")) {
        (Some(values), _) => {
            let values = values.as_array().ok_or_else(bad)?;
            values.iter().map(|value| point(value).ok_or_else(bad)).collect()
        }
        (None, Some(value)) => Ok(vec![point(value).ok_or_else(bad)?]),
        (None, None) => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(data: &str) -> String {
        match read(format!(r#"{{"status":"success","data":{data}}}"#).as_bytes()) {
            Err(reason) => reason,
            Ok(Answer { data: Data::Lines(lines), .. }) => {
                let shown =
                    |l: &ShownLine| format!("{} {} {}", l.timestamp.as_nanos(), selector(&l.labels), l.text);
                lines.iter().map(shown).collect::<Vec<_>>().join("; ")
            }
            Ok(Answer { data: Data::Points(points), .. }) => {
                let shown = |p: &Point| format!("{} {} {}", p.time, p.series, p.value);
                points.iter().map(shown).collect::<Vec<_>>().join("; ")
            }
        }
    }

    #[test]
    fn each_kind_of_result_is_read() {
        let streams = r#"{"resultType":"streams","result":[{"stream":{"a":"b"},"values":[["2","y"],["1","x",{}]]}],"stats":{}}"#;
        assert_eq!(check(streams), r#"2 {a="b"} y; 1 {a="b"} x"#);
        let matrix = r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1.5,"2"],[3,"4"]]}]}"#;
        assert_eq!(check(matrix), "1970-01-01T00:00:01.5Z {} 2; 1970-01-01T00:00:03Z {} 4");
        let vector = r#"{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1,"NaN"]}]}"#;
        assert_eq!(check(vector), r#"1970-01-01T00:00:01Z {a="b"} NaN"#);
        assert_eq!(check(r#"{"resultType":"scalar","result":[1,"7"]}"#), "1970-01-01T00:00:01Z {} 7");
    }

    #[test]
    fn what_is_no_answer_is_said() {
        assert!(check(r#"{"resultType":"streams"}"#).contains("data.result"));
        assert!(check(r#"{"resultType":"streams","result":[{}]}"#).contains("a stream that is not"));
        assert!(check(r#"{"resultType":"poem","result":[]}"#).contains("`poem`"));
        assert!(read(b"<html>").expect_err("not JSON").contains("not JSON"));
    }
}
