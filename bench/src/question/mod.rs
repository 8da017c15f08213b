//! Questions of a log user, each with the answer that a plain scan of the generated lines gives.
//!
//! A question is data: the LogQL, how it is asked, and a function that says of one line whether it counts, under
//! which name, and with which value. No shortcut of the server's is used for the truth.

mod answer;
mod micro;
pub(crate) mod store;
mod truth;

use crate::generator::{SPAN_NS, START_NS, StreamLabels, Workload};

pub(crate) use self::answer::Answer;
pub(crate) use self::truth::truths;

/// The first second of all lines.
pub(crate) const START_S: i64 = START_NS / 1_000_000_000;
/// The last.
pub(crate) const END_S: i64 = START_S + SPAN_S;
/// Seconds that the lines span.
pub(crate) const SPAN_S: i64 = SPAN_NS / 1_000_000_000;

/// A line as the truth sees it.
pub(crate) struct Row<'a> {
    pub(crate) labels: &'a StreamLabels,
    pub(crate) timestamp_ns: i64,
    pub(crate) text: &'a str,
}

/// How a question is put to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The newest lines, as many as the limit allows.
    Lines { limit: usize },
    /// One number, or one a series, at the end of the span.
    Instant,
    /// Numbers in steps.
    Range { step_s: i64 },
    /// All values of a label.
    LabelValues { label: &'static str },
    /// Templates with their counts.
    Patterns,
}

/// What becomes of the values of one series in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fold {
    Sum,
    /// With linear interpolation between neighbours, as in Prometheus.
    Quantile(f64),
}

/// A line's part in the answer: the series it belongs to, and its value there.
pub(crate) type Part = Option<(String, f64)>;

/// One question.
pub(crate) struct Question {
    pub(crate) name: &'static str,
    pub(crate) query: String,
    pub(crate) form: Form,
    pub(crate) fold: Fold,
    /// Keep only the largest series.
    pub(crate) top: Option<usize>,
    /// The first second asked about.
    pub(crate) start_s: i64,
    pub(crate) part: Box<dyn Fn(&Row<'_>) -> Part>,
}

impl Question {
    fn new(
        name: &'static str,
        form: Form,
        query: impl Into<String>,
        part: impl Fn(&Row<'_>) -> Part + 'static,
    ) -> Self {
        let query = query.into();
        Self { name, query, form, fold: Fold::Sum, top: None, start_s: START_S, part: Box::new(part) }
    }

    /// The matching lines themselves.
    fn lines(
        name: &'static str,
        limit: usize,
        query: impl Into<String>,
        matches: impl Fn(&Row<'_>) -> bool + 'static,
    ) -> Self {
        Self::new(name, Form::Lines { limit }, query, move |row| matches(row).then(|| (String::new(), 1.0)))
    }

    /// The number of matching lines; `query` is what stands before the range.
    fn count(
        name: &'static str,
        query: impl AsRef<str>,
        matches: impl Fn(&Row<'_>) -> bool + 'static,
    ) -> Self {
        let query = format!("sum(count_over_time({} [{SPAN_S}s]))", query.as_ref());
        Self::new(name, Form::Instant, query, move |row| matches(row).then(|| (String::new(), 1.0)))
    }
}

/// Every question that makes sense for a workload: those of the store's figures, then those of a log user.
pub(crate) fn questions(workload: Workload) -> Vec<Question> {
    let mut all = store::questions(workload);
    if workload == Workload::Micro {
        all.extend(micro::questions());
    }
    all
}

impl<'a> Row<'a> {
    /// The value of a label; empty when the stream does not have it.
    fn label(&self, name: &str) -> &'a str {
        self.labels.iter().find(|(n, _)| *n == name).map_or("", |(_, value)| value.as_str())
    }
}
