//! Limits on what a store holds before it is in segments: memory, log, queue, and a disk that is full.

use std::sync::Arc;

use timberyard_model::batch::EqualEntries;
use timberyard_store::{Store, StoreError, StoreOptions};

use crate::batches::{NOW, batch_of, lines};
use crate::harness::{
    BatchSource, PlainStore, append, decoder, everything, open, small_options, start_append,
};
use crate::simulated_disk::SimulatedDisk;

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
