//! Tables that come and go.

use timberyard_connectors::postgres::{
    Migrations, PostgresPool, PostgresSettings, PostgresSink, drop_expired, write_metrics,
};
use timberyard_model::Timestamp;
use timberyard_testkit::parts::postgres::Postgres;

use super::fixture::{NOW, events, migrated, settings, sink, write};

const TABLES: &str =
    "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'logs'";

#[tokio::test]
async fn migrations_are_applied_once_and_taken_back() {
    let server = Postgres::shared();
    let database = server.create_database();
    let settings = PostgresSettings { schema: "logs".to_owned(), ..settings(server, &database) };
    let pool = PostgresPool::new(settings).expect("settings are right");
    let migrations = Migrations::built_in();
    let states = migrations.status(&pool).await.expect("readable");
    assert!(states.iter().all(|state| state.applied_at.is_none() && state.is_known));

    // Several servers that start at the same time.
    let [one, two] = [migrations.up(&pool), migrations.up(&pool)];
    let (one, two) = tokio::join!(one, two);
    let applied = one.expect("applied").len() + two.expect("applied").len();
    assert_eq!(applied, states.len());
    let tables = "analytics_logs api_keys api_keys_version event_ids event_streams server_metrics timberyard_migrations";
    assert_eq!(server.sql(&database, TABLES), tables);

    let taken_back = migrations.down(&pool, 9).await.expect("taken back");
    assert_eq!(taken_back.len(), states.len());
    assert_eq!(server.sql(&database, TABLES), "timberyard_migrations");
}

#[tokio::test]
async fn a_migration_that_fails_changes_nothing_and_is_named() {
    let server = Postgres::shared();
    let pool = migrated(server).await;
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("20260101000000_wrong.up.sql", "CREATE TABLE half (a int); SELECT nonsense;");
    write("20260101000000_wrong.down.sql", "DROP TABLE half;");
    let migrations = Migrations::with_folder(Some(folder.path())).expect("readable");
    let error = migrations.up(&pool).await.expect_err("it fails").to_string();
    assert!(error.starts_with("migration 20260101000000 (wrong): "), "{error}");
    let half = server.sql(&pool.settings().database, "SELECT to_regclass('half') IS NULL");
    assert_eq!(half, "t");
    assert_eq!(migrations.up(&pool).await.expect_err("again").to_string(), error);
}

#[tokio::test]
async fn a_check_says_what_is_there_and_what_to_do() {
    let server = Postgres::shared();
    let check = async |settings: PostgresSettings| {
        let pool = PostgresPool::new(settings).expect("settings are right");
        PostgresSink::new("postgres", pool).connect_check().await
    };
    let good = migrated(server).await.settings().clone();
    let said = check(good.clone()).await.expect("all is there");
    assert!(said.ends_with("all migrations applied"), "{said}");
    let empty = PostgresSettings { migrate: false, ..settings(server, &server.create_database()) };
    let error = check(empty).await.expect_err("no tables");
    assert!(error.contains("run `timberyard migrate up`"), "{error}");
    let error = check(PostgresSettings { database: "no_such".to_owned(), ..good.clone() }).await;
    assert!(error.expect_err("no database").contains("\"no_such\" does not exist"));
    let error = check(PostgresSettings { port: 1, ..good }).await.expect_err("nobody there");
    assert!(error.starts_with("PostgreSQL at 127.0.0.1:1/"), "{error}");
}

#[tokio::test]
async fn months_that_are_too_old_go_as_a_whole_with_their_ids() {
    let server = Postgres::shared();
    let (pool, sink) = sink(server).await;
    let event = |time: &str| {
        format!(r#"{{"event_id":"{time}","timestamp":"{time}","event_type":"error","event_name":"n"}}"#)
    };
    let times =
        ["2019-05-05T00:00:00Z", "2026-09-30T23:59:59Z", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"];
    let list: Vec<String> = times.iter().copied().map(event).collect();
    let batch = events("default", &format!(r#"{{"logs":[{}]}}"#, list.join(",")), 1);
    assert_eq!(write(&sink, batch.clone()).await, Ok(()));
    let now = Timestamp::parse_rfc3339(NOW).expect("a time");
    assert!(drop_expired(&pool, now).await.expect("readable").is_empty(), "kept for ever");

    let settings = PostgresSettings { retention_days: Some(40), ..pool.settings().clone() };
    let forgetful = PostgresPool::new(settings).expect("settings are right");
    let mut gone = drop_expired(&forgetful, now).await.expect("dropped");
    gone.sort();
    assert_eq!(gone, ["analytics_logs_2026_09", "analytics_logs_earlier"]);
    let database = &pool.settings().database;
    let left = "SELECT string_agg(event_id, ' ' ORDER BY event_id) FROM ";
    for table in ["event_ids", "analytics_logs"] {
        assert_eq!(server.sql(database, &format!("{left}{table}")), times[2..].join(" "));
    }
    // The sink believes in the parts that have gone, and finds out.
    let again = events("default", &format!(r#"{{"logs":[{}]}}"#, event(times[1])), 9);
    assert_eq!(write(&sink, again).await, Ok(()));
}

#[tokio::test]
async fn each_minute_has_its_metrics_once_and_old_ones_go() {
    let server = Postgres::shared();
    let (pool, sink) = sink(server).await;
    let event = |id: &str, kind: &str, session: &str, time: &str| {
        format!(
            r#"{{"event_id":"{id}","event_type":"{kind}","event_name":"n","session_id":"{session}","timestamp":"{time}"}}"#
        )
    };
    let list = [
        event("1", "error", "a", "2026-11-21T16:50:00Z"),
        event("2", "telemetry", "a", "2026-11-21T16:40:00Z"),
        event("3", "telemetry", "b", "2026-11-21T16:30:00Z"),
        event("4", "telemetry", "c", "2026-11-21T16:20:00Z"),
        event("5", "error", "d", "2026-11-21T03:00:00Z"),
        event("6", "error", "d", "2026-11-01T03:00:00Z"),
    ];
    write(&sink, events("default", &format!(r#"{{"logs":[{}]}}"#, list.join(",")), 1)).await.expect("stored");
    let database = &pool.settings().database;
    let old =
        "INSERT INTO server_metrics (metric_name, metric_value, timestamp) VALUES ('old', 1, '2026-10-01')";
    server.sql(database, old);
    let now = Timestamp::parse_rfc3339(NOW).expect("a time");
    // Two servers at the same moment, and one a little later.
    let (one, two) = tokio::join!(write_metrics(&pool, now, 6), write_metrics(&pool, now, 6));
    assert!(one.expect("asked") ^ two.expect("asked"), "one of them writes");
    assert_eq!(write_metrics(&pool, now.saturating_add_nanos(20_000_000_000), 6).await, Ok(false));
    let shown = "SELECT string_agg(metric_name || coalesce(labels->>'event_type', '') || '=' || metric_value, ' ' \
                 ORDER BY metric_name, labels->>'event_type') FROM server_metrics";
    assert_eq!(
        server.sql(database, shown),
        "active_sessions=3 error_rate_percent=40 events_last_hourerror=1 events_last_hourtelemetry=3 \
         logs_last_day=5 logs_last_hour=4 total_logs=6"
    );
    assert_eq!(write_metrics(&pool, now.saturating_add_nanos(60_000_000_000), 6).await, Ok(true));
    let settings = PostgresSettings { metrics_days: 0, ..pool.settings().clone() };
    let silent = PostgresPool::new(settings).expect("settings are right");
    assert_eq!(write_metrics(&silent, now.saturating_add_nanos(900_000_000_000), 6).await, Ok(false));
}
