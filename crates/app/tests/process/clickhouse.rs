//! A server whose only store is ClickHouse, and one that keeps copies there.

use serde_json::json;
use timberyard_testkit::eventually::eventually;
use timberyard_testkit::parts::clickhouse::ClickHouse;

use crate::clock::now;
use crate::logql::count;
use crate::start::{server_configured, server_with};
use crate::terminal::timberyard;

#[test]
fn clickhouse_alone_answers_every_surface_and_tells_its_sql() {
    let engine = ClickHouse::start();
    let config = format!(
        "store: {{embedded: false}}\nquery: {{source: warehouse}}\nsinks:\n  warehouse:\n    required: true\n    clickhouse:\n      \
         url: {}\n      database: logs\n      batch_age_ms: 5\n",
        engine.url()
    );
    let server = server_configured(&config);
    let log = |level: &str, message: &str| json!({ "service": "auth", "level": level, "message": message });
    for (level, message) in
        [("INFO", "user logged in"), ("ERROR", "token refused"), ("ERROR", "token expired")]
    {
        server.post("/api/ingest").json(&log(level, message)).send().expect_status(202);
    }
    let push =
        json!({ "streams": [{ "stream": { "app": "web" }, "values": [[now().to_string(), "GET /"]] }] });
    for _ in 0..2 {
        server.post("/loki/api/v1/push").json(&push).send().expect_status(204);
    }
    assert_eq!(count(&server, r#"{app="web"}"#), 1, "equal entries of Loki are one");
    assert_eq!(count(&server, r#"{service="auth", level="ERROR"} |~ "token (refused|expired)""#), 2);
    let read = server.get("/api/ingest/logs?service=auth&level=error").send().expect_status(200).json();
    assert_eq!(read["data"][0]["message"], "token expired", "newest first: {read}");
    let values = server.get("/loki/api/v1/label/service_name/values").send().expect_status(200).json();
    assert_eq!(values["data"], json!(["auth", "web"]));
    let copies =
        server.get("/v1/logs?subscriber_type=clickhouse&search=REFUSED").send().expect_status(200).json();
    assert_eq!(copies[0]["message"], "token refused", "{copies}");
    let explained = server.get("/timberyard/api/v1/explain").query("query", r#"{app="web"} |= "GET""#);
    let explained = explained.send().expect_status(200).json();
    let statement = explained["data"]["scans"][0]["statement"].as_str().expect("a statement").to_owned();
    assert!(statement.contains("line LIKE {p"), "{statement}");
    assert_eq!(engine.query("SELECT count(), uniqExact(service) FROM logs.logs FINAL"), "4\t2");
}

#[test]
fn a_server_that_cannot_do_without_clickhouse_is_not_ready_while_it_is_away() {
    let mut engine = ClickHouse::start();
    let config = format!(
        "store: {{embedded: false}}\nquery: {{source: warehouse}}\nsinks:\n  warehouse: {{required: true, clickhouse: {{url: {}}}}}\n",
        engine.url()
    );
    let server = server_configured(&config);
    let is_up = |up: u8| {
        let metrics = server.get("/metrics").send().expect_status(200).text();
        assert!(metrics.contains(&format!("timberyard_sink_up{{sink=\"warehouse\"}} {up}\n")), "{metrics}");
    };
    is_up(1);
    engine.kill();
    let refused = eventually("the server to miss it", || {
        let answer = server.get("/ready").send();
        (answer.status == 503).then(|| answer.text())
    });
    assert!(refused.contains("sink `warehouse`: clickhouse is unreachable"), "{refused}");
    assert_eq!(server.get("/health").send().status, 503);
    is_up(0);
    engine.start_again();
    eventually("the server to be ready again", || (server.get("/ready").send().status == 200).then_some(()));
}

#[test]
fn copies_in_clickhouse_wait_on_disk_while_it_is_away() {
    let mut engine = ClickHouse::start();
    let server = server_with(&[("CLICKHOUSE_HOST", &engine.url()), ("CLICKHOUSE_DB", "copies")]);
    let send = |message: &str| {
        let log = json!({ "service": "api", "level": "INFO", "message": message });
        server.post("/api/ingest").json(&log).send().expect_status(202);
    };
    let rows = |engine: &ClickHouse, expected: &str| {
        eventually("the copies", || {
            let there =
                engine.query("SELECT count() FROM system.tables WHERE database = 'copies' AND name = 'logs'");
            (there == "1" && engine.query("SELECT count() FROM copies.logs FINAL") == expected).then_some(())
        });
    };
    send("before");
    rows(&engine, "1");
    engine.kill();
    eventually("the metric", || {
        let metrics = server.get("/metrics").send().expect_status(200).text();
        metrics.contains("timberyard_sink_up{sink=\"clickhouse\"} 0\n").then_some(())
    });
    assert_eq!(server.get("/ready").send().status, 200, "it is ready without copies");
    (0..5).for_each(|number| send(&format!("meanwhile {number}")));
    assert_eq!(count(&server, r#"{service="api"}"#), 6, "the embedded store has them");
    engine.start_again();
    rows(&engine, "6");
}

#[test]
fn logtopus_own_table_is_read_and_written_where_it_is() {
    let engine = ClickHouse::start();
    // As Logtopus made and filled it.
    engine.query("CREATE DATABASE logtopus");
    engine.query(
        "CREATE TABLE logtopus.logs (timestamp DateTime64(3), level LowCardinality(String), message String, object String, \
         extra String, logger_name String, sequence UInt64, error String, stacktrace String, session_id String, \
         client_id String, source String, client_ip String) ENGINE = MergeTree() ORDER BY timestamp",
    );
    engine.query(
        "INSERT INTO logtopus.logs SELECT now64(3) - 60 + number, 'SEVERE', concat('disk ', toString(number)), \
         '{\"free\":0}', 'null', 'db', number, 'ENOSPC', '', 's1', 'c1', 'billing', '10.0.0.7' FROM numbers(3)",
    );
    let config = format!(
        "store: {{embedded: false}}\nquery: {{source: logtopus}}\nsinks:\n  logtopus:\n    required: true\n    clickhouse: \
         {{url: {}, database: logtopus, layout: logtopus, batch_age_ms: 5}}\n",
        engine.url()
    );
    let server = server_configured(&config);
    let found = server.get("/v1/logs?session_id=S1&search=DISK").send().expect_status(200).json();
    let first = &found[0];
    assert_eq!(
        (&first["message"], &first["sequence"], &first["client_ip"]),
        (&json!("disk 2"), &json!(2), &json!("10.0.0.7"))
    );
    assert_eq!(first["object"], json!({ "free": 0 }));
    assert_eq!(count(&server, r#"{service_name="billing", level="SEVERE"} | session_id="s1" |= "disk""#), 3);
    let sent = json!([{ "level": "INFO", "message": "hello", "source": "billing", "session_id": "s2", "sequence": 7 }]);
    server.post("/v1/logs").json(&sent).send().expect_status(202);
    let own = "SELECT level, source, sequence, extra FROM logtopus.logs WHERE message = 'hello' AND session_id = 's2'";
    assert_eq!(engine.query(own), "INFO\tbilling\t7\tnull");
    assert_eq!(count(&server, r#"{service_name="billing"} | detected_level="info""#), 1);
    // What the columns have no place for comes back whole.
    let push = json!({ "streams": [{ "stream": { "app": "web" }, "values": [[now().to_string(), "GET /", { "trace": "t1" }]] }] });
    server.post("/loki/api/v1/push").json(&push).send().expect_status(204);
    assert_eq!(count(&server, r#"{app="web"} | trace="t1""#), 1);
    let labels = server.get("/loki/api/v1/labels").send().expect_status(200).json();
    assert_eq!(labels["data"], json!(["app", "level", "logger_name", "service_name"]));
    assert_eq!(engine.query("SELECT source FROM logtopus.logs WHERE message = 'GET /'"), "web");
}

#[test]
fn a_table_of_another_system_is_named_by_the_connection_check_and_made_when_it_is_missing() {
    let engine = ClickHouse::start();
    engine.query("CREATE TABLE default.logs (timestamp DateTime64(3), message String) ENGINE = MergeTree() ORDER BY timestamp");
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("timberyard.yaml");
    let with = |settings: &str| {
        let text = format!("sinks: {{old: {{clickhouse: {{url: {}, {settings}}}}}}}\n", engine.url());
        std::fs::write(&config, text).expect("written");
    };
    let config = config.to_str().expect("text");
    with("layout: logtopus");
    let refused = timberyard(&["config", "check", "--connect", "--config", config]).failed().all();
    assert!(
        refused.contains("is no table of Logtopus: `level` (LowCardinality(String)) is missing"),
        "{refused}"
    );
    with("layout: logstream");
    let migrate = |command: &str| timberyard(&["migrate", command, "--config", config]).succeeded().text();
    assert!(migrate("status").contains("old: 1 LogStream's table: not applied"));
    assert!(migrate("up").contains("old: applied: LogStream's table"));
    assert!(migrate("up").contains("nothing to apply"));
    let checked = timberyard(&["config", "check", "--connect", "--config", config]).succeeded().text();
    assert!(checked.contains("table default.app_logs, 6 columns"), "{checked}");
}

#[test]
fn tables_are_made_and_listed_by_hand() {
    let engine = ClickHouse::start();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("timberyard.yaml");
    let text = format!("sinks: {{warehouse: {{clickhouse: {{url: {}, create: false}}}}}}\n", engine.url());
    std::fs::write(&config, text).expect("written");
    let migrate = |command: &str| {
        let arguments = ["migrate", command, "--config", config.to_str().expect("text")];
        timberyard(&arguments).succeeded().text()
    };
    assert!(migrate("status").contains("warehouse: 1 logs and their streams: not applied"));
    assert!(migrate("up").contains("warehouse: applied: logs and their streams"));
    assert!(migrate("up").contains("nothing to apply"));
    assert!(migrate("status").contains("warehouse: 1 logs and their streams: applied"));
    assert_eq!(engine.query("SELECT count() FROM default.logs"), "0");
}
