//! What machines do to a server: damaged files, clocks that jump back, no more descriptors, crowds of connections.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use timberyard_testkit::eventually::eventually;
use timberyard_testkit::server_process::{ServerProcess, ServerSettings};

use crate::clock::{SECOND, now};
use crate::disk::files;
use crate::logql::{count, lines, push};
use crate::start::{binary, settings};
use crate::terminal::timberyard;

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success());
}

/// Segments of two streams, lines that only the log has, and a key.
fn filled(folder: &Path) -> ServerProcess {
    let mut server = settings().start_in(folder);
    for name in ["first", "second"] {
        let texts: Vec<String> = (0..300).map(|n| format!("{name} {n} {}", n * 7919)).collect();
        let base = now() - 60 * SECOND;
        let values: Vec<(i64, &str)> =
            (0i64..).zip(&texts).map(|(n, text)| (base + n, text.as_str())).collect();
        push(&server, &json!({ "job": name }), &values);
        server.post("/flush").send().expect_status(204);
    }
    for number in 0..20 {
        push(&server, &json!({ "job": "log" }), &[(now(), &format!("in the log {number}"))]);
    }
    server.kill();
    server
}

#[test]
fn a_damaged_byte_in_any_file_is_named_and_costs_only_what_is_beside_it() {
    let origin = tempfile::tempdir().expect("a temporary folder");
    let server = filled(origin.path());
    let data = server.data_dir().to_owned();
    let whole: u64 = 300 + 300 + 20;
    let mut tried = 0;
    for file in files(&data, "") {
        let name = file.strip_prefix(&data).expect("below it").to_owned();
        let bytes = std::fs::read(&file).expect("a file");
        // What a lock holds is for people.
        if bytes.is_empty() || name == Path::new("LOCK") {
            continue;
        }
        tried += 1;
        let shown = name.file_name().expect("a name").to_string_lossy().into_owned();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let copied = folder.path().join("data");
        copy(&data, &copied);
        let mut damaged = bytes.clone();
        // Before the room that a log keeps ahead of itself; the log's first records are in segments, and not needed.
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
        let at = if shown.ends_with(".wal") { used - used / 20 } else { used / 2 };
        damaged[at] ^= 0x55;
        std::fs::write(copied.join(&name), &damaged).expect("written");
        let verified = timberyard(&["verify", &copied.display().to_string()]);
        assert_eq!(verified.status, Some(1), "{shown}: {}", verified.all());
        assert!(verified.all().contains(&shown), "verify names {shown}: {}", verified.all());

        let started = try_start(folder.path());
        match started {
            Ok(server) => {
                let left: u64 = ["first", "second", "log"]
                    .map(|job| count(&server, &format!(r#"{{job="{job}"}}"#)))
                    .iter()
                    .sum();
                assert!(left >= whole - 300, "{shown}: {left} of {whole} lines are left");
                push(&server, &json!({ "job": "after" }), &[(now(), "still writing")]);
                assert_eq!(lines(&server, r#"{job="after"}"#), ["still writing"], "{shown}");
                let said = server.log();
                assert!(
                    left == whole || said.contains(&shown) || said.contains("damaged"),
                    "{shown}: {said}"
                );
            }
            // Without its manifest a store does not guess; everybody else starts.
            Err(said) => assert!(shown.contains("manifest") && said.contains(&shown), "{shown}: {said}"),
        }
    }
    assert!(tried >= 4, "only {tried} files");
    println!("figure: damaged byte in each file: {tried} files, each named by verify");
}

fn try_start(folder: &Path) -> Result<ServerProcess, String> {
    std::panic::catch_unwind(|| settings().start_in(folder))
        .map_err(|_| std::fs::read_to_string(folder.join("server.log")).unwrap_or_default())
}

/// A library of `tests/clients` that stands between a server and its system.
pub(crate) fn preloaded(folder: &Path, name: &str) -> PathBuf {
    let library = folder.join(format!("{name}.so"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/clients/{name}.c"));
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl").status();
    assert!(built.expect("a C compiler, as the build needs one").success());
    library
}

#[test]
fn a_wall_clock_that_goes_backwards_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let library = preloaded(folder.path(), "shifted_clock");
    let shift = folder.path().join("shift");
    std::fs::write(&shift, "0").expect("written");
    let mut server = settings()
        .env("LD_PRELOAD", &library.display().to_string())
        .env("SHIFTED_CLOCK", &shift.display().to_string())
        .start_in(folder.path());
    let event = |id: &str| {
        let event = json!({ "event_id": id, "event_type": "telemetry", "event_name": "n" });
        server.post("/api/v1/ingest").json(&event).send()
    };
    event("before").expect_status(201);
    push(&server, &json!({ "job": "clock" }), &[(now(), "before")]);
    std::fs::write(&shift, "-3600").expect("written");
    push(&server, &json!({ "job": "clock" }), &[(now() - 3600 * SECOND, "an hour back")]);
    event("after").expect_status(201);
    event("before").expect_status(409);
    server.post("/flush").send().expect_status(204);
    let found = lines(&server, r#"{job="clock"}"#);
    assert_eq!(found.len(), 2, "{found:?}");
    server.kill();
    server.start_again();
    let found = lines(&server, r#"{job="clock"}"#);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// A server that may have this many descriptors.
fn with_descriptors(folder: &Path, descriptors: u64) -> ServerSettings {
    let script: PathBuf = folder.join("few-descriptors");
    std::fs::write(&script, format!("#!/bin/sh\nulimit -n {descriptors}\nexec {} \"$@\"\n", binary()))
        .expect("written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("may be run");
    ServerSettings::new(script)
}

#[test]
fn clients_that_take_all_descriptors_keep_the_store_from_nothing_and_are_let_go() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = with_descriptors(folder.path(), 96)
        .env("TIMBERYARD_LIMITS_LOAD_STALL_SECONDS_MAX", "3")
        .env("TIMBERYARD_STORAGE_HEAD_BYTES_MAX", "64KiB")
        .env("TIMBERYARD_STORAGE_WAL_BYTES_MAX", "256KiB")
        .start();
    let mut kept = TcpStream::connect(server.address()).expect("connects");
    ask(&mut kept);
    answered(&mut kept);
    let crowd: Vec<TcpStream> = (0..150).filter_map(|_| TcpStream::connect(server.address()).ok()).collect();
    assert!(crowd.len() > 96, "{}", crowd.len());
    ask(&mut kept);
    answered(&mut kept);
    let line = "x".repeat(8000);
    for number in 0..60 {
        // Each waits until the server has let go of somebody who says nothing.
        push(&server, &json!({ "job": "crowd" }), &[(now() + number, &line)]);
    }
    assert_eq!(count(&server, r#"{job="crowd"}"#), 60, "segments were written meanwhile");
    drop(crowd);
    server.get("/ready").send().expect_status(200);
    assert!(!server.log().contains("Too many open files"), "{}", server.log());
}

fn ask(stream: &mut TcpStream) {
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
}

/// Reads one short answer.
fn answered(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("settable");
    let mut answer = [0; 4096];
    let bytes = stream.read(&mut answer).expect("an answer");
    assert!(answer[..bytes].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..bytes]));
}

#[test]
fn a_thousand_active_connections_are_answered_beside_ten_thousand_idle_ones() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the soft limit may be the hard one");
    let descriptors = usize::try_from(limit.current.unwrap_or(1 << 20)).expect("a number");
    let active_count = 1000;
    let idle_count = 10_000.min(descriptors.saturating_sub(active_count + 1000));
    let server = settings()
        .env("TIMBERYARD_LIMITS_LOAD_CONNECTIONS_MAX", "20000")
        .env("TIMBERYARD_LIMITS_LOAD_STALL_SECONDS_MAX", "300")
        .start();
    let connect = |number: usize| {
        let mut stream = TcpStream::connect(server.address()).expect("connects");
        // The system's queue is short: an answer says that all of it has been taken up.
        if number % 64 == 63 {
            ask(&mut stream);
            answered(&mut stream);
        }
        stream
    };
    let idle: Vec<TcpStream> = (0..idle_count).map(connect).collect();
    let mut active: Vec<TcpStream> = (0..active_count).map(connect).collect();
    let started = Instant::now();
    for _ in 0..5 {
        active.iter_mut().for_each(ask);
        active.iter_mut().for_each(answered);
    }
    push(&server, &json!({ "job": "idle" }), &[(now(), "beside them")]);
    assert_eq!(lines(&server, r#"{job="idle"}"#), ["beside them"]);
    println!(
        "figure: connections: {idle_count} idle, {active_count} active, 5000 requests in {} ms, {} MiB resident",
        started.elapsed().as_millis(),
        resident_mebibytes(server.id())
    );
    drop((idle, active));
    eventually("the server answers as before", || {
        server.get("/ready").try_send().ok().filter(|answer| answer.status == 200)
    });
}

pub(crate) fn resident_mebibytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) / 1024
}
