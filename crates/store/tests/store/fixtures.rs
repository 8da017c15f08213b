//! Data directories that older versions of this program wrote are still read.
//!
//! `tests/fixtures/formats-1` holds log, segment and manifest in version 1 of their formats, `formats-2` a manifest
//! in version 2, with deletions, `formats-3` segments in version 2, with counts of minutes, `formats-4` segments in
//! version 3, with outlines of columns, `formats-5` segments in version 4, with gates, `formats-6` a manifest in
//! version 3, with a condition of a deletion, `formats-7` one in version 4, which tells which segments were compared with
//! each other, `formats-8` one in version 5, which knows how far an origin is stored. A new version of a format gets a fixture of its own
//! (`TIMBERYARD_WRITE_FIXTURE=1 cargo test -p timberyard-store fixture`); an old fixture is never written again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use timberyard_model::batch::{EqualEntries, UniqueKey};
use timberyard_model::counting::Cuts;
use timberyard_model::matcher::{LabelMatcher, LineFilter, LinePattern, ValueTest};
use timberyard_model::origin::{OriginName, OriginRange};
use timberyard_model::pattern::Pattern;
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{Columns, LogSource, ScanRequest, ScanStatistics};
use timberyard_model::{Labels, LogBatch, RowSelector, TenantId, TimeRange, Timestamp};
use timberyard_store::{DeletionRequest, Store, StoreError, StoreOptions, verify};

use crate::conditions::condition;
use crate::harness::{PlainRow, PlainStore, append, decoder, everything, small_options};

const NOW: i64 = 1_795_132_800_000_000_000;
const DAY: i64 = 86_400_000_000_000;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn options() -> StoreOptions {
    StoreOptions { log_bytes_max: 32 << 10, log_segment_bytes: 4 << 10, ..small_options() }
}

/// The rows of the fixture: two tenants, two days, both ways of treating equal entries, metadata, keys,
/// bytes that are no text.
fn batches() -> Vec<LogBatch> {
    let batch = |number: i64, tenant: &str, equal_entries| {
        let mut rows = RowsBuilder::default();
        for row in 0..40 {
            let service = ["api", "web"][row as usize % 2];
            let stream = rows.stream(&Labels::from_pairs([("service_name", service), ("env", "prod")]));
            let time = NOW + row / 2 * 1_000_000 + row % 3 / 2 * DAY;
            let line = [format!("batch {number} row {row} ").as_bytes(), &[0xff, 0x00, row as u8]].concat();
            let user = format!("user-{}", row % 4);
            let metadata = [("trace_id", &b"\xfe\xed"[..]), ("user", user.as_bytes())];
            let pairs = metadata.into_iter().take(row as usize % 3);
            rows.push(stream, Timestamp::from_nanos(time), &line, pairs).expect("fits");
        }
        LogBatch {
            tenant: TenantId::new(tenant).expect("valid"),
            received_at: Timestamp::from_nanos(NOW),
            equal_entries,
            rows: rows.finish(),
            unique_keys: vec![UniqueKey { row: 7, key: format!("event-{number}").into() }],
            origins: Vec::new(),
        }
    };
    vec![
        batch(0, "default", EqualEntries::Merge),
        batch(1, "default", EqualEntries::Keep),
        batch(2, "other", EqualEntries::Merge),
        // The last ones are in the log only.
        batch(3, "default", EqualEntries::Merge),
        batch(4, "default", EqualEntries::Keep),
    ]
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// A copy of a fixture to write to, once it was verified.
pub(crate) fn undamaged_copy(name: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    copy(&fixture(name), directory.path());
    assert_eq!(verify(directory.path()).expect("verified").damage, []);
    directory
}

#[test]
fn the_fixture_of_version_1_is_read() {
    let directory = undamaged_copy("formats-1");
    let store = Store::open(directory.path(), options(), decoder()).expect("opens");
    let statistics = store.statistics();
    assert_eq!((statistics.segments, statistics.head_rows), (4, 80));
    let mut plain = PlainStore::default();
    let batches = batches();
    for batch in &batches {
        plain.append(batch);
    }
    for tenant in plain.tenants() {
        assert_eq!(everything(&store, &tenant), plain.rows(&tenant, |_| true));
    }
    for batch in batches {
        let key = &batch.unique_keys[0].key.clone();
        let refused = append(&store, &Arc::new(batch)).expect_err("the key exists");
        assert!(matches!(refused, StoreError::Duplicate { key: known, row: 7 } if known == *key));
    }
}

/// One for the web of the default tenant that was carried out, one for what has "row 2" that was not.
fn deletions() -> [DeletionRequest; 2] {
    let request = |service: &str, line_filters| DeletionRequest {
        tenant: TenantId::default(),
        selector: RowSelector {
            matchers: vec![LabelMatcher {
                name: "service_name".into(),
                test: ValueTest::Matches(Pattern::whole(service).expect("valid")),
            }],
            range: TimeRange::new(Timestamp::from_nanos(NOW), Timestamp::from_nanos(NOW + DAY / 2)),
            line_filters,
            condition: None,
        },
        text: format!("{{service_name=~\"{service}\"}}"),
    };
    let any_of = vec![LinePattern::Literal(b"row 2".as_slice().into())];
    [request("w.b", Vec::new()), request("a.*", vec![LineFilter { negated: false, any_of }])]
}

#[test]
fn the_fixture_with_deletions_is_read() {
    if std::env::var_os("TIMBERYARD_WRITE_FIXTURE").is_some() && !fixture("formats-2").exists() {
        write_fixture();
    }
    let directory = undamaged_copy("formats-2");
    let store = Store::open(directory.path(), options(), decoder()).expect("opens");
    let listed = store.deletions(&TenantId::default());
    assert_eq!(listed.iter().map(|deletion| deletion.is_carried_out).collect::<Vec<_>>(), [true, false]);
    let mut plain = PlainStore::default();
    for (number, batch) in batches().iter().enumerate() {
        if number == 3 {
            for (deletion, request) in listed.iter().zip(deletions()) {
                assert_eq!((&*deletion.text, deletion.range), (&*request.text, request.selector.range));
                plain.delete(deletion.id, &request);
            }
        }
        plain.append(batch);
    }
    for tenant in plain.tenants() {
        assert_eq!(everything(&store, &tenant), plain.rows(&tenant, |_| true));
    }
    store.cancel_deletion(&TenantId::default(), listed[1].id, true, Timestamp::MAX).expect("called off");
    plain.cancel(listed[1].id);
    assert_eq!(everything(&store, &TenantId::default()), plain.rows(&TenantId::default(), |_| true));
}

/// Half an hour of two streams, with levels.
fn counted_batch() -> LogBatch {
    let mut rows = RowsBuilder::default();
    for row in 0..600 {
        let pod = ["a", "b"][usize::from(row % 7 == 0)];
        let stream = rows.stream(&Labels::from_pairs([("service_name", "api"), ("pod", pod)]));
        let time = Timestamp::from_nanos(NOW + row * 3_000_000_000);
        let level: &[u8] = if row % 5 == 0 { b"error" } else { b"info" };
        let pairs = [("detected_level", level)].into_iter().take(usize::from(row % 11 != 0));
        rows.push(stream, time, format!("request {row} answered").as_bytes(), pairs).expect("fits");
    }
    LogBatch {
        tenant: TenantId::default(),
        received_at: Timestamp::from_nanos(NOW),
        equal_entries: EqualEntries::Keep,
        rows: rows.finish(),
        unique_keys: Vec::new(),
        origins: Vec::new(),
    }
}

/// Enough lines for columns of all forms to have frames of their own.
fn outlined_batch() -> LogBatch {
    let mut rows = RowsBuilder::default();
    let mut random = fastrand::Rng::with_seed(4);
    for row in 0..6_000 {
        let stream = rows.stream(&Labels::from_pairs([("service_name", "api")]));
        let (id, count) = (random.u64(..), random.u32(..9_000));
        let path = match row % 3 {
            0 => format!("/v1/sessions/{:08x}", id as u32),
            1 => format!("/v1/orders/{count}/items/{}", row % 70),
            _ => format!("/{}", (0..12).map(|_| random.lowercase()).collect::<String>()),
        };
        let word = format!("word-{}", (b'a' + random.u8(..26)) as char).repeat(1 + random.usize(..3));
        let line = format!("trace={id:016x} path={path} took {count} ms user={word}");
        rows.push(stream, Timestamp::from_nanos(NOW + row), line.as_bytes(), []).expect("fits");
    }
    LogBatch {
        tenant: TenantId::default(),
        received_at: Timestamp::from_nanos(NOW),
        equal_entries: EqualEntries::Keep,
        rows: rows.finish(),
        unique_keys: Vec::new(),
        origins: Vec::new(),
    }
}

/// Lines of few words, of which every eighth has an id of its own.
pub(crate) fn gated_batch() -> LogBatch {
    let mut rows = RowsBuilder::default();
    let mut random = fastrand::Rng::with_seed(5);
    for row in 0..6_000 {
        let stream = rows.stream(&Labels::from_pairs([("service_name", "api")]));
        let word = ["quick", "lazy", "brown"][random.usize(..3)];
        let id = random.u128(..);
        let line = match row % 8 {
            0 => format!("{{\"trace\":\"{id:032x}\",\"message\":\"{word} fox jumped\"}}"),
            _ => format!("level=info msg=\"the {word} dog slept {} ms\" n={row}", random.u32(..9_000)),
        };
        rows.push(stream, Timestamp::from_nanos(NOW + row), line.as_bytes(), []).expect("fits");
    }
    LogBatch {
        tenant: TenantId::default(),
        received_at: Timestamp::from_nanos(NOW),
        equal_entries: EqualEntries::Keep,
        rows: rows.finish(),
        unique_keys: Vec::new(),
        origins: Vec::new(),
    }
}

/// With blocks as large as they are by default.
pub(crate) fn large_options() -> StoreOptions {
    StoreOptions {
        disk_reserve_bytes: 0,
        log_bytes_max: 32 << 10,
        log_segment_bytes: 4 << 10,
        ..StoreOptions::default()
    }
}

/// How many rows have the text, and what it cost to know.
pub(crate) fn search(store: &Store, text: &str) -> (usize, ScanStatistics) {
    let any_of = vec![LinePattern::Literal(text.as_bytes().into())];
    let mut request = ScanRequest::all(TenantId::default(), TimeRange::ALL);
    request.line_filters = vec![LineFilter { negated: false, any_of }];
    let mut blocks = store.scan(&request).expect("the scan starts");
    let mut found = 0;
    while let Some(block) = blocks.next_block().expect("the scan goes on") {
        found += block.rows.len();
    }
    (found, blocks.statistics())
}

fn rows_with(rows: &[PlainRow], text: &str) -> usize {
    rows.iter().filter(|row| row.line.windows(text.len()).any(|at| at == text.as_bytes())).count()
}

#[test]
fn the_fixture_with_outlines_of_columns_is_read_and_searched() {
    let directory = undamaged_copy("formats-4");
    let store = Store::open(directory.path(), large_options(), decoder()).expect("opens");
    let mut plain = PlainStore::default();
    plain.append(&outlined_batch());
    let tenant = TenantId::default();
    let rows = plain.rows(&tenant, |_| true);
    assert_eq!(everything(&store, &tenant), rows);
    let line = String::from_utf8(rows[4_000].line.clone()).expect("text");
    let nowhere = ["zzyvanowhere", "00000000deadbeef", "sessions/0/x", "-aword-b", "12345 ms"];
    for needle in nowhere.into_iter().chain(line.split([' ', '='])).chain([&line[5..40]]) {
        assert_eq!(search(&store, needle).0, rows_with(&rows, needle), "{needle}");
    }
}

#[test]
fn the_fixture_with_gates_is_read_and_searched() {
    if std::env::var_os("TIMBERYARD_WRITE_FIXTURE").is_some() && !fixture("formats-5").exists() {
        let store = Store::open(&fixture("formats-5"), large_options(), decoder()).expect("opens");
        append(&store, &Arc::new(gated_batch())).expect("appended");
        store.close().expect("closed");
        drop(store);
        std::fs::remove_file(fixture("formats-5").join("LOCK")).expect("removed");
    }
    let directory = undamaged_copy("formats-5");
    let store = Store::open(directory.path(), large_options(), decoder()).expect("opens");
    let mut plain = PlainStore::default();
    plain.append(&gated_batch());
    let tenant = TenantId::default();
    let rows = plain.rows(&tenant, |_| true);
    assert_eq!(everything(&store, &tenant), rows);
    for line in rows[4_000..4_008].iter().map(|row| String::from_utf8(row.line.clone()).expect("text")) {
        for needle in line.split([' ', '=', '"']).chain([&line[5..40]]).filter(|needle| !needle.is_empty()) {
            assert_eq!(search(&store, needle).0, rows_with(&rows, needle), "{needle}");
        }
    }
    for nowhere in ["zzyvanowhere", "9be1c6d2f04a4e7f8d35a7c0e21b64f3", "the quick walnut"] {
        let (found, statistics) = search(&store, nowhere);
        assert_eq!(
            (found, statistics.blocks_read, statistics.blocks_skipped.by_gates),
            (0, 0, 1),
            "{nowhere}"
        );
    }
}

/// Two batches of one stream that overlap in time and have a row in common.
fn overlapping_batches() -> [LogBatch; 2] {
    [0, 40].map(|first| {
        let mut rows = RowsBuilder::default();
        let stream = rows.stream(&Labels::from_pairs([("service_name", "api")]));
        for row in 0..50 {
            let (time, line) = match row {
                0 => (NOW + 45, "the row of both".to_owned()),
                _ => (NOW + first + row, format!("row {row} from {first}")),
            };
            rows.push(stream, Timestamp::from_nanos(time), line.as_bytes(), []).expect("fits");
        }
        LogBatch {
            tenant: TenantId::default(),
            received_at: Timestamp::from_nanos(NOW),
            equal_entries: EqualEntries::Merge,
            rows: rows.finish(),
            unique_keys: Vec::new(),
            origins: Vec::new(),
        }
    })
}

#[test]
fn the_fixture_with_segments_that_were_compared_is_read() {
    if std::env::var_os("TIMBERYARD_WRITE_FIXTURE").is_some() && !fixture("formats-7").exists() {
        let store = Store::open(&fixture("formats-7"), options(), decoder()).expect("opens");
        for batch in overlapping_batches() {
            append(&store, &Arc::new(batch)).expect("appended");
            store.flush().expect("flushed");
        }
        store.close().expect("closed");
        drop(store);
        std::fs::remove_file(fixture("formats-7").join("LOCK")).expect("removed");
    }
    let directory = undamaged_copy("formats-7");
    let store = Store::open(directory.path(), options(), decoder()).expect("opens");
    assert_eq!((store.statistics().segments, store.statistics().rows), (2, 99));
    let mut plain = PlainStore::default();
    overlapping_batches().iter().for_each(|batch| plain.append(batch));
    let tenant = TenantId::default();
    assert_eq!(everything(&store, &tenant), plain.rows(&tenant, |_| true));
    assert_eq!(counted_without_reading(&store), 99);
}

/// How many rows are counted, all of them without reading any.
fn counted_without_reading(store: &Store) -> u64 {
    let mut request = ScanRequest::all(TenantId::default(), TimeRange::ALL);
    request.columns = Columns { line: false, metadata: true };
    request.counting = Some(Cuts::every(60_000_000_000, [0, 0]));
    let mut blocks = store.scan(&request).expect("the scan starts");
    let mut rows = 0;
    while let Some(block) = blocks.next_block().expect("the scan goes on") {
        assert!(block.rows.is_empty(), "no row has to be read");
        rows += block.counted.iter().flat_map(|counted| &counted.cells).map(|cell| cell.rows).sum::<u64>();
    }
    assert_eq!(blocks.statistics().blocks_read, 0);
    rows
}

#[test]
fn the_fixture_with_counts_of_minutes_is_read() {
    if std::env::var_os("TIMBERYARD_WRITE_FIXTURE").is_some() && !fixture("formats-3").exists() {
        let store = Store::open(&fixture("formats-3"), options(), decoder()).expect("opens");
        append(&store, &Arc::new(counted_batch())).expect("appended");
        store.close().expect("closed");
        drop(store);
        std::fs::remove_file(fixture("formats-3").join("LOCK")).expect("removed");
    }
    let directory = undamaged_copy("formats-3");
    let store = Store::open(directory.path(), options(), decoder()).expect("opens");
    let mut plain = PlainStore::default();
    plain.append(&counted_batch());
    let tenant = TenantId::default();
    assert_eq!(everything(&store, &tenant), plain.rows(&tenant, |_| true));
    assert_eq!(counted_without_reading(&store), 600);
}

#[test]
fn the_fixture_with_a_condition_is_read() {
    let request = DeletionRequest {
        selector: RowSelector {
            condition: Some(condition("user=user-2+row 26")),
            range: TimeRange::ALL,
            ..deletions()[1].selector.clone()
        },
        ..deletions()[1].clone()
    };
    if std::env::var_os("TIMBERYARD_WRITE_FIXTURE").is_some() && !fixture("formats-6").exists() {
        let store = Store::open(&fixture("formats-6"), options(), decoder()).expect("opens");
        append(&store, &Arc::new(batches().swap_remove(0))).expect("appended");
        store.delete(request.clone(), Timestamp::from_nanos(NOW)).expect("deleted");
        store.close().expect("closed");
        drop(store);
        std::fs::remove_file(fixture("formats-6").join("LOCK")).expect("removed");
    }
    let directory = undamaged_copy("formats-6");
    let store = Store::open(directory.path(), options(), decoder()).expect("opens");
    let listed = store.deletions(&TenantId::default());
    let mut plain = PlainStore::default();
    plain.append(&batches()[0]);
    let rows = plain.rows(&TenantId::default(), |_| true).len();
    plain.delete(listed[0].id, &request);
    let left = plain.rows(&TenantId::default(), |_| true);
    assert!((1..rows).contains(&left.len()));
    assert_eq!(everything(&store, &TenantId::default()), left);
}

#[test]
fn the_fixture_with_an_origin_is_read() {
    let stretch = |from, to| LogBatch {
        origins: vec![OriginRange { name: OriginName::new("host-1/7").expect("valid"), from, to }],
        ..batches().swap_remove(1)
    };
    if std::env::var_os("TIMBERYARD_WRITE_FIXTURE").is_some() && !fixture("formats-8").exists() {
        let store = Store::open(&fixture("formats-8"), options(), decoder()).expect("opens");
        append(&store, &Arc::new(stretch(0, 300))).expect("appended");
        store.close().expect("closed");
        drop(store);
        std::fs::remove_file(fixture("formats-8").join("LOCK")).expect("removed");
    }
    let directory = undamaged_copy("formats-8");
    let store = Store::open(directory.path(), options(), decoder()).expect("opens");
    let refused = append(&store, &Arc::new(stretch(200, 400))).expect_err("stored in part");
    assert_eq!(refused.to_string(), "host-1/7 is stored already up to byte 300");
    assert_eq!(everything(&store, &TenantId::default()).len(), 40);
}

fn write_fixture() {
    let now = Timestamp::from_nanos(NOW);
    let store = Store::open(&fixture("formats-2"), options(), decoder()).expect("opens");
    for (number, batch) in batches().into_iter().enumerate() {
        if number == 3 {
            let [first, second] = deletions();
            store.delete(first, now).expect("deleted");
            let report = store.maintain(Timestamp::from_nanos(NOW + DAY)).expect("maintained");
            assert_eq!(report.deletions_carried_out, 1);
            store.delete(second, now).expect("deleted");
        }
        append(&store, &Arc::new(batch)).expect("appended");
    }
    drop(store);
    std::fs::remove_file(fixture("formats-2").join("LOCK")).expect("removed");
}
