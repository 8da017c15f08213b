//! The requests that Grafana makes, in its order: Explore with a Loki data source, and Logs Drilldown.
//!
//! Paths, parameters and headers are those of Grafana's backend (`pkg/tsdb/loki/api.go`), its log context provider, and
//! `grafana/logs-drilldown` (`src/services/datasource.ts`); what they need of the answers is checked.

use std::time::Duration;

use serde_json::{Value, json};
use timberyard_testkit::server_process::ServerProcess;
use timberyard_testkit::websocket::WebSocket;

use crate::clock::{HOUR, SECOND, now, rfc3339};
use crate::start::server;

const CATEGORIZED: (&str, &str) = ("X-Loki-Response-Encoding-Flags", "categorize-labels");

/// Thirty JSON lines of a shop, a second apart, with a trace each; gives the time of the first.
fn push_shop(server: &ServerProcess) -> i64 {
    let start = (now() / SECOND - 60) * SECOND;
    let values: Vec<Value> = (0..30)
        .map(|number| {
            let level = if number % 10 == 0 { "error" } else { "info" };
            let line = json!({ "level": level, "status": 200 + number % 3, "msg": format!("order {number} created") });
            let metadata = json!({ "trace_id": format!("t{number}") });
            json!([(start + number * SECOND).to_string(), line.to_string(), metadata])
        })
        .collect();
    let stream = json!({ "app": "shop", "env": "prod" });
    let body = json!({ "streams": [{ "stream": stream, "values": values }] });
    server.post("/loki/api/v1/push").json(&body).send().expect_status(204);
    start
}

/// Asks as the backend does and gives the whole answer.
fn ask(server: &ServerProcess, path: &str, headers: &[(&str, &str)], parameters: &[(&str, &str)]) -> Value {
    let mut request = server.get(&format!("/loki/api/v1/{path}"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    for (name, value) in parameters {
        request = request.query(name, value);
    }
    request.send().expect_status(200).json()
}

/// Time, line and the object beside it of all entries, in the order of the answer.
fn entries(answer: &Value) -> Vec<(i64, String, Value)> {
    let streams = answer["data"]["result"].as_array().expect("streams").iter();
    let values = streams.flat_map(|stream| stream["values"].as_array().expect("values"));
    values
        .map(|value| {
            let time = value[0].as_str().expect("a time").parse().expect("nanoseconds");
            (time, value[1].as_str().expect("a line").to_owned(), value[2].clone())
        })
        .collect()
}

/// The sum of all points of all series.
fn total(answer: &Value) -> f64 {
    let series = answer["data"]["result"].as_array().expect("series").iter();
    let values = series.flat_map(|series| series["values"].as_array().expect("values"));
    values.map(|value| value[1].as_str().expect("a value").parse::<f64>().expect("a number")).sum()
}

#[test]
fn explore_finds_its_way_from_labels_to_lines_and_their_surroundings() {
    let server = server();
    let start = push_shop(&server);
    let (from, to) = ((start - HOUR / 2).to_string(), (start + HOUR / 2).to_string());
    let range = [("start", from.as_str()), ("end", to.as_str())];

    // The query builder: names, values that go with what was chosen already, and how much there is to read.
    let names = ask(&server, "labels", &[], &range)["data"].clone();
    assert_eq!(names, json!(["app", "env", "service_name"]));
    let chosen = [range[0], range[1], ("query", r#"{app="shop"}"#)];
    assert_eq!(ask(&server, "label/env/values", &[], &chosen)["data"], json!(["prod"]));
    let selected = [range[0], range[1], ("match[]", r#"{app="shop"}"#)];
    assert_eq!(ask(&server, "series", &[], &selected)["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(ask(&server, "index/stats", &[], &chosen)["entries"], 30);

    // The lines, and the volume above them.
    let lines = [
        ("query", r#"{app="shop"} |= "order" | json"#),
        ("direction", "backward"),
        ("limit", "1000"),
        range[0],
        range[1],
        ("step", "2000ms"),
    ];
    let answer = ask(&server, "query_range", &[CATEGORIZED], &lines);
    assert_eq!(answer["data"]["encodingFlags"], json!(["categorize-labels"]));
    let shown = entries(&answer);
    assert_eq!(shown.len(), 30);
    assert!(shown.is_sorted_by_key(|(time, _, _)| std::cmp::Reverse(*time)));
    assert_eq!(shown[0].2["structuredMetadata"]["trace_id"], "t29");
    assert_eq!(shown[0].2["parsed"]["status"], "202");
    assert!(answer["data"]["stats"]["summary"]["totalBytesProcessed"].is_number());
    let volume = [
        (
            "query",
            r#"sum by (level, detected_level) (count_over_time({app="shop"} |= "order" | json | drop __error__[10s]))"#,
        ),
        ("direction", "backward"),
        range[0],
        range[1],
        ("step", "10000ms"),
    ];
    let answer = ask(&server, "query_range", &[("X-Query-Tags", "Source=logvolhist"), CATEGORIZED], &volume);
    assert_eq!((answer["data"]["result"].as_array().map(Vec::len), total(&answer)), (Some(2), 30.0));

    // The lines around one, in both directions: the start is inclusive, the end is not.
    let (time, _, _) = shown[15];
    let context = |direction: &str, start: i64, end: i64| {
        let (start, end) = (start.to_string(), end.to_string());
        let parameters = [
            ("query", r#"{app="shop",env="prod",service_name="shop"}"#),
            ("direction", direction),
            ("limit", "10"),
            ("start", &start),
            ("end", &end),
            ("step", "1000ms"),
        ];
        entries(&ask(&server, "query_range", &[CATEGORIZED], &parameters))
            .iter()
            .map(|(at, _, _)| (at - time) / SECOND)
            .collect::<Vec<_>>()
    };
    assert_eq!(context("backward", time - 2 * HOUR, time), (1..=10).map(|n| -n).collect::<Vec<_>>());
    assert_eq!(context("forward", time, time + 2 * HOUR), (0..10).collect::<Vec<_>>());

    // Live: Grafana first tries a path that Loki had once, and takes anything but 400 for a no.
    assert_eq!(server.get("/loki/api/v2alpha/tail").send().status, 404);
    let mut tail = WebSocket::connect(
        server.address(),
        "/loki/api/v1/tail?query=%7Bapp%3D%22shop%22%7D",
        &[CATEGORIZED],
    )
    .expect("a tail");
    let past = tail.next(Duration::from_secs(20)).expect("the past");
    assert_eq!(past["encodingFlags"], json!(["categorize-labels"]));
    push_one(&server, "live");
    let frame = tail.next(Duration::from_secs(20)).expect("what is new");
    assert_eq!(frame["streams"][0]["values"][0][1], "live");
    assert_eq!(frame["streams"][0]["stream"]["app"], "shop");
}

fn push_one(server: &ServerProcess, line: &str) {
    let values = json!([[now().to_string(), line]]);
    let body = json!({ "streams": [{ "stream": { "app": "shop", "env": "prod" }, "values": values }] });
    server.post("/loki/api/v1/push").json(&body).send().expect_status(204);
}

#[test]
fn logs_drilldown_finds_services_labels_fields_and_patterns() {
    let server = server();
    let start = push_shop(&server);
    server.post("/flush").send().expect_status(204);
    let (from, to) = (rfc3339(start - 60 * SECOND), rfc3339(start + 60 * SECOND));
    let range = [("start", from.as_str()), ("end", to.as_str())];
    let tags = [("X-Query-Tags", "Source=grafana-lokiexplore-app")];

    // What it may offer.
    let limits = ask(&server, "drilldown-limits", &tags, &[]);
    for (name, kind) in [
        ("discover_log_levels", "bool"),
        ("volume_enabled", "bool"),
        ("max_entries_limit_per_query", "number"),
    ] {
        let value = &limits["limits"][name];
        assert!(if kind == "bool" { value.is_boolean() } else { value.is_number() }, "{name}: {value}");
    }
    assert_eq!(limits["pattern_ingester_enabled"], true);

    // The services by volume, then one of them over time.
    let services = [("query", "{service_name=~`.+`}"), ("limit", "5000"), range[0], range[1]];
    let volume = ask(&server, "index/volume", &tags, &services);
    assert_eq!(volume["data"]["result"][0]["metric"], json!({ "service_name": "shop" }));
    let over_time = |query: &str, headers: &[(&str, &str)]| {
        let (from, to) = ((start - 60 * SECOND).to_string(), (start + 60 * SECOND).to_string());
        let parameters =
            [("query", query), ("direction", "backward"), ("start", &from), ("end", &to), ("step", "5000ms")];
        ask(&server, "query_range", headers, &parameters)
    };
    let levels = over_time("sum by (detected_level) (count_over_time({service_name=`shop`} [5s]))", &tags);
    assert_eq!((levels["data"]["result"].as_array().map(Vec::len), total(&levels)), (Some(2), 30.0));

    // Its labels, fields and their values.
    let of_shop = [("query", "{service_name=`shop`}"), range[0], range[1]];
    let labels = ask(&server, "detected_labels", &tags, &of_shop)["detectedLabels"].clone();
    let labels: Vec<&str> =
        labels.as_array().expect("labels").iter().filter_map(|label| label["label"].as_str()).collect();
    assert!(labels.contains(&"app") && labels.contains(&"env"), "{labels:?}");
    let parameters = [of_shop[0], range[0], range[1], ("limit", "1000")];
    let fields = ask(&server, "detected_fields", &tags, &parameters);
    let status = fields["fields"].as_array().expect("fields").iter().find(|field| field["label"] == "status");
    assert_eq!(
        status.map(|field| (&field["type"], &field["parsers"])),
        Some((&json!("int"), &json!(["json"])))
    );
    let values = ask(&server, "detected_field/status/values", &tags, &parameters);
    assert_eq!(values["values"], json!(["200", "201", "202"]));
    let breakdown = over_time(
        "sum by (status) (count_over_time({service_name=`shop`} | json | drop __error__, __error_details__ | status!=\"\" [5s]))",
        &tags,
    );
    assert_eq!((breakdown["data"]["result"].as_array().map(Vec::len), total(&breakdown)), (Some(3), 30.0));

    // Its patterns, and the lines that one of them finds.
    let patterns = ask(&server, "patterns", &tags, &[of_shop[0], range[0], range[1], ("step", "5s")]);
    let patterns = patterns["data"].as_array().expect("patterns").clone();
    let counted: i64 = patterns
        .iter()
        .flat_map(|pattern| pattern["samples"].as_array().expect("samples"))
        .filter_map(|sample| sample[1].as_i64())
        .sum();
    assert_eq!(counted, 30);
    let pattern = patterns[0]["pattern"].as_str().expect("a pattern");
    let query =
        format!("{{service_name=`shop`}} |> `{pattern}` | json | logfmt | drop __error__, __error_details__");
    let found = entries(&over_time(&query, &[CATEGORIZED]));
    let expected: i64 =
        patterns[0]["samples"].as_array().expect("samples").iter().filter_map(|s| s[1].as_i64()).sum();
    assert!(found.len() as i64 >= expected, "{query}: {} lines instead of {expected}", found.len());
}
