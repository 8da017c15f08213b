//! Which templates the lines of a query have, how often, and when.
//!
//! Every line of the range is counted in exactly one template, which is also a line filter (`|>`)
//! that the line passes. A template comes of the line's words alone ([`template`]), and of those that differ in
//! one word ([`merge`]), never of the order in which lines came. A source that keeps lines by their shapes may say the template
//! of a row instead of its line ([`shape`]), where nothing else looks at the line. Bounded: beyond [`TEMPLATES_MAX`] different
//! templates new ones count as `<_>`; the most frequent [`SERIES_MAX`] are answered; memory is the query's.

mod merge;
mod samples;
mod shape;
mod template;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use timberyard_model::Timestamp;
use timberyard_model::field_values::{FieldValues, RowFields};
use timberyard_model::fields::FieldRequest;
use timberyard_model::limits::QueryLimits;
use timberyard_model::scan::{Columns, LogSource, ScanRequest};
use timberyard_model::{RowRef, Rows, TimeRange};

use self::samples::Samples;
use self::shape::TemplateReader;
use crate::budget::Budget;
use crate::error::QueryError;
use crate::plan::compile::compile;
use crate::query_request::QueryRequest;
use crate::stage::{Verdict, WorkingRow};
use crate::syntax::ast::Expression;

/// Different templates that are told apart while reading.
pub const TEMPLATES_MAX: usize = 10_000;
/// Templates in an answer.
pub const SERIES_MAX: usize = 300;
/// The metadata that holds a line's level.
const LEVEL_NAME: &str = "detected_level";
/// The level of a line without one.
const LEVEL_UNKNOWN: &str = "unknown";
/// Memory that a template takes beside its text, about, in bytes.
const TEMPLATE_BYTES: usize = 256;
/// Memory that a count takes, about, in bytes.
const SAMPLE_BYTES: usize = 48;

/// A template and its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternSeries {
    /// The template: what lines have in common, with `<_>` for what varies.
    pub pattern: String,
    /// The level that its lines have.
    pub level: String,
    /// How many lines begin in each step, by the step's start; no zeros.
    pub samples: Vec<(Timestamp, u64)>,
}

struct Found {
    level: String,
    template: String,
    samples: Samples,
}

impl Found {
    fn lines(&self) -> u64 {
        self.samples.lines()
    }
}

/// The templates of the lines that a log query finds in `[start, end)`, most frequent first. Steps begin at
/// multiples of `step_ns`; limit, interval and direction of the request do not count.
pub fn patterns(
    source: &dyn LogSource,
    request: &QueryRequest,
    limits: &QueryLimits,
) -> Result<Vec<PatternSeries>, QueryError> {
    let Expression::Logs(logs) = &request.expression else {
        return Err(QueryError::Invalid("only log queries have patterns, this is a metric query".to_owned()));
    };
    let range = TimeRange::new(request.start, request.end);
    let plan = compile(source, &request.tenant, range, logs)?;
    let scan_request = ScanRequest {
        tenant: request.tenant.clone(),
        range,
        matchers: logs.selector.matchers.clone(),
        line_filters: plan.line_filters,
        direction: request.direction,
        columns: Columns::ALL,
        metadata_names: plan.pipeline.is_empty().then(|| Arc::from([LEVEL_NAME.into()])),
        label_names: None,
        rows_wanted: Some(usize::MAX),
        fields: (!plan.reads_line).then(|| FieldRequest {
            reader: Arc::new(TemplateReader::default()),
            tests: Vec::new(),
            instead_of_line: true,
        }),
        counting: None,
        read_ahead_bytes_max: Budget::new(limits.memory_bytes_max).read_ahead_bytes_max(),
        cancellation: request.cancellation.clone(),
    };
    let mut table = Table::new(request.step_ns, limits);
    if !scan_request.range.is_empty() {
        let mut scan = source.scan(&scan_request)?;
        while let Some(block) = scan.next_block()? {
            let Some(first) = block.rows.streams().first() else { continue };
            let mut working = WorkingRow::new(first);
            working.set_now(request.now);
            let mut known = KnownTemplates::new(&block.rows);
            for row in block.rows.iter() {
                if !plan.pipeline.is_empty() {
                    request.check_wanted()?;
                    working.reset(row.timestamp(), row.line(), row.labels(), row.metadata());
                    if plan.pipeline.process(&mut working) == Verdict::Drop {
                        continue;
                    }
                }
                if let Some(fields) = row.fields() {
                    let place = known.place(fields, level(row), &mut table)?;
                    table.add(place, row.timestamp())?;
                    continue;
                }
                let line = if plan.pipeline.is_empty() { row.line() } else { working.line() };
                table.count(row.timestamp(), line, level(row))?;
            }
        }
    }
    Ok(table.finish())
}

fn level<'b>(row: RowRef<'b>) -> &'b str {
    let level = row.metadata_value(LEVEL_NAME).and_then(|level| std::str::from_utf8(level).ok());
    level.filter(|level| !level.is_empty()).unwrap_or(LEVEL_UNKNOWN)
}

/// Where the templates of a block's rows are counted, by the number of the row's field.
struct KnownTemplates<'b> {
    /// For the level that a row of the template had last.
    places: Vec<Option<(&'b str, usize)>>,
}

impl<'b> KnownTemplates<'b> {
    fn new(rows: &Rows) -> Self {
        Self { places: vec![None; rows.field_values().first().map_or(0, FieldValues::len)] }
    }

    fn place(
        &mut self,
        fields: RowFields<'b>,
        level: &'b str,
        table: &mut Table,
    ) -> Result<usize, QueryError> {
        let number = fields.numbers().first().copied().unwrap_or(FieldValues::ABSENT);
        let known = self.places.get_mut(number as usize);
        if let Some(Some((of_level, place))) = known
            && *of_level == level
        {
            return Ok(*place);
        }
        let template = fields.get(0).unwrap_or_default();
        let place = if template::may_be_long(template) {
            let mut template = template.to_owned();
            template::cut_template(&mut template);
            table.place_of(level, &template)?
        } else {
            table.place_of(level, template)?
        };
        if let Some(known) = known {
            *known = Some((level, place));
        }
        Ok(place)
    }
}

/// What was counted so far.
struct Table {
    step_nanos: i64,
    templates_max: usize,
    budget: Budget,
    found: Vec<Found>,
    /// Levels and templates to places in `found`.
    places: HashMap<String, HashMap<String, usize>>,
    template: String,
}

impl Table {
    fn new(step_nanos: i64, limits: &QueryLimits) -> Self {
        Self {
            step_nanos: step_nanos.max(1),
            templates_max: TEMPLATES_MAX,
            budget: Budget::new(limits.memory_bytes_max),
            found: Vec::new(),
            places: HashMap::new(),
            template: String::new(),
        }
    }

    /// Counts a line.
    fn count(&mut self, time: Timestamp, line: &[u8], level: &str) -> Result<(), QueryError> {
        let mut text = std::mem::take(&mut self.template);
        template::write_template(line, &mut text);
        let place = self.place_of(level, &text)?;
        self.template = text;
        self.add(place, time)
    }

    /// Counts a line whose template has that place.
    fn add(&mut self, place: usize, time: Timestamp) -> Result<(), QueryError> {
        let nanos = time.as_nanos();
        let step = nanos.saturating_sub(nanos.rem_euclid(self.step_nanos));
        if let Some(found) = self.found.get_mut(place) {
            let before = found.samples.steps();
            found.samples.add(step);
            self.budget.take(found.samples.steps().saturating_sub(before) * SAMPLE_BYTES)?;
        }
        Ok(())
    }

    /// The place of a template; when there are too many already, that of `<_>`.
    fn place_of(&mut self, level: &str, template: &str) -> Result<usize, QueryError> {
        match self.place(level, template) {
            Some(place) => Ok(place),
            None if self.found.len() < self.templates_max => self.insert(level, template),
            None => match self.place(LEVEL_UNKNOWN, template::CAPTURE) {
                Some(place) => Ok(place),
                None => self.insert(LEVEL_UNKNOWN, template::CAPTURE),
            },
        }
    }

    fn place(&self, level: &str, template: &str) -> Option<usize> {
        self.places.get(level)?.get(template).copied()
    }

    fn insert(&mut self, level: &str, template: &str) -> Result<usize, QueryError> {
        self.budget.take(2 * (template.len() + level.len()) + TEMPLATE_BYTES)?;
        let place = self.found.len();
        self.found.push(Found {
            level: level.to_owned(),
            template: template.to_owned(),
            samples: Samples::default(),
        });
        self.places.entry(level.to_owned()).or_default().insert(template.to_owned(), place);
        Ok(place)
    }

    fn finish(self) -> Vec<PatternSeries> {
        let mut found = merge::merge(self.found, SERIES_MAX);
        found.sort_by(|a, b| (&a.template, &a.level).cmp(&(&b.template, &b.level)));
        found.sort_by_cached_key(|found| Reverse(found.lines()));
        found.truncate(SERIES_MAX);
        let series = |found: Found| PatternSeries {
            pattern: found.template,
            level: found.level,
            samples: found
                .samples
                .into_steps()
                .map(|(nanos, lines)| (Timestamp::from_nanos(nanos), lines))
                .collect(),
        };
        found.into_iter().map(series).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_bound_on_templates_are_still_counted() {
        let mut table = Table::new(1_000_000_000, &QueryLimits::default());
        table.templates_max = 2;
        for (line, level) in [("a", "info"), ("b", "warn"), ("c", "info"), ("d", "info"), ("a", "info")] {
            table.count(Timestamp::from_nanos(5), line.as_bytes(), level).expect("within limits");
        }
        let counts: Vec<_> = table
            .finish()
            .into_iter()
            .map(|series| (series.pattern, series.level, series.samples[0].1))
            .collect();
        let expected = [("<_>", "unknown", 2), ("a", "info", 2), ("b", "warn", 1)];
        assert_eq!(counts, expected.map(|(p, l, n)| (p.to_owned(), l.to_owned(), n)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut table = Table::new(1, &QueryLimits { memory_bytes_max: 1000, ..QueryLimits::default() });
        let outcome = (0..100).try_for_each(|nanos| table.count(Timestamp::from_nanos(nanos), b"a", "info"));
        assert!(matches!(outcome, Err(QueryError::Limit(_))), "{outcome:?}");
    }
}
