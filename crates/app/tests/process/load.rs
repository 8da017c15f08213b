//! More load than is taken, from two tenants, while queries are asked: nothing acknowledged is lost, memory stays bounded,
//! and everybody is answered.
//!
//! First it is measured how much is taken; then pushes come due at twice that rate, and whoever is refused comes back when
//! `Retry-After` says. `make torture` does so for five minutes.

use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use timberyard_testkit::http::Request;

use crate::clock::now;
use crate::faults::resident_mebibytes;
use crate::start::settings;

/// Tenants, their writers, and the share of what is sent, in eighths.
const TENANTS: [(&str, usize, u64); 2] = [("loud", 28, 7), ("quiet", 4, 1)];
/// Lines of a push, of about 200 bytes each.
const LINES: i64 = 500;
/// More than this the server must not hold, whatever is sent.
const RESIDENT_MEBIBYTES_MAX: u64 = 1024;

/// What all writers of a tenant saw.
#[derive(Debug, Default)]
struct Seen {
    /// Pushes that came due.
    due: AtomicU64,
    lines: AtomicU64,
    refused: AtomicU64,
    /// Pushes that were refused, and were taken when they came back for the first time.
    taken_when_told: AtomicU64,
    came_back: AtomicU64,
    took_millis: Mutex<Vec<u128>>,
}

/// Sends pushes without a pause, or as they come due.
struct Writer<'a> {
    url: &'a str,
    tenant: &'a str,
    number: usize,
    seen: &'a Seen,
    stopped: &'a AtomicBool,
    /// The time between two pushes of the tenant; without a pause when `None`.
    pace: Option<Duration>,
}

impl Writer<'_> {
    fn write(&self) {
        let started = Instant::now();
        while !self.stopped.load(Ordering::Relaxed) {
            let due = self.seen.due.fetch_add(1, Ordering::Relaxed);
            if let Some(pace) = self.pace {
                let at = pace.saturating_mul(u32::try_from(due).expect("few pushes"));
                // The load is what is tried here; there is no event to wait for.
                std::thread::sleep(at.saturating_sub(started.elapsed()));
            }
            self.push();
        }
    }

    fn push(&self) {
        let request = Request::post(&format!("{}/loki/api/v1/push", self.url))
            .header("X-Scope-OrgID", self.tenant)
            .header("Content-Type", "application/json")
            .body(body(self.number));
        for attempt in 0.. {
            let started = Instant::now();
            let answer = request.send();
            match answer.status {
                204 => {
                    self.seen.lines.fetch_add(LINES.unsigned_abs(), Ordering::Relaxed);
                    let took = started.elapsed().as_millis();
                    self.seen.took_millis.lock().expect("no writer panics").push(took);
                    self.seen.taken_when_told.fetch_add(u64::from(attempt == 1), Ordering::Relaxed);
                    self.seen.came_back.fetch_add(u64::from(attempt > 0), Ordering::Relaxed);
                    return;
                }
                429 => {
                    self.seen.refused.fetch_add(1, Ordering::Relaxed);
                    let wait = answer.header("Retry-After").and_then(|seconds| seconds.parse().ok());
                    std::thread::sleep(Duration::from_secs(wait.expect("a 429 says when to come back")));
                }
                status => panic!("{}: {status} {}", self.tenant, answer.text()),
            }
        }
    }
}

fn body(writer: usize) -> String {
    let filler = "all work and no play makes a dull log line, ".repeat(4);
    let time = now();
    let mut body = format!(r#"{{"streams":[{{"stream":{{"job":"load-{writer}"}},"values":["#);
    for line in 0..LINES {
        let comma = if line > 0 { "," } else { "" };
        let _ = write!(body, r#"{comma}["{}","{filler}{writer} {line}"]"#, time + line);
    }
    body.push_str("]}]}");
    body
}

/// Pushes that the machine takes in a second, of a server and writers that share it.
fn taken_per_second(seconds: u64) -> f64 {
    let server = settings().start();
    let (url, seen, stopped) = (server.url(""), Seen::default(), AtomicBool::new(false));
    let writer =
        |number| Writer { url: &url, tenant: "measured", number, seen: &seen, stopped: &stopped, pace: None };
    std::thread::scope(|scope| {
        for number in 0..4 {
            let writer = writer(number);
            scope.spawn(move || writer.write());
        }
        std::thread::sleep(Duration::from_secs(seconds));
        stopped.store(true, Ordering::Relaxed);
    });
    let pushes = seen.took_millis.lock().expect("no writer panics").len();
    pushes as f64 / seconds as f64
}

fn counted(url: &str, tenant: &str) -> u64 {
    let answer = Request::get(&format!("{url}/loki/api/v1/query"))
        .header("X-Scope-OrgID", tenant)
        .query("query", r#"sum(count_over_time({job=~"load.*"}[1h]))"#)
        .send()
        .expect_status(200)
        .json();
    let value = &answer["data"]["result"][0]["value"][1];
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[test]
fn more_load_than_is_taken_loses_nothing_and_keeps_nobody_from_anything() {
    let torture = std::env::var_os("TIMBERYARD_TORTURE").is_some();
    let (seconds, measured_seconds) = if torture { (300, 15) } else { (15, 3) };
    let taken = taken_per_second(measured_seconds);
    let server = settings()
        // Little enough that the loud tenant is refused again and again.
        .env("TIMBERYARD_INGEST_QUEUE_BYTES_MAX", "1MiB")
        .env("TIMBERYARD_LIMITS_LOAD_BODY_BYTES_MAX", "1MiB")
        .env("TIMBERYARD_STORAGE_HEAD_BYTES_MAX", "32MiB")
        .start();
    let url = server.url("");
    let seen: [Seen; 2] = Default::default();
    let stopped = AtomicBool::new(false);
    let mut resident_max = 0;
    let mut queries = 0u64;
    let mut query_max = Duration::ZERO;
    std::thread::scope(|scope| {
        for ((tenant, writers, eighths), seen) in TENANTS.iter().zip(&seen) {
            let pace = Duration::from_secs_f64(8.0 / (2.0 * taken * *eighths as f64));
            for number in 0..*writers {
                let (url, stopped) = (&url, &stopped);
                let writer = Writer { url, tenant, number, seen, stopped, pace: Some(pace) };
                scope.spawn(move || writer.write());
            }
        }
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(seconds) {
            let asked = Instant::now();
            counted(&url, "quiet");
            query_max = query_max.max(asked.elapsed());
            queries += 1;
            resident_max = resident_max.max(resident_mebibytes(server.id()));
            // A dashboard's pace; there is nothing to wait for.
            std::thread::sleep(Duration::from_millis(200));
        }
        stopped.store(true, Ordering::Relaxed);
    });
    for ((tenant, ..), seen) in TENANTS.iter().zip(&seen) {
        let acknowledged = seen.lines.load(Ordering::Relaxed);
        assert_eq!(counted(&url, tenant), acknowledged, "{tenant}: every acknowledged line is there once");
        let mut took = seen.took_millis.lock().expect("no writer panics").clone();
        took.sort_unstable();
        let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or(0);
        assert!(took.len() > 20, "{tenant}: only {} pushes were taken", took.len());
        let figure = |count: &AtomicU64| count.load(Ordering::Relaxed);
        println!(
            "figure: load for {seconds} s, tenant {tenant}: {} pushes came due, {acknowledged} lines taken, none lost; \
             refused {} times; {} of {} that came back were taken the first time; p99 of an accepted push {p99} ms",
            figure(&seen.due),
            figure(&seen.refused),
            figure(&seen.taken_when_told),
            figure(&seen.came_back)
        );
    }
    println!("figure: load: twice the {:.0} lines/s that the machine takes", taken * LINES as f64);
    println!(
        "figure: load: {resident_max} MiB resident at most; {queries} queries, the slowest {} ms",
        query_max.as_millis()
    );
    assert!(resident_max < RESIDENT_MEBIBYTES_MAX, "{resident_max} MiB");
    assert!(queries > seconds / 4, "only {queries} queries were answered");
    let refused = seen[0].refused.load(Ordering::Relaxed);
    assert!(refused > 0, "it was no more than is taken");
}
