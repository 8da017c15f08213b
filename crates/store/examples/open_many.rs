//! How long a store with many segments takes to open, and to answer a first question:
//!
//! `cargo run --release -p timberyard-store --example open_many -- [SEGMENTS]`
//!
//! The segments, of one group each, are made by the store itself, by flushing rows of many tenants and days, on
//! a disk that does not wait for syncs. Opening is repeated; the fastest and the median are printed.

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use timberyard_model::batch::EqualEntries;
use timberyard_model::label_values::LabelQuestion;
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{LogSource, SeriesRequest};
use timberyard_model::{Cancellation, Labels, LogBatch, TenantId, TimeRange, Timestamp};
use timberyard_store::disk::{DirectoryEntry, Disk, DiskFile, LockHolder, LockOutcome, RealDisk};
use timberyard_store::{Interpreters, Store, StoreOptions};

const TENANTS: usize = 10;
const DAYS: usize = 200;
const DAY_NANOS: i64 = 86_400 * 1_000_000_000;
const OPENINGS: usize = 9;

/// The machine's disk, but syncs take no time: what is made here need not outlive a power failure.
struct UnsyncedDisk;

struct UnsyncedFile(Box<dyn DiskFile>);

fn main() -> Result<(), Box<dyn Error>> {
    let wanted: usize = std::env::args().nth(1).unwrap_or_else(|| "100000".to_owned()).parse()?;
    let directory = std::env::temp_dir().join(format!("timberyard-open-{}", std::process::id()));
    let made = make(&directory, wanted.div_ceil(TENANTS * DAYS));
    let outcome = made.and_then(|()| measure(&directory));
    std::fs::remove_dir_all(&directory)?;
    outcome
}

fn make(directory: &Path, rounds: usize) -> Result<(), Box<dyn Error>> {
    let store = open(directory)?;
    for round in 0..rounds {
        for tenant in 0..TENANTS {
            let batch = Arc::new(batch(round, &TenantId::new(&format!("tenant-{tenant}"))?)?);
            let (sender, receiver) = mpsc::channel();
            store.append(batch, vec![0; 16], move |outcome| drop(sender.send(outcome)));
            receiver.recv()??;
        }
        store.flush()?;
    }
    store.close()?;
    Ok(())
}

fn measure(directory: &Path) -> Result<(), Box<dyn Error>> {
    let (mut opened, mut answered) = (Vec::new(), Vec::new());
    let mut segments = 0;
    for _ in 0..OPENINGS {
        let begun = Instant::now();
        let store = open(directory)?;
        opened.push(begun.elapsed());
        let request = SeriesRequest {
            tenant: TenantId::new("tenant-0")?,
            range: TimeRange::new(Timestamp::from_nanos(0), Timestamp::from_nanos(DAY_NANOS)),
            selectors: Vec::new(),
            memory_bytes_max: usize::MAX,
            cancellation: Cancellation::default(),
        };
        let labels = store.labels(&request, &LabelQuestion::Names)?;
        answered.push(begun.elapsed());
        assert_eq!(labels.len(), 2);
        segments = store.statistics().segments;
    }
    println!(
        "{segments} segments, manifest {} bytes; open: {}; with a first answer: {}",
        std::fs::metadata(directory.join("manifest"))?.len(),
        shown(&mut opened),
        shown(&mut answered)
    );
    Ok(())
}

fn shown(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let ms = |place: usize| times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    format!("{:.1} ms at best, {:.1} ms in the middle", ms(0), ms(times.len() / 2))
}

fn open(directory: &Path) -> Result<Store, timberyard_store::StoreError> {
    let nothing = Interpreters::of_records(|_| Err("not needed".to_owned()));
    Store::open_on(Arc::new(UnsyncedDisk), directory, StoreOptions::default(), &nothing)
}

/// A row for each of the days.
fn batch(round: usize, tenant: &TenantId) -> Result<LogBatch, Box<dyn Error>> {
    let mut rows = RowsBuilder::default();
    let stream = rows.stream(&Labels::from_pairs([("service_name", "api"), ("level", "info")]));
    for day in 0..DAYS {
        let time = Timestamp::from_nanos(day as i64 * DAY_NANOS + round as i64);
        rows.push(stream, time, b"a line of this day", [])?;
    }
    Ok(LogBatch {
        tenant: tenant.clone(),
        received_at: Timestamp::from_nanos(0),
        equal_entries: EqualEntries::Keep,
        rows: rows.finish(),
        unique_keys: Vec::new(),
        origins: Vec::new(),
    })
}

impl Disk for UnsyncedDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(UnsyncedFile(RealDisk.create(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.open(path)
    }

    fn open_for_writing(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(UnsyncedFile(RealDisk.open_for_writing(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_directory(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.hard_link(from, to)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_directory(path)
    }

    fn is_directory(&self, path: &Path) -> bool {
        RealDisk.is_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        RealDisk.list(path)
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_volume(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(path)
    }

    fn lock(&self, path: &Path) -> io::Result<LockOutcome> {
        RealDisk.lock(path)
    }

    fn lock_holder(&self, path: &Path) -> io::Result<Option<LockHolder>> {
        RealDisk.lock_holder(path)
    }

    fn random(&self) -> u64 {
        RealDisk.random()
    }
}

impl DiskFile for UnsyncedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.0.allocate(bytes)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
