//! Loki's questions: shapes of answers, defaults, and what is refused.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};
use timberyard_model::Labels;

use crate::harness::{Answer, NOW, TestServer};

/// Path, parameters, and words of the refusal.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a str);

const RANGE: &str = "/loki/api/v1/query_range";

/// Three lines of two streams, in the last minute before now.
fn with_lines() -> TestServer {
    let server = TestServer::new();
    let api = Labels::from_pairs([("app", "api"), ("service_name", "api")]);
    let web = Labels::from_pairs([("app", "web"), ("service_name", "web")]);
    let at = |seconds: i64| NOW.saturating_add_nanos(seconds * 1_000_000_000);
    server.store.push(&api, at(-30), b"first", &[("trace", b"t1")]);
    server.store.push(&api, at(-20), b"second \xff", &[]);
    server.store.push(&web, at(-10), b"third", &[]);
    server
}

fn nanos(seconds: i64) -> String {
    NOW.saturating_add_nanos(seconds * 1_000_000_000).as_nanos().to_string()
}

async fn ask(server: &TestServer, path: &str, parameters: &[(&str, &str)]) -> Answer {
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    server.get(&format!("{path}?{encoded}")).await
}

fn result(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["status"], "success");
    body["data"]["result"].clone()
}

#[tokio::test]
async fn lines_of_the_last_hour_come_newest_first_by_all_their_labels() {
    let server = with_lines();
    let answer = ask(&server, RANGE, &[("query", r#"{app="api"}"#)]).await;
    assert_eq!(answer.json()["data"]["resultType"], "streams");
    let expected = json!([
        { "stream": { "app": "api", "service_name": "api" }, "values": [[nanos(-20), "second \u{fffd}"]] },
        { "stream": { "app": "api", "service_name": "api", "trace": "t1" }, "values": [[nanos(-30), "first"]] },
    ]);
    assert_eq!(result(&answer), expected);
    let metrics = server.get("/metrics").await.text();
    assert!(metrics.contains("timberyard_replaced_utf8_values_total 1"), "{metrics}");
}

#[tokio::test]
async fn answers_say_what_they_cost() {
    let stats =
        ask(&with_lines(), RANGE, &[("query", r#"{app="api"}"#)]).await.json()["data"]["stats"].clone();
    assert_eq!(stats["summary"]["totalEntriesReturned"], 2);
    for part in ["ingester", "querier", "cache"] {
        assert!(stats[part].is_object(), "{part}");
    }
}

#[tokio::test]
async fn categories_are_kept_apart_when_asked_for() {
    let headers = [("x-loki-response-encoding-flags", "categorize-labels")];
    let path = format!("{RANGE}?query=%7Bapp%3D%22api%22%7D&direction=forward");
    let answer = with_lines().request(Method::GET, &path, &headers, Body::empty()).await;
    let body = answer.json();
    assert_eq!(body["data"]["encodingFlags"], json!(["categorize-labels"]));
    let expected = json!([[nanos(-30), "first", { "structuredMetadata": { "trace": "t1" } }], [nanos(-20), "second \u{fffd}", {}]]);
    assert_eq!(body["data"]["result"][0]["values"], expected);
}

#[tokio::test]
async fn a_form_in_a_post_asks_the_same() {
    let server = with_lines();
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let body = "query=%7Bapp%3D%22web%22%7D&limit=1";
    let answer = server.request(Method::POST, RANGE, &headers, body).await;
    assert_eq!(result(&answer)[0]["values"], json!([[nanos(-10), "third"]]));
}

#[tokio::test]
async fn metric_queries_answer_vectors_and_matrices() {
    let server = with_lines();
    let query = [("query", r#"sum by (app) (count_over_time({app=~".+"}[1m]))"#), ("time", &nanos(0))];
    let answer = ask(&server, "/loki/api/v1/query", &query).await;
    assert_eq!(answer.json()["data"]["resultType"], "vector");
    let at = NOW.as_nanos() / 1_000_000_000;
    let expected = json!([
        { "metric": { "app": "api" }, "value": [at, "2"] },
        { "metric": { "app": "web" }, "value": [at, "1"] },
    ]);
    assert_eq!(result(&answer), expected);
    let query = [
        ("query", r#"sum(rate({app="api"}[1m]))"#),
        ("start", &nanos(-60)),
        ("end", &nanos(0)),
        ("step", "60"),
    ];
    let answer = ask(&server, RANGE, &query).await;
    assert_eq!(answer.json()["data"]["resultType"], "matrix");
    assert_eq!(result(&answer)[0]["values"], json!([[at, "0.03333333333333333"]]));
}

#[tokio::test]
async fn bad_questions_are_refused_in_plain_text() {
    let server = with_lines();
    let api = ("query", r#"{app="api"}"#);
    let cases: [Case<'_>; 10] = [
        (RANGE, vec![("query", "{app=")], "parse error at line 1, col 6"),
        (RANGE, vec![], "parse error"),
        (RANGE, vec![api, ("limit", "abc")], "\"abc\""),
        (RANGE, vec![api, ("limit", "1000000")], "max entries limit per query exceeded"),
        (RANGE, vec![api, ("direction", "sideways")], "invalid direction 'sideways'"),
        (RANGE, vec![api, ("start", "2026-11-01")], "could not parse 'start' parameter"),
        (
            RANGE,
            vec![("query", r#"rate({app="api"}[1m])"#), ("step", "0")],
            "zero or negative query resolution step",
        ),
        ("/loki/api/v1/query", vec![api], "log queries are not supported as an instant query type"),
        (
            "/loki/api/v1/labels",
            vec![("query", r#"{app="api"} |= "x""#)],
            "only label matchers are supported",
        ),
        ("/loki/api/v1/series", vec![("match[]", "bad")], "parse error at line 1, col 1"),
    ];
    for (path, parameters, words) in cases {
        let answer = ask(&server, path, &parameters).await;
        assert_eq!(answer.status, 400, "{path} {parameters:?}: {}", answer.text());
        assert!(answer.text().contains(words), "{path} {parameters:?}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
}

#[tokio::test]
async fn labels_values_and_series_are_sorted_sets() {
    let server = with_lines();
    let names = ask(&server, "/loki/api/v1/labels", &[]).await.json();
    assert_eq!(names, json!({ "status": "success", "data": ["app", "service_name"] }));
    let values = ask(&server, "/loki/api/v1/label/app/values", &[]).await.json();
    assert_eq!(values["data"], json!(["api", "web"]));
    let of_one = ask(&server, "/loki/api/v1/label/app/values", &[("query", r#"{app="web"}"#)]).await.json();
    assert_eq!(of_one["data"], json!(["web"]));
    let series = ask(&server, "/loki/api/v1/series", &[("match[]", r#"{app="web"}"#)]).await.json();
    assert_eq!(series, json!({ "status": "success", "data": [{ "app": "web", "service_name": "web" }] }));
    let old = [("start", "1000000000"), ("end", "1000000001")];
    assert_eq!(ask(&server, "/loki/api/v1/labels", &old).await.json()["status"], "success");
    assert_eq!(ask(&server, "/loki/api/v1/series", &old).await.json()["data"], json!([]));
}

#[tokio::test]
async fn the_index_tells_streams_rows_and_bytes() {
    let server = with_lines();
    // The first line has a pair of metadata: two references of four bytes, "trace" and "t1".
    let stats = ask(&server, "/loki/api/v1/index/stats", &[("query", r#"{app="api"}"#)]).await.json();
    assert_eq!(stats, json!({ "streams": 1, "chunks": 1, "entries": 2, "bytes": 28 }));
    let everything = ("query", r#"{app=~".+"}"#);
    let at = NOW.as_nanos() / 1_000_000_000;
    let volume = ask(&server, "/loki/api/v1/index/volume", &[everything]).await;
    let expected = json!([
        { "metric": { "app": "api" }, "value": [at, "28"] },
        { "metric": { "app": "web" }, "value": [at, "5"] },
    ]);
    assert_eq!(result(&volume), expected);
    let by_label = [everything, ("aggregateBy", "labels"), ("targetLabels", "service_name")];
    let expected = json!([{ "metric": { "service_name": "" }, "value": [at, "33"] }]);
    assert_eq!(result(&ask(&server, "/loki/api/v1/index/volume", &by_label).await), expected);
    let steps = [everything, ("start", &nanos(-60)), ("step", "10"), ("limit", "1")];
    let volumes = ask(&server, "/loki/api/v1/index/volume_range", &steps).await;
    assert_eq!(volumes.json()["data"]["resultType"], "matrix");
    let (first, second) = (at - 21, at - 11);
    let api = format!(r#"{{"metric":{{"app":"api"}},"values":[[{first}.999,"20"],[{second}.999,"8"]]}}"#);
    let web = format!(r#"{{"metric":{{"app":"web"}},"values":[[{at},"5"]]}}"#);
    let expected: Value = serde_json::from_str(&format!("[{api},{web}]")).expect("JSON");
    assert_eq!(result(&volumes), expected);
    let labels = ask(&server, "/loki/api/v1/detected_labels", &[]).await.json();
    let expected =
        json!([{ "label": "app", "cardinality": 2 }, { "label": "service_name", "cardinality": 2 }]);
    assert_eq!(labels["detectedLabels"], expected);
    let bogus = [everything, ("aggregateBy", "bogus")];
    assert_eq!(ask(&server, "/loki/api/v1/index/volume", &bogus).await.status, 400);
}

/// A stream whose last line lies exactly on an hour two days ago, one that goes on behind it, and one with that line alone.
fn with_lines_on_the_hour(split_gaps: bool) -> (TestServer, i64) {
    let server = TestServer::with(|settings| settings.split_gaps = split_gaps);
    let hour = -48 * 3600;
    let push = |app: &str, seconds: i64, line: &str| {
        let at = NOW.saturating_add_nanos(seconds * 1_000_000_000);
        server.store.push(&Labels::from_pairs([("app", app), ("job", "ticks")]), at, line.as_bytes(), &[]);
    };
    for (app, seconds) in [("ends", -60), ("ends", 0), ("goes-on", -60), ("goes-on", 0), ("goes-on", 1)] {
        push(app, hour + seconds, &format!("{app} {seconds}"));
    }
    push("alone", hour, "alone 0");
    push("paused", hour - 1801, "paused -1801");
    push("paused", hour, "paused 0");
    push("young", -3660, "young -60");
    push("young", -3600, "young 0");
    (server, hour)
}

fn lines_of(answer: &Answer) -> Vec<String> {
    let streams = result(answer);
    let values = streams.as_array().expect("streams").iter().flat_map(|stream| stream["values"].as_array());
    let mut lines: Vec<String> =
        values.flatten().map(|value| value[1].as_str().expect("a line").to_owned()).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn an_entry_on_the_hour_is_missing_where_loki_misses_it_and_nowhere_else() {
    const LINES: [&str; 10] = [
        "alone 0",
        "ends -60",
        "ends 0",
        "goes-on -60",
        "goes-on 0",
        "goes-on 1",
        "paused -1801",
        "paused 0",
        "young -60",
        "young 0",
    ];
    let (server, hour) = with_lines_on_the_hour(true);
    let (start, at_hour, end) = (nanos(hour - 3600), nanos(hour), nanos(0));
    let query = r#"{job="ticks"}"#;
    let range = |start, further: &[(&'static str, &'static str)]| {
        [&[("query", query), ("start", start), ("end", &*end)], further].concat()
    };
    let plain = ask(&server, RANGE, &range(&start, &[])).await;
    assert_eq!(lines_of(&plain), LINES.iter().filter(|line| **line != "ends 0").copied().collect::<Vec<_>>());
    let warning = plain.json()["warnings"][0].as_str().unwrap_or_default().to_owned();
    assert!(warning.starts_with("1 entry exactly on the hour is left out"), "{warning}");

    let first = [("query", r#"{app="ends"}"#), ("start", &*start), ("end", &*end), ("limit", "1")];
    assert_eq!(lines_of(&ask(&server, RANGE, &first).await), ["ends -60"], "the limit counts what is there");
    let forward = ask(&server, RANGE, &range(&start, &[("direction", "forward")])).await;
    assert_eq!(lines_of(&forward), lines_of(&plain), "in both directions");
    let from_it = ask(&server, RANGE, &range(&at_hour, &[])).await;
    assert!(lines_of(&from_it).contains(&"ends 0".to_owned()), "no part begins there, the query does");
    assert!(from_it.json()["warnings"].as_array().is_none_or(Vec::is_empty));

    let by_cursor = ask(&server, RANGE, &range(&start, &[("cursor", "")])).await;
    assert_eq!(lines_of(&by_cursor), LINES);
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(range(&start, &[])).finish();
    let accept = [("accept", "application/x-ndjson")];
    let rows = server.request(Method::GET, &format!("{RANGE}?{encoded}"), &accept, Body::empty()).await;
    assert!(rows.text().contains("ends 0"), "{}", rows.text());
    let counted = [("query", r#"count_over_time({app="ends"}[2h])"#), ("time", &*nanos(hour + 3600))];
    assert_eq!(result(&ask(&server, "/loki/api/v1/query", &counted).await)[0]["value"][1], "2");

    let at = NOW.saturating_add_nanos((hour - 3600) * 1_000_000_000);
    let ends = Labels::from_pairs([("app", "ends"), ("job", "ticks")]);
    server.store.push(&ends, at, b"an hour before", &[]);
    server.store.push(&ends, NOW.saturating_add_nanos(hour * 1_000_000_000), b"ends 0 again", &[]);
    let (start, plain) = (nanos(hour - 7200), [("query", r#"{app="ends"}"#), ("end", &*end)]);
    for direction in ["forward", "backward"] {
        let asked = [&plain[..], &[("start", &*start), ("direction", direction)]].concat();
        let answer = ask(&server, RANGE, &asked).await;
        assert_eq!(lines_of(&answer), ["an hour before", "ends -60"], "{direction}");
        assert!(answer.json()["warnings"][0].as_str().is_some_and(|text| text.starts_with("2 entries")));
    }

    let start = nanos(hour - 3600);
    let (server, _) = with_lines_on_the_hour(false);
    assert_eq!(lines_of(&ask(&server, RANGE, &range(&start, &[])).await), LINES);
}
