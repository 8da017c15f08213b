//! What decoding costs: each wire format's decoder over bodies of the same lines, on one core.
//!
//! Bodies lie in memory and are inflated already, but for Loki's protobuf, which is sent as a snappy block; levels
//! and service names are discovered, as in the server. MB are 10^6 bytes, once of the lines themselves and once of
//! the body that was read.

use std::fmt::Write as _;
use std::hint::black_box;

use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use timberyard_model::{Limits, TenantId, Timestamp};
use timberyard_wire::DecodeContext;

use crate::format::{FORMATS, Format};
use crate::generator::{Line, SPAN_NS, START_NS, StreamLabels, Workload};

/// Lines of a body; a body of Change66's may not have more.
const BODY_LINES: usize = 1_000;
/// CPU seconds that a format is decoded for, at least.
const SECONDS_ENOUGH: f64 = 1.0;

/// A Markdown table: what each format whose name has `only` in it costs over microservice lines, and how that compares with
/// Loki's push in protobuf.
pub(crate) fn measure(lines: usize, only: Option<&str>, rounds: Option<u32>) -> Result<String, String> {
    let streams = Workload::Micro.streams();
    let lines: Vec<Line> = Workload::Micro.lines(lines, 1).collect();
    let mut table = String::from(
        "| format | lines, MB/s | body, MB/s | ns a line | CPU-s a raw GB | ÷ Loki push | bytes a body |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let mut loki_seconds = None;
    for format in FORMATS.iter().filter(|format| only.is_none_or(|part| format.name.contains(part))) {
        let cost =
            measure_format(format, &streams, &lines, rounds).map_err(|e| format!("{}: {e}", format.name))?;
        // The first of the formats.
        let loki = *loki_seconds.get_or_insert(cost.seconds);
        cost.write_row(&mut table, format.name, loki).map_err(|e| e.to_string())?;
    }
    Ok(table)
}

/// What one format costs.
struct Cost {
    lines: usize,
    line_bytes: usize,
    body_bytes: usize,
    bodies: usize,
    /// CPU seconds of decoding all bodies once.
    seconds: f64,
}

impl Cost {
    fn write_row(&self, table: &mut String, name: &str, loki_seconds: f64) -> std::fmt::Result {
        let (line_megabytes, body_megabytes) = (self.line_bytes as f64 / 1e6, self.body_bytes as f64 / 1e6);
        writeln!(
            table,
            "| {name} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {} |",
            line_megabytes / self.seconds,
            body_megabytes / self.seconds,
            self.seconds * 1e9 / self.lines as f64,
            self.seconds / line_megabytes * 1e3,
            self.seconds / loki_seconds,
            self.body_bytes / self.bodies
        )
    }
}

/// Decodes for long enough, or as often as is said.
fn measure_format(
    format: &Format,
    streams: &[StreamLabels],
    lines: &[Line],
    rounds_wanted: Option<u32>,
) -> Result<Cost, String> {
    let mut bodies = Vec::new();
    for lines in lines.chunks(BODY_LINES) {
        bodies.extend((format.encode)(streams, lines)?);
    }
    let limits = Limits::default();
    let tenant = TenantId::default();
    let context = DecodeContext {
        tenant: &tenant,
        received_at: Timestamp::from_nanos(START_NS + SPAN_NS),
        client_ip: Some("192.0.2.7"),
        node_id: "bench",
        limits: &limits,
        discover_service_name: true,
        detect_level: true,
        label_attributes: timberyard_wire::LabelAttributes::loki(),
    };
    // The first round warms up and checks; the others are timed.
    let decoded = decode_all(format, &bodies, &context)?;
    if decoded != lines.len() {
        return Err(format!("{decoded} rows of {} lines", lines.len()));
    }
    let (mut rounds, started) = (0_u32, thread_cpu_seconds()?);
    let mut seconds = 0.0;
    while rounds_wanted.map_or(seconds < SECONDS_ENOUGH, |wanted| rounds < wanted) {
        black_box(decode_all(format, &bodies, &context)?);
        rounds += 1;
        seconds = thread_cpu_seconds()? - started;
    }
    Ok(Cost {
        lines: lines.len(),
        line_bytes: lines.iter().map(|line| line.text.len()).sum(),
        body_bytes: bodies.iter().map(Vec::len).sum(),
        bodies: bodies.len(),
        seconds: seconds / f64::from(rounds),
    })
}

fn decode_all(format: &Format, bodies: &[Vec<u8>], context: &DecodeContext<'_>) -> Result<usize, String> {
    bodies.iter().try_fold(0, |sum, body| Ok(sum + (format.decode)(black_box(body), context)?))
}

/// CPU seconds of this thread: what other processes take of the machine does not count.
fn thread_cpu_seconds() -> Result<f64, String> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_err(|e| format!("CPU clock: {e}"))?;
    Ok(time.num_nanoseconds() as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_gives_as_many_rows_as_there_are_lines() {
        let streams = Workload::Micro.streams();
        let lines: Vec<Line> = Workload::Micro.lines(300, 1).collect();
        let (limits, tenant) = (Limits::default(), TenantId::default());
        for format in &FORMATS {
            let bodies = (format.encode)(&streams, &lines).expect("a body");
            let context = DecodeContext {
                tenant: &tenant,
                received_at: Timestamp::from_nanos(START_NS + SPAN_NS),
                client_ip: None,
                node_id: "bench",
                limits: &limits,
                discover_service_name: true,
                detect_level: true,
                label_attributes: timberyard_wire::LabelAttributes::loki(),
            };
            assert_eq!(decode_all(format, &bodies, &context), Ok(lines.len()), "{}", format.name);
        }
    }
}
