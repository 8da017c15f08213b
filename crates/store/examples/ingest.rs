//! How much processor time and disk the store takes for each raw byte:
//!
//! `cargo run --release -p timberyard-store --example ingest -- MEGABYTES [FILE…]`
//!
//! Lines come from the files, again and again, or are made up when there are none. Prints figures for
//! appending with flushes, for a substring scan, and for reading everything.

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use timberyard_model::batch::EqualEntries;
use timberyard_model::matcher::{LineFilter, LinePattern};
use timberyard_model::rows::RowsBuilder;
use timberyard_model::scan::{LogSource, ScanRequest};
use timberyard_model::{Labels, LogBatch, TenantId, TimeRange, Timestamp};
use timberyard_store::{Interpreters, Store, StoreOptions};

const LINES_PER_BATCH: usize = 2000;
const START: i64 = 1_795_132_800_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let bytes_wanted = arguments.next().unwrap_or_else(|| "256".to_owned()).parse::<u64>()? * 1_000_000;
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for file in arguments {
        lines.extend(std::fs::read(file)?.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
    }
    if lines.is_empty() {
        lines = (0..200_000u64).map(made_up_line).collect();
    }
    let directory = std::env::temp_dir().join(format!("timberyard-ingest-{}", std::process::id()));
    let batches: Vec<Arc<LogBatch>> =
        lines.chunks(LINES_PER_BATCH).enumerate().map(|(number, lines)| batch(number, lines)).collect();
    // The log gets what a client sent, compressed about as well as lines are.
    let payload_of = |batch: &LogBatch| zstd::bulk::compress(&arena(batch), 1);
    let payloads: Vec<Vec<u8>> = batches.iter().map(|batch| payload_of(batch)).collect::<Result<_, _>>()?;
    let nothing = Interpreters::of_records(|_| Err("not needed".to_owned()));
    let store = Store::open(&directory, StoreOptions::default(), nothing)?;
    let (mut bytes, mut rows, mut turn) = (0u64, 0u64, 0usize);
    let (sender, receiver) = mpsc::channel();
    let begun = (Instant::now(), processor_seconds()?);
    while bytes < bytes_wanted {
        let place = turn % batches.len();
        let (batch, payload) = (&batches[place], &payloads[place]);
        let sender = sender.clone();
        store.append(Arc::clone(batch), payload.clone(), move |outcome| drop(sender.send(outcome)));
        receiver.recv()??;
        bytes += batch.rows.line_bytes();
        rows += batch.rows.len() as u64;
        turn += 1;
    }
    store.flush()?;
    report("append and flush", begun, bytes)?;
    let statistics = store.statistics();
    println!(
        "{rows} rows, {bytes} raw bytes, {:.4} on disk for each, {} segments, log {} bytes, {} syncs",
        statistics.segment_bytes as f64 / bytes as f64,
        statistics.segments,
        statistics.log_bytes,
        statistics.log_syncs,
    );
    let needle = LinePattern::Literal(b"no such thing in any line".as_slice().into());
    let mut request = ScanRequest::all(TenantId::default(), TimeRange::ALL);
    let begun = (Instant::now(), processor_seconds()?);
    let found = scan(&store, &request)?;
    report("read everything", begun, bytes)?;
    println!("{found} rows");
    request.line_filters = vec![LineFilter { negated: false, any_of: vec![needle] }];
    let begun = (Instant::now(), processor_seconds()?);
    scan(&store, &request)?;
    report("substring scan", begun, bytes)?;
    let begun = (Instant::now(), processor_seconds()?);
    let merged = store.maintain(Timestamp::from_nanos(START))?;
    report("maintain", begun, bytes)?;
    println!("{merged:?}");
    drop(store);
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

fn scan(store: &Store, request: &ScanRequest) -> Result<u64, Box<dyn Error>> {
    let mut blocks = store.scan(request)?;
    let mut rows = 0;
    while let Some(block) = blocks.next_block()? {
        rows += block.rows.len() as u64;
    }
    Ok(rows)
}

fn batch(number: usize, lines: &[Vec<u8>]) -> Arc<LogBatch> {
    let mut rows = RowsBuilder::default();
    let service = format!("service-{}", number % 5);
    let stream = rows.stream(&Labels::from_pairs([("service_name", &*service), ("level", "info")]));
    for (place, line) in lines.iter().enumerate() {
        let time = START + (number * LINES_PER_BATCH + place) as i64 * 1_000_000;
        if rows.push(stream, Timestamp::from_nanos(time), line, []).is_err() {
            break;
        }
    }
    Arc::new(LogBatch {
        tenant: TenantId::default(),
        received_at: Timestamp::from_nanos(START),
        equal_entries: EqualEntries::Keep,
        rows: rows.finish(),
        unique_keys: Vec::new(),
        origins: Vec::new(),
    })
}

fn arena(batch: &LogBatch) -> Vec<u8> {
    batch.rows.iter().flat_map(|row| row.line().to_vec()).collect()
}

fn made_up_line(number: u64) -> Vec<u8> {
    let id = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let level = ["info", "info", "info", "warn", "error"][(id >> 40) as usize % 5];
    let text = format!(
        "{{\"level\":\"{level}\",\"msg\":\"request handled\",\"trace\":\"{id:016x}\",\"status\":{},\"ms\":{}}}",
        200 + id % 5,
        id % 977
    );
    text.into_bytes()
}

fn report(what: &str, begun: (Instant, f64), bytes: u64) -> Result<(), Box<dyn Error>> {
    let (elapsed, processor) = (begun.0.elapsed().as_secs_f64(), processor_seconds()? - begun.1);
    let gigabytes = bytes as f64 / 1e9;
    println!("{what}: {elapsed:.2} s, {:.2} CPU-s/GB", processor / gigabytes);
    Ok(())
}

/// User and system time of this process, from `/proc`, in ticks of 1/100 s.
fn processor_seconds() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / 100.0)
}
