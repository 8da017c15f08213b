//! Which labels the series of a range aggregation have, and to which series a row belongs.
//!
//! A row's series is found by a key of bytes that is built in a buffer used again and again: a row
//! of a series that is there already costs no allocation.

use std::collections::HashMap;

use timberyard_model::Labels;
use timberyard_model::matcher::{LabelMatcher, ValueTest};

use super::series::label_bytes;
use crate::budget::Budget;
use crate::error::{LimitError, QueryError};
use crate::stage::WorkingRow;
use crate::stage::row::PRESERVE_ERROR_LABEL;
use crate::syntax::ast::Grouping;

/// Which labels of a row its series has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SeriesLabels {
    /// None: there is one series.
    None,
    /// None, and rows with errors are of that one series, too: what counts is that they are there.
    Presence,
    /// These.
    By(Vec<String>),
    /// All but these.
    Without(Vec<String>),
}

impl SeriesLabels {
    /// As `grouping` says; without one a series has all labels. The label that holds the sample
    /// (`unwrapped`) is none of a series' own, unless `by` names it.
    pub(super) fn new(grouping: Option<&Grouping>, unwrapped: Option<&str>) -> Self {
        let mut names: Vec<String> = grouping.map(|grouping| grouping.labels.clone()).unwrap_or_default();
        match grouping {
            Some(grouping) if !grouping.without && names.is_empty() => Self::None,
            Some(grouping) if !grouping.without => {
                names.sort_unstable();
                names.dedup();
                Self::By(names)
            }
            _ => {
                names.extend(unwrapped.map(str::to_owned));
                Self::Without(names)
            }
        }
    }

    /// The labels that a series can have; `None` when these are any.
    pub(super) fn names(&self) -> Option<&[String]> {
        match self {
            Self::None | Self::Presence => Some(&[]),
            Self::By(names) => Some(names),
            Self::Without(_) => None,
        }
    }

    /// Whether structured metadata can decide to which series a row belongs. It cannot when all
    /// labels looked at are, as the matchers say, labels of the stream.
    pub(super) fn sees_metadata(&self, matchers: &[LabelMatcher]) -> bool {
        let in_stream = |name: &String| {
            matchers.iter().any(|matcher| {
                *matcher.name == **name
                    && matches!(matcher.test, ValueTest::Equal(_) | ValueTest::Matches(_))
                    && !matcher.test.accepts("")
            })
        };
        match self {
            Self::None | Self::Presence => false,
            Self::By(names) => !names.iter().all(in_stream),
            Self::Without(_) => true,
        }
    }
}

/// The series of one range aggregation, numbered as they come up.
#[derive(Debug)]
pub(super) struct SeriesIndex {
    wanted: SeriesLabels,
    series_max: usize,
    /// Whether rows are missing labels that nobody asked for but an error would show.
    rows_are_narrow: bool,
    numbers: HashMap<Box<[u8]>, u32>,
    labels: Vec<Labels>,
    held_bytes: usize,
    key: Vec<u8>,
    spans: Vec<LabelSpan>,
    unsorted: String,
}

/// Where in the buffer a label's name and value lie.
#[derive(Clone, Copy, Debug)]
struct LabelSpan {
    start: usize,
    value: usize,
    end: usize,
}

impl SeriesIndex {
    /// An empty index that refuses more than `series_max` series. Of narrow rows it refuses those with an error even if
    /// that is to be preserved.
    pub(super) fn new(wanted: SeriesLabels, series_max: usize, rows_are_narrow: bool) -> Self {
        Self {
            wanted,
            series_max,
            rows_are_narrow,
            numbers: HashMap::new(),
            labels: Vec::new(),
            held_bytes: 0,
            key: Vec::new(),
            spans: Vec::new(),
            unsorted: String::new(),
        }
    }

    /// The labels of all series, each in the place of its number; what they held is given back.
    pub(super) fn into_labels(self, budget: &mut Budget) -> Vec<Labels> {
        budget.give_back(self.held_bytes);
        self.labels
    }

    /// The number of the series that a row belongs to. A row with an error has no series, unless
    /// the query says to preserve it.
    pub(super) fn number_of(&mut self, row: &WorkingRow<'_>, budget: &mut Budget) -> Result<u32, QueryError> {
        self.key.clear();
        self.spans.clear();
        // A row whose error is preserved shows it, whatever the grouping.
        let grouped = row.error().is_none() || self.wanted == SeriesLabels::Presence;
        if !grouped && (self.rows_are_narrow || row.value(PRESERVE_ERROR_LABEL) != "true") {
            return Err(QueryError::pipeline(row.labels()));
        }
        // Also keeps keys of the two kinds apart, and no key empty.
        self.key.push(u8::from(grouped));
        match &self.wanted {
            SeriesLabels::None | SeriesLabels::Presence if grouped => {}
            SeriesLabels::By(names) if grouped => {
                for name in names {
                    // A label that is there and empty is another than one that is not there.
                    let value = row.get(name);
                    self.key.push(u8::from(value.is_some()));
                    self.key.extend_from_slice(value.map_or("", |(_, value)| value).as_bytes());
                    self.key.push(0xff);
                }
            }
            wanted => {
                let without: &[String] = match wanted {
                    SeriesLabels::Without(names) if grouped => names,
                    _ => &[],
                };
                self.unsorted.clear();
                let (text, spans) = (&mut self.unsorted, &mut self.spans);
                row.for_each_label(|_, name, value| {
                    if !without.iter().any(|unwanted| unwanted == name) {
                        let start = text.len();
                        text.push_str(name);
                        let middle = text.len();
                        text.push_str(value);
                        spans.push(LabelSpan { start, value: middle, end: text.len() });
                    }
                });
                spans.sort_unstable_by(|a, b| text[a.start..a.value].cmp(&text[b.start..b.value]));
                for span in spans {
                    self.key.extend_from_slice(&text.as_bytes()[span.start..span.value]);
                    self.key.push(0xff);
                    self.key.extend_from_slice(&text.as_bytes()[span.value..span.end]);
                    self.key.push(0xff);
                }
            }
        }
        match self.numbers.get(self.key.as_slice()) {
            Some(number) => Ok(*number),
            None => self.add(row, grouped, budget),
        }
    }

    fn add(&mut self, row: &WorkingRow<'_>, grouped: bool, budget: &mut Budget) -> Result<u32, QueryError> {
        let labels =
            match &self.wanted {
                SeriesLabels::None | SeriesLabels::Presence if grouped => Labels::default(),
                SeriesLabels::By(names) if grouped => Labels::keeping_empty(
                    names.iter().filter_map(|name| Some((name.as_str(), row.get(name)?.1))),
                ),
                _ => Labels::keeping_empty(self.spans.iter().map(|span| {
                    (&self.unsorted[span.start..span.value], &self.unsorted[span.value..span.end])
                })),
            };
        if self.labels.len() >= self.series_max {
            return Err(LimitError::Series { limit: self.series_max }.into());
        }
        let bytes = label_bytes(&labels) + self.key.len() + 2 * size_of::<(Box<[u8]>, u32)>();
        budget.take(bytes)?;
        self.held_bytes += bytes;
        let number = self.labels.len() as u32;
        self.labels.push(labels);
        self.numbers.insert(self.key.as_slice().into(), number);
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::Timestamp;

    use super::*;
    use crate::stage::Category;

    fn grouping(without: bool, labels: &[&str]) -> Grouping {
        Grouping { without, labels: labels.iter().map(|label| (*label).to_owned()).collect() }
    }

    fn series_of(wanted: SeriesLabels, parsed: &[(&str, &str)]) -> Result<String, QueryError> {
        let stream = Labels::from_pairs([("app", "api"), ("env", "prod")]);
        let mut row = WorkingRow::new(&stream);
        row.reset(Timestamp::default(), b"", &stream, [("trace", &b"t1"[..])]);
        for (name, value) in parsed {
            if *name == "__error__" {
                row.set_error_text(value);
            } else {
                row.set(Category::Parsed, name, value);
            }
        }
        let mut index = SeriesIndex::new(wanted, 10, false);
        let mut budget = Budget::new(1 << 20);
        let number = index.number_of(&row, &mut budget)?;
        assert_eq!(index.number_of(&row, &mut budget)?, number);
        Ok(index.into_labels(&mut budget)[number as usize].to_string())
    }

    #[test]
    fn metadata_and_parsed_labels_make_series() {
        let all = SeriesLabels::new(None, None);
        assert_eq!(
            series_of(all, &[("status", "200")]).expect("no error"),
            r#"{app="api", env="prod", status="200", trace="t1"}"#
        );
        let by = SeriesLabels::new(Some(&grouping(false, &["trace", "env", "none"])), None);
        assert_eq!(series_of(by, &[]).expect("no error"), r#"{env="prod", trace="t1"}"#);
        let without = SeriesLabels::new(Some(&grouping(true, &["trace", "env"])), Some("took"));
        assert_eq!(series_of(without, &[("took", "3")]).expect("no error"), r#"{app="api"}"#);
        let empty = SeriesLabels::new(Some(&grouping(false, &["env", "none", "user"])), None);
        assert_eq!(series_of(empty, &[("user", "")]).expect("no error"), r#"{env="prod", user=""}"#);
        let all = SeriesLabels::new(None, None);
        assert_eq!(
            series_of(all, &[("user", "")]).expect("no error"),
            r#"{app="api", env="prod", trace="t1", user=""}"#
        );
        let none = SeriesLabels::new(Some(&grouping(false, &[])), Some("took"));
        assert_eq!(series_of(none, &[]).expect("no error"), "{}");
    }

    #[test]
    fn an_error_fails_the_query_unless_it_is_preserved() {
        let by = || SeriesLabels::new(Some(&grouping(false, &["app"])), None);
        let error = ("__error__", "JSONParserErr");
        let failure = series_of(by(), &[error]).expect_err("an error");
        assert!(matches!(failure, QueryError::Pipeline { error, .. } if error == "JSONParserErr"));
        let there = series_of(SeriesLabels::Presence, &[error]).expect("it is there");
        assert_eq!(there, "{}");
        let kept = series_of(by(), &[error, ("__preserve_error__", "true")]).expect("preserved");
        assert!(kept.contains("__error__") && kept.contains("trace"), "{kept}");
    }

    #[test]
    fn metadata_is_left_unread_when_matchers_name_all_labels() {
        let matchers = [LabelMatcher::equal("app", "api")];
        assert!(!SeriesLabels::new(Some(&grouping(false, &["app"])), None).sees_metadata(&matchers));
        assert!(!SeriesLabels::None.sees_metadata(&matchers));
        assert!(SeriesLabels::new(Some(&grouping(false, &["env"])), None).sees_metadata(&matchers));
        assert!(SeriesLabels::new(None, None).sees_metadata(&matchers));
        let absent = [LabelMatcher::equal("app", "")];
        assert!(SeriesLabels::new(Some(&grouping(false, &["app"])), None).sees_metadata(&absent));
    }
}
