//! No answer shows another tenant's data: every read endpoint of the URL table is asked as one tenant about all there is.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Answer, NOW, TestServer};

/// What only the other tenant's data holds: in labels, lines, metadata and events.
const SECRET: &str = "zebracode";
const OWN: &str = "giraffecode";

/// Endpoints that answer from what is stored or says who sent it, with questions that would find everything.
/// The test below holds the list to the router's table.
const ASKED: &[(&str, &str)] = &[
    ("/loki/api/v1/query_range", "query=%7Bservice_name%3D~%22.%2B%22%7D&limit=5000"),
    (
        "/loki/api/v1/query",
        "query=sum%20by%20(service_name,code)(count_over_time(%7Bservice_name%3D~%22.%2B%22%7D%5B24h%5D))",
    ),
    ("/loki/api/v1/labels", ""),
    ("/loki/api/v1/label", ""),
    ("/loki/api/v1/label/{name}/values", ""),
    ("/loki/api/v1/series", "match%5B%5D=%7Bservice_name%3D~%22.%2B%22%7D"),
    ("/loki/api/v1/index/stats", "query=%7Bservice_name%3D~%22.%2B%22%7D"),
    ("/loki/api/v1/index/volume", "query=%7Bservice_name%3D~%22.%2B%22%7D&targetLabels=code"),
    ("/loki/api/v1/index/volume_range", "query=%7Bservice_name%3D~%22.%2B%22%7D&step=3600&targetLabels=code"),
    ("/loki/api/v1/detected_labels", ""),
    ("/loki/api/v1/detected_fields", "query=%7Bservice_name%3D~%22.%2B%22%7D"),
    ("/loki/api/v1/detected_field/{name}/values", "query=%7Bservice_name%3D~%22.%2B%22%7D"),
    ("/loki/api/v1/patterns", "query=%7Bservice_name%3D~%22.%2B%22%7D"),
    ("/loki/api/v1/drilldown-limits", ""),
    ("/config/tenant/v1/limits", ""),
    ("/loki/api/v1/rules", ""),
    ("/prometheus/api/v1/rules", ""),
    ("/prometheus/api/v1/alerts", ""),
    ("/loki/api/v1/format_query", "query=%7Bservice_name%3D~%22.%2B%22%7D"),
    ("/timberyard/api/v1/explain", "query=%7Bservice_name%3D~%22.%2B%22%7D"),
    ("/loki/api/v1/delete", ""),
    ("/v1/logs", "limit=10000"),
    ("/status", ""),
    ("/query", "query=%7Bservice_name%3D~%22.%2B%22%7D&limit=5000"),
    ("/labels", ""),
    ("/labels/{name}/values", ""),
    ("/api/ingest/logs", "limit=10000"),
    ("/api/health", ""),
    ("/api/v1/logs/filter", "page_size=1000"),
    ("/api/v1/logs/recent", "limit=1000"),
    ("/api/v1/status", ""),
    ("/api/v1/metrics", ""),
    ("/loki/api/v1/status/buildinfo", ""),
    ("/services", ""),
    ("/health", ""),
    ("/metrics", ""),
    ("/ready", ""),
    ("/readiness", ""),
    ("/liveness", ""),
    ("/openapi.json", ""),
    ("/openapi", ""),
    ("/ui/{*file}", ""),
    ("/timberyard/api/v1/about", ""),
    ("/timberyard/api/v1/whoami", ""),
    ("/timberyard/api/v1/searches", ""),
    ("/timberyard/api/v1/slow-queries", ""),
    ("/", ""),
    ("/_cluster/health", ""),
    ("/_cat/health", ""),
    ("/_license", ""),
    ("/_nodes/http", ""),
    ("/services/collector/health", ""),
    ("/services/collector/health/1.0", ""),
    ("/api/v1/validate", ""),
    ("/auth/login", ""),
    ("/auth/callback", ""),
    ("/admin/keys", ""),
    ("/admin/config", ""),
];

/// Those that need a WebSocket: what they show is tested with them.
const TAILS: [&str; 2] = ["/loki/api/v1/tail", "/stream"];

/// Pages about all tenants, for those who administer the whole server.
const OPERATORS: [&str; 1] = ["/retention/preview"];

/// The paths of the table with a `get`, or what stands for one.
fn readable_paths() -> Vec<&'static str> {
    let table = include_str!("../../src/router.rs");
    let routes = table.split(".route(\"").skip(1).filter_map(|rest| rest.split_once('"'));
    let reads = |methods: &str| {
        let methods = methods.split("\n").next().unwrap_or("");
        ["get(", "asked(", "any(", "deletions"].iter().any(|word| methods.contains(word))
    };
    routes.filter(|(_, methods)| reads(methods)).map(|(path, _)| path).collect()
}

async fn store(server: &TestServer, tenant: &str, word: &str) {
    let at = NOW.as_nanos() - 1_000_000_000;
    let push = json!({ "streams": [{
        "stream": { "app": word, "code": word },
        "values": [[at.to_string(), format!("level=info {word}={word} said {word}"), { "trace": word }]],
    }] });
    let entries = json!([{ "message": word, "source": word, "session_id": word, "client_id": word }]);
    let event =
        json!({ "event_id": word, "event_type": "behavioral", "event_name": word, "session_id": word });
    let service = json!({ "service": word, "level": "INFO", "message": word });
    let headers = [("x-scope-orgid", tenant), ("content-type", "application/json")];
    for (path, body) in [
        ("/loki/api/v1/push", push),
        ("/v1/logs", entries),
        ("/api/v1/ingest", event),
        ("/api/ingest", service),
    ] {
        let answer = server.request(Method::POST, path, &headers, body.to_string()).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
    }
}

async fn ask(server: &TestServer, tenant: &str, path: &str, question: &str, name: &str) -> Answer {
    let span = "start=2026-10-31T00:00:00Z&end=2026-11-02T00:00:00Z";
    let path = format!("{}?{span}&{question}", path.replace("{name}", name));
    server.request(Method::GET, &path, &[("x-scope-orgid", tenant)], Body::empty()).await
}

#[tokio::test]
async fn every_read_endpoint_shows_ones_own_data_only() {
    let server = TestServer::new();
    store(&server, "other", SECRET).await;
    store(&server, "own", OWN).await;
    let mut shown = 0;
    for (path, question) in ASKED {
        for name in ["app", "service_name", "code", SECRET] {
            let answer = ask(&server, "own", path, question, name).await;
            // There are no rules, and this server has nowhere to read its settings again.
            let is_answered = answer.status.is_success()
                || matches!(answer.status, StatusCode::NOT_IMPLEMENTED | StatusCode::NOT_FOUND);
            assert!(is_answered, "{path}: {} {}", answer.status, answer.text());
            let text = answer.text().replace(&format!("/{SECRET}/"), "");
            assert!(!text.contains(SECRET), "{path} shows another tenant's data: {text}");
            shown += usize::from(text.contains(OWN));
            // The same question finds what is there, or it would prove nothing.
            let owner = ask(&server, "other", path, question, name).await.text();
            let is_same = name == SECRET || text.contains(OWN) == owner.contains(SECRET);
            assert!(is_same, "{path} {name}: {text} and {owner}");
            if !path.contains("{name}") {
                break;
            }
        }
    }
    assert!(shown >= 15, "only {shown} answers showed anything");
}

#[test]
fn the_list_of_what_is_asked_is_the_routers_table() {
    let paths = readable_paths();
    assert!(paths.len() > 35, "{paths:?}");
    for path in paths {
        assert!(
            ASKED.iter().any(|(asked, _)| *asked == path)
                || TAILS.contains(&path)
                || OPERATORS.contains(&path),
            "{path} can be read and is not asked here"
        );
    }
}

#[tokio::test]
async fn errors_say_nothing_of_another_tenant() {
    let server = TestServer::new();
    store(&server, "other", SECRET).await;
    let headers = [("x-scope-orgid", "own"), ("content-type", "application/json")];
    let event = json!({ "event_id": SECRET, "event_type": "behavioral", "event_name": "n" }).to_string();
    let answer = server.request(Method::POST, "/api/v1/ingest", &headers, event).await;
    assert_eq!(answer.status, 201, "an id is taken within its tenant only: {}", answer.text());
}

async fn json_of(server: &TestServer, tenants: &str, path: &str, question: &str) -> serde_json::Value {
    let answer = ask(server, tenants, path, question, "app").await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    serde_json::from_str(&answer.text()).expect("JSON")
}

#[tokio::test]
async fn a_query_may_be_about_several_tenants() {
    let server = TestServer::new();
    store(&server, "other", SECRET).await;
    store(&server, "own", OWN).await;
    let all = "query=%7Bapp%3D~%22.%2Bcode%22%7D";
    let lines = json_of(&server, "own|other|own", "/loki/api/v1/query_range", all).await;
    let streams = lines["data"]["result"].as_array().expect("streams");
    let mut of: Vec<(&str, &str)> = streams
        .iter()
        .map(|stream| (&stream["stream"]["__tenant_id__"], &stream["stream"]["app"]))
        .map(|(tenant, app)| (tenant.as_str().expect("a text"), app.as_str().expect("a text")))
        .collect();
    of.sort_unstable();
    assert_eq!(of, [("other", SECRET), ("own", OWN)]);
    let one = "query=%7Bapp%3D~%22.%2Bcode%22%2C__tenant_id__%3D%22own%22%7D";
    let lines = json_of(&server, "own|other", "/loki/api/v1/query_range", one).await;
    assert_eq!(lines["data"]["result"].as_array().map(Vec::len), Some(1));
    let counts = "query=sum%20by%20(__tenant_id__)(count_over_time(%7Bapp%3D~%22.%2Bcode%22%7D%5B24h%5D))";
    let counts = json_of(&server, "own|other", "/loki/api/v1/query", counts).await;
    assert_eq!(counts["data"]["result"].as_array().map(Vec::len), Some(2), "{counts}");
    let names = json_of(&server, "own|other", "/loki/api/v1/labels", "").await;
    assert!(names["data"].as_array().expect("names").contains(&json!("__tenant_id__")), "{names}");
    let values = "/loki/api/v1/label/__tenant_id__/values";
    assert_eq!(json_of(&server, "own|other", values, "").await["data"], json!(["other", "own"]));
    let values = json_of(&server, "own|other", "/loki/api/v1/label/app/values", "").await;
    assert!(values["data"].as_array().expect("values").contains(&json!(SECRET)));
    let series =
        json_of(&server, "own|other", "/loki/api/v1/series", &all.replace("query", "match%5B%5D")).await;
    assert_eq!(series["data"].as_array().map(Vec::len), Some(2), "{series}");
    let stats = json_of(&server, "own|other", "/loki/api/v1/index/stats", all).await;
    assert_eq!((&stats["streams"], &stats["entries"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn several_tenants_are_refused_where_one_is_meant() {
    let server = TestServer::new();
    for path in ["/loki/api/v1/delete", "/v1/logs", "/loki/api/v1/rules", "/query"] {
        let answer = ask(&server, "own|other", path, "query=%7Bapp%3D%22x%22%7D", "app").await;
        let text = answer.text();
        assert!(answer.status == 400 && text.contains("multiple org IDs present"), "{path}: {text}");
    }
    let headers = [("x-scope-orgid", "a|b"), ("content-type", "application/json")];
    let push = json!({ "streams": [] }).to_string();
    let answer = server.request(Method::POST, "/loki/api/v1/push", &headers, push).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(ask(&server, "own|", "/loki/api/v1/labels", "", "").await.status, 400);
    assert_eq!(ask(&server, "own|own", "/v1/logs", "", "").await.status, 200);
    let single = TestServer::with(|settings| settings.multi_tenant_queries = false);
    let answer = ask(&single, "own|other", "/loki/api/v1/labels", "", "").await;
    assert!(answer.text().contains("multiple org IDs present"), "{}", answer.text());
}
