//! Random operations on a store and on a plain vector give the same answers.

use timberyard_model::scan::{Columns, Direction, LogSource, ScanRequest};
use timberyard_model::{TimeRange, Timestamp};
use timberyard_store::CancelError;

use crate::harness::{
    BatchSource, PlainRow, PlainStore, append, check_counts, check_index, everything, open, scan,
    small_options, start_append,
};
use crate::selectors::{deletion, line_filters, matchers, range};
use crate::simulated_disk::{Random, SimulatedDisk};

fn runs() -> u64 {
    if std::env::var_os("TIMBERYARD_TORTURE").is_some() { 400 } else { 12 }
}

/// One random question, asked of both.
fn compare(store: &timberyard_store::Store, plain: &PlainStore, random: &mut Random, now: Timestamp) {
    let tenants = BatchSource::tenants();
    let tenant = tenants[random.below(2)].clone();
    let direction = if random.chance(50) { Direction::Forward } else { Direction::Backward };
    let request = ScanRequest {
        range: range(random, now),
        matchers: matchers(random),
        line_filters: line_filters(random),
        direction,
        ..ScanRequest::all(tenant.clone(), TimeRange::ALL)
    };
    let accept = |row: &PlainRow| {
        request.range.contains(row.time)
            && request.matchers.iter().all(|matcher| matcher.accepts(&row.labels))
            && request.line_filters.iter().all(|filter| filter.accepts(&row.line))
    };
    let expected = plain.rows(&tenant, accept);
    assert_eq!(scan(store, &request), expected, "{request:?}");
    let narrow = ScanRequest { columns: Columns { line: false, metadata: false }, ..request.clone() };
    let rows = scan(store, &narrow);
    assert!(rows.iter().all(|row| row.line.is_empty() && row.metadata.is_empty()));
    assert_eq!(rows.len(), expected.len());
    check_limit(store, &request, &expected, 1 + random.below(20));
    check_counts(store, plain, &request, random);
    check_index(store, plain, &tenant, request.range, &request.matchers);
}

/// Calls a random deletion off, if it is not too late.
fn cancel_one(store: &timberyard_store::Store, plain: &mut PlainStore, random: &mut Random, now: Timestamp) {
    let deletions = plain.deletions();
    if deletions.is_empty() {
        return;
    }
    let (tenant, id) = &deletions[random.below(deletions.len())];
    match store.cancel_deletion(tenant, *id, false, now) {
        Ok(()) => plain.cancel(*id),
        Err(CancelError::CarriedOut(late) | CancelError::Late(late, _)) => assert_eq!(late, *id),
        Err(error) => panic!("{error}"),
    }
}

/// Reads until the frontier says that enough rows are certain, as a query with a limit does.
fn check_limit(store: &timberyard_store::Store, request: &ScanRequest, expected: &[PlainRow], limit: usize) {
    let mut expected: Vec<Timestamp> = expected.iter().map(|row| row.time).collect();
    let mut found = Vec::new();
    let mut blocks = store.scan(request).expect("the scan starts");
    let backward = request.direction == Direction::Backward;
    while let Some(block) = blocks.next_block().expect("the scan goes on") {
        found.extend(block.rows.iter().map(|row| row.timestamp()));
        let certain =
            |time: &&Timestamp| if backward { **time > block.frontier } else { **time < block.frontier };
        if found.iter().filter(certain).count() >= limit {
            break;
        }
    }
    for times in [&mut expected, &mut found] {
        times.sort();
        if backward {
            times.reverse();
        }
        times.truncate(limit);
    }
    assert_eq!(found, expected);
}

#[test]
fn a_store_answers_as_a_plain_vector_would() {
    for seed in 0..runs() {
        let mut random = Random::new(seed);
        let mut source = BatchSource::new(seed);
        let disk = SimulatedDisk::new(seed);
        let mut plain = PlainStore::default();
        let mut store = open(&disk, small_options()).expect("opens");
        for _ in 0..60 {
            match random.below(24) {
                0..12 => {
                    let batches: Vec<_> = (0..1 + random.below(4)).map(|_| source.next(40)).collect();
                    let waiting: Vec<_> = batches.iter().map(|batch| start_append(&store, batch)).collect();
                    for (batch, outcome) in batches.iter().zip(waiting) {
                        outcome.recv().expect("done is called").expect("appended");
                        plain.append(batch);
                    }
                }
                12..15 => compare(&store, &plain, &mut random, source.now()),
                15 | 16 => store.flush().expect("flushed"),
                20 | 21 => {
                    let request = deletion(&mut random, source.now());
                    let id = store.delete(request.clone(), source.now()).expect("deleted");
                    plain.delete(id, &request);
                }
                22 => cancel_one(&store, &mut plain, &mut random, source.now()),
                17 => {
                    store.maintain(source.now()).expect("maintained");
                }
                18 => {
                    store.close().expect("closed");
                    drop(store);
                    store = open(&disk, small_options()).expect("opens again");
                }
                _ => {
                    drop(store);
                    store = open(&disk, small_options()).expect("opens again");
                }
            }
        }
        for _ in 0..6 {
            compare(&store, &plain, &mut random, source.now());
        }
        let late = source.now().saturating_add_nanos(3_600_000_000_000);
        store.maintain(late).expect("maintained");
        for tenant in plain.tenants() {
            assert_eq!(everything(&store, &tenant), plain.rows(&tenant, |_| true), "seed {seed}");
            assert!(store.deletions(&tenant).iter().all(|deletion| deletion.is_carried_out), "seed {seed}");
        }
        let statistics = store.statistics();
        assert_eq!((statistics.damaged_segments, statistics.damaged_log_records), (0, 0));
        drop(store);
        let path = std::path::Path::new(crate::harness::ROOT);
        let disk: std::sync::Arc<dyn timberyard_store::disk::Disk> = std::sync::Arc::new(disk);
        let report = timberyard_store::verify::verify_on(&disk, path).expect("verified");
        assert_eq!(report.damage, [], "seed {seed}");
    }
}

#[test]
fn compaction_keeps_every_row_and_leaves_few_segments() {
    let disk = SimulatedDisk::new(1);
    let mut source = BatchSource::new(77);
    let mut plain = PlainStore::default();
    let store = open(&disk, small_options()).expect("opens");
    for _ in 0..40 {
        let batch = source.next(30);
        append(&store, &batch).expect("appended");
        plain.append(&batch);
        store.flush().expect("flushed");
    }
    let before = store.statistics();
    let report = store.maintain(source.now()).expect("maintained");
    let after = store.statistics();
    assert!(report.segments_merged > 20, "{report:?}");
    assert!(after.segments * 3 < before.segments, "{} to {}", before.segments, after.segments);
    for tenant in plain.tenants() {
        assert_eq!(everything(&store, &tenant), plain.rows(&tenant, |_| true));
        check_index(&store, &plain, &tenant, TimeRange::ALL, &[]);
    }
}
