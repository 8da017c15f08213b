//! The report: each figure of the store's table with its bar and its aim, what the intake cost, and what each
//! question cost. Ratios are against the yardstick of the same run.

use std::fmt::Write as _;

use crate::question::store::{
    ABSENT_SUBSTRING, ABSENT_WORD_NAME, COUNT_BY_STREAM, EVERY_LINE, FIELD_BY_FIELD, TRACE_ID,
};
use crate::run::{Measured, Results};

/// How a figure is got from what was measured; nothing where the workload has no such question.
type Figure = fn(&Measured) -> Option<f64>;

/// A line of the store's table.
struct Goal {
    name: &'static str,
    workloads: &'static [&'static str],
    figure: Figure,
    bar: f64,
    aim: f64,
}

const ALL: [&str; 6] = ["micro", "loghub", "nginx", "wide-json", "stack-trace", "adversarial"];
const REAL: [&str; 5] = ["micro", "loghub", "nginx", "wide-json", "stack-trace"];

const GOALS: [Goal; 16] = [
    goal("CPU of taking in ÷ zstd -1", &REAL, ingest_cpu, 3.0, 2.0),
    goal("CPU of taking in ÷ zstd -1", &["adversarial"], ingest_cpu, 5.0, 3.0),
    goal("bytes on disk ÷ zstd -1", &["micro"], disk, 0.85, 0.75),
    goal("bytes on disk ÷ zstd -1", &["loghub"], disk, 0.75, 0.65),
    goal("bytes on disk ÷ zstd -1", &["nginx"], disk, 0.65, 0.55),
    goal("bytes on disk ÷ zstd -1", &["adversarial"], disk, 1.2, 1.05),
    goal("peak memory, MB", &["micro"], memory, 200.0, 100.0),
    goal("peak memory, MB", &["nginx"], memory, 90.0, 60.0),
    goal("absent substring, CPU ÷ zstd -d", &ALL, |m| question(m, ABSENT_SUBSTRING), 0.5, 0.2),
    goal("absent word, CPU ÷ zstd -d", &ALL, |m| question(m, ABSENT_WORD_NAME), 0.1, 0.03),
    goal("full trace id in 7 lines, CPU ÷ zstd -d", &ALL, |m| question(m, TRACE_ID), 0.02, 0.01),
    goal("count by stream per minute, CPU ÷ zstd -d", &ALL, |m| question(m, COUNT_BY_STREAM), 0.02, 0.01),
    goal(
        "JSON field filter, count by another, CPU ÷ zstd -d",
        &ALL,
        |m| question(m, FIELD_BY_FIELD),
        0.5,
        0.2,
    ),
    goal("decode every line, CPU ÷ zstd -d", &ALL, |m| question(m, EVERY_LINE), 3.0, 2.0),
    goal("bytes on disk ÷ zstd -1", &["wide-json"], disk, f64::NAN, f64::NAN),
    goal("bytes on disk ÷ zstd -1", &["stack-trace"], disk, f64::NAN, f64::NAN),
];

const fn goal(
    name: &'static str,
    workloads: &'static [&'static str],
    figure: Figure,
    bar: f64,
    aim: f64,
) -> Goal {
    Goal { name, workloads, figure, bar, aim }
}

/// Markdown of a run.
pub(crate) fn render(day: &str, results: &Results) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_head(&mut text, day, results)
        .and_then(|()| write_goals(&mut text, results))
        .and_then(|()| write_intake(&mut text, results))
        .and_then(|()| write_questions(&mut text, results));
    text
}

fn write_head(text: &mut String, day: &str, results: &Results) -> std::fmt::Result {
    let machine = &results.machine;
    let loads: Vec<String> = results.load_averages.iter().map(|load| format!("{load:.1}")).collect();
    writeln!(
        text,
        "# Benchmark of {day}\n\n\
         Made by `make bench`. {} cores of {}, {:.0} GiB; {} connections push at the same time; seed {}. \
         The yardstick is `zstd -1 -T1` {} over the raw lines in arrival order as one stream, and `zstd -d`. \
         CPU is user plus system time of the whole server process: for taking in, from the first byte to the end of \
         the shutdown; for questions, the median of warm runs once compaction is done, each answer checked against a plain scan of the \
         generated lines. Disk is every file after the shutdown; memory is peak VmHWM. MB and GB are powers of ten. \
         Load average at the start and after each workload: {}; above the number of cores, CPU seconds grow and wall \
         times say nothing.",
        machine.cores,
        machine.processor,
        machine.memory_bytes as f64 / f64::from(1 << 30),
        results.connections,
        results.seed,
        results.zstd,
        loads.join(", "),
    )
}

fn write_goals(text: &mut String, results: &Results) -> std::fmt::Result {
    text.push_str(
        "\n## Figures against the yardstick\n\n| figure | workload | bar | aim | reached | |\n| --- | --- | ---: | ---: | ---: | --- |\n",
    );
    for goal in &GOALS {
        for measured in results.measured.iter().filter(|m| goal.workloads.contains(&m.workload.as_str())) {
            let Some(reached) = (goal.figure)(measured) else { continue };
            let bound = |bound: f64| if bound.is_nan() { "–".to_owned() } else { short(bound) };
            writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} |",
                goal.name,
                measured.workload,
                bound(goal.bar),
                bound(goal.aim),
                short(reached),
                verdict(reached, goal.bar, goal.aim)
            )?;
        }
    }
    if let Some(small) = results.small_push {
        let ratio = small.push_us / small.sync_us;
        writeln!(
            text,
            "| one small push at a time ({} bytes) ÷ one fdatasync of as much, wall: {:.0} ÷ {:.0} µs; an answer without a sync takes {:.0} | – | 1.50 | 1.10 | {} | {} |",
            small.bytes,
            small.push_us,
            small.sync_us,
            small.way_us,
            short(ratio),
            verdict(ratio, 1.5, 1.1)
        )?;
    }
    Ok(())
}

fn write_intake(text: &mut String, results: &Results) -> std::fmt::Result {
    text.push_str(
        "\n## Taking in\n\n\
         | workload | lines | raw MB | streams | lines/s | CPU-s/GB | until the last answer | zstd -1 CPU-s/GB | disk ÷ raw \
         | zstd -1 ÷ raw | peak MB | anonymous MB | files | restart ms | compaction after the restart, CPU-s/GB |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for m in &results.measured {
        let raw = m.yardstick.raw_bytes as f64;
        let per_gigabyte = |seconds: f64| seconds / (raw / 1e9);
        writeln!(
            text,
            "| {} | {} | {:.0} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.4} | {:.4} | {:.0} | {:.0} | {} | {:.0} | {:.2} |",
            m.workload,
            m.lines,
            raw / 1e6,
            m.streams,
            m.ingested.lines_per_second,
            per_gigabyte(m.ingested.cpu_seconds),
            per_gigabyte(m.ingested.cpu_seconds_acknowledged),
            per_gigabyte(m.yardstick.compress_cpu_seconds),
            m.ingested.disk_bytes as f64 / raw,
            m.yardstick.bytes as f64 / raw,
            m.ingested.resident_bytes_peak as f64 / 1e6,
            m.ingested.anonymous_bytes_peak as f64 / 1e6,
            m.ingested.files,
            m.restart_seconds * 1e3,
            per_gigabyte(m.settling_cpu_seconds),
        )?;
    }
    Ok(())
}

fn write_questions(text: &mut String, results: &Results) -> std::fmt::Result {
    for m in &results.measured {
        writeln!(
            text,
            "\n## Questions over {} ({} lines; zstd -d takes {:.0} CPU ms)\n\n\
             | question | CPU ms | least | ÷ zstd -d | wall ms | answer | LogQL |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | --- |",
            m.workload,
            m.lines,
            m.yardstick.decompress_cpu_seconds * 1e3
        )?;
        for q in &m.questions {
            writeln!(
                text,
                "| {} | {:.1} | {:.1} | {:.3} | {:.1} | {} | `{}` |",
                q.name,
                q.cpu_ms,
                q.cpu_ms_min,
                q.cpu_ms / 1e3 / m.yardstick.decompress_cpu_seconds,
                q.wall_ms,
                q.answer_size,
                q.query.replace('`', "'").replace('|', "\\|")
            )?;
        }
        writeln!(text, "\nPeak memory over all questions: {:.0} MB.", m.question_bytes_peak as f64 / 1e6)?;
    }
    Ok(())
}

fn ingest_cpu(m: &Measured) -> Option<f64> {
    Some(m.ingested.cpu_seconds / m.yardstick.compress_cpu_seconds)
}

fn disk(m: &Measured) -> Option<f64> {
    Some(m.ingested.disk_bytes as f64 / m.yardstick.bytes as f64)
}

fn memory(m: &Measured) -> Option<f64> {
    Some(m.ingested.resident_bytes_peak as f64 / 1e6)
}

fn question(m: &Measured, name: &str) -> Option<f64> {
    let timed = m.questions.iter().find(|timed| timed.name == name)?;
    Some(timed.cpu_ms / 1e3 / m.yardstick.decompress_cpu_seconds)
}

/// What was reached: the aim, the bar, or neither; nothing where no bar is set.
fn verdict(reached: f64, bar: f64, aim: f64) -> &'static str {
    match reached {
        _ if bar.is_nan() => "",
        _ if reached <= aim => "aim",
        _ if reached <= bar => "bar",
        _ => "**missed**",
    }
}

/// Three significant digits.
fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        0.1.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
