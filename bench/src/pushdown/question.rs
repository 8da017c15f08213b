//! Questions in both languages. The SQL is what somebody writes who knows the tables (`docs/format/clickhouse.md`) and what makes
//! them fast, equal entries counted once; it answers in ClickHouse's shortest JSON.

use serde_json::Value;
use ureq::Agent;

use super::DATABASE;
use crate::question::{END_S, SPAN_S, START_S};

/// What is asked in both languages.
pub(super) struct Question {
    pub(super) name: &'static str,
    pub(super) logql: String,
    form: Form,
    sql: String,
}

/// How it is put to the server, and what of an answer is compared.
#[derive(Clone, Copy)]
enum Form {
    /// The newest thousand lines: how many there are.
    Lines,
    /// Numbers by step: their sum.
    Range { step_s: i64 },
    /// Numbers at the end: their sum.
    Instant,
}

/// Lines of an answer.
const LIMIT: usize = 1_000;

fn question(
    name: &'static str,
    form: Form,
    logql: impl Into<String>,
    selected: &str,
    conditions: &str,
    rest: &str,
) -> Question {
    let sql = format!(
        "SELECT {selected} FROM {DATABASE}.logs FINAL WHERE tenant = 'default' AND time >= fromUnixTimestamp64Nano({}) AND \
         time < fromUnixTimestamp64Nano({}) AND {conditions} {rest} SETTINGS do_not_merge_across_partitions_select_final = 1 \
         FORMAT JSONCompact",
        START_S * 1_000_000_000,
        END_S * 1_000_000_000,
    );
    Question { name, logql: logql.into(), form, sql }
}

const LINE: &str = "toUnixTimestamp64Nano(time), labels, line, metadata";

fn newest() -> String {
    format!("ORDER BY time DESC LIMIT {LIMIT}")
}

/// Counts by time, in steps of so many seconds.
fn by_step(step_s: i64) -> String {
    format!("toStartOfInterval(time, INTERVAL {step_s} SECOND) AS step")
}

/// All of them.
pub(super) fn questions() -> Vec<Question> {
    let shop = "labels['namespace'] = 'shop'";
    let all = "labels['namespace'] != ''";
    let minute = by_step(60);
    let five = by_step(300);
    vec![
        question(
            "newest lines of a service",
            Form::Lines,
            "{service_name=\"storefront\"}",
            LINE,
            "service = 'storefront'",
            &newest(),
        ),
        question("newest lines by a label", Form::Lines, "{namespace=\"shop\"}", LINE, shop, &newest()),
        question(
            "lines that contain a text",
            Form::Lines,
            "{namespace=\"shop\"} |= `refused`",
            LINE,
            &format!("{shop} AND line LIKE '%refused%'"),
            &newest(),
        ),
        question(
            "count by minute",
            Form::Range { step_s: 60 },
            "sum(count_over_time({service_name=\"storefront\"}[1m]))",
            &format!("{minute}, count()"),
            "service = 'storefront'",
            "GROUP BY step ORDER BY step",
        ),
        question(
            "count of what contains a text, by minute",
            Form::Range { step_s: 60 },
            "sum(count_over_time({namespace=\"shop\"} |= `refused` [1m]))",
            &format!("{minute}, count()"),
            &format!("{shop} AND line LIKE '%refused%'"),
            "GROUP BY step ORDER BY step",
        ),
        question(
            "rate by service",
            Form::Range { step_s: 300 },
            "sum by (service_name) (rate({namespace=~\".+\"}[5m]))",
            &format!("service, {five}, count() / 300"),
            all,
            "GROUP BY service, step ORDER BY service, step",
        ),
        question(
            "top levels",
            Form::Instant,
            format!("topk(2, sum by (detected_level) (count_over_time({{namespace=~\".+\"}}[{SPAN_S}s])))"),
            "level, count() AS rows",
            all,
            "GROUP BY level ORDER BY rows DESC LIMIT 2",
        ),
        question(
            "lines with a field of JSON",
            Form::Lines,
            "{namespace=\"shop\"} | json | status=\"503\"",
            LINE,
            &format!("{shop} AND JSONExtractInt(line, 'status') = 503"),
            &newest(),
        ),
        question(
            "count by a field of JSON",
            Form::Range { step_s: 300 },
            "sum(count_over_time({namespace=\"shop\"} | json | status=\"503\" [5m]))",
            &format!("{five}, count()"),
            &format!("{shop} AND JSONExtractInt(line, 'status') = 503"),
            "GROUP BY step ORDER BY step",
        ),
    ]
}

impl Question {
    pub(super) fn ask_logql(&self, client: &Agent, server: &str) -> Result<Vec<u8>, String> {
        let ask = |path: &str| client.get(format!("{server}/loki/api/v1/{path}")).query("query", &self.logql);
        let request = match self.form {
            Form::Lines => ask("query_range")
                .query("start", nanos(START_S))
                .query("end", nanos(END_S))
                .query("limit", LIMIT.to_string()),
            Form::Range { step_s } => ask("query_range")
                .query("start", nanos(START_S + step_s))
                .query("end", nanos(END_S))
                .query("step", step_s.to_string()),
            Form::Instant => ask("query").query("time", nanos(END_S)),
        };
        read(request.call())
    }

    pub(super) fn ask_sql(&self, client: &Agent, clickhouse: &str) -> Result<Vec<u8>, String> {
        read(client.post(clickhouse).send(&self.sql))
    }

    /// What of an answer of the server is compared.
    pub(super) fn number_of_logql(&self, answer: &Value) -> f64 {
        let series = answer["data"]["result"].as_array().map(Vec::as_slice).unwrap_or_default();
        let number = |sample: &Value| -> f64 {
            sample[1].as_str().and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
        };
        let values = |series: &Value| series["values"].as_array().cloned().unwrap_or_default();
        match self.form {
            Form::Lines => series.iter().map(|stream| values(stream).len() as f64).sum(),
            Form::Range { .. } => series.iter().flat_map(values).map(|sample| number(&sample)).sum(),
            Form::Instant => series.iter().map(|series| number(&series["value"])).sum(),
        }
    }

    /// The same of ClickHouse's.
    pub(super) fn number_of_sql(&self, answer: &Value) -> f64 {
        let rows = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        // Large numbers are texts.
        let number = |value: &Value| -> f64 {
            value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(f64::NAN)
        };
        match self.form {
            Form::Lines => rows.len() as f64,
            _ => rows.iter().filter_map(|row| row.as_array()?.last()).map(number).sum(),
        }
    }
}

fn nanos(seconds: i64) -> String {
    (seconds * 1_000_000_000).to_string()
}

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Vec<u8>, String> {
    let mut answer = answer.map_err(|e| e.to_string())?;
    let status = answer.status();
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec().map_err(|e| e.to_string())?;
    if status.is_success() {
        Ok(body)
    } else {
        Err(format!("answered {status}: {}", String::from_utf8_lossy(&body[..body.len().min(500)])))
    }
}
