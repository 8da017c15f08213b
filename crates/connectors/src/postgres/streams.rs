//! The label sets of a tenant's rows: few, so that all of them are read, and selectors are judged here, exactly.

use std::collections::HashMap;

use serde_json::{Map, Value};
use timberyard_model::matcher::{LabelMatcher, accepts_all};
use timberyard_model::scan::ScanError;
use timberyard_model::{Cancellation, Labels, TenantId, TimeRange};
use tokio_postgres::types::Type;

use super::failure::PostgresError;
use super::reading::{Reader, Values};
use super::transaction::Transaction;

/// Label sets by the numbers that the tables have for them.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Those that pass.
    pub(super) labels: HashMap<i64, Labels>,
    /// Whether these are all of the tenant's.
    pub(super) are_all: bool,
}

impl Streams {
    /// Those of a tenant that pass one of the selectors; all when there are none.
    pub(super) fn read(
        reader: &Reader,
        transaction: &Transaction,
        cancellation: &Cancellation,
        tenant: &TenantId,
        selectors: &[&[LabelMatcher]],
    ) -> Result<Self, ScanError> {
        let mut values = Values::default();
        let tenant = values.text(tenant.as_str());
        let statement = format!("SELECT stream, labels::text FROM event_streams WHERE tenant = {tenant}");
        let rows = reader.query(transaction, cancellation, &statement, &values)?;
        let mut streams = Self { labels: HashMap::new(), are_all: true };
        for row in rows {
            let number: i64 = row.try_get(0).map_err(PostgresError::from)?;
            let labels = parse(row.try_get(1).map_err(PostgresError::from)?)?;
            if selectors.is_empty() || selectors.iter().any(|selector| accepts_all(selector, &labels)) {
                streams.labels.insert(number, labels);
            } else {
                streams.are_all = false;
            }
        }
        Ok(streams)
    }

    /// Their numbers.
    pub(super) fn numbers(&self) -> Vec<i64> {
        self.labels.keys().copied().collect()
    }

    /// The label set of a row.
    pub(super) fn of(&self, number: i64) -> Result<&Labels, PostgresError> {
        self.labels.get(&number).ok_or_else(|| {
            PostgresError::Failed(format!(
                "event_streams lacks the stream {number} of a row in analytics_logs"
            ))
        })
    }

    /// What rows of these streams and this range are, as a condition.
    pub(super) fn condition(&self, tenant: &TenantId, range: TimeRange, values: &mut Values) -> String {
        let mut condition = format!("tenant = {}", values.text(tenant.as_str()));
        if !self.are_all {
            let numbers = values.add(self.numbers(), Type::INT8_ARRAY);
            condition.push_str(&format!(" AND stream = ANY({numbers})"));
        }
        condition + &in_range(range, values)
    }
}

/// A condition on the time, beginning with `AND`; empty for all times.
pub(super) fn in_range(range: TimeRange, values: &mut Values) -> String {
    if range == TimeRange::ALL {
        return String::new();
    }
    let (start, end) = (values.number(range.start.as_nanos()), values.number(range.end.as_nanos()));
    format!(" AND timestamp_ns >= {start} AND timestamp_ns < {end}")
}

fn parse(text: &str) -> Result<Labels, PostgresError> {
    let damaged = || PostgresError::Failed("column `labels` of event_streams is damaged".to_owned());
    let pairs: Map<String, Value> = serde_json::from_str(text).map_err(|_| damaged())?;
    let pairs: Option<Vec<(&str, &str)>> =
        pairs.iter().map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect();
    Ok(Labels::from_pairs(pairs.ok_or_else(damaged)?))
}
