//! Shippers that nobody here wrote send as they would to Elasticsearch and Splunk: their own clients for
//! Python, and rsyslog.

use crate::logql::{entries, entries_of};
use crate::rsyslog::Rsyslog;
use crate::senders::{found, python};
use crate::start::{server, server_with};

#[test]
fn elasticsearchs_client_stores_documents_in_bulk_and_one_by_one() {
    let server = server();
    python("python_elasticsearch.py", &[&server.url(""), "20"]);
    let found = found(&server, r#"{index="orders", service_name="shop"}"#, 20);
    assert_eq!(found.len(), 20);
    assert!(found.iter().any(|entry| entry.line == "order 7 é \"quoted\""), "{found:?}");
    assert_eq!(entries(&server, r#"{index="orders"} | order_id="9" | detected_level="error""#).len(), 1);
    assert_eq!(entries(&server, r#"{index="orders"} | _id="last" |= "the last one""#).len(), 1);
}

#[test]
fn elasticsearchs_client_sends_its_key() {
    let server = server_with(&[("API_KEYS", "k")]);
    python("python_elasticsearch.py", &[&server.url(""), "3", "k"]);
    let answer = server
        .get("/loki/api/v1/query_range")
        .query("query", r#"{index="orders"}"#)
        .header("X-API-Key", "k")
        .send()
        .expect_status(200);
    assert_eq!(entries_of(&answer.json()).len(), 3);
}

#[test]
fn a_logging_handler_for_splunk_stores_its_events() {
    let server = server_with(&[("API_KEYS", "k")]);
    let (host, port) = server.address().split_once(':').expect("an address with a port");
    python("python_splunk.py", &[host, port, "5", "k"]);
    let answer = server
        .get("/loki/api/v1/query_range")
        .query("query", r#"{sourcetype="shop", host="h-1", source="orders.py"} | user_id="u-4" | json"#)
        .header("X-API-Key", "k")
        .send()
        .expect_status(200);
    let found = entries_of(&answer.json());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].labels["message"], "order 4 é \"quoted\"");
    assert_eq!(found[0].labels["detected_level"], "error");
}

#[test]
fn rsyslog_stores_the_lines_of_a_file_through_omelasticsearch() {
    let server = server();
    let (host, port) = server.address().split_once(':').expect("an address with a port");
    let mut rsyslog = Rsyslog::new(20);
    let settings = format!(
        r#"
module(load="omelasticsearch")
template(name="document" type="list" option.json="on") {{
  constant(value="{{\"@timestamp\":\"") property(name="timereported" dateFormat="rfc3339")
  constant(value="\",\"message\":\"") property(name="msg")
  constant(value="\",\"app\":\"") property(name="programname")
  constant(value="\",\"level\":\"") property(name="syslogseverity-text")
  constant(value="\"}}")
}}
action(type="omelasticsearch" server="{host}" serverport="{port}" template="document" searchIndex="rsyslog"
       searchType="" bulkmode="on" errorFile="{errors}" action.resumeRetryCount="-1")
"#,
        errors = rsyslog.path("errors"),
    );
    rsyslog.start(&settings);
    let found = found(&server, r#"{index="rsyslog", app="shop", level="err"}"#, 20);
    assert_eq!(found.len(), 20, "{:?}", std::fs::read_to_string(rsyslog.path("errors")));
    assert!(found.iter().any(|entry| entry.line.ends_with("order 7 \"quoted\"")), "{found:?}");
}
