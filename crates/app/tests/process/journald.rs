//! Journals: uploads by hand, and by systemd-journal-upload, which goes on for as long as it runs.

use std::process::{Command, Stdio};

use timberyard_testkit::eventually::eventually;

use crate::clock::now;
use crate::logql::{entries, lines};
use crate::running::Running;
use crate::senders::tool;
use crate::start::server;

/// An export of so many entries, of now.
fn export(count: usize) -> String {
    let id = "0123456789abcdef0123456789abcdef";
    let micros = now() / 1000;
    let entry = |number: usize| {
        format!(
            "__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={number}\n_BOOT_ID={id}\n_MACHINE_ID={id}\n_HOSTNAME=web-1\n\
             PRIORITY=3\nSYSLOG_IDENTIFIER=nginx\n_SYSTEMD_UNIT=nginx.service\nMESSAGE=order {number} failed\n\n",
            micros + number as i64
        )
    };
    (0..count).map(entry).collect()
}

#[test]
fn systemd_journal_upload_sends_a_journal_and_entries_are_there_while_it_goes_on() {
    let server = server();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("export"), export(50)).expect("written");
    let made = Command::new(tool("bin/systemd-journal-remote"))
        .args(["-o", &path("own.journal"), &path("export")])
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("systemd-journal-remote starts").success());
    let upload = Command::new(tool("bin/systemd-journal-upload"))
        .arg(format!("--file={}", path("own.journal")))
        .arg(format!("--save-state={}", path("state")))
        .args(["-u", &server.url("")])
        .stderr(Stdio::null())
        .spawn();
    let upload = Running(upload.expect("systemd-journal-upload starts"));
    eventually("all entries", || {
        let stored =
            entries(&server, r#"{unit="nginx.service", host="web-1", level="error", service_name="nginx"}"#);
        let is_there =
            |number: usize| stored.iter().any(|entry| entry.line == format!("order {number} failed"));
        (0..50).all(is_there).then_some(())
    });
    drop(upload);
}

#[test]
fn an_export_is_stored_whole_and_what_is_none_is_refused() {
    let server = server();
    let upload = |content_type: &str, body: &str| {
        server.post("/upload").header("Content-Type", content_type).body(body.as_bytes()).send()
    };
    let journal = "application/vnd.fdo.journal";
    // More than is stored at a time.
    let sent = upload(journal, &export(3000));
    assert_eq!((sent.status, sent.text()), (202, "OK.\n".to_owned()));
    assert_eq!(lines(&server, r#"{unit="nginx.service"}"#).len(), 3000);
    assert_eq!(upload("text/plain", &export(1)).status, 415);
    assert_eq!(upload(journal, "no field\n\n").status, 400);
    assert_eq!(upload(journal, "MESSAGE=cut off").status, 400);
}
