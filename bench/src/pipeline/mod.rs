//! What being us costs between other engines: API → Kafka → worker → ClickHouse, against the simplest loops that bring the same
//! lines through the same broker into the same table, in the same run.
//!
//! | file | what it knows |
//! | --- | --- |
//! | `engines` | the real Apache Kafka and the real engine of ClickHouse |
//! | `ours` | a server with the role `ingest` and one with the role `worker` |
//! | `line_file` | lines on their way to a process of a loop |
//! | `loops` | the loops: what a message is, what an insert is; each a process of its own |
//! | `table_row` | a line as a row of the table, in JSON and in `RowBinary` |
//!
//! CPU is user plus system time of whole processes: of ours from when they are ready to their end in order, of the loops from
//! start to end. The engines' own CPU is given beside it, since a form of rows that is cheap to write may be dear to read.

mod engines;
mod line_file;
mod loops;
mod ours;
mod table_row;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

pub(crate) use self::loops::{LoopArguments, run as run_loop};
pub(crate) use self::ours::bodies;

use self::engines::Engines;
use self::loops::Loops;
use crate::generator::{Line, Workload};

/// What bringing all lines through cost.
pub(crate) struct Cost {
    /// Of the process that hands lines to Kafka.
    sending_cpu_seconds: f64,
    /// Of the process that brings them from Kafka into ClickHouse.
    writing_cpu_seconds: f64,
}

/// A way through Kafka into the table.
struct Measured {
    name: &'static str,
    cost: Cost,
    seconds: f64,
    clickhouse_cpu_seconds: f64,
}

/// A Markdown table of all ways.
pub(crate) fn measure(binary: &Path, count: usize) -> Result<String, String> {
    let streams = Workload::Micro.streams();
    let lines: Vec<Line> = Workload::Micro.lines(count, 1).collect();
    let line_bytes: usize = lines.iter().map(|line| line.text.len()).sum();
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let file = folder.path().join("lines");
    line_file::write(&file, &streams, &lines)?;
    let engines = Engines::start(binary, folder.path())?;

    let mut ways = Vec::new();
    let mut way = |name: &'static str, database: &str, run: &dyn Fn(&str) -> Result<Cost, String>| {
        engines.warehouse.make_tables(database)?;
        engines.make_topic(database)?;
        let (begun, engine_before) = (Instant::now(), engines.warehouse.cpu_seconds()?);
        let cost = run(database)?;
        let seconds = begun.elapsed().as_secs_f64();
        engines.warehouse.check(database, count, line_bytes)?;
        let clickhouse_cpu_seconds = engines.warehouse.cpu_seconds()? - engine_before;
        ways.push(Measured { name, cost, seconds, clickhouse_cpu_seconds });
        Ok::<(), String>(())
    };
    let bodies = ours::bodies(&streams, &lines)?;
    way("Timberyard: `ingest` and `worker`", "ours", &|database| {
        ours::run(binary, folder.path(), &engines, database, &bodies, count)
    })?;
    for loops in Loops::ALL {
        way(loops.title(), loops.database(), &|database| {
            loops::measure(loops, &file, &engines, database, count)
        })?;
    }
    Ok(table(&ways, count, line_bytes))
}

fn table(ways: &[Measured], lines: usize, line_bytes: usize) -> String {
    let gigabytes = line_bytes as f64 / 1e9;
    let total = |way: &Measured| way.cost.sending_cpu_seconds + way.cost.writing_cpu_seconds;
    let ours = ways.first().map_or(f64::NAN, total);
    let mut text = format!(
        "{lines} lines of `micro`, {:.1} MB; CPU seconds a raw GB.\n\n\
         | way | into Kafka | into ClickHouse | both | ours ÷ this | lines/s | ClickHouse itself |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        line_bytes as f64 / 1e6
    );
    for way in ways {
        // Writing to memory does not fail.
        let _ = writeln!(
            text,
            "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} | {:.2} |",
            way.name,
            way.cost.sending_cpu_seconds / gigabytes,
            way.cost.writing_cpu_seconds / gigabytes,
            total(way) / gigabytes,
            ours / total(way),
            lines as f64 / way.seconds,
            way.clickhouse_cpu_seconds / gigabytes,
        );
    }
    text
}
