//! Questions put to a running server: an answer that is not the truth is an error, and only true ones are timed.

use std::time::Instant;

use ureq::Agent;

use crate::question::{Answer, END_S, Form, Question};
use crate::server::{Server, agent};

/// Warm runs of a question, at least; of one that is very dear fewer.
const ROUNDS_MIN: usize = 5;
/// Quick questions are asked more often, up to this.
const ROUNDS_MAX: usize = 40;
/// CPU seconds of all runs of a question after which there are enough of them, if they are as many as the least.
const CPU_SECONDS_ENOUGH: f64 = 0.5;
/// CPU seconds of all runs after which there are enough in any case.
const CPU_SECONDS_MAX: f64 = 10.0;

/// What a question cost, warm.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Timed {
    pub(crate) name: &'static str,
    pub(crate) query: String,
    /// Lines, values or samples in the answer.
    pub(crate) answer_size: usize,
    pub(crate) rounds: usize,
    /// Of the whole server process, median of the rounds.
    pub(crate) cpu_ms: f64,
    pub(crate) cpu_ms_min: f64,
    pub(crate) wall_ms: f64,
}

/// Asks until it is known what the question costs. Every answer is compared with the truth, after its time was taken.
pub(crate) fn ask(server: &Server, question: &Question, truth: &Answer) -> Result<Timed, String> {
    let agent = agent();
    let told = |e: String| format!("{}: {}: {e}", question.name, question.query);
    let check = |body: &[u8]| -> Result<usize, String> {
        let answer = Answer::read(question, body)?;
        answer.difference(truth).map_or_else(|| Ok(answer.size()), Err)
    };
    let answer_size = fetch(&agent, &server.url, question).and_then(|body| check(&body)).map_err(told)?;
    let (mut cpu, mut wall) = (Vec::new(), Vec::new());
    while is_more_wanted(&cpu) {
        let (cpu_before, started) = (server.cpu_seconds()?, Instant::now());
        let body = fetch(&agent, &server.url, question).map_err(told)?;
        wall.push(started.elapsed().as_secs_f64());
        cpu.push(server.cpu_seconds()? - cpu_before);
        check(&body).map_err(told)?;
    }
    cpu.sort_by(f64::total_cmp);
    wall.sort_by(f64::total_cmp);
    Ok(Timed {
        name: question.name,
        query: question.query.clone(),
        answer_size,
        rounds: cpu.len(),
        cpu_ms: cpu[cpu.len() / 2] * 1e3,
        cpu_ms_min: cpu[0] * 1e3,
        wall_ms: wall[wall.len() / 2] * 1e3,
    })
}

fn is_more_wanted(cpu_seconds: &[f64]) -> bool {
    let sum: f64 = cpu_seconds.iter().sum();
    match cpu_seconds.len() {
        0 => true,
        rounds if rounds < ROUNDS_MIN => sum < CPU_SECONDS_MAX,
        rounds => rounds < ROUNDS_MAX && sum < CPU_SECONDS_ENOUGH,
    }
}

fn fetch(agent: &Agent, url: &str, question: &Question) -> Result<Vec<u8>, String> {
    let seconds = |s: i64| (s * 1_000_000_000).to_string();
    let ask = |path: &str| agent.get(format!("{url}/loki/api/v1/{path}")).query("query", &question.query);
    let (start, end) = (seconds(question.start_s), seconds(END_S));
    let request = match question.form {
        Form::Lines { limit } => ask("query_range")
            .query("start", start)
            .query("end", end)
            .query("limit", limit.to_string())
            .query("direction", "backward"),
        Form::Instant => ask("query").query("time", end),
        Form::Range { step_s } => ask("query_range")
            .query("start", seconds(question.start_s + step_s))
            .query("end", end)
            .query("step", step_s.to_string()),
        Form::LabelValues { label } => agent
            .get(format!("{url}/loki/api/v1/label/{label}/values"))
            .query("start", start)
            .query("end", end),
        // Patterns count by the beginning of a step: the whole span, and one second more for the last lines.
        Form::Patterns => {
            ask("patterns").query("start", start).query("end", seconds(END_S + 1)).query("step", "60")
        }
    };
    let mut response = request.call().map_err(|e| e.to_string())?;
    let status = response.status();
    let body = response.body_mut().with_config().limit(1 << 30).read_to_vec().map_err(|e| e.to_string())?;
    if status.is_success() {
        Ok(body)
    } else {
        Err(format!("answered {status}: {}", String::from_utf8_lossy(&body[..body.len().min(300)])))
    }
}
