//! Runs sequences: first everything that is pushed, then the questions about it, then the tails.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use timberyard_testkit::http::percent_encode;
use timberyard_testkit::websocket::WebSocket;

use crate::Verdict;
use crate::client::Client;
use crate::compare;
use crate::folder::{Case, Sequence, array, text_of};
use crate::placeholders::{filled, offset_ns};
use crate::push::{flush, push_step};

/// How long a tail may take to show its lines, and a question to come to its answer.
const PATIENCE: Duration = Duration::from_secs(8);

/// The outcome of every step.
pub(crate) fn run(client: &Client, sequences: &[&Sequence], base_ns: i64) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for kind in ["push", "query", "tail"] {
        if kind == "query" {
            flush(client);
        }
        for sequence in sequences {
            for step in sequence.steps.iter().filter(|step| step.get(kind).is_some()) {
                let differences = match kind {
                    "push" => push(client, step, base_ns),
                    "query" => query(client, step, base_ns),
                    _ => tail(client, step, base_ns),
                };
                verdicts.push(Verdict {
                    group: sequence.group.clone(),
                    id: text_of(step, "id"),
                    request: step[kind].to_string().chars().take(400).collect(),
                    differences: differences.unwrap_or_else(|reason| vec![reason]),
                });
            }
        }
    }
    verdicts
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn push(client: &Client, step: &Value, base_ns: i64) -> Result<Vec<String>, String> {
    let answer = push_step(client, &filled(&step["push"], base_ns, now_ns())?)?;
    let expected = &step["expected"];
    let (wanted, got) = (expected["status"].as_u64().unwrap_or(0), u64::from(answer.status));
    if compare::statuses_agree(wanted, got) {
        return Ok(Vec::new());
    }
    let text = answer.text();
    if wanted != got {
        return Ok(vec![format!("status {got} instead of {wanted}: {}", text.trim())]);
    }
    let said = text_of(expected, "message").to_lowercase();
    let words = array(&step["contains"]).iter().filter_map(Value::as_str);
    let lacking = words.filter(|words| {
        said.contains(&words.to_lowercase()) && !text.to_lowercase().contains(&words.to_lowercase())
    });
    Ok(lacking.map(|words| format!("the error does not say `{words}`: {}", text.trim())).collect())
}

fn query(client: &Client, step: &Value, base_ns: i64) -> Result<Vec<String>, String> {
    let question = &step["query"];
    let mut parameters = vec![("query".to_owned(), text_of(question, "q"))];
    for name in ["start", "end", "time"] {
        if let Some(offset) = question[name].as_str() {
            let offset = offset_ns(offset).ok_or_else(|| format!("no offset: {offset}"))?;
            parameters.push((name.to_owned(), (base_ns + offset).to_string()));
        }
    }
    let limit = question["limit"].as_u64().unwrap_or(100);
    parameters.push(("limit".to_owned(), limit.to_string()));
    for name in ["direction", "step"] {
        if let Some(value) = question[name].as_str() {
            parameters.push((name.to_owned(), value.to_owned()));
        }
    }
    let path = if question["kind"] == "instant" { "/loki/api/v1/query" } else { "/loki/api/v1/query_range" };
    let case = Case {
        id: String::new(),
        group: String::new(),
        mode: "query".to_owned(),
        method: "GET".to_owned(),
        path: path.to_owned(),
        parameters,
        is_form: false,
        headers: Vec::new(),
        options: json!({}),
        expected: step["expected"].clone(),
    };
    // Some servers show lines a little later than they take them.
    let started = Instant::now();
    loop {
        let differences = compare::differences(&case, &client.ask(&case)?);
        if differences.is_empty() || started.elapsed() > PATIENCE {
            return Ok(differences);
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn tail(client: &Client, step: &Value, base_ns: i64) -> Result<Vec<String>, String> {
    let question = &filled(&step["tail"], base_ns, now_ns())?;
    let pushes_first = question["before"] == true;
    if pushes_first {
        push_step(client, &question["push"])?;
    }
    let mut path = "/loki/api/v1/tail?".to_owned();
    if let Some(query) = question["q"].as_str() {
        path += &format!("query={}", percent_encode(query));
    }
    for (name, value) in question["params"].as_object().into_iter().flatten() {
        path += &format!("&{name}={}", percent_encode(value.as_str().unwrap_or_default()));
    }
    let wanted = step["expected"]["status"].as_u64().unwrap_or(0);
    let mut socket = match WebSocket::connect(client.address(), &path, &[]) {
        Ok(socket) if wanted == 101 => socket,
        Ok(_) => return Ok(vec![format!("the tail is accepted, status {wanted} was expected")]),
        Err(status) if u64::from(status) == wanted => return Ok(Vec::new()),
        Err(status) => return Ok(vec![format!("status {status} instead of {wanted}")]),
    };
    if !pushes_first && question.get("push").is_some() {
        // Times near now are filled in now, not before the connection.
        std::thread::sleep(Duration::from_millis(300));
        push_step(client, &filled(&step["tail"]["push"], base_ns, now_ns())?)?;
    }
    let expected = array(&step["expected"]["lines"]);
    let mut lines: Vec<Value> = Vec::new();
    let started = Instant::now();
    while lines.len() < expected.len() && started.elapsed() < PATIENCE {
        let Some(frame) = socket.next(PATIENCE) else { break };
        let streams = array(&frame["streams"]).iter();
        lines.extend(streams.flat_map(|stream| array(&stream["values"])).map(|value| value[1].clone()));
    }
    lines.sort_by_key(Value::to_string);
    Ok(match lines == expected {
        true => Vec::new(),
        false => vec![format!("lines {lines:?} instead of {expected:?}")],
    })
}
