//! Measures a built Timberyard as a whole process: what it costs to take logs in and to find them again.
//!
//! Starts the binary on a fresh folder, pushes generated lines through Loki's push API, flushes, asks, stops, and
//! writes a report. Every answer is compared with what the generator knows before its time counts. CPU is user
//! plus system time of the whole process from its start to the end of its shutdown; disk is every file of the data
//! directory after that. The yardstick is zstd at level 1 over the same lines in one stream, in the same run.

mod measure;
mod push_body;
mod queries;
mod report;
mod server;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::workload::Workload;

/// What was typed.
#[derive(Debug, Parser)]
#[command(about = "Measure Timberyard: CPU, memory and disk for taking logs in, time for finding them")]
struct Arguments {
    /// The binary to measure.
    #[arg(long, default_value = "target/release/timberyard")]
    binary: PathBuf,
    /// Lines of each workload.
    #[arg(long, default_value_t = 2_000_000)]
    lines: usize,
    /// Workloads to run; all when none is named.
    #[arg(long, value_enum)]
    workload: Vec<Workload>,
    /// Connections that push at the same time.
    #[arg(long, default_value_t = 2)]
    connections: usize,
    /// Where the report goes.
    #[arg(long, default_value = "bench/report.md")]
    report: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let workloads = match arguments.workload.as_slice() {
        [] => Workload::ALL.to_vec(),
        chosen => chosen.to_vec(),
    };
    let mut results = Vec::new();
    for workload in workloads {
        tell(&format!("bench: {} lines of {workload}", arguments.lines));
        results.push(measure::measure(arguments, workload)?);
    }
    let text = report::render(&results);
    std::fs::write(&arguments.report, &text).map_err(|e| format!("{}: {e}", arguments.report.display()))?;
    tell(&text);
    Ok(())
}

#[expect(clippy::print_stderr, reason = "progress of a command line tool")]
fn tell(text: &str) {
    eprintln!("{text}");
}
