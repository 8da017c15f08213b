//! Scans and counts: what they read from, what they know without reading, and how they end.

use std::sync::Arc;

use timberyard_model::batch::EqualEntries;
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{Direction, LogSource, ScanError, ScanRequest};
use timberyard_model::{Labels, LogBatch, TenantId, TimeRange, Timestamp};
use timberyard_store::{Retention, StoreOptions};

use crate::batches::{DAY, NOW, batch_of, event, every_stream};
use crate::harness::{BatchSource, PlainRow, PlainStore, append, everything, open, small_options};
use crate::simulated_disk::SimulatedDisk;

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
fn blocks_are_the_same_however_many_threads_read_ahead() {
    let disk = SimulatedDisk::new(3);
    let mut answers = Vec::new();
    for read_threads in [0, 1, 3] {
        let options = StoreOptions { read_threads, ..small_options() };
        let store = open(&disk, options).expect("opens");
        if read_threads == 0 {
            let mut source = BatchSource::new(5);
            for _ in 0..60 {
                append(&store, &source.next(40)).expect("appended");
            }
            store.flush().expect("flushed");
        }
        for direction in [Direction::Forward, Direction::Backward] {
            for read_ahead_bytes_max in [0, usize::MAX] {
                let request = ScanRequest { direction, read_ahead_bytes_max, ..every_row() };
                let mut blocks = store.scan(&request).expect("starts");
                let mut read = Vec::new();
                while let Some(block) = blocks.next_block().expect("goes on") {
                    let rows: Vec<PlainRow> = block.rows.iter().map(PlainRow::of).collect();
                    read.push((rows, block.frontier));
                }
                assert!(read.len() > 1, "there is something to read ahead");
                answers.push((direction, read, blocks.statistics()));
            }
        }
    }
    for (direction, read, statistics) in &answers {
        let (_, expected, cost) = answers.iter().find(|answer| answer.0 == *direction).expect("itself");
        assert_eq!((read, statistics), (expected, cost), "{direction:?}");
    }
}

#[test]
fn a_scan_that_is_given_up_early_leaves_nothing_behind() {
    let disk = SimulatedDisk::new(3);
    let store = open(&disk, StoreOptions { read_threads: 3, ..small_options() }).expect("opens");
    let mut source = BatchSource::new(6);
    for _ in 0..60 {
        append(&store, &source.next(40)).expect("appended");
    }
    store.flush().expect("flushed");
    for blocks_wanted in 0..20 {
        let mut blocks = store.scan(&every_row()).expect("starts");
        for _ in 0..blocks_wanted {
            blocks.next_block().expect("goes on");
        }
    }
    drop(store);
}

fn every_row() -> ScanRequest {
    ScanRequest::all(TenantId::default(), TimeRange::ALL)
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
    let metadata_bytes = || store.volumes(&every_stream()).expect("counted")[0].metadata_bytes;
    assert_eq!(metadata_bytes(), expected);
    store.flush().expect("flushed");
    assert_eq!(metadata_bytes(), expected);
}
