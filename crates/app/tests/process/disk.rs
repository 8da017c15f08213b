//! Disks that are full, shared or damaged.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use timberyard_testkit::server_process::ServerProcess;

use crate::clock::{SECOND, now};
use crate::faults::preloaded;
use crate::logql::{count, lines, push, try_push};
use crate::start::settings;
use crate::terminal::timberyard;

/// All files under a folder whose names end so.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Surfaces that write, each with one small entry.
fn writes(server: &ServerProcess) -> Vec<(&'static str, u16)> {
    let event = json!({ "event_id": format!("w{}", now()), "event_type": "error", "event_name": "n" });
    let pulse = json!({ "streams": [{ "labels": { "job": "w" },
        "entries": [{ "ts": "2024-01-01T00:00:00Z", "line": "x" }] }] });
    vec![
        ("Logtopus", server.post("/v1/logs").json(&json!([{ "message": "m" }])).send().status),
        ("LogPulse", server.post("/ingest").json(&pulse).send().status),
        ("Change66", server.post("/api/v1/ingest").json(&event).send().status),
        ("Loki", try_push(server, &json!({ "job": "w" }), &[(now(), "x")]).status),
    ]
}

#[test]
fn a_disk_below_its_reserve_takes_no_writes_and_goes_on_reading() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = settings().start_in(folder.path());
    push(&server, &json!({ "job": "full" }), &[(now(), "was here before")]);
    assert!(server.terminate().success());
    drop(server);

    let server =
        settings().env("TIMBERYARD_STORAGE_DISK_RESERVE_BYTES", "1000000000000000").start_in(folder.path());
    let refused = try_push(&server, &json!({ "job": "full" }), &[(now(), "too late")]);
    assert_eq!(refused.status, 507, "{}", refused.text());
    let reason = refused.text();
    assert!(reason.contains("1000000000000000"), "the reason names the reserve: {reason}");
    assert!(writes(&server).iter().all(|(_, status)| *status == 507), "{:?}", writes(&server));
    let body = json!({ "service": "s", "level": "INFO", "message": "m" });
    let queued = server.post("/api/ingest").json(&body).send();
    assert!((500..600).contains(&queued.status), "{}", queued.status);
    assert_eq!(queued.json()["error"], "Failed to queue log");
    assert_eq!(lines(&server, r#"{job="full"}"#), ["was here before"]);
    server.get("/ready").send().expect_status(200);
}

#[test]
fn a_disk_that_is_really_full_refuses_writes_loses_nothing_and_recovers() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("not run: a small disk needs root and the right to mount");
        return;
    };
    let start = || {
        settings()
            .env("TIMBERYARD_STORAGE_DISK_RESERVE_BYTES", "1")
            .env("TIMBERYARD_STORAGE_WAL_BYTES_MAX", "8MiB")
            .env("TIMBERYARD_STORAGE_HEAD_BYTES_MAX", "4MiB")
            .start_in(disk.path())
    };
    let mut server = start();
    let mut random = fastrand::Rng::with_seed(507);
    let mut taken = 0;
    let mut refusal = None;
    for batch in 0..4000_i64 {
        // Letters drawn at random do not compress much, so that the disk fills.
        let line: String = std::iter::repeat_with(|| random.alphanumeric()).take(60_000).collect();
        let answer = try_push(&server, &json!({ "job": "fill" }), &[(now() - 60 * SECOND + batch, &line)]);
        if answer.status != 204 {
            refusal = Some(answer);
            break;
        }
        taken += 1;
    }
    let refusal = refusal.expect("a small disk fills up");
    assert_eq!(refusal.status, 507, "{}", refusal.text());
    assert_eq!(count(&server, r#"{job="fill"}"#), taken, "reads go on");
    server.kill();
    server.start_again();
    assert_eq!(count(&server, r#"{job="fill"}"#), taken, "what was acknowledged is there after a crash");
}

#[test]
fn a_disk_that_becomes_read_only_stops_writing_goes_on_reading_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let library = preloaded(folder.path(), "read_only_disk");
    let switch = folder.path().join("read-only");
    let mut server = settings()
        .env("LD_PRELOAD", &library.display().to_string())
        .env("READ_ONLY_DISK", &switch.display().to_string())
        .start_in(folder.path());
    for number in 0..20 {
        push(&server, &json!({ "job": "ro" }), &[(now(), &format!("line {number}"))]);
    }
    std::fs::write(&switch, "").expect("written");
    let refused = try_push(&server, &json!({ "job": "ro" }), &[(now(), "too late")]);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("Read-only file system"), "it says why: {}", refused.text());
    assert!(writes(&server).iter().all(|(_, status)| *status == 503), "{:?}", writes(&server));
    assert_eq!(count(&server, r#"{job="ro"}"#), 20, "reads go on");
    server.get("/ready").send().expect_status(503);
    server.get("/liveness").send().expect_status(200);
    server.kill();
    std::fs::remove_file(&switch).expect("removed");
    server.start_again();
    let there = lines(&server, r#"{job="ro"}"#);
    assert_eq!(there.iter().filter(|line| line.starts_with("line ")).count(), 20, "{there:?}");
    push(&server, &json!({ "job": "ro" }), &[(now(), "writable again")]);
}

#[test]
fn a_server_does_not_start_on_a_read_only_disk_and_says_so() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("not run: a read-only disk needs root and the right to mount");
        return;
    };
    let settings = settings().env("TIMBERYARD_STORAGE_DISK_RESERVE_BYTES", "1");
    let mut server = settings.clone().start_in(disk.path());
    push(&server, &json!({ "job": "ro" }), &[(now(), "before")]);
    assert!(server.terminate().success());
    let remount = |how: &str| {
        let status = Command::new("mount").args(["-o", how]).arg(disk.path()).status();
        assert!(status.expect("mount runs").success(), "{how}");
    };
    // The log of the process lies beside the data, and is not open any more.
    let data = server.data_dir().display().to_string();
    drop(server);
    remount("remount,ro");
    let said = timberyard(&["server", "--listen", "127.0.0.1:0", "--data-dir", &data]).failed().all();
    assert!(said.contains("Read-only file system") && said.contains(&data), "{said}");
    remount("remount,rw");
    let server = settings.start_in(disk.path());
    assert_eq!(lines(&server, r#"{job="ro"}"#), ["before"]);
}

/// A disk of 48 MiB in memory, gone when dropped.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=48m", "timberyard-test"])
            .arg(folder.path())
            .output()
            .ok()?;
        output.status.success().then_some(Self { folder })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A disk that is still busy goes when its last user does.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

#[test]
fn a_data_directory_serves_one_process_at_a_time() {
    let mut server = settings().start();
    let folder = server.data_dir().display().to_string();
    let second = timberyard(&["server", "--listen", "127.0.0.1:0", "--data-dir", &folder]).failed();
    let said = second.all();
    assert!(said.contains(&folder), "it names the folder: {said}");
    assert!(said.contains("use") || said.contains("lock"), "and says why: {said}");
    push(&server, &json!({ "job": "one" }), &[(now(), "undisturbed")]);
    assert_eq!(lines(&server, r#"{job="one"}"#), ["undisturbed"]);
    server.kill();
    server.start_again();
    assert_eq!(lines(&server, r#"{job="one"}"#), ["undisturbed"], "a crash leaves no lock behind");
}

#[test]
fn a_damaged_segment_is_named_skipped_and_counted_and_the_rest_is_served() {
    let mut server = settings().start();
    let many = |text: &str| -> Vec<String> { (0..500).map(|n| format!("{text} {n} {}", n * 7919)).collect() };
    for name in ["first", "second"] {
        let texts = many(name);
        let base = now() - 60 * SECOND;
        let values: Vec<(i64, &str)> = (0i64..).zip(&texts).map(|(n, t)| (base + n, t.as_str())).collect();
        push(&server, &json!({ "job": name }), &values);
        let flushed = server.post("/flush").send();
        assert!((200..300).contains(&flushed.status), "{}", flushed.text());
    }
    assert!(server.terminate().success());
    let data = server.data_dir().display().to_string();
    let sound = timberyard(&["verify", &data]).succeeded();
    assert!(!sound.all().contains("damaged:"), "{}", sound.all());

    let segments = files(server.data_dir(), ".seg");
    assert!(segments.len() >= 2, "two flushes make two segments: {segments:?}");
    let victim = &segments[0];
    let mut bytes = std::fs::read(victim).expect("a segment");
    let third = bytes.len() / 3;
    for byte in &mut bytes[third..2 * third] {
        *byte ^= 0x55;
    }
    std::fs::write(victim, &bytes).expect("a segment");

    let name = victim.file_name().expect("a name").to_string_lossy().into_owned();
    let found = timberyard(&["verify", &data]).failed();
    assert!(found.all().contains(&name), "verify names {name}: {}", found.all());

    server.start_again();
    let served = [lines(&server, r#"{job="first"}"#), lines(&server, r#"{job="second"}"#)];
    let whole = served.iter().filter(|lines| lines.len() == 500).count();
    assert_eq!(whole, 1, "the other segment is served whole");
    let metrics = server.get("/metrics").send().expect_status(200).text();
    let damaged = metrics
        .lines()
        .find(|line| !line.starts_with('#') && line.contains("damaged"))
        .unwrap_or_else(|| panic!("a count of damaged segments in\n{metrics}"));
    assert!(damaged.trim_end().ends_with('1'), "{damaged}");
    assert!(server.log().contains(&name), "the log names {name}: {}", server.log());
    push(&server, &json!({ "job": "third" }), &[(now(), "still writing")]);
    assert_eq!(lines(&server, r#"{job="third"}"#), ["still writing"]);
}
