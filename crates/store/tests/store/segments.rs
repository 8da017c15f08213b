//! How heads are cut into segments, and segments merged.

use std::sync::Arc;

use timberyard_model::batch::EqualEntries;
use timberyard_model::counting::Cuts;
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{Columns, LogSource, ScanRequest};
use timberyard_model::{Labels, LogBatch, TenantId, TimeRange, Timestamp};

use crate::batches::{NOW, SECOND, batch_of, event};
use crate::harness::{append, everything, open, small_options};
use crate::simulated_disk::SimulatedDisk;

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
        origins: Vec::new(),
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
