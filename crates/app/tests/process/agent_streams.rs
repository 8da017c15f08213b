//! What the agent reads that is no file: standard input and the journal, over `kill -9`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use timberyard_testkit::eventually::eventually;
use timberyard_testkit::server_process::ServerProcess;

use crate::agent::AgentProcess;
use crate::clock::now;
use crate::logql::{count, entries, lines};
use crate::start::server;

const FLAGS: [&str; 2] = ["--config", "agent.yaml"];

fn configure(folder: &Path, server: &ServerProcess, target: &str) {
    let text = format!("server: {{url: {}}}\nbatch: {{wait_ms: 20}}\ntargets:\n{target}", server.url(""));
    fs::write(folder.join("agent.yaml"), text).expect("written");
}

#[test]
fn standard_input_is_sent_to_its_end_and_the_agent_ends_with_it() {
    let server = server();
    let folder = tempfile::tempdir().expect("a folder");
    configure(folder.path(), &server, "  - {path: '-', labels: {job: stdin}}\n");
    let mut agent = AgentProcess::start_with(folder.path(), &FLAGS, Stdio::piped());
    let mut input = agent.stdin();
    // Equal lines are as many as they are.
    let text: String = (0..20_000).map(|number| format!("line {}\n", number / 2)).collect();
    input.write_all(text.as_bytes()).expect("written");
    input.write_all(b"the last one has no end").expect("written");
    drop(input);
    assert!(agent.wait().success(), "{}", agent.log());
    assert_eq!(count(&server, r#"{job="stdin"}"#), 20_001);
    assert_eq!(lines(&server, r#"{job="stdin"} |= "no end""#), ["the last one has no end"]);
    let left: Vec<_> = fs::read_dir(folder.path().join("positions.buffer")).expect("a buffer").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_was_read_of_standard_input_outlives_the_agent() {
    let mut server = server();
    let folder = tempfile::tempdir().expect("a folder");
    configure(folder.path(), &server, "  - {path: '-', labels: {job: stdin}}\n");
    server.kill();
    let mut agent = AgentProcess::start_with(folder.path(), &FLAGS, Stdio::piped());
    let mut input = agent.stdin();
    input.write_all(b"one\ntwo\n").expect("written");
    let buffer = folder.path().join("positions.buffer/stdin.log");
    eventually("the buffer has it", || {
        fs::read_to_string(&buffer).ok()?.ends_with("one\ntwo\n").then_some(())
    });
    agent.kill();
    drop(input);
    server.start_again();
    let mut agent = AgentProcess::start_with(folder.path(), &FLAGS, Stdio::piped());
    let mut input = agent.stdin();
    input.write_all(b"three\n").expect("written");
    drop(input);
    assert!(agent.wait().success(), "{}", agent.log());
    let mut found = lines(&server, r#"{job="stdin"}"#);
    found.sort();
    assert_eq!(found, ["one", "three", "two"]);
}

/// Stands for `journalctl`: prints the lines of a file behind a cursor, and those that come.
const JOURNALCTL: &str = r#"#!/bin/sh
next=1
for argument in "$@"; do
  case $argument in --after-cursor=c*) next=$((${argument#--after-cursor=c} + 1)) ;; esac
done
while kill -0 $PPID 2>/dev/null; do
  lines=$(wc -l < journal)
  if [ "$lines" -ge "$next" ]; then
    sed -n "${next},${lines}p" journal
    next=$((lines + 1))
  fi
  sleep 0.05
done
"#;

#[test]
fn the_journal_is_followed_by_its_cursor_and_repeats_nothing_after_a_kill() {
    let server = server();
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("journalctl");
    fs::write(&program, JOURNALCTL).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("set");
    let target = format!("  - journal: {{command: {}}}\n    labels: {{job: journal}}\n", program.display());
    configure(folder.path(), &server, &target);
    let micros = now() / 1000;
    let mut number = 0;
    let mut write = |lines: usize| {
        let path = folder.path().join("journal");
        let mut journal = OpenOptions::new().create(true).append(true).open(path).expect("opened");
        for _ in 0..lines {
            number += 1;
            let entry = format!(
                r#"{{"__CURSOR":"c{number}","__REALTIME_TIMESTAMP":"{}","_HOSTNAME":"web-1","PRIORITY":"4","_SYSTEMD_UNIT":"shop.service","MESSAGE":"order {number}","_PID":"17"}}"#,
                micros + number
            );
            writeln!(journal, "{entry}").expect("written");
        }
    };
    write(500);
    let mut agent = AgentProcess::start(folder.path());
    let query = r#"{job="journal", unit="shop.service", service_name="shop", host="web-1", level="warn"}"#;
    for round in 1..=3u64 {
        eventually("the entries so far", || (count(&server, query) >= round * 500).then_some(()));
        agent.kill();
        write(500);
        agent.start_again();
    }
    eventually("all entries", || (count(&server, query) >= 2000).then_some(()));
    assert_eq!(count(&server, query), 2000, "{}", agent.log());
    let entries = entries(&server, &format!(r#"{query} |= "order 2000""#));
    assert_eq!((entries[0].line.as_str(), entries[0].time_ns / 1000), ("order 2000", micros + 2000));
    assert_eq!(entries[0].labels["pid"], "17");
}
