//! What is done to lines before they are sent: the steps that servers know, and the time that a field says.
//!
//! Steps depend on the line and its labels alone, so that lines that are read again come to the same.

use std::sync::Arc;

use timberyard_logql::syntax;
use timberyard_model::batch::EqualEntries;
use timberyard_model::limits::{QueryLimits, RecordLimits};
use timberyard_model::rows::Rows;
use timberyard_model::{LogBatch, RowRef, TenantId, Timestamp};
use timberyard_pipeline::process::description::{RuleDescription, StepDescription};
use timberyard_pipeline::process::rules::Rules;

use crate::line_time::{LineTime, LineTimeSettings};

/// The steps of one target, ready to be applied.
pub(crate) struct Steps {
    rules: Rules,
    time: Option<LineTime>,
    limits: RecordLimits,
}

impl Steps {
    /// Makes steps ready; `None` when there is nothing to do.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub(crate) fn new(
        steps: Vec<StepDescription>,
        time: Option<&LineTimeSettings>,
    ) -> Result<Option<Arc<Self>>, String> {
        if steps.is_empty() && time.is_none() {
            return Ok(None);
        }
        let read_selector = |text: &str| {
            syntax::parse_selector(text, &QueryLimits::default()).map_err(|error| error.to_string())
        };
        let rules = match steps.is_empty() {
            true => Vec::new(),
            false => vec![RuleDescription { steps, ..RuleDescription::default() }],
        };
        let rules = Rules::new(&rules, &[], &read_selector).map_err(|error| error.to_string())?;
        let time = time.map(LineTime::new).transpose()?;
        Ok(Some(Arc::new(Self { rules, time, limits: RecordLimits::default() })))
    }

    /// Hands over what is left of rows, each with its time.
    pub(crate) fn apply(&self, rows: Rows, take: &mut impl FnMut(RowRef<'_>, Timestamp)) {
        let batch = LogBatch {
            tenant: TenantId::default(),
            received_at: Timestamp::MIN,
            equal_entries: EqualEntries::Keep,
            rows,
            unique_keys: Vec::new(),
            origins: Vec::new(),
        };
        let rows = match self.rules.apply(&batch, None, &self.limits) {
            Ok(Some(processed)) => processed.batch.rows,
            Ok(None) => batch.rows,
            Err(_) if batch.rows.len() > 1 => {
                // The steps have made more of them than fits one batch.
                let (rows, half) = (&batch.rows, batch.rows.len() as u32 / 2);
                let numbers: Vec<u32> = (0..rows.len() as u32).collect();
                let (first, second) = numbers.split_at(half as usize);
                self.apply(rows.selected(first), take);
                self.apply(rows.selected(second), take);
                return;
            }
            // Limits of records keep one row far below what a batch holds.
            Err(_) => Rows::default(),
        };
        for row in rows.iter() {
            let time = self.time.as_ref().and_then(|time| time.of(row));
            take(row, time.unwrap_or_else(|| row.timestamp()));
        }
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::Labels;
    use timberyard_model::rows::RowsBuilder;

    use super::*;

    fn steps(text: &str) -> Result<Option<Arc<Steps>>, String> {
        Steps::new(serde_saphyr::from_str(text).expect("YAML"), None)
    }

    #[test]
    fn steps_have_the_words_of_servers() {
        let text = "[{drop: {line: GET /health}}, {parse: {format: logfmt, fields: [team]}}, \
                    {relabel: {source_labels: [team], target_label: team}}, {redact: {rules: [email]}}]";
        let steps = steps(text).expect("valid").expect("some");
        let mut rows = RowsBuilder::default();
        let stream = rows.stream(&Labels::from_pairs([("app", "shop")]));
        for line in ["GET /health 200", "team=pay a@example.org"] {
            rows.push(stream, Timestamp::from_nanos(7), line.as_bytes(), None).expect("small");
        }
        let mut left = Vec::new();
        steps.apply(rows.finish(), &mut |row, time| {
            let line = String::from_utf8_lossy(row.line()).into_owned();
            left.push((row.labels().to_string(), line, time.as_nanos()));
        });
        let expected = (r#"{app="shop", team="pay"}"#.to_owned(), "team=pay <email>".to_owned(), 7);
        assert_eq!(left, [expected]);
    }

    #[test]
    fn what_is_wrong_with_a_step_is_said() {
        assert!(steps("[]").expect("valid").is_none());
        let error = |text: &str| steps(text).err().expect("refused");
        assert!(error("[{drop: {line: '('}}]").contains("step 1"), "{}", error("[{drop: {line: '('}}]"));
        assert!(error("[{route: {to: [store]}}]").contains("step 1"));
    }
}
