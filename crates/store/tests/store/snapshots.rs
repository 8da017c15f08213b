//! Snapshots: a copy that opens as the store was, also while it is written to.

use timberyard_store::verify;

use crate::batches::{event, lines, open_real};
use crate::harness::{BatchSource, PlainStore, append, everything};

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
