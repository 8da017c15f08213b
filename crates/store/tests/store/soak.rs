//! Days of a store's life in simulated time: logs by the minute, heads that age, segments that are merged, and retention that
//! takes away what is old. What is kept is exactly what it should be, and memory and disk stay where they were.
//!
//! Memory is a process' own, so the test runs itself in a process of its own, on a file system in memory where there is one.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use timberyard_model::batch::EqualEntries;
use timberyard_model::limits::RecordLimits;
use timberyard_model::scan::{LogSource, ScanRequest};
use timberyard_model::{BatchBuilder, Labels, LogBatch, TenantId, TimeRange, Timestamp};
use timberyard_store::{Retention, Store, StoreOptions};

use crate::harness::{append, decoder};

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
/// 2026-11-02T12:00:00Z: a day ends on the way.
const START: i64 = 1_793_620_800 * SECOND;
/// How long entries are kept.
const KEPT_MINUTES: i64 = 180;
/// Rows of a tenant in a minute.
const ROWS: i64 = 250;
const TENANTS: [&str; 2] = ["acme", "bravo"];
/// Set in the process that the test starts.
const CHILD: &str = "TIMBERYARD_SOAK_CHILD";

fn options() -> StoreOptions {
    StoreOptions {
        head_bytes_max: 1 << 20,
        head_age_seconds_max: 900,
        log_bytes_max: 2 << 20,
        log_segment_bytes: 256 << 10,
        group_bytes: 256 << 10,
        block_bytes: 64 << 10,
        segment_bytes_max: 4 << 20,
        index_cache_bytes_max: 1 << 20,
        disk_reserve_bytes: 0,
        retention: Retention {
            age_seconds_max: Some(KEPT_MINUTES.unsigned_abs() * 60),
            ..Retention::default()
        },
        ..StoreOptions::default()
    }
}

fn batch(tenant: &str, minute: i64, random: &mut fastrand::Rng) -> Arc<LogBatch> {
    let tenant = TenantId::new(tenant).expect("valid");
    let start = START + minute * MINUTE;
    let now = Timestamp::from_nanos(start + MINUTE - 1);
    let mut batch = BatchBuilder::new(tenant, now, EqualEntries::Keep, &RecordLimits::default());
    for row in 0..ROWS {
        // Streams come and go: a new pod every hour.
        let pod = format!("web-{}-{}", minute / 60, row % 5);
        let stream = batch.stream(&Labels::from_pairs([("service_name", "web"), ("pod", &pod)]));
        let time = Timestamp::from_nanos(start + row * MINUTE / ROWS);
        let line = format!(
            "GET /orders/{} took {} ms for user-{} trace={:016x}",
            random.u32(..100_000),
            random.u32(..500),
            random.u32(..1000),
            random.u64(..)
        );
        batch.push(stream, time, line.as_bytes(), &[]).expect("within limits");
    }
    Arc::new(batch.finish())
}

fn rows(store: &Store, tenant: &str, range: TimeRange) -> u64 {
    let tenant = TenantId::new(tenant).expect("valid");
    let mut blocks = store.scan(&ScanRequest::all(tenant, range)).expect("the scan starts");
    let mut rows = 0;
    while let Some(block) = blocks.next_block().expect("the scan goes on") {
        rows += block.rows.len() as u64;
    }
    rows
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0)
}

/// What was seen at the end of an hour.
#[derive(Clone, Copy, Debug)]
struct Hour {
    resident_kib: u64,
    disk_bytes: u64,
    segments: u64,
}

fn live(folder: &Path, hours: i64) -> Vec<Hour> {
    let store = Store::open(folder, options(), decoder()).expect("opens");
    let mut random = fastrand::Rng::with_seed(24);
    let mut seen = Vec::new();
    for minute in 0..hours * 60 {
        for tenant in TENANTS {
            append(&store, &batch(tenant, minute, &mut random)).expect("appended");
        }
        let now = START + (minute + 1) * MINUTE;
        if minute % 5 == 4 {
            store.maintain(Timestamp::from_nanos(now)).expect("maintained");
        }
        if minute % 60 == 59 {
            let recent = TimeRange::new(Timestamp::from_nanos(now - 10 * MINUTE), Timestamp::from_nanos(now));
            let kept = (minute + 1).min(KEPT_MINUTES);
            for tenant in TENANTS {
                assert_eq!(rows(&store, tenant, recent), (10 * ROWS).unsigned_abs(), "minute {minute}");
                let all = rows(&store, tenant, TimeRange::ALL);
                assert_eq!(
                    all,
                    (kept * ROWS).unsigned_abs(),
                    "minute {minute}: what is kept, and nothing else"
                );
            }
            let figures = store.statistics();
            assert_eq!((figures.damaged_segments, figures.poisoned), (0, None));
            let disk_bytes = figures.segment_bytes + figures.log_bytes;
            seen.push(Hour { resident_kib: resident_kib(), disk_bytes, segments: figures.segments });
        }
    }
    store.close().expect("closed");
    seen
}

/// The largest value of the hours.
fn most(hours: &[Hour], value: impl Fn(&Hour) -> u64) -> u64 {
    hours.iter().map(value).max().unwrap_or(0)
}

#[test]
fn days_of_simulated_time_lose_nothing_and_leave_memory_and_disk_flat() {
    let hours = if std::env::var_os("TIMBERYARD_TORTURE").is_some() { 10 * 24 } else { 24 };
    if std::env::var_os(CHILD).is_none() {
        let name = "soak::days_of_simulated_time_lose_nothing_and_leave_memory_and_disk_flat";
        let test = std::env::current_exe().expect("this test's binary");
        let output = Command::new(test)
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .output()
            .expect("the binary starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let figure = said.lines().find(|line| line.contains("figure: ")).expect("it says what it saw");
        println!("{figure}");
        return;
    }
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.expect("a folder");
    let seen = live(folder.path(), hours);
    // By a quarter of the time everything that is kept for three hours has come and gone once.
    let (early, late) = (&seen[seen.len() / 4..seen.len() / 2], &seen[seen.len() / 2..]);
    let resident = (most(early, |hour| hour.resident_kib), most(late, |hour| hour.resident_kib));
    let disk = (most(early, |hour| hour.disk_bytes), most(late, |hour| hour.disk_bytes));
    println!(
        "\nfigure: {hours} hours of simulated time, {} rows: resident at most {} MiB in the second quarter, {} MiB in the \
         second half; on disk {} and {} KiB; at most {} segments",
        hours * 60 * ROWS * TENANTS.len() as i64,
        resident.0 >> 10,
        resident.1 >> 10,
        disk.0 >> 10,
        disk.1 >> 10,
        most(late, |hour| hour.segments)
    );
    // An allocator gives back what it likes; what grows by the hour would be twice as much by far.
    assert!(resident.1 < resident.0 * 3 / 2 + (16 << 10), "memory grows: {seen:?}");
    assert!(disk.1 < disk.0 * 2, "the disk fills: {seen:?}");
}
