//! Measures a built Timberyard as a whole process: what it costs to take logs in and to find them again.
//!
//! Starts the binary on a fresh folder, pushes generated lines through Loki's push API, stops it, starts it again
//! and asks. Every answer is compared with what a plain scan of the generated lines says, each time. CPU is user plus
//! system time of the whole process; disk is every file of the data directory after the shutdown. The yardstick is
//! zstd's command line tool over the same lines, in the same run. Reports are Markdown with a JSON of the same
//! name beside it.

mod agent;
mod ask;
mod decode;
mod events;
mod format;
mod generator;
mod ingest;
mod load;
mod machine;
mod pipeline;
mod process;
mod push_body;
mod pushdown;
mod question;
mod report;
mod run;
mod scale;
mod senders;
mod server;
mod small_push;
mod warehouse;
mod yardstick;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::generator::Workload;

/// What was typed.
#[derive(Debug, Parser)]
#[command(about = "Measure Timberyard: CPU, memory and disk for taking logs in, CPU for finding them")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Take workloads in, ask, and write a report.
    Run(RunArguments),
    /// Bring a server into one of the states that the store's bars name, and measure it.
    Scale {
        #[arg(value_enum)]
        scenario: scale::Scenario,
        /// How much of it; what the bars are about when nothing is said.
        #[arg(long)]
        amount: Option<usize>,
        /// The binary to measure.
        #[arg(long, default_value = "target/release/timberyard")]
        binary: PathBuf,
    },
    /// Decode bodies of each wire format: MB/s on one core.
    Decode {
        /// Lines to decode.
        #[arg(long, default_value_t = 100_000)]
        lines: usize,
        /// Only formats with this in their names.
        #[arg(long)]
        only: Option<String>,
        /// How often, instead of for a second: the same work for those who count instructions.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: Option<u32>,
    },
    /// Send the same lines in each format over HTTP: CPU of the whole server.
    Senders {
        /// Lines to send, each time into a fresh server.
        #[arg(long, default_value_t = 200_000)]
        lines: usize,
        /// Only formats with this in their names.
        #[arg(long)]
        only: Option<String>,
        /// The binary to measure.
        #[arg(long, default_value = "target/release/timberyard")]
        binary: PathBuf,
    },
    /// Let the agent read files: its CPU and memory.
    Agent {
        /// Lines that are there when it starts.
        #[arg(long, default_value_t = 2_000_000)]
        lines: usize,
        /// The binary to measure.
        #[arg(long, default_value = "target/release/timberyard")]
        binary: PathBuf,
    },
    /// Bring lines through Kafka into ClickHouse: CPU and lines a second, against the simplest loops that do so.
    Pipeline {
        /// Lines to bring through, each way.
        #[arg(long, default_value_t = 1_000_000)]
        lines: usize,
        /// The binary to measure.
        #[arg(long, default_value = "target/release/timberyard")]
        binary: PathBuf,
    },
    /// Ask LogQL of logs in ClickHouse, and SQL by hand for the same answers: the time of each.
    Pushdown {
        /// Lines that are there.
        #[arg(long, default_value_t = 1_000_000)]
        lines: usize,
        /// How often each is asked; the median counts.
        #[arg(long, default_value_t = 15)]
        rounds: usize,
        /// The binary to measure.
        #[arg(long, default_value = "target/release/timberyard")]
        binary: PathBuf,
    },
    /// Bring events into PostgreSQL: CPU and events a second, against a loop of COPY.
    Events {
        /// Events to bring in, each way.
        #[arg(long, default_value_t = 100_000)]
        events: usize,
        /// The binary to measure.
        #[arg(long, default_value = "target/release/timberyard")]
        binary: PathBuf,
    },
    /// Be that loop.
    #[command(hide = true)]
    CopyLoop(events::CopyLoopArguments),
    /// Be one of the loops of `pipeline`.
    #[command(hide = true)]
    Loop(pipeline::LoopArguments),
    /// Write generated lines to standard output.
    Lines {
        #[arg(value_enum)]
        workload: Workload,
        #[arg(long, default_value_t = 1_000)]
        lines: usize,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// The binary to measure.
    #[arg(long, default_value = "target/release/timberyard")]
    binary: PathBuf,
    /// Lines of the workloads with short lines; those with long lines have a tenth.
    #[arg(long, default_value_t = 2_000_000)]
    lines: usize,
    /// A tenth of the lines: a minute instead of ten, and figures that are worth less.
    #[arg(long, conflicts_with = "lines")]
    quick: bool,
    /// Workloads to run; all when none is named.
    #[arg(long, value_enum)]
    workload: Vec<Workload>,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Connections that push at the same time.
    #[arg(long, default_value_t = 2)]
    connections: usize,
    /// Folder of reports; the file is named after the day.
    #[arg(long, default_value = "bench/reports")]
    reports: PathBuf,
    /// What the report is called instead.
    #[arg(long)]
    name: Option<String>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().what {
        What::Run(arguments) => run(arguments),
        What::Scale { scenario, amount, binary } => {
            scale::run(scenario, amount, &binary).map(|figures| tell(&figures))
        }
        What::Decode { lines, only, rounds } => {
            decode::measure(lines, only.as_deref(), rounds).map(|table| tell(&table))
        }
        What::Senders { lines, only, binary } => {
            senders::measure(&binary, lines, only.as_deref()).map(|table| tell(&table))
        }
        What::Agent { lines, binary } => agent::measure(&binary, lines).map(|table| tell(&table)),
        What::Pipeline { lines, binary } => pipeline::measure(&binary, lines).map(|table| tell(&table)),
        What::Pushdown { lines, rounds, binary } => {
            pushdown::measure(&binary, lines, rounds).map(|table| tell(&table))
        }
        What::Events { events, binary } => events::measure(&binary, events).map(|table| tell(&table)),
        What::CopyLoop(arguments) => events::run_copy_loop(&arguments),
        What::Loop(arguments) => pipeline::run_loop(&arguments),
        What::Lines { workload, lines, seed } => write_lines(workload, lines, seed),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: RunArguments) -> Result<(), String> {
    let plan = run::Plan {
        binary: arguments.binary,
        workloads: if arguments.workload.is_empty() { Workload::ALL.to_vec() } else { arguments.workload },
        lines: if arguments.quick { 200_000 } else { arguments.lines },
        seed: arguments.seed,
        connections: arguments.connections,
    };
    let results = run::run(&plan, tell)?;
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let stem = arguments.reports.join(arguments.name.as_ref().unwrap_or(&day));
    let json = serde_json::to_string_pretty(&results).map_err(|e| e.to_string())?;
    let text = report::render(&day, &results);
    std::fs::create_dir_all(&arguments.reports)
        .map_err(|e| format!("{}: {e}", arguments.reports.display()))?;
    for (extension, content) in [("json", json + "\n"), ("md", text.clone())] {
        let file = stem.with_extension(extension);
        std::fs::write(&file, content).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    tell(&text);
    Ok(())
}

fn write_lines(workload: Workload, lines: usize, seed: u64) -> Result<(), String> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    workload
        .lines(lines, seed)
        .try_for_each(|line| writeln!(out, "{}", line.text))
        .and_then(|()| out.flush())
        .map_err(|e| e.to_string())
}

#[expect(clippy::print_stderr, reason = "progress of a command line tool")]
fn tell(text: &str) {
    eprintln!("{text}");
}
