//! An answer in a form that can be compared: texts in order, or numbers under the name and the step they are of.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Form, Question};

/// How far a number may be off, relative to its size: floating point is added up in any order.
const TOLERANCE: f64 = 1e-9;

/// Templates in an answer, at most.
const TEMPLATES_MAX: usize = 300;

/// What a server said, or what is true.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// Lines or label values, sorted.
    Texts(Vec<String>),
    /// By the values of a series' labels and the second that a sample is of; 0 where there is only one.
    Numbers(BTreeMap<(String, i64), f64>),
    /// Lines of all templates together. Only the most frequent templates are answered, so where there are more than
    /// that, the lines are fewer than the true ones.
    Templates { lines: f64, all: bool },
}

impl Answer {
    /// Reads what the server answered.
    pub(crate) fn read(question: &Question, body: &[u8]) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|_| format!("answered {}", String::from_utf8_lossy(&body[..body.len().min(300)])))?;
        let data = &body["data"];
        Ok(match question.form {
            Form::Lines { .. } => Self::Texts(lines(&data["result"])),
            Form::LabelValues { .. } => Self::Texts(texts(data)),
            Form::Instant => Self::Numbers(
                array(&data["result"])
                    .iter()
                    .map(|series| ((name(&series["metric"]), 0), number(&series["value"][1])))
                    .collect(),
            ),
            Form::Range { .. } => Self::Numbers(
                array(&data["result"])
                    .iter()
                    .flat_map(|series| {
                        let name = name(&series["metric"]);
                        array(&series["values"]).iter().map(move |sample| {
                            (
                                (name.clone(), sample[0].as_f64().unwrap_or_default() as i64),
                                number(&sample[1]),
                            )
                        })
                    })
                    .collect(),
            ),
            Form::Patterns => {
                let templates = array(data);
                let samples = templates.iter().flat_map(|template| array(&template["samples"]));
                let lines = samples.map(|sample| number(&sample[1])).sum();
                Self::Templates { lines, all: templates.len() < TEMPLATES_MAX }
            }
        })
    }

    /// Says how this differs from the truth.
    pub(crate) fn difference(&self, truth: &Self) -> Option<String> {
        match (self, truth) {
            (Self::Texts(said), Self::Texts(true_ones)) => {
                (said != true_ones).then(|| format!("{} texts, {} are true", said.len(), true_ones.len()))
            }
            (Self::Numbers(said), Self::Numbers(true_ones)) => {
                // A sum over nothing may be said as zero or not at all.
                let of = |numbers: &BTreeMap<(String, i64), f64>, key: &(String, i64)| {
                    numbers.get(key).copied().unwrap_or_default()
                };
                said.keys().chain(true_ones.keys()).find_map(|key| {
                    let (said, true_one) = (of(said, key), of(true_ones, key));
                    ((said - true_one).abs() > TOLERANCE * true_one.abs().max(1.0))
                        .then(|| format!("{key:?} is {said}, {true_one} is true"))
                })
            }
            (Self::Templates { lines, all }, Self::Templates { lines: true_ones, .. }) => {
                let holds = if *all { lines == true_ones } else { lines <= true_ones && *lines > 0.0 };
                (!holds).then(|| format!("{lines} lines in templates, {true_ones} are true"))
            }
            _ => Some("is of another kind".to_owned()),
        }
    }

    /// How much is in it.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Numbers(numbers) => numbers.len(),
            Self::Templates { lines, .. } => *lines as usize,
        }
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    let mut texts: Vec<String> = array(value).iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
    texts.sort();
    texts
}

fn lines(result: &Value) -> Vec<String> {
    let values = array(result).iter().flat_map(|stream| array(&stream["values"]));
    let mut lines: Vec<String> = values.filter_map(|v| v[1].as_str().map(str::to_owned)).collect();
    lines.sort();
    lines
}

/// The values of a series' labels in the order of their names, without what the server has found out by itself.
fn name(metric: &Value) -> String {
    let Some(labels) = metric.as_object() else { return String::new() };
    let mut labels: Vec<_> = labels
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "service_name" | "detected_level"))
        .collect();
    labels.sort_by_key(|(name, _)| name.as_str());
    labels.iter().filter_map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(",")
}

fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap_or(f64::NAN),
        other => other.as_f64().unwrap_or(f64::NAN),
    }
}
