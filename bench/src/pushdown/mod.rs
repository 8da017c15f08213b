//! What LogQL over ClickHouse costs whoever asks: the time of whole requests, against SQL by hand for the same answer.
//!
//! Lines are pushed into a server whose only store is ClickHouse. Then each question is asked in turn: in LogQL of the server, and
//! in SQL of ClickHouse itself, over HTTP both, from one client with a connection that is kept. What both answer is compared, each
//! time, by a number that is read from either answer.

mod question;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use ureq::Agent;

use self::question::{Question, questions};
use crate::format::LOKI_PUSH;
use crate::generator::{Line, Workload};
use crate::ingest::push_all;
use crate::server::{Server, agent};
use crate::warehouse::Warehouse;

/// The database.
const DATABASE: &str = "pushed";
/// Connections that push at the same time.
const CONNECTIONS: usize = 4;

/// How long one question takes.
struct Timed {
    name: &'static str,
    query: String,
    logql_ms: f64,
    sql_ms: f64,
}

/// A Markdown table of all questions.
pub(crate) fn measure(binary: &Path, count: usize, rounds: usize) -> Result<String, String> {
    let streams = Workload::Micro.streams();
    let lines: Vec<Line> = Workload::Micro.lines(count, 1).collect();
    let line_bytes = lines.iter().map(|line| line.text.len()).sum();
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let warehouse = Warehouse::start(binary, folder.path());
    warehouse.make_tables(DATABASE)?;
    let file = folder.path().join("server.yaml");
    let url = warehouse.url();
    let text = format!(
        "store: {{embedded: false}}\nquery: {{source: warehouse}}\nsinks:\n  \
         warehouse: {{required: true, clickhouse: {{url: '{url}', database: {DATABASE}}}}}\n"
    );
    std::fs::write(&file, text).map_err(|e| e.to_string())?;
    let file = file.display().to_string();
    let server = Server::start_with_arguments(binary, &folder.path().join("data"), &["--config", &file])?;
    push_all(&server, LOKI_PUSH, &crate::pipeline::bodies(&streams, &lines)?, CONNECTIONS)?;
    warehouse.check(DATABASE, count, line_bytes)?;
    drop(lines);
    warehouse.merge_parts(DATABASE);

    let client = agent();
    let mut timed = Vec::new();
    for question in questions() {
        timed.push(ask(&client, &server, &url, question, rounds)?);
    }
    server.stop()?;
    Ok(table(&timed, count, line_bytes, rounds))
}

fn table(timed: &[Timed], lines: usize, line_bytes: usize, rounds: usize) -> String {
    let mut text = format!(
        "{lines} lines of `micro`, {:.1} MB; median of {rounds} requests.\n\n\
         | question | LogQL | LogQL, ms | SQL, ms | LogQL ÷ SQL |\n| --- | --- | ---: | ---: | ---: |\n",
        line_bytes as f64 / 1e6
    );
    for Timed { name, query, logql_ms, sql_ms } in timed {
        let query = query.replace('|', "\\|");
        // Writing to memory does not fail.
        let _ =
            writeln!(text, "| {name} | `{query}` | {logql_ms:.1} | {sql_ms:.1} | {:.2} |", logql_ms / sql_ms);
    }
    text
}

/// Asks both in turn; a first time of each is not counted.
fn ask(
    client: &Agent,
    server: &Server,
    clickhouse: &str,
    question: Question,
    rounds: usize,
) -> Result<Timed, String> {
    let (mut logql, mut sql) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (answer, logql_ms) = timed(|| question.ask_logql(client, &server.url))?;
        let (by_hand, sql_ms) = timed(|| question.ask_sql(client, clickhouse))?;
        let (ours, theirs) = (question.number_of_logql(&answer), question.number_of_sql(&by_hand));
        if (ours - theirs).abs() > theirs.abs() * 1e-9 {
            return Err(format!("{}: LogQL answers {ours}, SQL {theirs}", question.name));
        }
        if round > 0 {
            logql.push(logql_ms);
            sql.push(sql_ms);
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    Ok(Timed { name: question.name, query: question.logql, logql_ms: median(logql), sql_ms: median(sql) })
}

/// What a request answers, and how many milliseconds it took until all of it was there.
fn timed(request: impl FnOnce() -> Result<Vec<u8>, String>) -> Result<(Value, f64), String> {
    let begun = Instant::now();
    let body = request()?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    let answer = serde_json::from_slice(&body)
        .map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&body[..body.len().min(300)])))?;
    Ok((answer, took))
}
