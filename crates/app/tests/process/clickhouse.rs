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
