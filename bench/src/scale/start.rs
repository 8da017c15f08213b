//! A start on much data: how long until the server is ready, and until the first query has its answer.
//!
//! Lines are of random letters, so that a gigabyte of lines is nearly one on disk.

use std::path::Path;
use std::time::Instant;

use fastrand::Rng;

use super::get;
use crate::format::LOKI_PUSH;
use crate::generator::{Line, START_NS};
use crate::ingest::{disk_under, push_all};
use crate::push_body;
use crate::server::Server;

const BODY_BYTES: usize = 4 << 20;
const LINE_BYTES: usize = 2_000;
const APPS: usize = 40;
/// How often the server is started.
const STARTS: usize = 5;
/// The lines are of so many days.
const SPAN_NS: i64 = 30 * 86_400 * 1_000_000_000;

pub(super) fn measure(binary: &Path, data: &Path, bytes: u64) -> Result<String, String> {
    let server = Server::start(binary, data)?;
    let mut rng = Rng::with_seed(7);
    // Letters of six bits take six eighths of a byte when compressed.
    let raw_bytes = bytes / 3 * 4;
    let bodies = (raw_bytes / BODY_BYTES as u64).max(1);
    for number in 0..bodies {
        let from_ns = START_NS + (number as f64 / bodies as f64 * SPAN_NS as f64) as i64 - SPAN_NS;
        push_all(&server, LOKI_PUSH, &[body(&mut rng, from_ns)?], 1)?;
    }
    server.stop()?;
    let (disk_bytes, files) = disk_under(data)?;
    let mut text = format!("{} MB in {files} files\n", disk_bytes / 1_000_000);
    let (from, to) = (START_NS - SPAN_NS, START_NS);
    // With few bodies the last of them begins earlier than an hour before the end.
    let last_ns = (SPAN_NS / bodies as i64 + 1).max(3_600_000_000_000);
    for (name, range) in [("the last hour, or what came last", (to - last_ns, to)), ("all days", (from, to))]
    {
        let path = format!(
            "/loki/api/v1/query_range?query=%7Bapp%3D%22app-07%22%7D&limit=10&start={}&end={}",
            range.0, range.1
        );
        for _ in 0..STARTS {
            let begun = Instant::now();
            let server = Server::start(binary, data)?;
            let answer = get(&server, &path)?;
            let took = begun.elapsed().as_secs_f64() * 1e3;
            if !answer.contains("app-07") {
                return Err(format!("{path}: answered {answer:.200}"));
            }
            text += &format!(
                "{name}: ready after {:.0} ms, answered after {took:.0} ms (bar 1000), peak {} MB\n",
                server.start_seconds * 1e3,
                server.resident_bytes_peak()? / 1_000_000
            );
            server.stop()?;
        }
    }
    Ok(text)
}

fn body(rng: &mut Rng, from_ns: i64) -> Result<Vec<u8>, String> {
    let labels: Vec<String> = (0..APPS).map(|app| format!("{{app=\"app-{app:02}\"}}")).collect();
    let letters: Vec<char> = ('0'..='9').chain('a'..='z').chain('A'..='Z').chain(['-', '_']).collect();
    let line = |number: usize| Line {
        stream: number % APPS,
        timestamp_ns: from_ns + number as i64 * 1_000_000,
        text: (0..LINE_BYTES).map(|_| letters[rng.usize(..letters.len())]).collect(),
    };
    let lines: Vec<Line> = (0..BODY_BYTES / LINE_BYTES).map(line).collect();
    push_body::snappy(&push_body::loki_protobuf(&labels, &lines))
}
