//! After a crash at any write or sync every acknowledged row is there exactly once, and nothing
//! that was not acknowledged is there in part.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use timberyard_model::batch::EqualEntries;
use timberyard_model::{LogBatch, TenantId};
use timberyard_store::disk::Disk;
use timberyard_store::{Store, StoreError, StoreOptions};

use crate::harness::{
    BatchSource, PlainRow, PlainStore, ROOT, append, everything, open, small_options, start_append,
};
use crate::simulated_disk::{Fault, Random, SimulatedDisk};

fn torture() -> bool {
    std::env::var_os("TIMBERYARD_TORTURE").is_some()
}

/// With every other seed heads and log are so small that families are cut one by one, in the background.
fn crash_options(seed: u64) -> StoreOptions {
    let options = small_options();
    if seed.is_multiple_of(2) {
        return options;
    }
    StoreOptions { head_bytes_max: 24 << 10, log_bytes_max: 32 << 10, log_segment_bytes: 4 << 10, ..options }
}

/// What was tried before the crash.
#[derive(Default)]
struct Attempts {
    acknowledged: Vec<Arc<LogBatch>>,
    /// Their fate is unknown: there or not, but whole.
    unknown: Vec<Arc<LogBatch>>,
}

/// The same work for the same seed, until something fails.
fn work(disk: &SimulatedDisk, seed: u64, attempts: &mut Attempts) -> Result<(), StoreError> {
    let mut random = Random::new(seed ^ 0xabc);
    let mut source = BatchSource::new(seed);
    let mut store = open(disk, crash_options(seed))?;
    for _ in 0..14 {
        match random.below(12) {
            0 | 1 => store.flush()?,
            2 => {
                store.maintain(source.now())?;
            }
            3 => {
                drop(store);
                store = open(disk, crash_options(seed))?;
            }
            4 => {
                store.close()?;
                drop(store);
                store = open(disk, crash_options(seed))?;
            }
            _ => append_some(&store, &mut source, &mut random, attempts)?,
        }
    }
    store.close()
}

fn append_some(
    store: &Store,
    source: &mut BatchSource,
    random: &mut Random,
    attempts: &mut Attempts,
) -> Result<(), StoreError> {
    let batches: Vec<_> = (0..1 + random.below(3)).map(|_| source.next(25)).collect();
    let waiting: Vec<_> = batches.iter().map(|batch| start_append(store, batch)).collect();
    let mut outcome = Ok(());
    for (batch, waiting) in batches.into_iter().zip(waiting) {
        match waiting.recv().expect("done is called") {
            Ok(()) => attempts.acknowledged.push(batch),
            Err(error) => {
                attempts.unknown.push(batch);
                outcome = Err(error);
            }
        }
    }
    outcome
}

fn count(rows: impl IntoIterator<Item = PlainRow>) -> BTreeMap<PlainRow, i64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row).or_default() += 1;
    }
    counts
}

/// Fails unless the rows are those acknowledged, with each unknown batch there as a whole or not at all.
/// Returns what is there.
fn check(store: &Store, attempts: &Attempts, context: &str) -> PlainStore {
    let mut plain = PlainStore::default();
    for batch in &attempts.acknowledged {
        plain.append(batch);
    }
    for batch in &attempts.unknown {
        let tenant = &batch.tenant;
        let here = count(everything(store, tenant));
        let known = count(plain.rows(tenant, |_| true));
        let missing = |row: &PlainRow| {
            here.get(row).copied().unwrap_or_default() > known.get(row).copied().unwrap_or_default()
        };
        let mut more = plain.clone();
        more.append(batch);
        let added = count(more.rows(tenant, |_| true));
        let added: Vec<&PlainRow> =
            added.iter().filter(|(row, count)| known.get(*row) != Some(*count)).map(|(row, _)| row).collect();
        // A batch that merges with what is there adds nothing, and both answers are right.
        let present = added.iter().filter(|row| missing(row)).count();
        assert!(
            present == 0 || present == added.len(),
            "{context}: {present} of {} rows of a batch that was not acknowledged",
            added.len()
        );
        if present > 0 || batch.equal_entries == EqualEntries::Keep && added.is_empty() {
            plain = more;
        }
    }
    let tenants: std::collections::BTreeSet<TenantId> =
        plain.tenants().into_iter().chain(BatchSource::tenants()).collect();
    for tenant in tenants {
        assert_eq!(everything(store, &tenant), plain.rows(&tenant, |_| true), "{context}");
    }
    plain
}

/// Opens the store after a crash, compares, and goes on working.
fn recover_and_check(disk: &SimulatedDisk, attempts: &Attempts, seed: u64, context: &str) {
    disk.restart();
    let store = open(disk, crash_options(seed)).unwrap_or_else(|error| panic!("{context}: {error}"));
    let statistics = store.statistics();
    let damage = (statistics.damaged_segments, statistics.damaged_log_records);
    assert_eq!(damage, (0, 0), "{context}: a crash is no damage");
    let mut plain = check(&store, attempts, context);
    // Life goes on, and a second crash loses nothing either.
    let mut source = BatchSource::new(seed + 1_000_000);
    for step in 0..3 {
        let batch = source.next(10);
        append(&store, &batch).unwrap_or_else(|error| panic!("{context}: {error}"));
        plain.append(&batch);
        if step == 1 {
            store.flush().unwrap_or_else(|error| panic!("{context}: {error}"));
        }
    }
    drop(store);
    disk.restart();
    let store = open(disk, crash_options(seed)).unwrap_or_else(|error| panic!("{context}: {error}"));
    for tenant in BatchSource::tenants() {
        assert_eq!(everything(&store, &tenant), plain.rows(&tenant, |_| true), "{context}, again");
    }
    drop(store);
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let report = timberyard_store::verify::verify_on(&disk, Path::new(ROOT)).expect("verified");
    assert_eq!(report.damage, [], "{context}");
}

fn changes_of(seed: u64) -> u64 {
    let disk = SimulatedDisk::new(seed);
    work(&disk, seed, &mut Attempts::default()).expect("nothing fails");
    disk.changes()
}

fn try_faults(fault: impl Fn(u64) -> Fault) {
    let (seeds, steps) = if torture() { (60, usize::MAX) } else { (8, 45) };
    for seed in 0..seeds {
        let changes = changes_of(seed);
        let stride = (changes as usize / steps).max(1);
        for change in (1 + seed % stride as u64..=changes).step_by(stride) {
            let disk = SimulatedDisk::new(seed ^ (change << 20));
            disk.set_fault(Some(fault(change)));
            let mut attempts = Attempts::default();
            let outcome = work(&disk, seed, &mut attempts);
            let context = format!("seed {seed}, {:?}, {outcome:?}", fault(change));
            recover_and_check(&disk, &attempts, seed, &context);
        }
    }
}

#[test]
fn a_power_failure_at_any_change_loses_nothing_acknowledged() {
    try_faults(Fault::PowerFailsAt);
}

#[test]
fn a_failed_write_or_sync_loses_nothing_acknowledged() {
    try_faults(Fault::FailsAt);
}

#[test]
fn a_failed_sync_stops_writing_until_the_store_is_opened_again() {
    let seed = 4;
    let disk = SimulatedDisk::new(seed);
    let mut source = BatchSource::new(seed);
    let store = open(&disk, crash_options(seed)).expect("opens");
    let batch = source.next(5);
    append(&store, &batch).expect("appended");
    // The next group is one write and one sync.
    disk.set_fault(Some(Fault::FailsAt(disk.changes() + 2)));
    let refused = append(&store, &source.next(5)).expect_err("the sync fails");
    assert!(matches!(refused, StoreError::Poisoned { .. }), "{refused}");
    let refused = append(&store, &source.next(5)).expect_err("writing has stopped");
    assert!(refused.to_string().contains("restart to recover"), "{refused}");
    assert!(store.statistics().poisoned.is_some());
    assert!(matches!(store.flush(), Err(StoreError::Poisoned { .. })));
    let mut plain = PlainStore::default();
    plain.append(&batch);
    assert_eq!(everything(&store, &batch.tenant), plain.rows(&batch.tenant, |_| true), "reads go on");
}
