//! What Grafana asks beside queries: fields, templates, limits, rules.

use serde_json::{Value, json};
use timberyard_model::Labels;

use crate::harness::{Answer, NOW, TestServer};

/// The selector of all lines of [`with_lines`].
const API: (&str, &str) = ("query", r#"{app="api"}"#);
const FIELDS: &str = "/loki/api/v1/detected_fields";
const PATTERNS: &str = "/loki/api/v1/patterns";

/// Lines of one stream: JSON, logfmt and words, in the last minute before now.
fn with_lines() -> TestServer {
    let server = TestServer::new();
    let api = Labels::from_pairs([("app", "api")]);
    let lines = [
        (-40, r#"{"status":500,"user":{"id":7}}"#, "error"),
        (-30, "status=200 size=2KB", "info"),
        (-20, "order 17 created", "info"),
        (-10, "order 18 created", "info"),
    ];
    for (seconds, line, level) in lines {
        let time = NOW.saturating_add_nanos(seconds * 1_000_000_000);
        server.store.push(&api, time, line.as_bytes(), &[("detected_level", level.as_bytes())]);
    }
    server
}

async fn ask(server: &TestServer, path: &str, parameters: &[(&str, &str)]) -> Answer {
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    server.get(&format!("{path}?{encoded}")).await
}

fn seconds_ago(seconds: i64) -> i64 {
    NOW.as_nanos() / 1_000_000_000 - seconds
}

#[tokio::test]
async fn fields_come_with_type_cardinality_parsers_and_path() {
    let answer = ask(&with_lines(), FIELDS, &[API]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = json!({
        "fields": [
            { "label": "detected_level", "type": "string", "cardinality": 2, "parsers": null },
            { "label": "size", "type": "bytes", "cardinality": 1, "parsers": ["logfmt"] },
            { "label": "status", "type": "int", "cardinality": 2, "parsers": ["logfmt", "json"], "jsonPath": ["status"] },
            { "label": "user_id", "type": "int", "cardinality": 1, "parsers": ["json"], "jsonPath": ["user", "id"] },
        ],
        "limit": 1000,
    });
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn limits_count_lines_and_fields_for_themselves() {
    let server = with_lines();
    let names = |answer: Answer| -> Vec<String> {
        let fields = answer.json()["fields"].as_array().cloned().unwrap_or_default();
        fields.iter().filter_map(|field| field["label"].as_str().map(str::to_owned)).collect()
    };
    for (parameters, expected) in [
        (vec![API, ("line_limit", "3")], vec!["detected_level", "size", "status"]),
        (vec![API, ("line_limit", "2")], vec!["detected_level"]),
        (vec![API, ("limit", "1")], vec!["detected_level"]),
        (vec![API, ("field_limit", "1")], vec!["detected_level"]),
        (vec![("query", r#"{app="api"} | json | status=500"#)], vec!["detected_level", "status", "user_id"]),
        (vec![("query", r#"{app="nosuch"}"#)], vec![]),
    ] {
        assert_eq!(names(ask(&server, FIELDS, &parameters).await), expected, "{parameters:?}");
    }
}

#[tokio::test]
async fn the_values_of_a_field_are_a_sorted_set() {
    let server = with_lines();
    for (name, expected) in [
        ("status", json!({ "values": ["200", "500"], "limit": 1000 })),
        ("size", json!({ "values": ["2.0kB"], "limit": 1000 })),
        ("detected_level", json!({ "values": ["error", "info"], "limit": 1000 })),
        ("nosuch", json!({})),
    ] {
        let path = format!("/loki/api/v1/detected_field/{name}/values");
        assert_eq!(ask(&server, &path, &[API]).await.json(), expected, "{name}");
    }
}

#[tokio::test]
async fn templates_are_counted_by_level_and_step() {
    let answer = ask(&with_lines(), PATTERNS, &[API, ("step", "20s")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = json!({
        "status": "success",
        "data": [
            { "pattern": "order <_> created", "level": "info", "samples": [[seconds_ago(20), 2]] },
            { "pattern": "status=<_> size=<_>", "level": "info", "samples": [[seconds_ago(40), 1]] },
            { "pattern": r#"{"status":<_>,"user":{"id":<_>}}"#, "level": "error", "samples": [[seconds_ago(40), 1]] },
        ],
    });
    assert_eq!(answer.json(), expected);
    let filtered = ask(&with_lines(), PATTERNS, &[("query", r#"{app="api"} |= "17""#)]).await.json();
    assert_eq!(filtered["data"].as_array().map(Vec::len), Some(1), "{filtered}");
    let none = ask(&with_lines(), PATTERNS, &[("query", r#"{app="nosuch"}"#)]).await.json();
    assert_eq!(none, json!({ "status": "success", "data": [] }));
}

#[tokio::test]
async fn bad_questions_are_refused() {
    let server = with_lines();
    let metric = ("query", r#"rate({app="api"}[1m])"#);
    for (path, parameters, words) in [
        (FIELDS, vec![("query", "{app=")], "parse error at line 1, col 6"),
        (FIELDS, vec![], "parse error"),
        (FIELDS, vec![metric], "only log selector is supported"),
        (FIELDS, vec![API, ("line_limit", "0")], "limit must be a positive value"),
        (FIELDS, vec![API, ("line_limit", "x")], "invalid syntax"),
        (FIELDS, vec![API, ("line_limit", "100000")], "max entries limit per query exceeded"),
        (FIELDS, vec![API, ("limit", "-1")], "limit must be a positive value"),
        (FIELDS, vec![API, ("step", "0")], "zero or negative query resolution step"),
        (PATTERNS, vec![metric], "only log queries have patterns"),
        (PATTERNS, vec![API, ("start", "1"), ("step", "1s")], "exceeded maximum resolution"),
    ] {
        let answer = ask(&server, path, &parameters).await;
        assert_eq!(answer.status, 400, "{path} {parameters:?}: {}", answer.text());
        assert!(answer.text().contains(words), "{path} {parameters:?}: {}", answer.text());
    }
}

#[tokio::test]
async fn limits_are_told_under_lokis_names() {
    let server = TestServer::with(|settings| settings.limits.query.entries_max = 77);
    let body = server.get("/loki/api/v1/drilldown-limits").await.json();
    assert_eq!(body["limits"]["max_entries_limit_per_query"], 77);
    assert_eq!(body["limits"]["query_timeout"], "60s");
    assert_eq!(body["pattern_ingester_enabled"], true);
    let page = server.get("/config/tenant/v1/limits").await.text();
    assert!(page.contains("max_entries_limit_per_query: 77\n"), "{page}");
}

#[tokio::test]
async fn there_are_no_rules() {
    let server = TestServer::new();
    let empty = |name: &str| -> Value {
        json!({ "status": "success", "data": { name: [] }, "errorType": "", "error": "" })
    };
    assert_eq!(server.get("/prometheus/api/v1/rules").await.json(), empty("groups"));
    assert_eq!(server.get("/prometheus/api/v1/alerts").await.json(), empty("alerts"));
    let list = server.get("/loki/api/v1/rules").await;
    assert_eq!((list.status.as_u16(), list.text().as_str()), (404, "no rule groups found\n"));
}
