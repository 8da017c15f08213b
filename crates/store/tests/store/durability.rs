//! What survives: restarts, a directory that another store has, times at the ends of their range.

use std::path::Path;
use std::sync::Arc;

use timberyard_model::batch::EqualEntries;
use timberyard_model::scan::{Direction, ScanRequest};
use timberyard_model::{TenantId, TimeRange};
use timberyard_store::disk::Disk;
use timberyard_store::{Store, StoreError, verify};

use crate::batches::{batch_of, files, lines, open_real};
use crate::harness::{BatchSource, PlainStore, ROOT, append, decoder, everything, open, scan, small_options};
use crate::simulated_disk::SimulatedDisk;

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
