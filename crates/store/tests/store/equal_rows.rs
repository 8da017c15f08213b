//! Rows that are equal, or as old as each other: which of them stay, and in which order.

use std::sync::Arc;

use timberyard_model::batch::EqualEntries;
use timberyard_model::counting::Cuts;
use timberyard_model::scan::{Columns, Direction, LogSource, ScanRequest};
use timberyard_model::{RowSelector, TenantId, TimeRange, Timestamp};
use timberyard_store::{DeletionRequest, Store};

use crate::batches::{NOW, batch_of, every_stream, lines};
use crate::harness::{append, open, small_options};
use crate::simulated_disk::SimulatedDisk;

#[test]
fn equal_entries_merge_only_among_those_that_merge() {
    let disk = SimulatedDisk::new(9);
    let store = open(&disk, small_options()).expect("opens");
    let row = [("api", NOW, "one"), ("api", NOW + 1, "two"), ("api", NOW, "one")];
    let merge = Arc::new(batch_of(&row, EqualEntries::Merge));
    let keep = Arc::new(batch_of(&row, EqualEntries::Keep));
    let count = |store: &Store| {
        let volumes = store.volumes(&every_stream()).expect("counted");
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

/// How many rows counting without reading found, and how many blocks it had to read for it.
fn counted(store: &Store) -> (u64, u64) {
    let request = ScanRequest {
        counting: Some(Cuts::NONE),
        columns: Columns { line: false, metadata: false },
        ..ScanRequest::all(TenantId::default(), TimeRange::ALL)
    };
    let mut blocks = store.scan(&request).expect("starts");
    let mut rows = 0;
    while let Some(block) = blocks.next_block().expect("goes on") {
        rows += block.rows.len() as u64;
        rows += block.counted.iter().flat_map(|counted| &counted.cells).map(|cell| cell.rows).sum::<u64>();
    }
    (rows, blocks.statistics().blocks_read)
}

#[test]
fn rows_that_a_segment_has_are_left_out_when_a_head_is_cut() {
    let disk = SimulatedDisk::new(9);
    let store = open(&disk, small_options()).expect("opens");
    let first =
        [("api", NOW, "one"), ("api", NOW + 5, "two"), ("web", NOW + 5, "two"), ("api", NOW + 9, "three")];
    // Some sent again, some of the same stream and time but not the same, some between.
    let second = [
        ("api", NOW + 5, "two"),
        ("api", NOW + 5, "too"),
        ("web", NOW + 5, "two"),
        ("api", NOW + 7, "between"),
        ("api", NOW + 9, "three"),
    ];
    for rows in [&first[..], &second[..]] {
        append(&store, &Arc::new(batch_of(rows, EqualEntries::Merge))).expect("appended");
        store.flush().expect("flushed");
    }
    assert_eq!((store.statistics().segments, store.statistics().rows), (2, 6));
    assert_eq!(counted(&store), (6, 0), "nothing has to be compared any more");
    append(&store, &Arc::new(batch_of(&first, EqualEntries::Merge))).expect("appended");
    store.flush().expect("flushed");
    assert_eq!((store.statistics().rows, counted(&store)), (6, (6, 0)), "nothing was new");
    drop(store);
    let store = open(&disk, small_options()).expect("opens again");
    assert_eq!(
        (store.statistics().rows, counted(&store)),
        (6, (6, 0)),
        "that is known of segments later, too"
    );
}

#[test]
fn rows_sent_again_after_a_deletion_are_not_taken_for_those_it_hides() {
    let disk = SimulatedDisk::new(9);
    let store = open(&disk, small_options()).expect("opens");
    let rows = [("api", NOW, "one"), ("api", NOW + 5, "two")];
    let batch = Arc::new(batch_of(&rows, EqualEntries::Merge));
    append(&store, &batch).expect("appended");
    store.flush().expect("flushed");
    let request = DeletionRequest {
        tenant: TenantId::default(),
        selector: RowSelector {
            matchers: Vec::new(),
            range: TimeRange::ALL,
            line_filters: Vec::new(),
            condition: None,
        },
        text: "{}".to_owned(),
    };
    let deletion = store.delete(request, Timestamp::from_nanos(NOW)).expect("deleted");
    assert_eq!(lines(&store).len(), 0);
    append(&store, &batch).expect("appended");
    store.flush().expect("flushed");
    assert_eq!((lines(&store).len(), counted(&store).0), (2, 2));
    let cancelled = store.cancel_deletion(&TenantId::default(), deletion, true, Timestamp::from_nanos(NOW));
    cancelled.expect("called off");
    assert_eq!((lines(&store).len(), counted(&store).0), (2, 2), "each is there twice now, and one");
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
