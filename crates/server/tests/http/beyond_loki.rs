//! What Loki's API does not have: cursors, rows of text without a limit, truncated series, plans.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};
use timberyard_model::Labels;

use crate::harness::{Answer, NOW, TestServer};

const RANGE: &str = "/loki/api/v1/query_range";

/// `lines` numbered lines in three streams, seven to a second, the newest just before now.
fn with_lines(server: TestServer, lines: usize) -> TestServer {
    for number in 0..lines {
        let stream = Labels::from_pairs([("app", ["a", "b", "c"][number % 3]), ("service_name", "s")]);
        let second = (lines / 7) as i64 - number as i64 / 7;
        let at = NOW.saturating_add_nanos(-(second + 1) * 1_000_000_000);
        server.store.push(&stream, at, number.to_string().as_bytes(), &[]);
    }
    server
}

async fn ask(server: &TestServer, path: &str, accept: &str, parameters: &[(&str, &str)]) -> Answer {
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    server.request(Method::GET, &format!("{path}?{encoded}"), &[("accept", accept)], Body::empty()).await
}

/// The numbers of an answer's lines.
fn numbers(data: &Value) -> Vec<usize> {
    let streams = data["result"].as_array().expect("streams").iter();
    let values = streams.flat_map(|stream| stream["values"].as_array().expect("values"));
    values.map(|value| value[1].as_str().expect("a line").parse().expect("a number")).collect()
}

#[tokio::test]
async fn a_cursor_leads_through_all_lines_once() {
    let server = with_lines(TestServer::new(), 100);
    for direction in ["forward", "backward"] {
        let mut cursor = String::new();
        let mut seen = Vec::new();
        loop {
            let parameters = [
                ("query", r#"{app=~".+"}"#),
                ("limit", "9"),
                // Those of the first page count.
                ("direction", if cursor.is_empty() { direction } else { "backward" }),
                ("since", if cursor.is_empty() { "1h" } else { "1s" }),
                ("cursor", &cursor),
            ];
            let answer = ask(&server, RANGE, "", &parameters).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let data = answer.json()["data"].clone();
            let mut page = numbers(&data);
            page.sort_unstable_by_key(|number| number / 7);
            if direction == "backward" {
                page.reverse();
            }
            seen.extend(page);
            match &data["nextCursor"] {
                Value::String(next) => cursor.clone_from(next),
                other => {
                    assert_eq!(*other, Value::Null);
                    break;
                }
            }
        }
        let in_order = seen.is_sorted_by_key(|number| match direction {
            "forward" => number / 7,
            _ => 100 - number / 7,
        });
        assert!(in_order, "{direction}: {seen:?}");
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>(), "{direction}");
    }
    let plain = ask(&server, RANGE, "", &[("query", r#"{app="a"}"#)]).await.json();
    assert_eq!(plain["data"].get("nextCursor"), None, "only who asks gets one");
}

#[tokio::test]
async fn a_cursor_that_does_not_belong_here_is_refused() {
    let server = with_lines(TestServer::new(), 10);
    let first = [("query", r#"{app=~".+"}"#), ("limit", "3"), ("cursor", "")];
    let cursor = ask(&server, RANGE, "", &first).await.json()["data"]["nextCursor"].clone();
    let cursor = cursor.as_str().expect("more lines");
    for (query, cursor, limit, words) in [
        (r#"{app="a"}"#, cursor, "3", "cursor is of another query"),
        (r#"{app=~".+"}"#, "x", "3", "cursor is not one that this server gave"),
        (r#"rate({app=~".+"}[1m])"#, "", "3", "only log queries have a cursor"),
        (r#"{app=~".+"}"#, "", "5001", "max entries limit per query exceeded"),
    ] {
        let parameters = [("query", query), ("cursor", cursor), ("limit", limit)];
        let answer = ask(&server, RANGE, "", &parameters).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains(words), "{}", answer.text());
    }
}

#[tokio::test]
async fn rows_of_text_have_no_limit_but_the_one_that_is_asked_for() {
    let server = with_lines(TestServer::new(), 12_345);
    let all = [("query", r#"{app=~".+"}"#), ("direction", "forward")];
    let answer = ask(&server, RANGE, "application/x-ndjson", &all).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/x-ndjson"));
    let rows: Vec<Value> =
        answer.text().lines().map(|row| serde_json::from_str(row).expect("an object a row")).collect();
    let first = rows[0].clone();
    assert_eq!(first["labels"]["service_name"], "s");
    assert_eq!(first["timestamp"], "2026-11-01T00:30:36Z");
    let number = |row: &Value| row["line"].as_str().expect("a line").parse::<usize>().expect("a number");
    let mut numbers: Vec<usize> = rows.iter().map(number).collect();
    assert!(numbers.is_sorted_by_key(|number| number / 7));
    numbers.sort_unstable();
    assert_eq!(numbers, (0..12_345).collect::<Vec<_>>());

    let limited = [("query", r#"{app=~".+"}"#), ("limit", "5500")];
    let answer = ask(&server, RANGE, "text/csv", &limited).await.text();
    let rows: Vec<&str> = answer.split_terminator("\r\n").collect();
    assert_eq!((rows[0], rows.len()), ("timestamp,labels,line", 5501));
    assert_eq!(rows[1], r#"2026-11-01T00:59:59Z,"{""app"":""a"",""service_name"":""s""}",12342"#);
}

#[tokio::test]
async fn values_come_as_rows_too_and_errors_as_ever() {
    let server = with_lines(TestServer::new(), 70);
    let query = [("query", r#"sum(count_over_time({app=~".+"}[1h]))"#), ("step", "1h")];
    let answer = ask(&server, RANGE, "application/x-ndjson", &query).await;
    let last = answer.text().lines().last().map(str::to_owned).expect("a row");
    let row: Value = serde_json::from_str(&last).expect("an object");
    assert_eq!(row, json!({ "timestamp": "2026-11-01T01:00:00Z", "labels": {}, "value": "70" }));
    let answer = ask(&server, RANGE, "text/csv", &[("query", "{")]).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().starts_with("parse error at line 1"), "{}", answer.text());
}

#[tokio::test]
async fn lines_that_are_too_long_for_a_page_come_in_smaller_ones() {
    let server = TestServer::with(|settings| settings.limits.query.memory_bytes_max = 100_000);
    let stream = Labels::from_pairs([("app", "a"), ("service_name", "s")]);
    for number in 0..300 {
        let line = format!("{number} {}", "x".repeat(2000));
        server.store.push(&stream, NOW.saturating_add_nanos(number - 1000), line.as_bytes(), &[]);
    }
    let answer = ask(&server, RANGE, "application/x-ndjson", &[("query", r#"{app="a"}"#)]).await;
    assert_eq!(answer.text().lines().count(), 300);
}

#[tokio::test]
async fn too_many_series_are_truncated_for_who_asks() {
    let server = with_lines(TestServer::with(|settings| settings.limits.query.series_max = 2), 30);
    let query = ("query", r#"sum by (app) (count_over_time({app=~".+"}[1h]))"#);
    for path in [RANGE, "/loki/api/v1/query"] {
        assert_eq!(ask(&server, path, "", &[query]).await.status, 400);
        let answer = ask(&server, path, "", &[query, ("truncate_series", "true")]).await.json();
        assert_eq!(answer["data"]["result"].as_array().map(Vec::len), Some(2));
        assert_eq!(answer["warnings"], json!(["the query has 3 series, of which these are the first 2"]));
    }
}

#[tokio::test]
async fn a_plan_says_what_would_be_read() {
    let server = with_lines(TestServer::new(), 30);
    let path = "/timberyard/api/v1/explain";
    let query = r#"{app="a"} |= "1" | json | x="y""#;
    let data = ask(&server, path, "", &[("query", query)]).await.json()["data"].clone();
    assert_eq!((&data["kind"], &data["query"]), (&json!("logs"), &json!(query)));
    let scan = &data["scans"][0];
    assert_eq!(scan["pushedDown"], json!([r#"|= "1""#]));
    assert_eq!(scan["stages"], json!(["| json", r#"| x="y""#]));
    assert_eq!((&scan["atMost"]["streams"], &scan["atMost"]["memoryRows"]), (&json!(1), &json!(10)));
    assert_eq!(scan["start"], "2026-11-01T00:00:00Z");
    let instant = [("query", r#"sum(rate({app="a"}[5m]))"#), ("time", "1793494800")];
    let data = ask(&server, path, "", &instant).await.json()["data"].clone();
    assert_eq!((&data["kind"], &data["scans"][0]["columns"]), (&json!("metric"), &json!([])));
    assert_eq!(data["scans"][0]["part"], r#"rate({app="a"}[5m])"#);
    assert_eq!(ask(&server, path, "", &[("query", "{")]).await.status, 400);
}
