//! Questions whose answers the generator knows, asked once to warm up and then timed.

use std::time::Instant;

use serde_json::Value;

use crate::server::{Server, agent};
use crate::workload::{SPAN_NS, START_NS, Workload};

/// How often each question is asked for its median.
const ROUNDS: usize = 5;

/// A question that counts lines, in LogQL, and the text whose lines it counts.
struct Question {
    name: &'static str,
    needle: String,
}

/// What a question cost.
pub(crate) struct Timed {
    pub(crate) name: &'static str,
    pub(crate) query: String,
    pub(crate) wall_ms: f64,
    pub(crate) cpu_ms: f64,
}

/// Asks everything; an answer that is not the generator's is an error.
pub(crate) fn ask(server: &Server, workload: Workload, lines: usize) -> Result<Vec<Timed>, String> {
    let questions = questions(workload, lines);
    let mut truth = vec![0_u64; questions.len()];
    for line in workload.lines(lines) {
        for (count, question) in truth.iter_mut().zip(&questions) {
            *count += u64::from(line.text.contains(&question.needle));
        }
    }
    questions.iter().zip(truth).map(|(question, truth)| time(server, question, truth)).collect()
}

fn questions(workload: Workload, lines: usize) -> Vec<Question> {
    let middle = workload.lines(lines).nth(lines / 2).map(|line| line.text).unwrap_or_default();
    let needle = match workload {
        Workload::Micro => {
            middle.split("trace_id").nth(1).unwrap_or_default()[..40].trim_matches(['"', ':', '='])
        }
        Workload::Nginx => middle.split(' ').next().unwrap_or_default(),
    };
    let word = |name, needle: &str| Question { name, needle: needle.to_owned() };
    vec![
        word(
            "needle",
            &needle.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect::<String>(),
        ),
        word("common word", "status"),
        word("absent substring", "q7x#never"),
        word("every line", ""),
    ]
}

fn time(server: &Server, question: &Question, truth: u64) -> Result<Timed, String> {
    let filter = match question.needle.as_str() {
        "" => String::new(),
        needle => format!(" |= `{needle}`"),
    };
    let query =
        format!("sum(count_over_time({{service_name=~\".+\"}}{filter}[{}s]))", SPAN_NS / 1_000_000_000 + 1);
    let mut walls = Vec::new();
    let mut cpu_ms = 0.0;
    for round in 0..=ROUNDS {
        let (cpu, started) = (server.cpu()?.0, Instant::now());
        let answer = instant(server, &query)?;
        if answer != truth {
            return Err(format!("{}: {query} answered {answer}, expected {truth}", question.name));
        }
        if round > 0 {
            walls.push(started.elapsed().as_secs_f64() * 1e3);
            cpu_ms += (server.cpu()?.0 - cpu) * 1e3 / ROUNDS as f64;
        }
    }
    walls.sort_by(f64::total_cmp);
    Ok(Timed { name: question.name, query, wall_ms: walls[ROUNDS / 2], cpu_ms })
}

/// The one number that an instant query answers; 0 for an empty vector.
pub(crate) fn instant(server: &Server, query: &str) -> Result<u64, String> {
    let mut response = agent()
        .get(format!("{}/loki/api/v1/query", server.url))
        .query("query", query)
        .query("time", (START_NS + SPAN_NS).to_string())
        .call()
        .map_err(|e| e.to_string())?;
    let text = response.body_mut().read_to_string().map_err(|e| e.to_string())?;
    let body: Value = serde_json::from_str(&text).map_err(|_| format!("{query}: answered {text}"))?;
    match body["data"]["result"].as_array().map(Vec::as_slice) {
        Some([]) => Ok(0),
        Some([sample]) => sample["value"][1]
            .as_str()
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| format!("{query}: answered {text}")),
        _ => Err(format!("{query}: answered {text}")),
    }
}
