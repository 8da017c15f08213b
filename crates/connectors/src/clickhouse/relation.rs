//! What queries read from: a table of rows and one of streams, with the same columns whoever's tables they are.

use timberyard_model::TenantId;
use timberyard_model::time::{TimeRange, Timestamp};

use super::adopted::AdoptedTable;
use super::conditions::StreamConditions;
use super::schema::Schema;
use super::statement::Statement;

/// The day from which `Date32` counts, in days since 1970; earlier times lie on it.
const FIRST_DAY: i64 = -25_567;

/// What rows are read from.
#[derive(Clone, Debug)]
pub(super) enum Relation {
    /// Timberyard's own tables, as SQL that may follow `FROM`.
    Own {
        /// Equal entries are there once.
        rows: String,
        /// Label sets by day.
        streams: String,
    },
    /// Another system's table.
    Adopted(AdoptedTable),
}

impl Relation {
    /// Timberyard's own tables.
    pub(super) fn of_schema(schema: &Schema) -> Self {
        Self::Own { rows: format!("{} FINAL", schema.rows()), streams: schema.streams() }
    }

    /// What may follow `FROM`: rows that may lie in a range, with `tenant`, `service`, `time`, `sequence`, `entry`, `stream`,
    /// `labels`, `line`, `metadata`.
    pub(super) fn rows(&self, range: TimeRange) -> Statement {
        match self {
            Self::Own { rows, .. } => Statement::new(rows),
            Self::Adopted(table) => table.rows(range),
        }
    }

    /// What may follow `FROM`: streams that may have rows in a range, with `tenant`, `day`, `service`, `stream`, `labels`.
    pub(super) fn streams(&self, range: TimeRange) -> Statement {
        match self {
            Self::Own { streams, .. } => Statement::new(streams),
            Self::Adopted(table) => table.streams(range),
        }
    }

    /// First day, last day, and number of the streams that have rows in a range; where there is no table of streams, of rows.
    pub(super) fn extent(
        &self,
        tenant: &TenantId,
        range: TimeRange,
        selector: &StreamConditions,
    ) -> Statement {
        match self {
            Self::Own { streams, .. } => {
                let mut asked = Statement::new(format!(
                    "SELECT toInt64(min(day)), toInt64(max(day)), uniqExact(stream) FROM {streams}"
                ));
                asked.append(&self.streams_where(tenant, range));
                for condition in selector.all() {
                    asked.push(" AND ").append(&condition);
                }
                asked
            }
            Self::Adopted(table) => table.extent(range),
        }
    }

    /// What begins conditions that may come before equal entries are made one, and those that may not.
    pub(super) fn keywords(&self) -> (&'static str, &'static str) {
        match self {
            Self::Own { .. } => (" PREWHERE ", " WHERE "),
            Self::Adopted(_) => (" WHERE ", " AND "),
        }
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

    /// `PREWHERE` with what concerns tenant, time and streams of rows. Equal entries are equal in all of that, so it may be
    /// asked before they are made one.
    pub(super) fn rows_where(
        &self,
        tenant: &TenantId,
        range: TimeRange,
        selectors: &[StreamConditions],
    ) -> Statement {
        let mut condition = Statement::new(self.keywords().0);
        condition.push("tenant = ").text(tenant.as_str());
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
    pub(super) fn stream_condition(
        &self,
        tenant: &TenantId,
        range: TimeRange,
        selector: &StreamConditions,
    ) -> Statement {
        let mut parts = selector.service.clone();
        if let Self::Adopted(_) = self {
            parts.extend_from_slice(&selector.labels);
        } else if !selector.labels.is_empty() {
            let mut known = Statement::new("stream IN (SELECT stream FROM ");
            known.append(&self.streams(range));
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
