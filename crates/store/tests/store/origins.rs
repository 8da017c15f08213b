//! What is read from an origin is stored once, whatever is sent twice and wherever a crash comes.

use std::sync::Arc;

use timberyard_model::batch::EqualEntries;
use timberyard_model::origin::{OriginName, OriginRange};
use timberyard_model::rows::RowsBuilder;
use timberyard_model::{Labels, LogBatch, TenantId, Timestamp};
use timberyard_store::{Store, StoreError, StoreOptions};

use crate::harness::{append, everything, open, small_options, start_append};
use crate::simulated_disk::{Fault, Random, SimulatedDisk};

const NOW: i64 = 1_795_132_800_000_000_000;
/// Lines of each origin; each is one byte for the store.
const LINES: u64 = 60;
const ORIGINS: [&str; 3] = ["host-1/a", "host-1/b", "host-2/a"];

/// The lines `from` to `to` of some origins.
fn batch(stretches: &[(usize, u64, u64)]) -> Arc<LogBatch> {
    let mut rows = RowsBuilder::default();
    let mut origins = Vec::new();
    for (origin, from, to) in stretches.iter().copied() {
        let name = ORIGINS[origin];
        let stream = rows.stream(&Labels::from_pairs([("service_name", "files"), ("origin", name)]));
        for line in from..to {
            let text = format!("line {line} of {name}");
            rows.push(stream, Timestamp::from_nanos(NOW + line as i64), text.as_bytes(), []).expect("fits");
        }
        origins.push(OriginRange { name: OriginName::new(name).expect("valid"), from, to });
    }
    Arc::new(LogBatch {
        tenant: TenantId::default(),
        received_at: Timestamp::from_nanos(NOW),
        equal_entries: EqualEntries::Keep,
        rows: rows.finish(),
        unique_keys: Vec::new(),
        origins,
    })
}

/// One who reads the origins and sends them; it forgets what was acknowledged since it last wrote that down.
struct Sender {
    written_down: [u64; 3],
    position: [u64; 3],
    random: Random,
}

impl Sender {
    fn new(seed: u64) -> Self {
        Self { written_down: [0; 3], position: [0; 3], random: Random::new(seed) }
    }

    fn is_done(&self) -> bool {
        self.position.iter().all(|position| *position == LINES)
    }

    /// Sends a batch, sometimes twice at the same time, and takes up what the answer says.
    fn send(&mut self, store: &Store) -> Result<(), StoreError> {
        if self.random.chance(10) {
            store.flush()?;
        }
        if self.random.chance(30) {
            self.written_down = self.position;
        }
        let mut stretches = Vec::new();
        for origin in 0..ORIGINS.len() {
            let from = self.position[origin];
            let to = LINES.min(from + 1 + self.random.below(9) as u64);
            if from < to && self.random.chance(60) {
                stretches.push((origin, from, to));
            }
        }
        if stretches.is_empty() {
            return Ok(());
        }
        let batch = batch(&stretches);
        let twice = self.random.chance(20).then(|| start_append(store, &batch));
        let first = start_append(store, &batch);
        let outcomes: Vec<Result<(), StoreError>> =
            twice.into_iter().chain([first]).map(|answer| answer.recv().expect("done is called")).collect();
        for outcome in outcomes {
            match outcome {
                Ok(()) => stretches.iter().for_each(|(origin, _, to)| self.advance(*origin, *to)),
                Err(StoreError::AlreadyStored(stored)) => {
                    for end in &stored.ends {
                        let origin =
                            ORIGINS.iter().position(|name| *name == end.name.as_str()).expect("known");
                        self.advance(origin, end.end);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn advance(&mut self, origin: usize, to: u64) {
        self.position[origin] = self.position[origin].max(to);
    }
}

fn options(seed: u64) -> StoreOptions {
    match seed.is_multiple_of(2) {
        true => small_options(),
        false => StoreOptions {
            head_bytes_max: 24 << 10,
            log_bytes_max: 32 << 10,
            log_segment_bytes: 4 << 10,
            ..small_options()
        },
    }
}

fn work(disk: &SimulatedDisk, seed: u64, sender: &mut Sender) -> Result<(), StoreError> {
    let mut store = open(disk, options(seed))?;
    while !sender.is_done() {
        sender.send(&store)?;
        if sender.random.chance(5) {
            drop(store);
            store = open(disk, options(seed))?;
        }
    }
    store.close()
}

fn check(disk: &SimulatedDisk, seed: u64, context: &str) {
    let store = open(disk, options(seed)).expect("opens");
    let found: Vec<String> = everything(&store, &TenantId::default())
        .into_iter()
        .map(|row| String::from_utf8(row.line).expect("text"))
        .collect();
    for name in ORIGINS {
        let of_origin = found.iter().filter(|line| line.ends_with(&format!(" of {name}")));
        let expected: Vec<String> = (0..LINES).map(|line| format!("line {line} of {name}")).collect();
        assert_eq!(of_origin.cloned().collect::<Vec<_>>(), expected, "{context}");
    }
}

#[test]
fn a_crash_at_any_change_stores_every_line_once() {
    let (seeds, steps) = if std::env::var_os("TIMBERYARD_TORTURE").is_some() { (40, 400) } else { (6, 40) };
    for seed in 0..seeds {
        let disk = SimulatedDisk::new(seed);
        work(&disk, seed, &mut Sender::new(seed)).expect("nothing fails");
        check(&disk, seed, "no fault");
        let changes = disk.changes();
        let stride = (changes as usize / steps).max(1);
        for change in (1..=changes).step_by(stride) {
            for fault in [Fault::PowerFailsAt(change), Fault::FailsAt(change)] {
                let disk = SimulatedDisk::new(seed ^ (change << 20));
                disk.set_fault(Some(fault));
                let mut sender = Sender::new(seed);
                let outcome = work(&disk, seed, &mut sender);
                let context = format!("seed {seed}, {fault:?}, {outcome:?}");
                disk.restart();
                // The sender dies as well, and goes on from what it had written down.
                sender.position = sender.written_down;
                work(&disk, seed, &mut sender).unwrap_or_else(|error| panic!("{context}: {error}"));
                check(&disk, seed, &context);
            }
        }
    }
}

#[test]
fn a_stretch_is_stored_by_one_of_many_who_send_it_at_the_same_time() {
    let disk = SimulatedDisk::new(1);
    let store = open(&disk, small_options()).expect("opens");
    let answers: Vec<_> = (0..20).map(|_| start_append(&store, &batch(&[(0, 0, 5)]))).collect();
    let outcomes: Vec<_> = answers.into_iter().map(|answer| answer.recv().expect("done is called")).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        let StoreError::AlreadyStored(stored) = refused else { panic!("{refused}") };
        assert!(stored.whole && stored.ends[0].end == 5);
    }
    assert_eq!(everything(&store, &TenantId::default()).len(), 5);
}

#[test]
fn what_is_stored_in_part_is_refused_as_a_whole_and_a_gap_is_taken() {
    let disk = SimulatedDisk::new(1);
    let store = open(&disk, small_options()).expect("opens");
    append(&store, &batch(&[(0, 0, 5)])).expect("new");
    let refused = append(&store, &batch(&[(1, 0, 3), (0, 4, 6)])).expect_err("stored in part");
    let StoreError::AlreadyStored(stored) = refused else { panic!("{refused}") };
    assert!(!stored.whole && stored.ends.len() == 1);
    append(&store, &batch(&[(0, 8, 9), (1, 0, 3)])).expect("a gap");
    assert_eq!(everything(&store, &TenantId::default()).len(), 9);
    let other = LogBatch { tenant: TenantId::new("other").expect("valid"), ..(*batch(&[(0, 0, 5)])).clone() };
    append(&store, &Arc::new(other)).expect("another tenant's origins are others");
}
