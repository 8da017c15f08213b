//! What shippers ask before they send, and how they send then, replayed request by request: all of it is answered as they need it.
//!
//! The sequences are those of the shippers' own sources: Beats (`libbeat/template`, `libbeat/idxmgmt/lifecycle`), Logstash's output
//! for Elasticsearch, Vector's sinks, Fluent Bit's output `es`, and Docker's driver for Splunk.

use axum::http::Method;
use serde_json::json;

use crate::harness::stored;
use crate::rules::with_keys;

/// A request, and the status that its sender wants.
type Ask = (Method, &'static str, &'static str, u16);

/// A shipper, the header that its key is in, and what it asks and sends, in order.
struct Shipper {
    name: &'static str,
    key: (&'static str, &'static str),
    asks: &'static [Ask],
}

const DOCUMENT: &str =
    "{\"create\":{\"_index\":\"logs\"}}\n{\"message\":\"order 18 failed\",\"app\":\"shop\"}\n";
const OLD_DOCUMENT: &str =
    "{\"index\":{\"_index\":\"logs\",\"_type\":\"_doc\"}}\n{\"log\":\"order 18 failed\",\"app\":\"shop\"}\n";

/// `user:topsecret`, and `id:topsecret` as an API key of Elasticsearch.
const BASIC: (&str, &str) = ("authorization", "Basic dXNlcjp0b3BzZWNyZXQ=");
const API_KEY: (&str, &str) = ("authorization", "ApiKey aWQ6dG9wc2VjcmV0");
const SPLUNK: (&str, &str) = ("authorization", "Splunk topsecret");

const SHIPPERS: [Shipper; 7] = [
    Shipper {
        name: "Filebeat",
        key: API_KEY,
        asks: &[
            (Method::GET, "/", "", 200),
            (Method::GET, "/_license?human=false", "", 200),
            (Method::GET, "/_ilm/policy/filebeat", "", 200),
            (Method::PUT, "/_ilm/policy/filebeat", "{\"policy\":{}}", 200),
            (Method::HEAD, "/_index_template/filebeat-9.2.0", "", 200),
            (Method::PUT, "/_index_template/filebeat-9.2.0", "{\"index_patterns\":[]}", 200),
            (Method::HEAD, "/_component_template/filebeat", "", 200),
            (Method::PUT, "/_data_stream/filebeat-9.2.0", "", 200),
            (Method::GET, "/_ingest/pipeline/filebeat-9.2.0-nginx", "", 200),
            (Method::POST, "/_bulk?filter_path=errors%2Citems.%2A.error%2Citems.%2A.status", DOCUMENT, 200),
        ],
    },
    Shipper {
        name: "an old Filebeat",
        key: BASIC,
        asks: &[
            (Method::GET, "/", "", 200),
            (Method::HEAD, "/_template/filebeat-6.8.0", "", 200),
            (Method::PUT, "/_template/filebeat-6.8.0", "{}", 200),
            (Method::POST, "/_bulk", OLD_DOCUMENT, 200),
        ],
    },
    Shipper {
        name: "Logstash",
        key: BASIC,
        asks: &[
            (Method::HEAD, "/", "", 200),
            (Method::GET, "/_license", "", 200),
            (Method::GET, "/", "", 200),
            (Method::HEAD, "/_index_template/ecs-logstash", "", 200),
            (Method::GET, "/_nodes/http", "", 200),
            (Method::POST, "/_bulk?filter_path=errors,items.*.error,items.*.status", DOCUMENT, 200),
        ],
    },
    Shipper {
        name: "Vector, to Elasticsearch",
        key: BASIC,
        asks: &[
            (Method::GET, "/_cluster/health", "", 200),
            (Method::GET, "/", "", 200),
            (Method::POST, "/_bulk?timeout=60s&pipeline=p", DOCUMENT, 200),
        ],
    },
    Shipper {
        name: "Vector, to Splunk",
        key: SPLUNK,
        asks: &[
            (Method::GET, "/services/collector/health/1.0", "", 200),
            (Method::POST, "/services/collector/event", "{\"event\":\"order 18 failed\",\"fields\":{}}", 200),
        ],
    },
    Shipper { name: "Fluent Bit", key: BASIC, asks: &[(Method::POST, "/_bulk", OLD_DOCUMENT, 200)] },
    Shipper {
        name: "Docker, to Splunk",
        key: SPLUNK,
        asks: &[(
            Method::POST,
            "/services/collector/event/1.0",
            "{\"time\":\"1793494000.000001\",\"host\":\"h\",\"event\":{\"line\":\"order 18 failed\",\"source\":\"stdout\",\"tag\":\"7\"}}",
            200,
        )],
    },
];

#[tokio::test]
async fn every_shipper_is_answered_from_its_first_question_to_what_it_sends() {
    for Shipper { name, key, asks } in SHIPPERS {
        let server = with_keys();
        for (method, path, body, status) in asks {
            let headers = [key, ("content-type", "application/json")];
            let answer = server.request(method.clone(), path, &headers, (*body).to_owned()).await;
            assert_eq!(answer.status.as_u16(), *status, "{name}: {method} {path}: {}", answer.text());
            if path.starts_with("/_bulk") {
                assert_eq!(answer.header("x-elastic-product"), "Elasticsearch", "{name}");
                assert_eq!(answer.json()["errors"], json!(false), "{name}");
            }
            if *path == "/" && *method == Method::GET {
                assert!(answer.json()["version"]["number"].is_string(), "{name}");
            }
        }
        let rows = stored(&server);
        assert!(rows.len() == 1 && rows[0].contains("order 18 failed"), "{name}: {rows:?}");
    }
}

#[tokio::test]
async fn dockers_driver_for_splunk_finds_the_collector_without_a_key() {
    let server = with_keys();
    let path = "/services/collector/event/1.0";
    let answer = server.request(Method::OPTIONS, path, &[], String::new()).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    let sent = server.request(Method::POST, path, &[], r#"{"event":"x"}"#.to_owned()).await;
    assert_eq!(sent.status.as_u16(), 401);
}
