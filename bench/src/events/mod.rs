//! What events cost on their way into PostgreSQL: through Change66's batch endpoint, against a loop that does nothing but COPY the same
//! events, in the same run.
//!
//! The loop is a process of its own with one connection: it reads the bodies from a file, reads their JSON, and copies each into a table
//! with the columns of Change66's clients and its unique `event_id`, a transaction a body. The server is sent the bodies over HTTP, checks
//! them, gives numbers, keeps each event as it was sent beside its columns, and answers when PostgreSQL has committed.

mod copy_loop;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use fastrand::Rng;
use serde_json::json;
use timberyard_testkit::parts::postgres::Postgres;

pub(crate) use self::copy_loop::{CopyLoopArguments, run as run_copy_loop};

use crate::format::Target;
use crate::ingest::push_all;
use crate::process::children_cpu_seconds;
use crate::server::Server;

/// Events of a body.
const BODY_EVENTS: usize = 500;
/// Connections that send at the same time.
const CONNECTIONS: usize = 4;

const BATCH: Target = Target { path: "/api/v1/batch-ingest", content_type: "application/json" };

/// A way into the database.
struct Way {
    name: &'static str,
    cpu_seconds: f64,
    seconds: f64,
}

/// A Markdown table of both.
pub(crate) fn measure(binary: &Path, count: usize) -> Result<String, String> {
    let bodies = bodies(count);
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let file = folder.path().join("events");
    let written = std::fs::File::create(&file).and_then(|mut file| {
        bodies.iter().try_for_each(|body| file.write_all(body).and_then(|()| file.write_all(b"\n")))
    });
    written.map_err(|e| e.to_string())?;
    let database = Postgres::start();
    let ways = [
        through_server(binary, folder.path(), &database, &bodies, count)?,
        through_loop(&file, &database, count)?,
    ];
    let mut text = format!(
        "{count} events, {:.1} MB of JSON, {BODY_EVENTS} a request or transaction.\n\n\
         | way | CPU µs an event | ours ÷ this | events/s |\n| --- | ---: | ---: | ---: |\n",
        bytes as f64 / 1e6
    );
    let per_event = |way: &Way| way.cpu_seconds / count as f64 * 1e6;
    for way in &ways {
        // Writing to memory does not fail.
        let _ = writeln!(
            text,
            "| {} | {:.1} | {:.2} | {:.0} |",
            way.name,
            per_event(way),
            per_event(&ways[0]) / per_event(way),
            count as f64 / way.seconds,
        );
    }
    Ok(text)
}

/// Requests as Change66's clients send them.
fn bodies(count: usize) -> Vec<Vec<u8>> {
    let mut rng = Rng::with_seed(1);
    let numbers: Vec<usize> = (0..count).collect();
    let event = |number: &usize| {
        let user = rng.u32(..20_000);
        json!({
            "event_id": format!("evt_{number:08}_{:016x}", rng.u64(..)),
            "timestamp": format!("2026-11-01T{:02}:{:02}:{:02}.{:03}Z", number / 3600 % 24, number / 60 % 60, number % 60, rng.u32(..1000)),
            "event_type": rng.choice(["behavioral", "telemetry", "error"]),
            "event_name": rng.choice(["button_clicked", "screen_viewed", "app_start", "purchase", "crash"]),
            "properties": { "button_id": format!("button-{}", rng.u32(..200)), "screen": rng.choice(["login", "cart", "home"]), "took_ms": rng.u32(..5_000) },
            "user_id": format!("user_{user}"),
            "session_id": format!("session_{user}_{}", rng.u32(..50)),
            "app_version": rng.choice(["1.0.0", "1.1.0", "2.0.3"]),
            "device_info": { "platform": rng.choice(["ios", "android"]), "version": format!("{}.0", rng.u32(12..19)) },
            "sequence_number": number,
            "priority": rng.choice(["normal", "high"]),
        })
    };
    let events: Vec<_> = numbers.iter().map(event).collect();
    events.chunks(BODY_EVENTS).map(|events| json!({ "logs": events }).to_string().into_bytes()).collect()
}

fn through_server(
    binary: &Path,
    folder: &Path,
    database: &Postgres,
    bodies: &[Vec<u8>],
    count: usize,
) -> Result<Way, String> {
    let name = database.create_database();
    let port = database.port().to_string();
    let settings =
        [("DB_HOST", "127.0.0.1"), ("DB_PORT", &*port), ("DB_NAME", &*name), ("DB_USER", "postgres")];
    let server = Server::start_with(binary, &folder.join("data"), &settings)?;
    let (cpu_at_start, begun) = (server.cpu_seconds()?, Instant::now());
    push_all(&server, BATCH, bodies, CONNECTIONS)?;
    let seconds = begun.elapsed().as_secs_f64();
    check(database, &name, "analytics_logs", count)?;
    let cpu_seconds = server.stop()? - cpu_at_start;
    Ok(Way { name: "Timberyard: `/api/v1/batch-ingest`", cpu_seconds, seconds })
}

fn through_loop(file: &Path, database: &Postgres, count: usize) -> Result<Way, String> {
    let name = database.create_database();
    database.sql(&name, copy_loop::TABLE);
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let (before, begun) = (children_cpu_seconds()?, Instant::now());
    let status = Command::new(program)
        .args(["copy-loop", "--database", &name, "--port", &database.port().to_string(), "--from"])
        .arg(file)
        .status()
        .map_err(|e| e.to_string())?;
    let seconds = begun.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("the loop ended badly: {status}"));
    }
    let cpu_seconds = children_cpu_seconds()? - before;
    check(database, &name, "copied", count)?;
    Ok(Way { name: "a loop of COPY", cpu_seconds, seconds })
}

fn check(database: &Postgres, name: &str, table: &str, count: usize) -> Result<(), String> {
    let found = database.sql(name, &format!("SELECT count(DISTINCT event_id) FROM {table}"));
    if found == count.to_string() { Ok(()) } else { Err(format!("{found} of {count} events are in {table}")) }
}
