//! A whole run: for each workload the yardstick, the intake, a restart, and the questions.

use std::path::{Path, PathBuf};

use crate::ask::{self, Timed};
use crate::generator::Workload;
use crate::ingest::{self, Ingested};
use crate::load::Load;
use crate::machine::Machine;
use crate::question::{questions, truths};
use crate::server::Server;
use crate::small_push::{self, SmallPush};
use crate::yardstick::{self, Yardstick};

/// What a run is made of.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) binary: PathBuf,
    pub(crate) workloads: Vec<Workload>,
    /// Lines of the workloads with short lines; see [`Workload::line_count`].
    pub(crate) lines: usize,
    pub(crate) seed: u64,
    /// Connections that push at the same time.
    pub(crate) connections: usize,
}

/// Everything measured of one workload.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Measured {
    pub(crate) workload: String,
    pub(crate) lines: usize,
    pub(crate) line_bytes: u64,
    pub(crate) streams: usize,
    pub(crate) yardstick: Yardstick,
    pub(crate) ingested: Ingested,
    /// From the start of the process on the data until it was ready.
    pub(crate) restart_seconds: f64,
    /// CPU seconds from the restart until the server has nothing left to do: compaction that the shutdown left.
    pub(crate) settling_cpu_seconds: f64,
    pub(crate) questions: Vec<Timed>,
    /// Resident memory after the questions, at its peak.
    pub(crate) question_bytes_peak: u64,
}

/// The figures of a run and what they were measured on.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) zstd: String,
    pub(crate) seed: u64,
    pub(crate) connections: usize,
    pub(crate) measured: Vec<Measured>,
    pub(crate) small_push: Option<SmallPush>,
    /// Load averages of one minute, at the start of the run and after each workload.
    pub(crate) load_averages: Vec<f64>,
}

/// Runs all workloads of a plan, one after the other.
pub(crate) fn run(plan: &Plan, tell: impl Fn(&str)) -> Result<Results, String> {
    let mut results = Results {
        machine: Machine::this(),
        zstd: yardstick::version()?,
        seed: plan.seed,
        connections: plan.connections,
        measured: Vec::new(),
        small_push: None,
        load_averages: vec![Machine::load_average()],
    };
    for workload in &plan.workloads {
        let lines = workload.line_count(plan.lines);
        tell(&format!("bench: {lines} lines of {workload}"));
        let measured = measure(plan, *workload, lines, &tell)?;
        results.measured.push(measured);
        results.load_averages.push(Machine::load_average());
    }
    results.small_push = Some(small_push::measure(&plan.binary, plan.seed)?);
    Ok(results)
}

fn measure(plan: &Plan, workload: Workload, lines: usize, tell: &impl Fn(&str)) -> Result<Measured, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let raw = folder.path().join("lines.raw");
    let load = Load::prepare(workload, lines, plan.seed, &raw)?;
    let yardstick = yardstick::measure(&raw)?;
    std::fs::remove_file(&raw).map_err(|e| e.to_string())?;

    let data = folder.path().join("data");
    std::fs::create_dir(&data).map_err(|e| e.to_string())?;
    let ingested = ingest::ingest(&plan.binary, &data, &load, plan.connections)?;
    tell(&format!(
        "bench: {workload}: {:.2} CPU-s, zstd {:.2}; {} bytes, zstd {}",
        ingested.cpu_seconds, yardstick.compress_cpu_seconds, ingested.disk_bytes, yardstick.bytes
    ));
    let (line_bytes, streams) = (load.line_bytes, load.streams);
    drop(load);

    let (restart_seconds, settling_cpu_seconds, questions, question_bytes_peak) =
        answer(plan, workload, lines, &data, tell)?;
    Ok(Measured {
        workload: workload.to_string(),
        lines,
        line_bytes,
        streams,
        yardstick,
        ingested,
        restart_seconds,
        settling_cpu_seconds,
        questions,
        question_bytes_peak,
    })
}

fn answer(
    plan: &Plan,
    workload: Workload,
    lines: usize,
    data: &Path,
    tell: &impl Fn(&str),
) -> Result<(f64, f64, Vec<Timed>, u64), String> {
    let questions = questions(workload);
    let truths = truths(workload, lines, plan.seed, &questions);
    let server = Server::start(&plan.binary, data)?;
    let settling_cpu_seconds = server.settle()?;
    let mut timed = Vec::with_capacity(questions.len());
    for (question, truth) in questions.iter().zip(&truths) {
        let cost = ask::ask(&server, question, truth)?;
        tell(&format!("bench: {workload}: {}: {:.1} CPU ms", cost.name, cost.cpu_ms));
        timed.push(cost);
    }
    let (restart_seconds, peak) = (server.start_seconds, server.resident_bytes_peak()?);
    server.stop()?;
    Ok((restart_seconds, settling_cpu_seconds, timed, peak))
}
