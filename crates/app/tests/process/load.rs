//! More load than is taken, from two tenants, while queries are asked: nothing acknowledged is lost, memory stays bounded,
//! and everybody is answered.
//!
//! Writers send without a pause and come back when `Retry-After` says. `make torture` does so for five minutes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use timberyard_testkit::http::Request;

use crate::clock::now;
use crate::faults::resident_mebibytes;
use crate::start::settings;

/// Writers of the tenant that sends too much, and of the one that does not.
const WRITERS: [(&str, usize); 2] = [("loud", 12), ("quiet", 2)];
/// Lines of a push, of about 200 bytes each.
const LINES: i64 = 500;
/// More than this the server must not hold, whatever is sent.
const RESIDENT_MEBIBYTES_MAX: u64 = 1024;

/// What all writers of a tenant saw.
#[derive(Debug, Default)]
struct Seen {
    lines: AtomicU64,
    refused: AtomicU64,
    took_millis: Mutex<Vec<u128>>,
}

fn write(url: &str, tenant: &str, writer: usize, seen: &Seen, stopped: &AtomicBool) {
    let job = format!("load-{writer}");
    let filler = "all work and no play makes a dull log line, ".repeat(4);
    while !stopped.load(Ordering::Relaxed) {
        let time = now();
        let values: Vec<Value> =
            (0..LINES).map(|n| json!([(time + n).to_string(), format!("{filler}{writer} {n}")])).collect();
        let body = json!({ "streams": [{ "stream": { "job": job }, "values": values }] });
        let request =
            Request::post(&format!("{url}/loki/api/v1/push")).header("X-Scope-OrgID", tenant).json(&body);
        loop {
            let started = Instant::now();
            let answer = request.send();
            match answer.status {
                204 => {
                    seen.lines.fetch_add(LINES.unsigned_abs(), Ordering::Relaxed);
                    seen.took_millis.lock().expect("no writer panics").push(started.elapsed().as_millis());
                    break;
                }
                429 => {
                    seen.refused.fetch_add(1, Ordering::Relaxed);
                    let wait = answer.header("Retry-After").and_then(|seconds| seconds.parse().ok());
                    std::thread::sleep(Duration::from_secs(wait.expect("a 429 says when to come back")));
                }
                status => panic!("{tenant}: {status} {}", answer.text()),
            }
        }
    }
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
    let seconds = if std::env::var_os("TIMBERYARD_TORTURE").is_some() { 300 } else { 20 };
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
        for ((tenant, writers), seen) in WRITERS.iter().zip(&seen) {
            for writer in 0..*writers {
                let (url, stopped) = (&url, &stopped);
                scope.spawn(move || write(url, tenant, writer, seen, stopped));
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
    for ((tenant, _), seen) in WRITERS.iter().zip(&seen) {
        let acknowledged = seen.lines.load(Ordering::Relaxed);
        assert_eq!(counted(&url, tenant), acknowledged, "{tenant}: every acknowledged line is there once");
        let mut took = seen.took_millis.lock().expect("no writer panics").clone();
        took.sort_unstable();
        let p99 = took.get(took.len() * 99 / 100).copied().unwrap_or(0);
        assert!(took.len() > 20, "{tenant}: only {} pushes were taken", took.len());
        let refused = seen.refused.load(Ordering::Relaxed);
        println!(
            "figure: load for {seconds} s, tenant {tenant}: {acknowledged} lines, none lost; {refused} pushes refused; p99 of \
             an accepted push {p99} ms"
        );
    }
    println!(
        "figure: load: {resident_max} MiB resident at most; {queries} queries, the slowest {} ms",
        query_max.as_millis()
    );
    assert!(resident_max < RESIDENT_MEBIBYTES_MAX, "{resident_max} MiB");
    assert!(queries > seconds / 4, "only {queries} queries were answered");
    let refused = seen[0].refused.load(Ordering::Relaxed);
    assert!(refused > 0, "it was no more than is taken");
}
