//! Events in PostgreSQL: what the scenarios of Change66 do not show.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use timberyard_testkit::eventually::eventually;
use timberyard_testkit::parts::postgres::Postgres;
use timberyard_testkit::server_process::ServerProcess;

use crate::logql::{array, count};
use crate::start::{server_configured, server_with};
use crate::terminal::timberyard;

/// Variables that have a server keep its events in a new database.
pub(crate) fn database_variables(database: &Postgres) -> [(&'static str, String); 4] {
    named(database, database.create_database())
}

fn named(database: &Postgres, name: String) -> [(&'static str, String); 4] {
    let host = ("DB_HOST", "127.0.0.1".to_owned());
    [host, ("DB_PORT", database.port().to_string()), ("DB_NAME", name), ("DB_USER", "postgres".to_owned())]
}

fn server_of(variables: &[(&'static str, String)]) -> ServerProcess {
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
    server_with(&variables)
}

fn event(id: &str) -> Value {
    json!({ "event_id": id, "event_type": "telemetry", "event_name": "n", "session_id": "s" })
}

/// The status of a request that takes an event.
fn taken(server: &ServerProcess, id: &str) -> u16 {
    server.post("/api/v1/ingest").json(&event(id)).send().status
}

#[test]
fn events_are_in_the_database_alone_and_seen_once_among_all_other_logs() {
    let database = Postgres::shared();
    let variables = database_variables(database);
    let server = server_of(&variables);
    for id in ["a", "b"] {
        assert_eq!(taken(&server, id), 201);
    }
    let log = json!([{ "message": "a line", "source": "auth", "level": "INFO" }]);
    server.post("/v1/logs").json(&log).send().expect_status(202);
    let stored = "SELECT count(*), min(event_type) FROM analytics_logs";
    assert_eq!(database.sql(&variables[2].1, stored), "2|telemetry");
    assert_eq!(count(&server, r#"{service_name=~".+"}"#), 3);
    assert_eq!(count(&server, r#"{service_name="analytics"} | json | event_id="a""#), 1);
    let labels = server.get("/loki/api/v1/label/service_name/values").send().expect_status(200).json();
    assert_eq!(labels["data"], json!(["analytics", "auth"]));
    // What came by another way in is an event too, and is on the pages.
    let all =
        server.get("/api/v1/logs/filter?sort_by=event_name&sort_order=ASC").send().expect_status(200).json();
    assert_eq!(
        (&all["data"]["total_count"], &all["data"]["logs"][0]["event_name"]),
        (&json!(3), &json!("auth"))
    );
    let own = server.get("/api/v1/logs/filter?event_type=telemetry").send().expect_status(200).json();
    assert_eq!(own["data"]["total_count"], 2);

    // Two servers on one database are one.
    let other = server_of(&variables);
    assert_eq!(taken(&other, "a"), 409);
    assert_eq!(taken(&other, "c"), 201);
    assert_eq!(array(&server.get("/api/v1/logs/recent").send().expect_status(200).json()["data"]).len(), 4);
}

#[test]
fn without_its_database_a_server_is_not_healthy_takes_no_event_and_goes_on_with_logs() {
    let mut database = Postgres::start();
    let mut variables = database_variables(&database).to_vec();
    variables.push(("API_KEYS", "k".to_owned()));
    let server = server_of(&variables);
    let health = |status: u16| {
        eventually("the health of the database", || {
            (server.get("/health").send().status == status).then_some(())
        });
    };
    health(200);
    database.kill();
    health(503);
    let with_key = |path: &str| server.post(path).header("X-API-Key", "k");
    assert_eq!(with_key("/api/v1/ingest").json(&event("lost")).send().status, 503);
    let log = json!([{ "message": "a line", "source": "auth" }]);
    with_key("/v1/logs").json(&log).send().expect_status(202);
    database.restart();
    health(200);
    with_key("/api/v1/ingest").json(&event("lost")).send().expect_status(201);
}

#[test]
fn a_database_that_is_restarted_under_load_loses_and_doubles_nothing() {
    let mut database = Postgres::start();
    let variables = database_variables(&database);
    let server = server_of(&variables);
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (server, stop, acknowledged) = (&server, &stop, &acknowledged);
            scope.spawn(move || {
                for number in 0.. {
                    let id = format!("{writer}-{number}");
                    // 409 after an answer that was no answer: it is stored.
                    while ![201, 409].contains(&taken(server, &id)) {}
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        for _ in 0..3 {
            let before = acknowledged.load(Ordering::Relaxed);
            eventually("more events", || (acknowledged.load(Ordering::Relaxed) > before + 20).then_some(()));
            database.restart();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let acknowledged = acknowledged.load(Ordering::Relaxed);
    let sums = database.sql(&variables[2].1, "SELECT count(*), count(DISTINCT event_id) FROM analytics_logs");
    assert_eq!(sums, format!("{acknowledged}|{acknowledged}"));
}

#[test]
fn tables_are_migrated_from_the_command_line_forth_and_back() {
    let database = Postgres::shared();
    let name = database.create_database();
    let folder = tempfile::tempdir().expect("a folder");
    let migrations = folder.path().join("migrations");
    let dir = migrations.to_str().expect("text");
    let made = timberyard(&["migrate", "new", "add_note", "--dir", dir]).succeeded().text();
    let up = made.lines().next().expect("a path");
    std::fs::write(up, "ALTER TABLE api_keys ADD COLUMN note text;").expect("written");
    std::fs::write(up.replace(".up.", ".down."), "ALTER TABLE api_keys DROP COLUMN note;").expect("written");
    let config = folder.path().join("timberyard.yaml");
    let yaml = format!(
        "sinks:\n  events:\n    postgres: {{port: {}, database: {name}, migrate: false, migrations_dir: '{dir}'}}\n    \
         required: true\n    exclusive: true\n    surfaces: [change66]\n",
        database.port()
    );
    std::fs::write(&config, yaml).expect("written");
    let config = config.to_str().expect("text");
    let unmigrated = timberyard(&["config", "check", "--connect", "--config", config]).failed();
    assert!(unmigrated.all().contains("sink `events`: tables are missing"), "{}", unmigrated.all());
    let migrate = |command: &str| timberyard(&["migrate", command, "--config", config]).succeeded().text();
    assert!(migrate("status").starts_with("events: 1 events: not applied\n"));
    assert!(migrate("up").contains("events: applied: 1 events\n"));
    assert_eq!(migrate("up"), "events: nothing to apply\n");
    let checked = timberyard(&["config", "check", "--connect", "--config", config]).succeeded().text();
    assert!(checked.starts_with("sink `events`: PostgreSQL ") && checked.contains("all migrations applied"));
    assert_eq!(database.sql(&name, "SELECT note FROM api_keys"), "");
    assert!(migrate("down").contains("_note\n") || migrate("status").contains("add_note: not applied\n"));
    for built_in in ["2 shared_keys", "1 events"] {
        assert_eq!(migrate("down"), format!("events: taken back: {built_in}\n"));
    }
    let none = timberyard(&["migrate", "status"]).failed();
    assert!(none.all().contains("no sink has tables"), "{}", none.all());
}

#[test]
fn a_server_whose_tables_are_missing_says_what_to_do() {
    let database = Postgres::shared();
    let name = database.create_database();
    let yaml = format!(
        "sinks:\n  events:\n    postgres: {{port: {}, database: {name}, migrate: false}}\n    required: true\n    \
         exclusive: true\n    surfaces: [change66]\n",
        database.port()
    );
    let server = server_configured(&yaml);
    let answer = server.post("/api/v1/ingest").json(&event("a")).send().expect_status(503);
    assert!(answer.text().contains("run `timberyard migrate up`"), "{}", answer.text());
}
