//! What queries read from: a table of rows and one of streams, with the same columns whoever's tables they are.

use timberyard_model::TenantId;
use timberyard_model::time::{TimeRange, Timestamp};

use super::conditions::StreamConditions;
use super::schema::Schema;
use super::statement::Statement;

/// The day from which `Date32` counts, in days since 1970; earlier times lie on it.
const FIRST_DAY: i64 = -25_567;

/// Two tables, as SQL that may follow `FROM`.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    /// Has `tenant`, `service`, `time`, `sequence`, `entry`, `stream`, `labels`, `line`, `metadata`; equal entries once.
    pub(super) rows: String,
    /// Has `tenant`, `day`, `service`, `stream`, `labels`.
    pub(super) streams: String,
}

impl Relation {
    /// Timberyard's own tables.
    pub(super) fn of_schema(schema: &Schema) -> Self {
        Self { rows: format!("{} FINAL", schema.rows()), streams: schema.streams() }
    }

    /// ` WHERE` with what concerns streams of a tenant that may have rows in a range.
    pub(super) fn streams_where(&self, tenant: &TenantId, range: TimeRange) -> Statement {
        let mut condition = Statement::new(" WHERE tenant = ");
        condition.text(tenant.as_str());
        let last = range.end.saturating_add_nanos(-1);
        for (day, comparison) in [(range.start, ">="), (last, "<=")] {
            let day = i64::from(day.day()).max(FIRST_DAY);
            condition.push(" AND toInt64(day) ").push(comparison).push(" ").int(day);
        }
        condition
    }

    /// ` PREWHERE` with what concerns tenant, time and streams of rows. Equal entries are equal in all of that, so it may be
    /// asked before they are made one.
    pub(super) fn rows_where(
        &self,
        tenant: &TenantId,
        range: TimeRange,
        selectors: &[StreamConditions],
    ) -> Statement {
        let mut condition = Statement::new(" PREWHERE tenant = ");
        condition.text(tenant.as_str());
        condition.push(" AND time >= ").time(range.start.as_nanos());
        condition.push(" AND time < ").time(range.end.as_nanos());
        let parts: Vec<Statement> =
            selectors.iter().map(|selector| self.stream_condition(tenant, range, selector)).collect();
        // A selector without conditions accepts all rows.
        if !parts.is_empty() && parts.iter().all(|part| *part != Statement::default()) {
            condition.push(" AND (").join(&parts, " OR ").push(")");
        }
        condition
    }

    /// Rows of streams that one selector accepts; empty when all are.
    fn stream_condition(
        &self,
        tenant: &TenantId,
        range: TimeRange,
        selector: &StreamConditions,
    ) -> Statement {
        let mut parts = selector.service.clone();
        if !selector.labels.is_empty() {
            let mut known = Statement::new(format!("stream IN (SELECT stream FROM {}", self.streams));
            known.append(&self.streams_where(tenant, range));
            for condition in selector.all() {
                known.push(" AND ").append(&condition);
            }
            known.push(")");
            parts.push(known);
        }
        let mut condition = Statement::default();
        condition.join(&parts, " AND ");
        condition
    }
}

/// The time at which a day begins; the first one begins with time.
pub(super) fn day_start(day: i64) -> Timestamp {
    if day <= FIRST_DAY {
        return Timestamp::MIN;
    }
    Timestamp::from_nanos(day.saturating_mul(86_400_000_000_000))
}
