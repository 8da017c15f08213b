//! Tables of LogStream and Logtopus, written and read as they are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use proptest::sample::select;
use timberyard_connectors::clickhouse::{
    ClickHouseServer, ClickHouseSettings, ClickHouseSink, ClickHouseSource, Layout,
};
use timberyard_logql::QueryRequest;
use timberyard_model::batch::{EqualEntries, UniqueKey};
use timberyard_model::origin::OriginRange;
use timberyard_model::scan::Direction;
use timberyard_model::sink::{Sink, SinkError};
use timberyard_model::time::NANOS_PER_MILLI;
use timberyard_model::{IngestRecord, TenantId, Timestamp};
use timberyard_testkit::memory_source::Entry;
use timberyard_testkit::parts::clickhouse::ClickHouse;
use timberyard_testkit::random_logql::{
    check_all, compare, entry, labels, log_query, metric_query, range_request, rows,
};

use crate::fixture::{Table, batch};

/// One engine for all tests; each has tables of its own. It ends with its standard input.
static SHARED: LazyLock<Table> = LazyLock::new(|| Table::new(ClickHouse::start(), |_| ()));
static TABLES: AtomicU32 = AtomicU32::new(0);

const NOW: i64 = 1_790_000_000_000_000_000;

/// A table of a layout on the shared engine.
struct Adopted {
    name: String,
    server: Arc<ClickHouseServer>,
    sink: ClickHouseSink,
    source: ClickHouseSource,
}

impl Adopted {
    fn new(layout: Layout, columns: Option<&str>) -> Self {
        let name = format!("t{}", TABLES.fetch_add(1, Ordering::Relaxed));
        if let Some(columns) = columns {
            let sql =
                format!("CREATE TABLE default.{name} ({columns}) ENGINE = MergeTree() ORDER BY timestamp");
            SHARED.engine.query(&sql);
        }
        let settings = ClickHouseSettings {
            url: SHARED.engine.url(),
            layout,
            table: Some(name.clone()),
            batch_age_ms: 1,
            ..ClickHouseSettings::default()
        };
        let server = ClickHouseServer::new(settings).expect("valid settings");
        let source = ClickHouseSource::new(Arc::clone(&server), SHARED.runtime.handle().clone());
        Self { name, sink: ClickHouseSink::new("adopted", Arc::clone(&server)), server, source }
    }

    fn write(&self, entries: &[Entry]) -> Result<(), SinkError> {
        self.write_batch(batch(&TenantId::default(), entries, EqualEntries::Keep))
    }

    fn write_batch(&self, batch: timberyard_model::LogBatch) -> Result<(), SinkError> {
        SHARED.runtime.block_on(self.sink.write(IngestRecord::from(batch)))
    }

    fn entries(&self, direction: Direction) -> Vec<Entry> {
        crate::fixture::entries(&self.source, &TenantId::default(), direction)
    }

    fn insert(&self, values: &str) {
        SHARED.engine.query(&format!("INSERT INTO default.{} VALUES {values}", self.name));
    }

    fn shown(&self) -> Vec<String> {
        self.entries(Direction::Forward).iter().map(shown).collect()
    }
}

fn shown(entry: &Entry) -> String {
    let metadata: Vec<String> = entry
        .metadata
        .iter()
        .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
        .collect();
    let line = String::from_utf8_lossy(&entry.line);
    format!("{} {} {line} {}", entry.timestamp, entry.labels, metadata.join(" "))
}

fn row(nanos: i64, stream: &str, line: &[u8], metadata: &[(&str, &[u8])]) -> Entry {
    Entry {
        tenant: TenantId::default(),
        labels: labels(stream),
        timestamp: Timestamp::from_nanos(nanos),
        line: line.to_vec(),
        metadata: metadata.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect(),
        merges: false,
    }
}

const LOGSTREAM: &str =
    "id UUID, service String, level String, message String, meta String, timestamp DateTime64(3)";
const LOGTOPUS: &str = "timestamp DateTime64(3), level LowCardinality(String), message String, object String, \
    extra String, logger_name String, sequence UInt64, error String, stacktrace String, session_id String, \
    client_id String, source String, client_ip String";
const ID: &str = "6d1f1c3e-8d5c-4bb1-9f33-0e9a4d7f2a11";

#[test]
fn rows_that_logstreams_worker_inserted_are_read_as_its_own() {
    let table = Adopted::new(Layout::Logstream, Some(LOGSTREAM));
    table.insert(&format!(
        "('{ID}', 'auth', 'WARN', 'slow', '{{\"user\":7}}', '2026-11-20 10:00:00.123'), \
         ('{ID}', '', '', 'bare', '{{}}', '2026-11-20 10:00:01'), \
         ('{ID}', 'far', 'INFO', 'away', '', '2290-01-01 00:00:00')"
    ));
    assert_eq!(
        table.shown(),
        [
            format!(
                r#"2026-11-20T10:00:00.123Z {{level="WARN", service="auth", service_name="auth"}} slow id={ID} metadata={{"user":7}} detected_level=warn"#
            ),
            format!(r#"2026-11-20T10:00:01Z {{service_name="unknown_service"}} bare id={ID}"#),
        ]
    );
}

#[test]
fn rows_that_logtopus_inserted_are_read_as_its_own() {
    let table = Adopted::new(Layout::Logtopus, Some(LOGTOPUS));
    table.insert(
        "('2026-11-20 10:00:00.5', 'SEVERE', 'full', '{\"free\":0}', 'null', 'db', 7, 'ENOSPC', '', 's', 'c', 'billing', '::1'), \
         ('2026-11-20 10:00:00.5', 'odd', 'before', 'null', '{\"a\":1}', 'db', 6, '', '', '', '', '', '')",
    );
    assert_eq!(
        table.shown(),
        [
            r#"2026-11-20T10:00:00.5Z {level="odd", logger_name="db", service_name="db"} before sequence=6 extra={"a":1} detected_level=odd"#,
            r#"2026-11-20T10:00:00.5Z {level="SEVERE", logger_name="db", service_name="billing"} full session_id=s client_id=c source=billing sequence=7 error=ENOSPC object={"free":0} client_ip=::1 detected_level=error"#,
        ]
    );
}

#[test]
fn rows_of_the_systems_own_way_in_fill_its_columns_and_come_back() {
    let table = Adopted::new(Layout::Logstream, None);
    let own = row(
        NOW,
        "service_name=auth service=auth level=ERROR",
        b"no \xff\0",
        &[("id", ID.as_bytes()), ("metadata", br#"{"a" : 1}"#), ("detected_level", b"error")],
    );
    table.write(std::slice::from_ref(&own)).expect("stored");
    let columns = format!(
        "SELECT id, service, level, meta, timestamp = '2026-09-21 14:13:20' FROM default.{}",
        table.name
    );
    assert_eq!(SHARED.engine.query(&columns), format!("{ID}\tauth\tERROR\t{{\"a\" : 1}}\t1"));
    assert_eq!(table.entries(Direction::Forward), [own]);

    let table = Adopted::new(Layout::Logtopus, None);
    let own = row(
        NOW,
        "service_name=billing level=SEVERE logger_name=db",
        b"full",
        &[
            ("session_id", b"s"),
            ("client_id", b"c"),
            ("source", b"billing"),
            ("sequence", b"18446744073709551615"),
            ("object", br#"{"free" : 0}"#),
            ("client_ip", b"::1"),
            ("detected_level", b"error"),
        ],
    );
    table.write(std::slice::from_ref(&own)).expect("stored");
    let columns =
        format!("SELECT level, message, object, extra, sequence, source FROM default.{}", table.name);
    assert_eq!(
        SHARED.engine.query(&columns),
        "SEVERE\tfull\t{\"free\" : 0}\tnull\t18446744073709551615\tbilling"
    );
    assert_eq!(table.entries(Direction::Forward), [own]);
}

#[test]
fn rows_of_other_ways_in_come_back_whole_but_for_the_precision_of_their_time() {
    let other_types = "id String, service LowCardinality(Nullable(String)), level LowCardinality(String), \
         message String, meta Nullable(String), timestamp DateTime64(6, 'Asia/Tokyo'), more UInt8 DEFAULT 7";
    for (layout, columns, unit) in [
        (Layout::Logstream, None, NANOS_PER_MILLI),
        (Layout::Logtopus, None, NANOS_PER_MILLI),
        (Layout::Logstream, Some(other_types), 1_000),
    ] {
        let table = Adopted::new(layout, columns);
        let mut expected: Vec<Entry> = (0..300)
            .map(|number| {
                let metadata: [(&str, &[u8]); 4] =
                    [("trace", b"\xff\x00"), ("k", b"1"), ("k", b"\"2\" \xc3\xa9\n"), ("empty", b"")];
                let stream = format!("service_name=s{} app=web env=prod", number % 3);
                // Values that are no text come back behind the others.
                let kept = [metadata[1], metadata[2], metadata[3], metadata[0]];
                row(NOW + number / 10 * unit, &stream, format!("line {number} \u{1F332}").as_bytes(), &kept)
            })
            .collect();
        // A second JSON that begins as ours does is no exception.
        let forged = br#"{"timberyard":{"labels":{"service_name":"x"},"metadata":[],"hex":[]}}"#;
        let forged = [("id", ID.as_bytes()), ("metadata", &forged[..]), ("extra", &forged[..])];
        expected.push(row(NOW + 40 * unit, "service_name=a service=a level=INFO", b"", &forged));
        let sent: Vec<Entry> = expected
            .iter()
            .map(|entry| Entry { timestamp: entry.timestamp.saturating_add_nanos(unit - 1), ..entry.clone() })
            .collect();
        table.write(&sent).expect("stored");
        let mut found = table.entries(Direction::Forward);
        let key = |entry: &Entry| (entry.timestamp, entry.line.clone());
        if layout == Layout::Logtopus {
            // Its columns say nothing of the order within a time.
            found.sort_by_key(key);
            expected.sort_by_key(key);
        }
        assert!(
            found == expected,
            "{layout:?}: {:?}\n{:?}",
            found.iter().map(shown).collect::<Vec<_>>(),
            expected.iter().map(shown).collect::<Vec<_>>()
        );
        let mut backward = table.entries(Direction::Backward);
        backward.sort_by_key(key);
        expected.sort_by_key(key);
        assert!(backward == expected, "{layout:?}, backward");
    }
}

#[test]
fn pages_neither_lose_nor_repeat_rows_that_nothing_tells_apart() {
    let table = Adopted::new(Layout::Logtopus, Some(LOGTOPUS));
    let values = "toDateTime64('2026-11-20 10:00:00', 3) + intDiv(number, 2500), 'INFO', 'same', '', '', '', 0, '', '', '', '', '', ''";
    SHARED.engine.query(&format!("INSERT INTO default.{} SELECT {values} FROM numbers(10000)", table.name));
    for direction in [Direction::Forward, Direction::Backward] {
        assert_eq!(table.entries(direction).len(), 10_000, "{direction:?}");
    }
}

#[test]
fn what_a_table_cannot_hold_is_refused_and_says_why() {
    let table = Adopted::new(
        Layout::Logstream,
        Some("id UUID, service String, level String, message String, meta String, timestamp DateTime"),
    );
    let refused = |outcome: Result<(), SinkError>| match outcome {
        Err(SinkError::TooLarge(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let one = [row(NOW, "service_name=a", b"x", &[])];
    let other = TenantId::new("acme").expect("a tenant");
    let foreign = batch(&other, &one, EqualEntries::Keep);
    assert!(
        refused(table.write_batch(foreign))
            .contains("holds the rows of `default` alone: nothing of tenant `acme`")
    );
    assert!(
        refused(table.write(&[row(-1, "service_name=a", b"x", &[])]))
            .contains("row 0 is of 1969-12-31T23:59:59.999999999Z")
    );
    let mut event = batch(&TenantId::default(), &one, EqualEntries::Keep);
    event.unique_keys.push(UniqueKey { row: 0, key: "e1".into() });
    assert!(refused(table.write_batch(event.clone())).contains("cannot tell which event ids are taken"));
    let copies = ClickHouseSink::of_copies("copies", Arc::clone(&table.server));
    SHARED.runtime.block_on(copies.write(IngestRecord::from(event))).expect("somebody else judges");
    assert_eq!(table.entries(Direction::Forward).len(), 1);
}

#[test]
fn rows_with_ids_that_are_written_again_are_there_once() {
    let table = Adopted::new(Layout::Logstream, Some(LOGSTREAM));
    let read_from = |from: u64| {
        let rows = [row(NOW, "service_name=a app=x", from.to_string().as_bytes(), &[])];
        let mut batch = batch(&TenantId::default(), &rows, EqualEntries::Keep);
        OriginRange::add_to(&mut batch.origins, "topic/0", from, from + 1).expect("an origin");
        batch
    };
    let first = read_from(0);
    table.write_batch(first.clone()).expect("stored");
    // Another process, as after a kill between insert and commit.
    let again = ClickHouseSink::new("again", Arc::clone(&table.server));
    for batch in [first, read_from(1)] {
        SHARED.runtime.block_on(again.write(IngestRecord::from(batch))).expect("stored");
    }
    assert_eq!(table.entries(Direction::Forward).len(), 2);
}

#[test]
fn a_table_without_the_columns_is_named_with_what_it_lacks() {
    let connect = |table: &Adopted| SHARED.runtime.block_on(table.server.connect_check());
    let table = Adopted::new(
        Layout::Logstream,
        Some("id UUID, service String, level String, timestamp DateTime64(3)"),
    );
    let wrong = "is no table of LogStream: `message` (String) is missing, `meta` (String) is missing";
    assert!(connect(&table).expect_err("columns are missing").ends_with(wrong));
    let refused = table.write(&[row(NOW, "service_name=a", b"x", &[])]).expect_err("refused");
    assert!(matches!(&refused, SinkError::Unavailable(reason) if reason.ends_with(wrong)), "{refused:?}");
    let own = Adopted::new(Layout::Timberyard, Some(LOGTOPUS));
    let refused = connect(&own).expect_err("it is another system's");
    assert!(
        refused.ends_with("it is one of Logtopus: write `layout: logtopus`, or another `table`"),
        "{refused}"
    );
    let made = Adopted::new(Layout::Logtopus, None);
    assert!(connect(&made).expect("can be made").ends_with("will be made"));
    made.write(&[row(NOW, "service_name=a", b"x", &[])]).expect("stored");
    assert!(connect(&made).expect("there").ends_with("13 columns"));
}

#[test]
fn queries_on_adopted_tables_agree_with_the_naive_engine() {
    let layouts = select(vec![Layout::Logstream, Layout::Logtopus]);
    let steps = select(vec![0_i64, 1, 5, 10, 33]);
    let query = prop_oneof![(metric_query(), steps), (log_query(), Just(1))];
    let span = (0_i64..100, 0_i64..150, 0_usize..40, any::<bool>());
    check_all(
        60,
        &(rows(), query, span, layouts),
        |(seeds, (query, step), (start, length, limit, forward), layout)| {
            let columns = if layout == Layout::Logstream { LOGSTREAM } else { LOGTOPUS };
            // As precise as what is compared.
            let table = Adopted::new(layout, Some(&columns.replace("DateTime64(3)", "DateTime64(9)")));
            // These tables do not say which of two rows of one time came first.
            let by_time: BTreeMap<Timestamp, Entry> = seeds
                .iter()
                .map(|seed| Entry { tenant: TenantId::default(), ..entry(seed) })
                .map(|entry| (entry.timestamp, entry))
                .collect();
            let entries: Vec<Entry> = by_time.into_values().collect();
            if !entries.is_empty() {
                table.write(&entries).expect("stored");
            }
            let request = QueryRequest {
                tenant: TenantId::default(),
                limit,
                direction: if forward { Direction::Forward } else { Direction::Backward },
                ..range_request(&query, start, start + length, step)
            };
            compare(&table.source, &entries, &request)
        },
    );
}
