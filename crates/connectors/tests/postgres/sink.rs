//! What is stored, and what is not.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use timberyard_connectors::postgres::{PostgresPool, PostgresSink};
use timberyard_model::sink::SinkError;
use timberyard_testkit::parts::postgres::Postgres;

use super::fixture::{events, plain, settings, sink, write};

fn count(server: &Postgres, pool: &PostgresPool) -> String {
    server.sql(&pool.settings().database, "SELECT count(*) FROM analytics_logs")
}

fn taken(key: &str, row: u32) -> Result<(), SinkError> {
    Err(SinkError::Duplicate { key: key.into(), row })
}

#[tokio::test]
async fn an_event_is_a_row_with_its_columns() {
    let server = Postgres::shared();
    let (pool, sink) = sink(server).await;
    let body = r#"{"logs":[{"event_id":"e\u0041","timestamp":"2026-10-31T23:59:59.999999999Z","event_type":"error",
        "event_name":"crash","properties":{"provider_name":"p","n":1.50,"zero":"\u0000"},"user_id":"ä","session_id":"",
        "app_version":"1.2","device_info":{"os":"ios"},"sequence_number":7,"priority":"high"},
        {"event_id":"old","timestamp":"1999-01-01T00:00:00Z","event_type":"telemetry","event_name":"n"}]}"#;
    assert_eq!(write(&sink, events("acme", body, 1_795_280_400_123_456)).await, Ok(()));
    let row = server.sql(
        &pool.settings().database,
        "SELECT tenant, id, event_id, timestamp, event_type, event_name, properties->>'n', user_id, session_id = '', \
         app_version, device_info, sequence_number, priority, created_at, processed_at = created_at, tableoid::regclass \
         FROM analytics_logs ORDER BY timestamp_ns DESC LIMIT 1",
    );
    let expected = "acme|1795280400123456|eA|2026-10-31 23:59:59.999999+00|error|crash|1.50|ä|t|1.2|{\"os\": \"ios\"}|7\
                    |high|2026-11-21 17:00:00.123456+00|t|analytics_logs_2026_10";
    assert_eq!(row, expected);
    assert_eq!(server.sql(&pool.settings().database, "SELECT count(*) FROM analytics_logs_earlier"), "1");
}

#[tokio::test]
async fn a_known_id_takes_nothing_of_its_batch_and_is_named() {
    let server = Postgres::shared();
    let (pool, sink) = sink(server).await;
    assert_eq!(write(&sink, plain(&["a", "b"], 1)).await, Ok(()));
    assert_eq!(write(&sink, plain(&["c", "b", "d", "a"], 10)).await, taken("b", 1));
    assert_eq!(count(server, &pool), "2");
    assert_eq!(write(&sink, plain(&["c", "d"], 20)).await, Ok(()));
    let other = events("other", r#"{"logs":[{"event_id":"a","event_type":"error","event_name":"n"}]}"#, 30);
    assert_eq!(write(&sink, other).await, Ok(()), "ids are a tenant's own");
    assert_eq!(count(server, &pool), "5");
    assert_eq!(pool.connections().0, 0, "every connection is given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_equal_ids_exactly_one_is_stored() {
    let server = Postgres::shared();
    let (pool, sink) = sink(server).await;
    let sink = Arc::new(sink);
    let mut writes = Vec::new();
    for number in 0..24 {
        // In different orders: they must not wait for each other for ever.
        let mut ids = ["x", "y", "z"];
        ids.rotate_left(number % 3);
        let (sink, batch) = (Arc::clone(&sink), plain(&ids, number as i64 * 10));
        writes.push(tokio::spawn(async move { write(&sink, batch).await }));
    }
    let mut stored = 0;
    for written in writes {
        match written.await.expect("no panic") {
            Ok(()) => stored += 1,
            Err(error) => assert!(matches!(error, SinkError::Duplicate { row: 0, .. }), "{error}"),
        }
    }
    assert_eq!((stored, &*count(server, &pool)), (1, "3"));
}

#[tokio::test]
async fn a_large_batch_is_stored_whole() {
    let server = Postgres::shared();
    let (pool, sink) = sink(server).await;
    let ids: Vec<String> = (0..1000).map(|number| format!("{number:0>900}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(write(&sink, plain(&ids, 1)).await, Ok(()));
    assert_eq!(count(server, &pool), "1000");
}

#[tokio::test]
async fn a_sender_who_leaves_takes_nothing_half_stored_with_him() {
    let server = Postgres::shared();
    let (pool, sink) = sink(server).await;
    for number in 0..40 {
        let ids = [format!("a{number}"), format!("b{number}")];
        let batch = plain(&[&ids[0], &ids[1]], number * 10);
        let patience = std::time::Duration::from_micros(150 * number as u64);
        // Some are stored, some not, none in part.
        let _ = tokio::time::timeout(patience, write(&sink, batch)).await;
    }
    assert_eq!(write(&sink, plain(&["last"], 1000)).await, Ok(()));
    let database = &pool.settings().database;
    let halves = "SELECT count(*) FROM (SELECT FROM analytics_logs WHERE event_id <> 'last' \
                  GROUP BY substr(event_id, 2) HAVING count(*) <> 2) AS half";
    assert_eq!(server.sql(database, halves), "0");
    let unmatched = "SELECT count(*) FROM event_ids FULL JOIN analytics_logs USING (tenant, event_id, id) \
                     WHERE event_ids.timestamp_ns IS NULL OR analytics_logs.line IS NULL";
    assert_eq!(server.sql(database, unmatched), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_under_load_loses_and_doubles_nothing() {
    let mut server = Postgres::start();
    let (pool, sink) = sink(&server).await;
    let sink = Arc::new(sink);
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let sink = Arc::clone(&sink);
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0..60 {
                    let ids: Vec<String> = (0..5).map(|row| format!("{writer}-{number}-{row}")).collect();
                    let texts: Vec<&str> = ids.iter().map(String::as_str).collect();
                    let batch = plain(&texts, writer * 1_000_000 + number * 100);
                    // Told to come again, a sender does; told that it is there, he is content.
                    loop {
                        match write(&sink, batch.clone()).await {
                            Ok(()) | Err(SinkError::Duplicate { .. }) => break,
                            Err(SinkError::Unavailable(_) | SinkError::Overloaded { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                    acknowledged.extend(ids);
                }
                acknowledged.len()
            })
        })
        .collect();
    for _ in 0..3 {
        let written = || sink.statistics().rows_written.load(Ordering::Relaxed);
        let before = written();
        while written() == before && !writers.iter().all(|writer| writer.is_finished()) {
            tokio::task::yield_now().await;
        }
        tokio::task::block_in_place(|| server.restart());
    }
    let mut acknowledged = 0;
    for writer in writers {
        acknowledged += writer.await.expect("no panic");
    }
    assert_eq!(acknowledged, 1200);
    let sums = "SELECT count(*), count(DISTINCT event_id) FROM analytics_logs";
    assert_eq!(server.sql(&pool.settings().database, sums), "1200|1200");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_unreachable() {
    let server = Postgres::shared();
    let mut settings = settings(server, "postgres");
    (settings.port, settings.write_timeout_ms) = (1, 300);
    let sink = PostgresSink::new("postgres", PostgresPool::new(settings).expect("settings are right"));
    let Err(SinkError::Unavailable(reason)) = write(&sink, plain(&["a"], 1)).await else {
        panic!("unreachable");
    };
    assert!(reason.starts_with("PostgreSQL at 127.0.0.1:1/postgres cannot be reached: "), "{reason}");
}
