//! Timberyard's own tables.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use proptest::sample::select;
use timberyard_connectors::clickhouse::{ClickHouseServer, ClickHouseSettings, ClickHouseSink};
use timberyard_logql::QueryRequest;
use timberyard_model::batch::{EqualEntries, LogBatch, UniqueKey};
use timberyard_model::origin::OriginRange;
use timberyard_model::scan::Direction;
use timberyard_model::sink::{Sink, SinkError};
use timberyard_model::{IngestRecord, Timestamp};
use timberyard_testkit::memory_source::Entry;
use timberyard_testkit::parts::clickhouse::ClickHouse;
use timberyard_testkit::random_logql::{
    check_all, compare, entry, labels, log_query, metric_query, range_request, rows,
};

use crate::fixture::{Table, batch, line, tenant};

/// One engine and one table for all tests that do not break it; each has tenants of its own. It ends with its standard input.
pub(crate) static SHARED: LazyLock<Table> = LazyLock::new(|| Table::new(ClickHouse::start(), |_| ()));

#[test]
fn what_was_sent_comes_back_as_it_was() {
    let tenant = tenant();
    let entries: Vec<Entry> = [
        (i64::MIN / 2, &b"before 1900"[..], "a=1"),
        (-1, b"before 1970", "a=1 level=warn"),
        (0, b"", "service_name=api"),
        (5, b"\xff\0\r\n\t'\\ no text", "service_name=api"),
        (5, b"same time, behind", "service_name=api"),
        (5, b"and behind that", "service_name=api"),
        (i64::MAX - 1, b"at the end", "b=2"),
    ]
    .into_iter()
    .map(|(nanos, line, stream)| Entry {
        tenant: tenant.clone(),
        labels: labels(stream),
        timestamp: Timestamp::from_nanos(nanos),
        line: line.to_vec(),
        metadata: vec![
            ("trace".to_owned(), b"\xfe".to_vec()),
            ("empty".to_owned(), Vec::new()),
            ("trace".to_owned(), b"again".to_vec()),
        ],
        merges: false,
    })
    .collect();
    SHARED.write(batch(&tenant, &entries, EqualEntries::Keep)).expect("stored");
    assert_eq!(SHARED.entries(&tenant, Direction::Forward), entries);
    let mut backward = SHARED.entries(&tenant, Direction::Backward);
    backward.sort_by_key(|entry| entry.timestamp);
    assert_eq!(backward, entries);
}

#[test]
fn equal_entries_merge_only_when_both_may() {
    let tenant = tenant();
    let entries = [line(&tenant, 1, b"x"), line(&tenant, 1, b"x"), line(&tenant, 1, b"y")];
    for _ in 0..2 {
        SHARED.write(batch(&tenant, &entries, EqualEntries::Merge)).expect("stored");
    }
    assert_eq!(SHARED.entries(&tenant, Direction::Forward).len(), 2);
    for _ in 0..2 {
        SHARED.write(batch(&tenant, &entries, EqualEntries::Keep)).expect("stored");
    }
    assert_eq!(SHARED.entries(&tenant, Direction::Forward).len(), 8);
}

#[test]
fn a_batch_that_is_written_again_is_there_once() {
    let tenant = tenant();
    let batch = batch(&tenant, &[line(&tenant, 1, b"x"), line(&tenant, 1, b"x")], EqualEntries::Keep);
    let other_process = Table::new(ClickHouse::start(), |_| ());
    for table in [&*SHARED, &*SHARED, &other_process] {
        table.write(batch.clone()).expect("stored");
    }
    // Two that came in the same nanosecond are two; a process that does not know of the first takes it for the same.
    assert_eq!(SHARED.entries(&tenant, Direction::Forward).len(), 4);
    let again = ClickHouseSettings {
        url: SHARED.engine.url(),
        database: "test".to_owned(),
        ..ClickHouseSettings::default()
    };
    let sink = ClickHouseSink::new("again", ClickHouseServer::new(again).expect("valid"));
    SHARED.runtime.block_on(sink.write(IngestRecord::from(batch))).expect("stored");
    assert_eq!(SHARED.entries(&tenant, Direction::Forward).len(), 4);
}

#[test]
fn stretches_of_origins_and_unique_keys_are_stored_once() {
    let tenant = tenant();
    let with_origin = |from: u64, to: u64| {
        let mut batch = batch(&tenant, &[line(&tenant, 1, b"x")], EqualEntries::Keep);
        OriginRange::add_to(&mut batch.origins, "logs-7/0", from, to).expect("an origin");
        batch
    };
    SHARED.write(with_origin(0, 10)).expect("stored");
    for (from, to, is_whole) in [(0, 10, true), (5, 12, false)] {
        match SHARED.write(with_origin(from, to)) {
            Err(SinkError::AlreadyStored(stored)) => assert_eq!(stored.whole, is_whole),
            other => panic!("{from} to {to}: {other:?}"),
        }
    }
    SHARED.write(with_origin(10, 12)).expect("stored");
    let with_key = || {
        let mut batch = batch(&tenant, &[line(&tenant, 1, b"x")], EqualEntries::Keep);
        batch.unique_keys.push(UniqueKey { row: 0, key: "e1".into() });
        batch
    };
    SHARED.write(with_key()).expect("stored");
    assert_eq!(SHARED.write(with_key()), Err(SinkError::Duplicate { key: "e1".into(), row: 0 }));
    assert_eq!(SHARED.entries(&tenant, Direction::Forward).len(), 3);
}

#[test]
fn queries_agree_with_the_naive_engine() {
    let steps = select(vec![0_i64, 1, 5, 10, 33]);
    let query = prop_oneof![(metric_query(), steps), (log_query(), Just(1))];
    let span = (0_i64..100, 0_i64..150, 0_usize..40, any::<bool>());
    check_all(150, &(rows(), query, span), |(seeds, (query, step), (start, length, limit, forward))| {
        let tenant = tenant();
        let entries: Vec<Entry> =
            seeds.iter().map(|seed| Entry { tenant: tenant.clone(), ..entry(seed) }).collect();
        if !entries.is_empty() {
            SHARED.write(batch(&tenant, &entries, EqualEntries::Keep)).expect("stored");
        }
        let request = QueryRequest {
            tenant,
            limit,
            direction: if forward { Direction::Forward } else { Direction::Backward },
            ..range_request(&query, start, start + length, step)
        };
        compare(&SHARED.source, &entries, &request)
    });
}

/// A connection that is cut once so many bytes of a request have gone through, as often as it is told to.
fn cutting_proxy(to: String, cut_after_bytes: usize, cuts: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let (Ok(mut client), Ok(mut server)) = (client, TcpStream::connect(&to)) else { continue };
            let (Ok(mut answers), Ok(mut back)) = (server.try_clone(), client.try_clone()) else { continue };
            std::thread::spawn(move || {
                // Ends when either side does.
                let _ = std::io::copy(&mut answers, &mut back);
                let _ = back.shutdown(Shutdown::Both);
            });
            std::thread::spawn(move || {
                let (mut left, mut buffer) = (cut_after_bytes, [0; 1024]);
                while let Ok(read @ 1..) = client.read(&mut buffer) {
                    if number < cuts && read > left {
                        break;
                    }
                    left = left.saturating_sub(read);
                    if server.write_all(&buffer[..read]).is_err() {
                        break;
                    }
                }
                let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
            });
        }
    });
    address
}

#[test]
fn a_network_cut_half_way_through_a_batch_loses_nothing_and_doubles_nothing() {
    let tenant = tenant();
    SHARED
        .write(batch(&tenant, &[line(&tenant, 0, b"tables are there")], EqualEntries::Keep))
        .expect("stored");
    let address = cutting_proxy(SHARED.engine.address().to_owned(), 20_000, 2);
    let settings = ClickHouseSettings {
        url: format!("http://{address}"),
        database: "test".to_owned(),
        create: false,
        batch_age_ms: 1,
        ..ClickHouseSettings::default()
    };
    let sink = ClickHouseSink::new("cut", ClickHouseServer::new(settings).expect("valid"));
    let mut noise = 1_u64;
    let entries: Vec<Entry> = (1..=500)
        .map(|number| {
            // Text that does not compress, so that the cut is in the midst of the rows.
            let text: String = (0..20)
                .map(|_| {
                    noise =
                        noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    format!("{:08x}", noise >> 32)
                })
                .collect();
            line(&tenant, number, text.as_bytes())
        })
        .collect();
    let batch = batch(&tenant, &entries, EqualEntries::Keep);
    SHARED.runtime.block_on(sink.write(IngestRecord::from(batch))).expect("stored at the third try");
    assert_eq!(sink.counters().retries.load(Ordering::Relaxed), 2);
    assert_eq!(SHARED.entries(&tenant, Direction::Forward)[1..], entries);
}

#[test]
fn an_engine_that_is_killed_and_comes_back_has_every_row_once() {
    let mut table = Table::new(ClickHouse::start(), |_| ());
    let tenant = tenant();
    let write = |table: &Table, batch: &Arc<LogBatch>| {
        let record = IngestRecord { batch: Arc::clone(batch), received: None };
        table.runtime.block_on(table.sink.write(record))
    };
    let batches: Vec<Arc<LogBatch>> = (0..9)
        .map(|number| {
            let entries: Vec<Entry> = (0..100).map(|n| line(&tenant, number * 100 + n, b"x")).collect();
            Arc::new(batch(&tenant, &entries, EqualEntries::Keep))
        })
        .collect();
    for (number, batch) in batches.iter().enumerate() {
        if number % 3 == 1 {
            table.engine.kill();
            let refused = write(&table, batch).expect_err("nobody is there");
            assert!(matches!(refused, SinkError::Unavailable(_)), "{refused:?}");
            table.engine.start_again();
        }
        write(&table, batch).expect("stored");
    }
    // Rows that were acknowledged before a kill, and batches that were sent again after one.
    table.engine.kill();
    table.engine.start_again();
    let times: Vec<i64> =
        table.entries(&tenant, Direction::Forward).iter().map(|entry| entry.timestamp.as_nanos()).collect();
    assert_eq!(times, (0..900).collect::<Vec<i64>>());
}

#[test]
fn retention_of_tables_follows_the_settings() {
    let engine = &SHARED.engine;
    for (days, kept) in [(0, ""), (30, "toIntervalDay(30)"), (7, "toIntervalDay(7)"), (0, "")] {
        let settings = ClickHouseSettings {
            url: engine.url(),
            database: "kept".to_owned(),
            retention_days: days,
            ..ClickHouseSettings::default()
        };
        let server = ClickHouseServer::new(settings).expect("valid");
        SHARED.runtime.block_on(server.migrate()).expect("migrated");
        for table in ["logs", "logs_streams"] {
            let made = engine.query(&format!("SHOW CREATE TABLE kept.{table}"));
            assert_eq!(made.contains("TTL toDate("), days > 0, "{made}");
            assert!(made.contains(kept), "{made}");
        }
        let found = SHARED.runtime.block_on(server.connect_check()).expect("there");
        assert!(found.ends_with("table kept.logs, 12 columns"), "{found}");
    }
}

#[test]
fn pages_neither_lose_nor_repeat_rows_of_one_time() {
    let tenant = tenant();
    // More than a page of one second, stored twice: which of two equal entries counts decides where it stands.
    let entries: Vec<Entry> =
        (0..5_000).map(|number| line(&tenant, 1_000 * (number % 3), number.to_string().as_bytes())).collect();
    for _ in 0..2 {
        SHARED.write(batch(&tenant, &entries, EqualEntries::Merge)).expect("stored");
    }
    for direction in [Direction::Forward, Direction::Backward] {
        let mut lines: Vec<Vec<u8>> =
            SHARED.entries(&tenant, direction).into_iter().map(|entry| entry.line).collect();
        lines.sort();
        let mut expected: Vec<Vec<u8>> = entries.iter().map(|entry| entry.line.clone()).collect();
        expected.sort();
        assert!(lines == expected, "{direction:?}: {} lines of {}", lines.len(), expected.len());
    }
}
