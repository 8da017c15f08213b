//! After a crash at any write or sync every acknowledged row is there exactly once, and nothing
//! that was not acknowledged is there in part.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use timberyard_model::batch::EqualEntries;
use timberyard_model::{LogBatch, TenantId, Timestamp};
use timberyard_store::disk::Disk;
use timberyard_store::{
    CancelError, DeleteError, DeletionId, DeletionRequest, Store, StoreError, StoreOptions,
};

use crate::harness::{
    BatchSource, PlainRow, PlainStore, ROOT, append, everything, open, small_options, start_append,
};
use crate::selectors::deletion;
use crate::simulated_disk::{Fault, Random, SimulatedDisk};

fn torture() -> bool {
    std::env::var_os("TIMBERYARD_TORTURE").is_some()
}

/// With every third seed all segments of a cut are synced together, with every third those of cuts with more than one. With every other seed heads and log are so small that families are cut one by one, in the background.
fn crash_options(seed: u64) -> StoreOptions {
    let segments_synced_singly_max = [0, 1, 16][seed as usize % 3];
    // By the log's thread in groups, or, but for the first one, by the thread that brings them.
    let quick_write_max = [Duration::ZERO, Duration::MAX / 16][seed as usize / 2 % 2];
    let options = StoreOptions { segments_synced_singly_max, quick_write_max, ..small_options() };
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
    /// The deletions in force, each with the number of batches acknowledged before it.
    deletions: Vec<(DeletionId, usize, DeletionRequest)>,
    /// Asked for and not acknowledged.
    unknown_deletion: Option<DeletionRequest>,
    /// Called off, but not acknowledged.
    unknown_cancel: Option<DeletionId>,
}

/// The same work for the same seed, until something fails.
fn work(disk: &SimulatedDisk, seed: u64, attempts: &mut Attempts) -> Result<(), StoreError> {
    let mut random = Random::new(seed ^ 0xabc);
    let mut source = BatchSource::new(seed);
    let mut store = open(disk, crash_options(seed))?;
    for _ in 0..18 {
        match random.below(16) {
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
            5 | 6 => {
                let request = deletion(&mut random, source.now());
                attempts.unknown_deletion = Some(request.clone());
                let id = store.delete(request.clone(), source.now()).map_err(delete_error)?;
                attempts.unknown_deletion = None;
                attempts.deletions.push((id, attempts.acknowledged.len(), request));
            }
            7 if !attempts.deletions.is_empty() => {
                let place = random.below(attempts.deletions.len());
                cancel(&store, place, source.now(), attempts)?;
            }
            _ => append_some(&store, &mut source, &mut random, attempts)?,
        }
    }
    store.close()
}

fn delete_error(error: DeleteError) -> StoreError {
    match error {
        DeleteError::Store(error) => error,
        other => panic!("{other}"),
    }
}

/// Calls a deletion off, unless it is too late for that.
fn cancel(store: &Store, place: usize, now: Timestamp, attempts: &mut Attempts) -> Result<(), StoreError> {
    let (id, _, request) = &attempts.deletions[place];
    attempts.unknown_cancel = Some(*id);
    match store.cancel_deletion(&request.tenant, *id, false, now) {
        Ok(()) => drop(attempts.deletions.remove(place)),
        Err(CancelError::Store(error)) => return Err(error),
        Err(_) => {}
    }
    attempts.unknown_cancel = None;
    Ok(())
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
    let mut deletions = attempts.deletions.iter().peekable();
    for number in 0..=attempts.acknowledged.len() {
        while let Some((id, _, request)) = deletions.next_if(|(_, before, _)| *before == number) {
            plain.delete(*id, request);
        }
        if let Some(batch) = attempts.acknowledged.get(number) {
            plain.append(batch);
        }
    }
    check_deletions(store, attempts, &mut plain, context);
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

/// Fails unless the deletions listed are those in force, but for the one that was under way.
fn check_deletions(store: &Store, attempts: &Attempts, plain: &mut PlainStore, context: &str) {
    let mut listed: Vec<DeletionId> = Vec::new();
    for tenant in BatchSource::tenants() {
        listed.extend(store.deletions(&tenant).iter().map(|deletion| deletion.id));
    }
    for (_, id) in plain.deletions() {
        if !listed.contains(&id) {
            assert_eq!(attempts.unknown_cancel, Some(id), "{context}: a deletion is lost");
            plain.cancel(id);
        }
        listed.retain(|other| *other != id);
    }
    match (&listed[..], &attempts.unknown_deletion) {
        ([], _) => {}
        ([id], Some(request)) => plain.delete(*id, request),
        _ => panic!("{context}: deletions came from nowhere: {listed:?}"),
    }
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

/// Tries each fault in many places; `meanwhile` is what happens between the fault and the cut of power.
fn try_faults(fault: impl Fn(u64) -> Fault, meanwhile: impl Fn(&SimulatedDisk, u64)) {
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
            meanwhile(&disk, seed);
            recover_and_check(&disk, &attempts, seed, &context);
        }
    }
}

#[test]
fn a_power_failure_at_any_change_loses_nothing_acknowledged() {
    try_faults(Fault::PowerFailsAt, |_, _| {});
}

#[test]
fn a_failed_write_or_sync_loses_nothing_acknowledged() {
    try_faults(Fault::FailsAt, |_, _| {});
}

/// What the failure left on disk may be seen by the program that is started next, and still not survive.
#[test]
fn a_failed_write_a_new_start_and_a_power_failure_lose_nothing_acknowledged() {
    // It may be this start that fails.
    try_faults(Fault::FailsAt, |disk, seed| drop(open(disk, crash_options(seed))));
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
