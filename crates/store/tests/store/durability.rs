//! What users notice: restarts, duplicates, full disks, damage, retention, snapshots, locks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use timberyard_model::batch::{EqualEntries, UniqueKey};
use timberyard_model::counting::Cuts;
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{Columns, Direction, LogSource, ScanError, ScanRequest, SeriesRequest};
use timberyard_model::{Labels, LogBatch, TenantId, TimeRange, Timestamp};
use timberyard_store::disk::Disk;
use timberyard_store::{Retention, Store, StoreError, StoreOptions, verify};

use crate::harness::{
    BatchSource, PlainStore, ROOT, append, decoder, everything, open, scan, small_options, start_append,
};
use crate::simulated_disk::SimulatedDisk;

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;
/// 2026-11-20T00:00:00Z.
const NOW: i64 = 20_777 * DAY;

fn batch_of(rows: &[(&str, i64, &str)], equal_entries: EqualEntries) -> LogBatch {
    let mut builder = RowsBuilder::default();
    for (service, time, line) in rows {
        let stream = builder.stream(&Labels::from_pairs([("service_name", *service)]));
        builder.push(stream, Timestamp::from_nanos(*time), line.as_bytes(), []).expect("fits");
    }
    LogBatch {
        tenant: TenantId::default(),
        received_at: Timestamp::from_nanos(NOW),
        equal_entries,
        rows: builder.finish(),
        unique_keys: Vec::new(),
    }
}

fn event(keys: &[&str]) -> Arc<LogBatch> {
    let rows: Vec<_> = keys.iter().map(|key| ("analytics", NOW, *key)).collect();
    let mut batch = batch_of(&rows, EqualEntries::Keep);
    let key = |(row, key): (usize, &&str)| UniqueKey { row: row as u32, key: (*key).into() };
    batch.unique_keys = keys.iter().enumerate().map(key).collect();
    Arc::new(batch)
}

fn lines(store: &Store) -> Vec<String> {
    let rows = everything(store, &TenantId::default());
    rows.iter().map(|row| String::from_utf8_lossy(&row.line).into_owned()).collect()
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|other| other == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn open_real(directory: &Path) -> Store {
    Store::open(directory, small_options(), decoder()).expect("opens")
}

#[test]
fn rows_survive_a_drop_and_a_close() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut source = BatchSource::new(3);
    let mut plain = PlainStore::default();
    for round in 0..6 {
        let store = open_real(directory.path());
        for _ in 0..20 {
            let batch = source.next(50);
            append(&store, &batch).expect("appended");
            plain.append(&batch);
        }
        if round % 2 == 1 {
            store.close().expect("closed");
            assert!(files(directory.path(), "wal").is_empty(), "a closed store needs no log");
            assert!(matches!(append(&store, &source.next(1)), Err(StoreError::Closed)));
        }
        for tenant in plain.tenants() {
            assert_eq!(everything(&store, &tenant), plain.rows(&tenant, |_| true));
        }
    }
    let report = verify(directory.path()).expect("verified");
    assert_eq!(report.damage, []);
    assert!(report.rows > 0 && report.segments > 0);
}

#[test]
fn a_directory_in_use_is_refused_and_names_the_process() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open_real(directory.path());
    let Err(error) = Store::open(directory.path(), small_options(), decoder()) else {
        panic!("two stores have one directory")
    };
    assert!(error.to_string().contains(&format!("is in use by process {}", std::process::id())), "{error}");
    assert!(matches!(verify(directory.path()), Err(StoreError::InUse { .. })));
    drop(store);
    open_real(directory.path());
}

#[test]
fn a_unique_key_is_taken_once_wherever_its_row_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open_real(directory.path());
    append(&store, &event(&["a", "b"])).expect("new");
    let refused = |store: &Store, keys: &[&str]| match append(store, &event(keys)) {
        Err(StoreError::Duplicate { key, row }) => (key.to_string(), row),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&store, &["c", "b"]), ("b".to_owned(), 1));
    assert_eq!(refused(&store, &["d", "d"]), ("d".to_owned(), 1));
    append(&store, &event(&["c"])).expect("nothing of a refused batch was written");
    drop(store);
    let store = open_real(directory.path());
    assert_eq!(refused(&store, &["a"]), ("a".to_owned(), 0), "after a replay");
    store.flush().expect("flushed");
    assert_eq!(refused(&store, &["x", "a"]), ("a".to_owned(), 1), "in a segment");
    for number in 0..8 {
        append(&store, &event(&[&format!("more-{number}")])).expect("new");
        store.flush().expect("flushed");
    }
    assert!(store.maintain(Timestamp::from_nanos(NOW)).expect("maintained").segments_merged > 0);
    assert_eq!(refused(&store, &["b"]), ("b".to_owned(), 0), "after compaction");
    store.close().expect("closed");
    drop(store);
    let store = open_real(directory.path());
    assert_eq!(refused(&store, &["more-7"]), ("more-7".to_owned(), 0), "after a restart");
    let mut elsewhere = LogBatch::clone(&event(&["a"]));
    elsewhere.tenant = TenantId::new("elsewhere").expect("valid");
    append(&store, &Arc::new(elsewhere)).expect("keys belong to a tenant");
    assert_eq!(lines(&store).len(), 3 + 8);
    assert_eq!(store.statistics().duplicates_refused, 1);
}

#[test]
fn of_concurrent_equal_keys_exactly_one_wins() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open_real(directory.path());
    for round in 0..20 {
        let key = format!("key-{round}");
        let winners: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| usize::from(append(&store, &event(&[&key])).is_ok())))
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(winners, 1);
        if round % 5 == 0 {
            store.flush().expect("flushed");
        }
    }
    assert_eq!(lines(&store).len(), 20);
}

#[test]
fn equal_entries_merge_only_among_those_that_merge() {
    let disk = SimulatedDisk::new(9);
    let store = open(&disk, small_options()).expect("opens");
    let row = [("api", NOW, "one"), ("api", NOW + 1, "two"), ("api", NOW, "one")];
    let merge = Arc::new(batch_of(&row, EqualEntries::Merge));
    let keep = Arc::new(batch_of(&row, EqualEntries::Keep));
    let request = SeriesRequest {
        tenant: TenantId::default(),
        range: TimeRange::ALL,
        selectors: Vec::new(),
        memory_bytes_max: usize::MAX,
    };
    let count = |store: &Store| {
        let volumes = store.volumes(&request).expect("counted");
        assert_eq!(volumes.len(), 1);
        assert_eq!(lines(store).len() as u64, volumes[0].rows);
        volumes[0].rows
    };
    append(&store, &merge).expect("appended");
    assert_eq!(count(&store), 2, "within a batch");
    append(&store, &merge).expect("appended");
    assert_eq!(count(&store), 2, "within the head");
    store.flush().expect("flushed");
    assert_eq!(count(&store), 2, "within a segment");
    append(&store, &merge).expect("appended");
    assert_eq!(count(&store), 2, "between head and segment");
    store.flush().expect("flushed");
    assert_eq!(count(&store), 2, "between segments");
    append(&store, &keep).expect("appended");
    assert_eq!(count(&store), 5, "rows that do not merge stay");
    store.flush().expect("flushed");
    append(&store, &merge).expect("appended");
    store.flush().expect("flushed");
    assert_eq!(count(&store), 5);
    store.maintain(Timestamp::from_nanos(NOW)).expect("maintained");
    assert_eq!(count(&store), 5, "after compaction");
    assert_eq!(store.statistics().rows, 5, "compaction has met them all");
}

#[test]
fn equal_times_keep_the_order_in_which_they_were_sent() {
    let disk = SimulatedDisk::new(9);
    let store = open(&disk, small_options()).expect("opens");
    let sent: Vec<String> = (0..500).map(|number| format!("{number} {}", "x".repeat(50))).collect();
    let rows: Vec<_> = sent.iter().map(|line| ("api", NOW, &**line)).collect();
    append(&store, &Arc::new(batch_of(&rows, EqualEntries::Keep))).expect("appended");
    let in_order = |store: &Store, direction: Direction| {
        let request = ScanRequest { direction, ..ScanRequest::all(TenantId::default(), TimeRange::ALL) };
        let mut blocks = store.scan(&request).expect("starts");
        let mut lines: Vec<String> = Vec::new();
        while let Some(block) = blocks.next_block().expect("goes on") {
            let rows = block.rows.iter().map(|row| String::from_utf8_lossy(row.line()).into_owned());
            let place = if direction == Direction::Forward { lines.len() } else { 0 };
            // Scanning backward an earlier block holds the rows that were stored later.
            lines.splice(place..place, rows.collect::<Vec<_>>());
        }
        lines
    };
    for direction in [Direction::Forward, Direction::Backward] {
        assert_eq!(in_order(&store, direction), sent, "from the head, {direction:?}");
    }
    store.flush().expect("flushed");
    append(&store, &Arc::new(batch_of(&[("api", NOW, "last")], EqualEntries::Keep))).expect("appended");
    let sent = [sent, vec!["last".to_owned()]].concat();
    for direction in [Direction::Forward, Direction::Backward] {
        assert_eq!(in_order(&store, direction), sent, "from segment and head, {direction:?}");
    }
    store.flush().expect("flushed");
    for direction in [Direction::Forward, Direction::Backward] {
        assert_eq!(in_order(&store, direction), sent, "from two segments, {direction:?}");
    }
    // The small ones become one with a higher number than that of the large one, which came after them.
    let large: Vec<String> = (0..50).map(|number| format!("{number} {}", "y".repeat(5000))).collect();
    let small = vec![vec!["third".to_owned()], vec!["fourth".to_owned()], large];
    for lines in &small {
        let rows: Vec<_> = lines.iter().map(|line| ("api", NOW, &**line)).collect();
        append(&store, &Arc::new(batch_of(&rows, EqualEntries::Keep))).expect("appended");
        store.flush().expect("flushed");
    }
    let sent = [sent, small.concat()].concat();
    assert_eq!(store.maintain(Timestamp::from_nanos(NOW)).expect("maintained").segments_merged, 4);
    for direction in [Direction::Forward, Direction::Backward] {
        assert_eq!(in_order(&store, direction), sent, "after compaction, {direction:?}");
    }
}

#[test]
fn a_full_disk_refuses_writes_and_goes_on_when_there_is_room() {
    let disk = SimulatedDisk::new(4);
    let options = StoreOptions { disk_reserve_bytes: 64 << 10, ..small_options() };
    let store = open(&disk, options.clone()).expect("opens");
    disk.set_capacity(300 << 10);
    let mut source = BatchSource::new(4);
    let mut plain = PlainStore::default();
    let mut refusals = 0;
    for _ in 0..400 {
        let batch = source.next(60);
        match append(&store, &batch) {
            Ok(()) => plain.append(&batch),
            Err(StoreError::Full { free_bytes, reserve_bytes, .. }) => {
                assert!(free_bytes < reserve_bytes, "{free_bytes}");
                refusals += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refusals > 10, "the disk was never full");
    for tenant in plain.tenants() {
        assert_eq!(everything(&store, &tenant), plain.rows(&tenant, |_| true), "reads go on");
    }
    disk.set_capacity(100 << 20);
    let batch = source.next(10);
    append(&store, &batch).expect("there is room again");
    plain.append(&batch);
    store.close().expect("closed");
    drop(store);
    let store = open(&disk, options).expect("opens");
    for tenant in plain.tenants() {
        assert_eq!(everything(&store, &tenant), plain.rows(&tenant, |_| true));
    }
}

#[test]
fn a_disk_without_a_reserve_that_fills_up_corrupts_nothing() {
    for seed in 0..10 {
        let disk = SimulatedDisk::new(seed);
        let store = open(&disk, small_options()).expect("opens");
        disk.set_capacity((100 << 10) + seed * 7001);
        let mut source = BatchSource::new(seed);
        let mut plain = PlainStore::default();
        let mut refused = false;
        for _ in 0..300 {
            let batch = source.next(60);
            match append(&store, &batch) {
                Ok(()) => plain.append(&batch),
                Err(StoreError::Full { .. }) => refused = true,
                Err(other) => panic!("{other}"),
            }
        }
        assert!(refused);
        drop(store);
        disk.set_capacity(u64::MAX);
        disk.restart();
        let store = open(&disk, small_options()).expect("opens");
        for tenant in plain.tenants() {
            assert_eq!(everything(&store, &tenant), plain.rows(&tenant, |_| true), "seed {seed}");
        }
    }
}

#[test]
fn more_than_the_queue_holds_is_refused_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = StoreOptions { queue_bytes_max: 10_000, ..small_options() };
    let store = Store::open(directory.path(), options, decoder()).expect("opens");
    let line = "x".repeat(2000);
    let rows: Vec<_> = (0..10).map(|second| ("api", NOW + second, &*line)).collect();
    let batch = Arc::new(batch_of(&rows, EqualEntries::Keep));
    let waiting: Vec<_> = (0..200).map(|_| start_append(&store, &batch)).collect();
    let outcomes: Vec<_> = waiting.iter().map(|outcome| outcome.recv().expect("called")).collect();
    let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let overloaded =
        |outcome: &&Result<(), StoreError>| matches!(outcome, Err(StoreError::Overloaded { .. }));
    assert_eq!(taken + outcomes.iter().filter(overloaded).count(), 200);
    assert!(taken > 0 && taken < 200);
    assert_eq!(lines(&store).len(), taken * 10);
}

#[test]
fn a_damaged_segment_is_named_and_counted_and_the_rest_is_served() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open_real(directory.path());
    for day in 0..3 {
        let line = format!("day {day}");
        let batch = batch_of(&[("api", NOW + day * DAY, &line)], EqualEntries::Keep);
        append(&store, &Arc::new(batch)).expect("appended");
    }
    store.close().expect("closed");
    drop(store);
    let segments = files(directory.path(), "seg");
    assert_eq!(segments.len(), 3);
    let length = std::fs::metadata(&segments[1]).expect("there").len() as usize;
    for place in [9, length / 2, length - 100, length - 30] {
        let intact = std::fs::read(&segments[1]).expect("readable");
        let mut damaged = intact.clone();
        damaged[place] ^= 0x20;
        std::fs::write(&segments[1], &damaged).expect("writable");
        let report = verify(directory.path()).expect("verified");
        assert_eq!(report.damage.len(), 1, "byte {place}");
        assert_eq!(report.damage[0].file, segments[1]);
        let store = open_real(directory.path());
        let mut blocks = store.scan(&ScanRequest::all(TenantId::default(), TimeRange::ALL)).expect("starts");
        let mut rows = 0;
        while let Some(block) = blocks.next_block().expect("goes on") {
            rows += block.rows.len();
        }
        assert_eq!((rows, blocks.statistics().segments_damaged), (2, 1), "byte {place}");
        drop(blocks);
        assert_eq!(store.statistics().damaged_segments, 1);
        store.maintain(Timestamp::from_nanos(NOW)).expect("maintained");
        drop(store);
        std::fs::write(&segments[1], &intact).expect("writable");
    }
    std::fs::remove_file(&segments[0]).expect("removed");
    assert_eq!(verify(directory.path()).expect("verified").damage.len(), 1);
    let store = open_real(directory.path());
    assert_eq!(lines(&store), ["day 1", "day 2"]);
    assert_eq!(store.statistics().damaged_segments, 1);
}

#[test]
fn a_damaged_log_record_is_counted_and_its_neighbours_are_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open_real(directory.path());
    for number in 0..5 {
        let line = format!("line {number}");
        let batch = batch_of(&[("api", NOW + number, &line)], EqualEntries::Keep);
        append(&store, &Arc::new(batch)).expect("appended");
    }
    drop(store);
    let log = files(directory.path(), "wal");
    let mut bytes = std::fs::read(&log[0]).expect("readable");
    let place = bytes.windows(6).position(|window| window == b"line 2").expect("there");
    bytes[place] ^= 1;
    std::fs::write(&log[0], bytes).expect("writable");
    let report = verify(directory.path()).expect("verified");
    assert_eq!((report.log_records, report.damage.len()), (4, 1));
    assert!(report.damage[0].place.contains("records 3 to 3 are lost"), "{:?}", report.damage);
    let store = open_real(directory.path());
    assert_eq!(lines(&store), ["line 0", "line 1", "line 3", "line 4"]);
    assert_eq!(store.statistics().damaged_log_records, 1);
}

#[test]
fn a_record_that_cannot_be_decoded_is_kept_aside() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open_real(directory.path());
    append(&store, &event(&["a"])).expect("appended");
    let (sender, receiver) = std::sync::mpsc::channel();
    store.append(event(&["b"]), b"nonsense".to_vec(), move |outcome| {
        sender.send(outcome).expect("somebody waits");
    });
    receiver.recv().expect("called").expect("appended");
    drop(store);
    let store = open_real(directory.path());
    assert_eq!(lines(&store), ["a"]);
    assert_eq!(store.statistics().damaged_log_records, 1);
    let kept = directory.path().join("undecodable/0000000000000002");
    assert_eq!(std::fs::read(kept).expect("kept"), b"nonsense");
}

#[test]
fn a_damaged_or_missing_manifest_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open_real(directory.path());
    append(&store, &event(&["a"])).expect("appended");
    store.flush().expect("flushed");
    drop(store);
    let manifest = directory.path().join("manifest");
    let intact = std::fs::read(&manifest).expect("readable");
    let mut damaged = intact.clone();
    damaged[40] ^= 1;
    std::fs::write(&manifest, damaged).expect("writable");
    let error = |directory: &Path| match Store::open(directory, small_options(), decoder()) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("opened"),
    };
    assert!(error(directory.path()).contains("manifest is damaged: checksum does not hold"));
    assert_eq!(verify(directory.path()).expect("verified").damage.len(), 1);
    std::fs::remove_file(&manifest).expect("removed");
    assert!(error(directory.path()).contains("manifest is damaged: it is missing"));
    assert!(!files(directory.path(), "seg").is_empty(), "nothing was removed");
    std::fs::write(&manifest, intact).expect("writable");
    assert_eq!(lines(&open_real(directory.path())), ["a"]);
}

#[test]
fn retention_by_age_hides_rows_and_drops_whole_days() {
    let disk = SimulatedDisk::new(2);
    let retention = Retention { age_seconds_max: Some(2 * 86_400), ..Retention::default() };
    let other = TenantId::new("other").expect("valid");
    let tenant_retention = [(other.clone(), Retention::default())].into();
    let options = StoreOptions { retention, tenant_retention, ..small_options() };
    let store = open(&disk, options).expect("opens");
    let days = ["day 0", "day 1", "day 2", "day 3"];
    let rows: Vec<_> = days.iter().zip(0..).map(|(line, day)| ("api", NOW + day * DAY, *line)).collect();
    let mut batch = batch_of(&rows, EqualEntries::Keep);
    append(&store, &Arc::new(batch.clone())).expect("appended");
    batch.tenant = other.clone();
    append(&store, &Arc::new(batch)).expect("appended");
    assert_eq!(lines(&store).len(), 4, "nothing is hidden before maintenance");
    store.flush().expect("flushed");
    let used = disk.used_bytes();
    let report = store.maintain(Timestamp::from_nanos(NOW + 3 * DAY + SECOND)).expect("maintained");
    assert_eq!(report.segments_expired, 2);
    assert_eq!(lines(&store), ["day 2", "day 3"]);
    assert_eq!(everything(&store, &other).len(), 4, "a tenant with its own retention");
    assert!(disk.used_bytes() < used);
    let request = SeriesRequest {
        tenant: TenantId::default(),
        range: TimeRange::ALL,
        selectors: Vec::new(),
        memory_bytes_max: usize::MAX,
    };
    assert_eq!(store.volumes(&request).expect("counted")[0].rows, 2);
}

#[test]
fn retention_by_bytes_drops_the_oldest_first() {
    let disk = SimulatedDisk::new(2);
    let mut options = small_options();
    let store = open(&disk, options.clone()).expect("opens");
    for day in 0..6 {
        let line = format!("day {day}");
        let batch = batch_of(&[("api", NOW + day * DAY, &line)], EqualEntries::Keep);
        append(&store, &Arc::new(batch)).expect("appended");
    }
    store.close().expect("closed");
    let bytes = store.statistics().segment_bytes;
    drop(store);
    options.retention.bytes_max = Some(bytes / 2);
    let store = open(&disk, options).expect("opens");
    let report = store.maintain(Timestamp::from_nanos(NOW)).expect("maintained");
    assert_eq!(report.segments_expired, 3);
    assert_eq!(lines(&store), ["day 3", "day 4", "day 5"]);
    drop(store);
    let store = open(&disk, small_options()).expect("opens");
    assert_eq!(lines(&store), ["day 3", "day 4", "day 5"]);
}

#[test]
fn a_reader_finishes_on_the_segments_it_began_with() {
    let disk = SimulatedDisk::new(2);
    let retention = Retention { age_seconds_max: Some(86_400), ..Retention::default() };
    let store = open(&disk, StoreOptions { retention, ..small_options() }).expect("opens");
    let mut source = BatchSource::new(12);
    let mut plain = PlainStore::default();
    for _ in 0..12 {
        let batch = source.next(40);
        append(&store, &batch).expect("appended");
        plain.append(&batch);
        store.flush().expect("flushed");
    }
    let tenant = TenantId::default();
    let mut blocks = store.scan(&ScanRequest::all(tenant.clone(), TimeRange::ALL)).expect("starts");
    let later = source.now().saturating_add_nanos(30 * DAY);
    assert!(store.maintain(later).expect("maintained").segments_expired > 0);
    assert_eq!(everything(&store, &tenant), []);
    let mut rows = 0;
    while let Some(block) = blocks.next_block().expect("goes on") {
        rows += block.rows.len();
    }
    assert_eq!(rows, plain.rows(&tenant, |_| true).len());
    assert_eq!(blocks.statistics().segments_damaged, 0);
    let used = disk.used_bytes();
    drop(blocks);
    assert!(disk.used_bytes() < used, "the files went with their last reader");
}

#[test]
fn old_heads_are_cut_and_young_ones_stay() {
    let disk = SimulatedDisk::new(2);
    let store = open(&disk, small_options()).expect("opens");
    append(&store, &event(&["a"])).expect("appended");
    let hour = 3600 * SECOND;
    let report = store.maintain(Timestamp::from_nanos(NOW + hour)).expect("maintained");
    assert_eq!((report.families_cut, store.statistics().head_rows), (0, 1));
    let report = store.maintain(Timestamp::from_nanos(NOW + 3 * hour)).expect("maintained");
    assert_eq!((report.families_cut, store.statistics().head_rows), (1, 0));
}

#[test]
fn heads_and_log_stay_within_their_limits() {
    let disk = SimulatedDisk::new(2);
    let store = open(&disk, small_options()).expect("opens");
    let mut source = BatchSource::new(21);
    let mut plain = PlainStore::default();
    for _ in 0..300 {
        let batch = source.next(60);
        append(&store, &batch).expect("appended");
        plain.append(&batch);
        let statistics = store.statistics();
        assert!(statistics.head_bytes < (256 << 10) + (64 << 10), "{}", statistics.head_bytes);
        assert!(statistics.log_bytes < (128 << 10) + (64 << 10), "{}", statistics.log_bytes);
    }
    assert!(store.statistics().flushes > 3);
    for tenant in plain.tenants() {
        assert_eq!(everything(&store, &tenant), plain.rows(&tenant, |_| true));
    }
}

#[test]
fn a_batch_larger_than_the_log_may_be_holds_nothing_up_once_it_is_in_a_segment() {
    let store = open(&SimulatedDisk::new(3), StoreOptions { log_bytes_max: 32 << 10, ..small_options() });
    let store = store.expect("opens");
    let line = "x".repeat(64 << 10);
    let huge = Arc::new(batch_of(&[("api", NOW, &line)], EqualEntries::Keep));
    append(&store, &huge).expect("appended");
    // Its file is still the one being written: it is sealed, full, by the batch after the flush.
    store.flush().expect("flushed");
    for second in 1..4 {
        let batch = Arc::new(batch_of(&[("api", NOW + second, "small")], EqualEntries::Keep));
        let outcome = start_append(&store, &batch).recv_timeout(std::time::Duration::from_secs(30));
        let Ok(outcome) = outcome else {
            // Closing would wait for the same room.
            std::mem::forget(store);
            panic!("append {second} waits for room that nobody makes");
        };
        outcome.expect("appended");
    }
    assert_eq!(lines(&store).len(), 4);
}

#[test]
fn a_snapshot_opens_as_the_store_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let copy = tempfile::tempdir().expect("a directory");
    let target = copy.path().join("snapshot");
    let store = open_real(&directory.path().join("data"));
    let mut source = BatchSource::new(8);
    let mut plain = PlainStore::default();
    for number in 0..30 {
        let batch = source.next(40);
        append(&store, &batch).expect("appended");
        plain.append(&batch);
        if number == 20 {
            store.flush().expect("flushed");
        }
    }
    store.snapshot(&target).expect("copied");
    assert!(store.snapshot(&target).expect_err("not empty").to_string().contains("empty"));
    append(&store, &event(&["later"])).expect("appended");
    store.close().expect("closed");
    assert_eq!(verify(&target).expect("verified").damage, []);
    let restored = open_real(&target);
    for tenant in plain.tenants() {
        assert_eq!(everything(&restored, &tenant), plain.rows(&tenant, |_| true));
    }
    append(&restored, &event(&["later"])).expect("appended");
    restored.close().expect("closed");
}

#[test]
fn a_snapshot_under_load_has_everything_acknowledged_before_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open_real(&directory.path().join("data"));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                append(&store, &event(&[&format!("load-{number}")])).expect("appended");
                number += 1;
            }
        });
        for round in 0..5 {
            let before = lines(&store);
            let target = directory.path().join(format!("snapshot-{round}"));
            store.snapshot(&target).expect("copied");
            let restored = open_real(&target);
            assert_eq!(restored.statistics().damaged_log_records, 0);
            let after = lines(&restored);
            assert!(before.iter().all(|line| after.binary_search(line).is_ok()));
            if round % 2 == 0 {
                store.flush().expect("flushed");
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_cancelled_scan_ends() {
    let disk = SimulatedDisk::new(2);
    let store = open(&disk, small_options()).expect("opens");
    append(&store, &event(&["a"])).expect("appended");
    let request = ScanRequest::all(TenantId::default(), TimeRange::ALL);
    let mut blocks = store.scan(&request).expect("starts");
    let reason = timberyard_model::cancellation::CancelReason::ClientGone;
    request.cancellation.cancel(reason);
    assert_eq!(blocks.next_block().expect_err("cancelled"), ScanError::Cancelled(reason));
}

#[test]
fn times_at_the_ends_of_the_range_are_kept() {
    let disk = SimulatedDisk::new(2);
    let store = open(&disk, small_options()).expect("opens");
    let rows = [("api", i64::MIN, "first"), ("api", 0, "middle"), ("api", i64::MAX - 1, "last")];
    append(&store, &Arc::new(batch_of(&rows, EqualEntries::Merge))).expect("appended");
    assert_eq!(lines(&store), ["first", "middle", "last"]);
    store.close().expect("closed");
    assert_eq!(lines(&store), ["first", "middle", "last"]);
    let mut request = ScanRequest::all(TenantId::default(), TimeRange::ALL);
    request.direction = Direction::Forward;
    assert_eq!(scan(&store, &request).len(), 3);
    drop(store);
    let disk: Arc<dyn Disk> = Arc::new(disk);
    assert_eq!(timberyard_store::verify::verify_on(&disk, Path::new(ROOT)).expect("verified").damage, []);
}

#[test]
fn compaction_lays_no_group_around_another() {
    let disk = SimulatedDisk::new(3);
    let store = open(&disk, small_options()).expect("opens");
    for (number, rows) in [20, 400, 20, 400, 20].into_iter().enumerate() {
        let lines: Vec<String> = (0..rows).map(|row| format!("row {row} of {number} words")).collect();
        let rows: Vec<(&str, i64, &str)> = lines
            .iter()
            .enumerate()
            .map(|(row, line)| ("api", NOW + number as i64 * 1_000_000 + row as i64, line.as_str()))
            .collect();
        append(&store, &Arc::new(batch_of(&rows, EqualEntries::Merge))).expect("appended");
        store.flush().expect("flushed");
    }
    let report = store.maintain(Timestamp::from_nanos(NOW)).expect("maintained");
    assert!(report.segments_merged >= 4, "{report:?}");
    let request = ScanRequest {
        counting: Some(Cuts::NONE),
        columns: Columns { line: false, metadata: false },
        ..ScanRequest::all(TenantId::default(), TimeRange::ALL)
    };
    let mut blocks = store.scan(&request).expect("the scan starts");
    let mut rows = 0;
    while let Some(block) = blocks.next_block().expect("the scan goes on") {
        rows += block.counted.iter().flat_map(|counted| &counted.cells).map(|cell| cell.rows).sum::<u64>();
    }
    assert_eq!((rows, blocks.statistics().blocks_read), (860, 0), "no row has to be compared with another");
}

#[test]
fn a_batch_of_very_many_days_is_cut_with_few_syncs() {
    let disk = SimulatedDisk::new(9);
    let store = open(&disk, small_options()).expect("opens");
    let mut rows = RowsBuilder::default();
    let stream = rows.stream(&Labels::from_pairs([("service_name", "archive")]));
    let days = 500;
    for day in 0..days {
        let time = Timestamp::from_nanos(day * 86_400_000_000_000);
        rows.push(stream, time, b"a line of its own day", []).expect("fits");
    }
    let batch = LogBatch {
        tenant: TenantId::default(),
        received_at: Timestamp::from_nanos(0),
        equal_entries: EqualEntries::Merge,
        rows: rows.finish(),
        unique_keys: Vec::new(),
    };
    append(&store, &Arc::new(batch)).expect("appended");
    let before = disk.changes();
    store.flush().expect("flushed");
    // A directory, a file, its bytes, its name; no sync of its own.
    let changes = disk.changes() - before;
    assert!(changes <= 4 * days as u64 + 20, "{changes}");
    disk.restart();
    drop(store);
    let store = open(&disk, small_options()).expect("opens again");
    assert_eq!(everything(&store, &TenantId::default()).len(), days as usize);
    assert_eq!(store.statistics().damaged_segments, 0);
}

#[test]
fn volumes_know_what_metadata_takes_in_heads_and_in_segments() {
    let disk = SimulatedDisk::new(4);
    let store = open(&disk, small_options()).expect("opens");
    let mut rows = RowsBuilder::default();
    let stream = rows.stream(&Labels::from_pairs([("service_name", "api")]));
    for row in 0..50 {
        let trace = format!("trace-{row:02}");
        let level: &[u8] = if row % 2 == 0 { b"info" } else { b"warn" };
        let metadata = [("detected_level", level), ("trace_id", trace.as_bytes())];
        rows.push(stream, Timestamp::from_nanos(NOW + row), b"line", metadata).expect("fits");
    }
    let batch = LogBatch { rows: rows.finish(), ..batch_of(&[], EqualEntries::Merge) };
    append(&store, &Arc::new(batch)).expect("appended");
    // A hundred pairs of two references, both names, both levels and fifty ids.
    let expected = 100 * 8 + ("detected_level".len() + "trace_id".len() + 4 + 4 + 50 * 8) as u64;
    let metadata_bytes = || {
        let request = SeriesRequest {
            tenant: TenantId::default(),
            range: TimeRange::ALL,
            selectors: Vec::new(),
            memory_bytes_max: usize::MAX,
        };
        store.volumes(&request).expect("counted")[0].metadata_bytes
    };
    assert_eq!(metadata_bytes(), expected);
    store.flush().expect("flushed");
    assert_eq!(metadata_bytes(), expected);
}
