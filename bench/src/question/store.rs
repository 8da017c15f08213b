//! The questions of the store's figures, asked of every workload: what is not there, what is rare, what is counted
//! without looking at lines, what needs one field, and what needs every line.

use serde_json::Value;

use super::{Form, Question, SPAN_S};
use crate::generator::{ABSENT_WORD, NEEDLE, Workload};

/// The names that the report looks for.
pub(crate) const ABSENT_SUBSTRING: &str = "absent substring";
pub(crate) const ABSENT_WORD_NAME: &str = "absent word";
pub(crate) const TRACE_ID: &str = "full trace id";
pub(crate) const COUNT_BY_STREAM: &str = "count by stream per minute";
pub(crate) const FIELD_BY_FIELD: &str = "JSON field filter, count by another";
pub(crate) const EVERY_LINE: &str = "decode every line";

pub(super) fn questions(workload: Workload) -> Vec<Question> {
    let all = everything(workload);
    let absent = absent_substring(workload);
    let stream_names: Vec<&str> = workload
        .streams()
        .first()
        .map(|labels| labels.iter().map(|(name, _)| *name).collect())
        .unwrap_or_default();
    let mut questions = vec![
        Question::count(ABSENT_SUBSTRING, format!("{all} |= `{absent}`"), move |row| {
            row.text.contains(absent)
        }),
        // Ids are where such a text could be.
        Question::count("absent hex digits", format!("{all} |= `c0ffee99c0ff`"), |row| {
            row.text.contains("c0ffee99c0ff")
        }),
        Question::lines(ABSENT_WORD_NAME, 1000, format!("{all} |= `{ABSENT_WORD}`"), |row| {
            row.text.contains(ABSENT_WORD)
        }),
        Question::lines(TRACE_ID, 1000, format!("{all} |= `{NEEDLE}`"), |row| row.text.contains(NEEDLE)),
        Question::new(
            COUNT_BY_STREAM,
            Form::Range { step_s: 60 },
            format!("sum by ({}) (count_over_time({all}[1m]))", stream_names.join(", ")),
            |row| {
                // The labels of a generated stream are in the order of their names.
                let values: Vec<&str> = row.labels.iter().map(|(_, value)| value.as_str()).collect();
                Some((values.join(","), 1.0))
            },
        ),
        // Nothing is coloured, so nothing is changed; but to know that, each line must be looked at.
        Question::new(
            EVERY_LINE,
            Form::Instant,
            format!("sum(bytes_over_time({all} | decolorize [{SPAN_S}s]))"),
            |row| Some((String::new(), row.text.len() as f64)),
        ),
    ];
    questions.extend(field_by_field(workload));
    questions
}

/// A selector that finds every stream.
pub(super) fn everything(workload: Workload) -> &'static str {
    match workload {
        Workload::Loghub | Workload::Nginx => "{job=~\".+\"}",
        _ => "{app=~\".+\"}",
    }
}

/// A text that is in no line, does not begin or end with a word, and looks like what is there.
fn absent_substring(workload: Workload) -> &'static str {
    match workload {
        Workload::Micro => "ndler_99",
        Workload::Loghub => "nnectionq bro",
        Workload::Nginx => "ozillaq/5",
        Workload::WideJson => "ssion_idx\":\"",
        Workload::StackTrace => "rdersq.serv",
        Workload::Adversarial => "qxzjvkq",
    }
}

fn field_by_field(workload: Workload) -> Option<Question> {
    let (selector, stage, key) = match workload {
        Workload::Micro => ("{namespace=\"shop\"}", "| json | status >= 500", "method"),
        Workload::WideJson => ("{app=~\".+\"}", "| json | status >= 500", "country"),
        _ => return None,
    };
    Some(Question::new(
        FIELD_BY_FIELD,
        Form::Instant,
        format!("sum by ({key}) (count_over_time({selector} {stage} [{SPAN_S}s]))"),
        move |row| {
            if workload == Workload::Micro && row.label("namespace") != "shop" {
                return None;
            }
            let line: Value = serde_json::from_str(row.text).ok()?;
            let kept = line["status"].as_u64()? >= 500;
            kept.then(|| (line[key].as_str().unwrap_or_default().to_owned(), 1.0))
        },
    ))
}
