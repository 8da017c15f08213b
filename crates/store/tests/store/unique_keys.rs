//! Keys that a row may have alone: taken once, wherever the row is by now.

use std::sync::Arc;

use timberyard_model::{LogBatch, TenantId, Timestamp};
use timberyard_store::{Store, StoreError};

use crate::batches::{NOW, event, lines, open_real};
use crate::harness::append;

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
