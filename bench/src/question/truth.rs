//! The truth: one pass over the generated lines for all questions at once.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::{Answer, Fold, Form, Question, Row};
use crate::generator::Workload;

/// What one question has gathered so far.
enum Gathered {
    Lines(VecDeque<String>),
    Numbers(HashMap<(String, i64), Values>),
    Names(BTreeSet<String>),
}

/// Values of a series in a step: their sum, or all of them where a sum is not enough.
#[derive(Default)]
struct Values {
    sum: f64,
    each: Vec<f64>,
}

/// The answers to the questions, in their order.
pub(crate) fn truths(workload: Workload, lines: usize, seed: u64, questions: &[Question]) -> Vec<Answer> {
    let streams = workload.streams();
    let mut gathered: Vec<Gathered> = questions.iter().map(Gathered::of).collect();
    for line in workload.lines(lines, seed) {
        let row = Row { labels: &streams[line.stream], timestamp_ns: line.timestamp_ns, text: &line.text };
        for (gathered, question) in gathered.iter_mut().zip(questions) {
            gathered.add(question, &row);
        }
    }
    gathered.into_iter().zip(questions).map(|(gathered, question)| gathered.finish(question)).collect()
}

impl Gathered {
    fn of(question: &Question) -> Self {
        match question.form {
            Form::Lines { .. } => Self::Lines(VecDeque::new()),
            Form::Instant | Form::Range { .. } | Form::Patterns => Self::Numbers(HashMap::new()),
            Form::LabelValues { .. } => Self::Names(BTreeSet::new()),
        }
    }

    fn add(&mut self, question: &Question, row: &Row<'_>) {
        if row.timestamp_ns < question.start_s * 1_000_000_000 {
            return;
        }
        let Some((series, value)) = (question.part)(row) else { return };
        match (self, question.form) {
            (Self::Lines(lines), Form::Lines { limit }) => {
                // Lines come in the order of time, and the newest are asked for.
                if lines.len() == limit {
                    lines.pop_front();
                }
                lines.push_back(row.text.to_owned());
            }
            (Self::Names(names), _) => {
                names.insert(series);
            }
            (Self::Numbers(numbers), form) => {
                let at = match form {
                    Form::Range { step_s } => window_end_s(row.timestamp_ns, question.start_s, step_s),
                    _ => 0,
                };
                let values = numbers.entry((series, at)).or_default();
                match question.fold {
                    Fold::Sum => values.sum += value,
                    Fold::Quantile(_) => values.each.push(value),
                }
            }
            (Self::Lines(_), _) => {}
        }
    }

    fn finish(self, question: &Question) -> Answer {
        match self {
            Self::Lines(lines) => {
                let mut lines = Vec::from(lines);
                lines.sort();
                Answer::Texts(lines)
            }
            Self::Names(names) => Answer::Texts(names.into_iter().collect()),
            Self::Numbers(numbers) => {
                let folded: BTreeMap<_, _> =
                    numbers.into_iter().map(|(key, values)| (key, question.fold.of(values))).collect();
                if question.form == Form::Patterns {
                    return Answer::Templates { lines: folded.values().sum(), all: true };
                }
                Answer::Numbers(match question.top {
                    Some(top) => largest(folded, top),
                    None => folded,
                })
            }
        }
    }
}

impl Fold {
    fn of(self, mut values: Values) -> f64 {
        let Self::Quantile(share) = self else { return values.sum };
        values.each.sort_by(f64::total_cmp);
        let rank = share * (values.each.len() - 1) as f64;
        let (below, above) = (rank.floor() as usize, rank.ceil() as usize);
        let weight = rank - rank.floor();
        values.each[below] * (1.0 - weight) + values.each[above] * weight
    }
}

/// The end of the window that a timestamp falls into: windows are open at the start and closed at the end.
fn window_end_s(timestamp_ns: i64, start_s: i64, step_s: i64) -> i64 {
    let (since_ns, step_ns) = (timestamp_ns - start_s * 1_000_000_000, step_s * 1_000_000_000);
    start_s + (since_ns + step_ns - 1).div_euclid(step_ns) * step_s
}

fn largest(numbers: BTreeMap<(String, i64), f64>, top: usize) -> BTreeMap<(String, i64), f64> {
    let mut sorted: Vec<_> = numbers.into_iter().collect();
    sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
    sorted.truncate(top);
    sorted.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::START_S;
    use super::*;

    #[test]
    fn a_window_ends_with_the_moment_that_it_is_named_after() {
        let second = |s: i64| (START_S + s) * 1_000_000_000;
        assert_eq!(window_end_s(second(0) + 1, START_S, 60), START_S + 60);
        assert_eq!(window_end_s(second(60), START_S, 60), START_S + 60);
        assert_eq!(window_end_s(second(60) + 1, START_S, 60), START_S + 120);
    }

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        let values = || Values { sum: 0.0, each: vec![4.0, 1.0, 2.0, 3.0] };
        assert!((Fold::Quantile(0.5).of(values()) - 2.5).abs() < 1e-12);
        assert!((Fold::Quantile(1.0).of(values()) - 4.0).abs() < 1e-12);
    }
}
