//! Bytes that rot: what is damaged is named and counted, and what lies beside it is served.

use std::path::Path;
use std::sync::Arc;

use timberyard_model::batch::EqualEntries;
use timberyard_model::scan::{LogSource, ScanRequest};
use timberyard_model::{TenantId, TimeRange, Timestamp};
use timberyard_store::{Store, verify};

use crate::batches::{DAY, NOW, batch_of, event, files, lines, open_real};
use crate::fixtures::{gated_batch, large_options, search, undamaged_copy};
use crate::harness::{append, decoder, small_options};

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
fn the_block_behind_a_damaged_gate_is_read_and_answers_as_before() {
    let directory = undamaged_copy("formats-5");
    let segment = files(directory.path(), "seg").remove(0);
    let intact = std::fs::read(&segment).expect("readable");
    let batch = gated_batch();
    let line = String::from_utf8(batch.rows.get(4_000).line().to_vec()).expect("text");
    let mut damaged_gates = 0;
    // Where the gate lies is the store's own business: wherever a byte is damaged and the gate says nothing any more, it was hit.
    for place in (0..intact.len()).step_by(300) {
        let mut damaged = intact.clone();
        damaged[place] ^= 0x20;
        std::fs::write(&segment, &damaged).expect("writable");
        let Ok(store) = Store::open(directory.path(), large_options(), decoder()) else { continue };
        let (found, nowhere) = search(&store, "zzyvanowhere");
        assert_eq!(found, 0, "byte {place}");
        if nowhere.segments_damaged == 0 && nowhere.blocks_skipped.by_gates == 0 {
            let (found, somewhere) = search(&store, &line);
            assert_eq!((nowhere.blocks_read, found, somewhere.segments_damaged), (1, 1, 0), "byte {place}");
            drop(store);
            assert_eq!(verify(directory.path()).expect("verified").damage.len(), 1, "byte {place}");
            damaged_gates += 1;
        }
    }
    assert!(damaged_gates > 0, "no byte of the gate was hit");
}
