//! What a log user asks of two million lines of microservices, and patterns, which are asked over any range.

use regex::Regex;
use serde_json::Value;

use super::{END_S, Fold, Form, Question, Row, SPAN_S};
use crate::generator::{APP_NEEDLE, APP_OF_NEEDLE, NEEDLE, RARE_WORD};

const ALL: &str = "{app=~\".+\"}";
/// The application with most lines, whatever the seed.
const TOP_APP: &str = "storefront";

pub(super) fn questions() -> Vec<Question> {
    let mut questions = finding();
    questions.extend(counting());
    questions.extend(fields());
    questions
}

/// Questions whose answer is lines or values.
fn finding() -> Vec<Question> {
    let any_case = regex("(?i)outofmemory");
    vec![
        Question::lines("needle", 1000, format!("{ALL} |= `{NEEDLE}`"), |row| row.text.contains(NEEDLE)),
        Question::lines(
            "needle in one app",
            1000,
            format!("{{app=\"{APP_OF_NEEDLE}\"}} |= `{APP_NEEDLE}`"),
            |row| row.label("app") == APP_OF_NEEDLE && row.text.contains(APP_NEEDLE),
        ),
        Question::lines("rare word", 5000, format!("{ALL} |= `{RARE_WORD}`"), |row| {
            row.text.contains(RARE_WORD)
        }),
        Question::lines("case-insensitive regex", 5000, format!("{ALL} |~ `(?i)outofmemory`"), move |row| {
            any_case.is_match(row.text)
        }),
        Question::lines("last 1000", 1000, format!("{{app=\"{TOP_APP}\"}}"), |row| {
            row.label("app") == TOP_APP
        }),
        Question::new("label values", Form::LabelValues { label: "pod" }, "", |row| {
            Some((row.label("pod").to_owned(), 1.0))
        }),
        Question::new("patterns", Form::Patterns, ALL, |_| Some((String::new(), 1.0))),
        Question::new(
            "patterns of errors",
            Form::Patterns,
            "{namespace=\"payments\"} |= `level=error` != `.java:`",
            |row| {
                let error = row.label("namespace") == "payments"
                    && row.text.contains("level=error")
                    && !row.text.contains(".java:");
                error.then(|| (String::new(), 1.0))
            },
        ),
    ]
}

/// Questions whose answer counts lines that a filter passes.
fn counting() -> Vec<Question> {
    let server_error = regex("status[=:\"]+50[234]");
    let mut errors = Question::new(
        "top errors",
        Form::Instant,
        format!(
            "topk(10, sum by (app) (count_over_time({ALL} |~ `level=error|\"level\":\"error\"` [{SPAN_S}s])))"
        ),
        |row| {
            let error = row.text.contains("level=error") || row.text.contains("\"level\":\"error\"");
            error.then(|| (row.label("app").to_owned(), 1.0))
        },
    );
    errors.top = Some(10);
    let mut narrow = Question::new(
        "narrow range",
        Form::Range { step_s: 60 },
        format!("sum by (pod) (count_over_time({{app=\"{TOP_APP}\"}} |= `error` [60s]))"),
        |row| {
            let found = row.label("app") == TOP_APP && row.text.contains("error");
            found.then(|| (row.label("pod").to_owned(), 1.0))
        },
    );
    narrow.start_s = END_S - 900;
    vec![
        Question::count("common substring", format!("{ALL} |= `conn`"), |row| row.text.contains("conn")),
        Question::count("regex", format!("{ALL} |~ `status[=:\"]+50[234]`"), move |row| {
            server_error.is_match(row.text)
        }),
        Question::new(
            "rate by app per minute",
            Form::Range { step_s: 60 },
            format!("sum by (app) (count_over_time({ALL}[60s]))"),
            |row| Some((row.label("app").to_owned(), 1.0)),
        ),
        errors,
        Question::count("negative filter", "{namespace=\"payments\"} != `level=info` != `cache`", |row| {
            row.label("namespace") == "payments"
                && !row.text.contains("level=info")
                && !row.text.contains("cache")
        }),
        Question::count("two substrings", format!("{ALL} |= `POST` |= `refused`"), |row| {
            row.text.contains("POST") && row.text.contains("refused")
        }),
        narrow,
    ]
}

/// Questions that read a field of the line.
fn fields() -> Vec<Question> {
    let shop = |row: &Row<'_>| -> Option<Value> {
        (row.label("namespace") == "shop").then(|| serde_json::from_str(row.text).ok()).flatten()
    };
    let mut quantile = Question::new(
        "p95 of unwrap",
        Form::Range { step_s: 300 },
        "quantile_over_time(0.95, {namespace=\"shop\"} | json | unwrap duration_ms [300s]) by (app)",
        move |row| Some((row.label("app").to_owned(), shop(row)?["duration_ms"].as_f64()?)),
    );
    quantile.fold = Fold::Quantile(0.95);
    vec![
        Question::new(
            "json status histogram",
            Form::Range { step_s: 300 },
            "sum by (status) (count_over_time({namespace=\"shop\"} | json [300s]))",
            move |row| Some((shop(row)?["status"].to_string(), 1.0)),
        ),
        quantile,
        Question::count(
            "logfmt numeric filter",
            "{namespace=\"payments\"} | logfmt | duration > 500ms",
            |row| {
                row.label("namespace") == "payments"
                    && logfmt_duration_ms(row.text).is_some_and(|ms| ms > 500.0)
            },
        ),
    ]
}

/// The value of `duration=…ms`; no message of the generator has such a text.
fn logfmt_duration_ms(text: &str) -> Option<f64> {
    let (_, after) = text.split_once(" duration=")?;
    after.split_once("ms")?.0.parse().ok()
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the patterns of this file are valid")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::Workload;

    #[test]
    fn the_application_that_is_asked_about_writes_most_lines() {
        let streams = Workload::Micro.streams();
        let mut lines = std::collections::HashMap::new();
        for line in Workload::Micro.lines(20_000, 1) {
            *lines.entry(streams[line.stream][0].1.as_str()).or_insert(0) += 1;
        }
        let most = lines.iter().max_by_key(|(_, lines)| **lines).map(|(app, _)| *app);
        assert_eq!(most, Some(TOP_APP));
    }
}
