//! Reading back through Loki's API, as most tests do to see what is there.

use serde_json::{Value, json};
use timberyard_testkit::http::Answer;
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::{HOUR, SECOND, now};

/// One entry as `query_range` answers it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Labels, structured metadata and parsed fields together.
    pub(crate) labels: Value,
    /// Nanoseconds since 1970.
    pub(crate) time_ns: i64,
    /// The line.
    pub(crate) line: String,
}

/// Pushes lines of one stream in Loki's JSON.
#[track_caller]
pub(crate) fn push(server: &ServerProcess, labels: &Value, lines: &[(i64, &str)]) {
    try_push(server, labels, lines).expect_status(204);
}

/// The same, with whatever is answered.
pub(crate) fn try_push(server: &ServerProcess, labels: &Value, lines: &[(i64, &str)]) -> Answer {
    let values: Vec<Value> = lines.iter().map(|(time, line)| json!([time.to_string(), line])).collect();
    let body = json!({ "streams": [{ "stream": labels, "values": values }] });
    server.post("/loki/api/v1/push").json(&body).send()
}

/// All entries of the last day that match, the oldest first.
#[track_caller]
pub(crate) fn entries(server: &ServerProcess, query: &str) -> Vec<Entry> {
    entries_between(server, query, now() - 24 * HOUR, now() + HOUR)
}

/// All entries of a range of time that match, the oldest first.
#[track_caller]
pub(crate) fn entries_between(server: &ServerProcess, query: &str, start: i64, end: i64) -> Vec<Entry> {
    let answer = server
        .get("/loki/api/v1/query_range")
        .query("query", query)
        .query("start", &start.to_string())
        .query("end", &end.to_string())
        .query("limit", "5000")
        .query("direction", "forward")
        .send();
    entries_of(&answer.expect_status(200).json())
}

/// The entries of an answer of streams, the oldest first.
#[track_caller]
pub(crate) fn entries_of(answer: &Value) -> Vec<Entry> {
    assert_eq!(answer["status"], "success", "{answer}");
    assert_eq!(answer["data"]["resultType"], "streams", "{answer}");
    let mut entries = Vec::new();
    for stream in array(&answer["data"]["result"]) {
        for value in array(&stream["values"]) {
            let time = value[0].as_str().expect("a time as text").parse().expect("nanoseconds");
            let line = value[1].as_str().expect("a line").to_owned();
            entries.push(Entry { labels: stream["stream"].clone(), time_ns: time, line });
        }
    }
    entries.sort_by_key(|entry| entry.time_ns);
    entries
}

/// The lines of the last day that match, the oldest first.
#[track_caller]
pub(crate) fn lines(server: &ServerProcess, query: &str) -> Vec<String> {
    entries(server, query).into_iter().map(|entry| entry.line).collect()
}

/// How many entries of the last day match, counted by the server.
#[track_caller]
pub(crate) fn count(server: &ServerProcess, query: &str) -> u64 {
    let answer = server
        .get("/loki/api/v1/query")
        .query("query", &format!("sum(count_over_time({query}[24h]))"))
        .query("time", &(now() + SECOND).to_string())
        .send()
        .expect_status(200)
        .json();
    assert_eq!(answer["data"]["resultType"], "vector", "{answer}");
    match array(&answer["data"]["result"]) {
        [] => 0,
        [sample] => sample["value"][1].as_str().expect("a number as text").parse().expect("a whole number"),
        more => panic!("a sum is one sample, not {more:?}"),
    }
}

/// The items of an array.
#[track_caller]
pub(crate) fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not an array: {value}"))
}

/// The texts of an array.
#[track_caller]
pub(crate) fn texts(value: &Value) -> Vec<&str> {
    array(value).iter().map(|item| item.as_str().expect("a text")).collect()
}
