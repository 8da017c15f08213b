//! One sender, one small push at a time: how much longer it takes than writing as many bytes to a file and
//! syncing them, on the same disk and like the write-ahead log, over blocks that were written before.
//!
//! Pushes and syncs take turns, so that what else the machine does meets both.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::quantile::quantile_ms;
use crate::generator::{Line, START_NS};
use crate::ingest::push_all;
use crate::push_body;
use crate::server::{Server, agent};

/// Pushes, or syncs, of one turn.
const TURN: usize = 20;
const LINES: usize = 10;
const FILE_BYTES: u64 = 16 << 20;
/// What the log writes beside a body: its header and what decoding it depends on, roughly.
const RECORD_OVERHEAD_BYTES: usize = 300;

pub(super) fn measure(binary: &Path, folder: &Path, pushes: usize) -> Result<String, String> {
    let data = folder.join("data");
    let server = Server::start(binary, &data)?;
    fill_the_log(&server)?;
    let file = written_file(&folder.join("beside"))?;
    let agent = agent();
    let url = format!("{}/loki/api/v1/push", server.url);
    let (mut pushed, mut synced) = (Vec::new(), Vec::new());
    let (mut offset, mut number) = (0u64, 0usize);
    let cpu_at_start = server.cpu_seconds()?;
    while pushed.len() < pushes {
        let mut record_bytes = 0;
        for _ in 0..TURN {
            let body = body(number, LINES)?;
            number += 1;
            record_bytes = body.len() + RECORD_OVERHEAD_BYTES;
            let begun = Instant::now();
            let response = agent
                .post(&url)
                .header("Content-Type", "application/x-protobuf")
                .send(&body[..])
                .map_err(|e| format!("push: {e}"))?;
            pushed.push(begun.elapsed());
            if response.status().as_u16() != 204 {
                return Err(format!("push answered {}", response.status()));
            }
        }
        let record = vec![0x5a; record_bytes];
        for _ in 0..TURN {
            let begun = Instant::now();
            file.write_all_at(&record, offset).and_then(|()| file.sync_data()).map_err(|e| e.to_string())?;
            synced.push(begun.elapsed());
            offset = (offset + record_bytes as u64) % (FILE_BYTES - record_bytes as u64);
        }
    }
    let cpu_us = (server.cpu_seconds()? - cpu_at_start) * 1e6 / pushed.len() as f64;
    server.stop()?;
    let mut text =
        format!("{} pushes of {LINES} lines, {cpu_us:.0} CPU us of the server each\n", pushed.len());
    for (name, share) in
        [("at best", 0.0), ("in a tenth", 0.1), ("in the middle", 0.5), ("in nine tenths", 0.9)]
    {
        let (push, sync) = (quantile_ms(&mut pushed, share), quantile_ms(&mut synced, share));
        text +=
            &format!("{name}: push {push:.3} ms, sync {sync:.3} ms, ratio {:.2} (bar 1.5)\n", push / sync);
    }
    let mean =
        |times: &[Duration]| times.iter().map(Duration::as_secs_f64).sum::<f64>() * 1e3 / times.len() as f64;
    let (push, sync) = (mean(&pushed), mean(&synced));
    text += &format!("on average: push {push:.3} ms, sync {sync:.3} ms, ratio {:.2}\n", push / sync);
    Ok(text)
}

/// Brings the log to where its files are used again: some are written, cut into segments, and let go of.
fn fill_the_log(server: &Server) -> Result<(), String> {
    for round in 0..3 {
        // Random bytes, so that the log is as long as the lines.
        let bodies: Result<Vec<_>, _> = (0..6).map(|_| random_body(round)).collect();
        push_all(server, &bodies?, 1)?;
        let flushed =
            agent().post(format!("{}/flush", server.url)).send_empty().map_err(|e| e.to_string())?;
        if !flushed.status().is_success() {
            return Err(format!("flush answered {}", flushed.status()));
        }
    }
    Ok(())
}

/// A file whose blocks have all been written.
fn written_file(path: &Path) -> Result<File, String> {
    let told = |e: std::io::Error| format!("{}: {e}", path.display());
    let file = File::create(path).map_err(told)?;
    let zeros = vec![0; 1 << 20];
    (0..FILE_BYTES).step_by(zeros.len()).try_for_each(|at| file.write_all_at(&zeros, at)).map_err(told)?;
    file.sync_all().map_err(told)?;
    Ok(file)
}

fn body(number: usize, lines: usize) -> Result<Vec<u8>, String> {
    let line = |place: usize| Line {
        stream: 0,
        timestamp_ns: START_NS + (number * lines + place) as i64 * 1_000_000,
        text: format!(
            "level=info msg=\"request completed\" id={:08x} path=/api/orders/{place}",
            number * 7919
        ),
    };
    let lines: Vec<Line> = (0..lines).map(line).collect();
    push_body::snappy(&push_body::loki_protobuf(&["{app=\"single\"}".to_owned()], &lines))
}

fn random_body(round: i64) -> Result<Vec<u8>, String> {
    let mut rng = fastrand::Rng::with_seed(round.cast_unsigned());
    let line = |place: i64| Line {
        stream: 0,
        timestamp_ns: START_NS - (round + 1) * 1_000_000_000 + place * 1_000_000,
        text: (0..4000).map(|_| rng.alphanumeric()).collect(),
    };
    let lines: Vec<Line> = (0..1000).map(line).collect();
    push_body::snappy(&push_body::loki_protobuf(&["{app=\"filler\"}".to_owned()], &lines))
}
