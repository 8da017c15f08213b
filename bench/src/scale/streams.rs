//! Very many streams, label demotion off: memory while they come in and while labels are asked for, and how
//! long questions about labels take.

use std::path::Path;
use std::time::{Duration, Instant};

use super::get;
use super::quantile::quantile_ms;
use crate::format::LOKI_PUSH;
use crate::generator::{Line, START_NS};
use crate::ingest::push_all;
use crate::push_body;
use crate::server::Server;

/// Streams of one body.
const BODY_STREAMS: usize = 5_000;
/// How often each question is asked.
const TURNS: usize = 21;
const STEP_NS: i64 = 10_000_000;

/// The limits that so many values of one label would run into.
const WITHOUT_DEMOTION: [(&str, &str); 1] = [("TIMBERYARD_LIMITS_RECORD_LABEL_VALUES_MAX", "0")];

pub(super) fn measure(binary: &Path, data: &Path, streams: usize) -> Result<String, String> {
    let server = Server::start_with(binary, data, &WITHOUT_DEMOTION)?;
    let started = Instant::now();
    for first in (0..streams).step_by(BODY_STREAMS * 20) {
        let bodies: Result<Vec<_>, _> = (first..(first + BODY_STREAMS * 20).min(streams))
            .step_by(BODY_STREAMS)
            .map(|start| body(start..(start + BODY_STREAMS).min(streams)))
            .collect();
        push_all(&server, LOKI_PUSH, &bodies?, 2)?;
    }
    let (took, ingest_peak) = (started.elapsed(), server.resident_bytes_peak()?);
    let cpu_seconds = server.stop()?;

    let server = Server::start_with(binary, data, &WITHOUT_DEMOTION)?;
    let mut text = format!(
        "{streams} streams: {:.1} s and {cpu_seconds:.1} CPU-s to take in, {} MB at the peak\n",
        took.as_secs_f64(),
        ingest_peak / 1_000_000
    );
    let end_ns = START_NS + streams as i64 * STEP_NS;
    let all = format!("start={START_NS}&end={end_ns}");
    let part = format!("start={}&end={}", START_NS + STEP_NS, end_ns - STEP_NS);
    for (name, path) in [
        ("label names", format!("/loki/api/v1/labels?{all}")),
        ("label names, part of the range", format!("/loki/api/v1/labels?{part}")),
        ("values of a label with 50", format!("/loki/api/v1/label/app/values?{all}")),
        ("the same, part of the range", format!("/loki/api/v1/label/app/values?{part}")),
        (
            "the same, one namespace",
            format!("/loki/api/v1/label/app/values?query=%7Bnamespace%3D%22ns-3%22%7D&{all}"),
        ),
        ("series of one pod", format!("/loki/api/v1/series?match%5B%5D=%7Bpod%3D%22pod-0000077%22%7D&{all}")),
    ] {
        let mut times = Vec::with_capacity(TURNS);
        let first = timed(&server, &path)?;
        for _ in 0..TURNS {
            times.push(timed(&server, &path)?);
        }
        text += &format!(
            "{name}: {:.1} ms in the middle (bar 20), {:.1} ms at best, {:.1} ms at first\n",
            quantile_ms(&mut times, 0.5),
            quantile_ms(&mut times, 0.0),
            first.as_secs_f64() * 1e3
        );
    }
    let megabytes = |server: &Server| Ok::<_, String>(server.resident_bytes_peak()? / 1_000_000);
    text += &format!("memory at the peak of those questions: {} MB (bar 500)\n", megabytes(&server)?);
    for (name, path) in [
        ("detected labels", format!("/loki/api/v1/detected_labels?{all}")),
        ("values of a label with one a stream", format!("/loki/api/v1/label/pod/values?{all}")),
        ("series of everything", format!("/loki/api/v1/series?{all}")),
    ] {
        let outcome = match timed(&server, &path) {
            Ok(took) => format!("{:.0} ms", took.as_secs_f64() * 1e3),
            Err(refused) => refused,
        };
        text += &format!("{name}: {outcome}, peak {} MB\n", megabytes(&server)?);
    }
    server.stop()?;
    Ok(text)
}

fn timed(server: &Server, path: &str) -> Result<Duration, String> {
    let asked = Instant::now();
    let answer = get(server, path)?;
    let took = asked.elapsed();
    let found = ["pod", "app-", "detectedLabels"].iter().any(|part| answer.contains(part));
    if found { Ok(took) } else { Err(format!("{path}: answered {answer:.200}")) }
}

/// A line of each stream.
fn body(streams: std::ops::Range<usize>) -> Result<Vec<u8>, String> {
    let labels: Vec<String> = streams.clone().map(label_text).collect();
    let line = |(stream, number): (usize, usize)| Line {
        stream,
        timestamp_ns: START_NS + number as i64 * STEP_NS,
        text: format!("level=info msg=started instance={number}"),
    };
    let lines: Vec<Line> = streams.enumerate().map(line).collect();
    push_body::snappy(&push_body::loki_protobuf(&labels, &lines))
}

fn label_text(number: usize) -> String {
    format!(
        "{{app=\"app-{:02}\", cluster=\"eu-{}\", env=\"prod\", namespace=\"ns-{}\", node=\"node-{:03}\", pod=\"pod-{number:07}\"}}",
        number % 50,
        number % 3,
        number % 10,
        number % 400
    )
}
