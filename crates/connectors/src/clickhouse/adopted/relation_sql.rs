//! Another system's table as SQL with the columns that queries read.

use timberyard_model::TenantId;
use timberyard_model::time::TimeRange;
use timberyard_wire::level_detection::{LEVEL_WORDS, normalized};

use super::super::statement::Statement;
use super::kept_context;

/// Expressions over the columns of a table, as it is for rows that its own programs insert.
pub(super) struct RelationSql {
    /// The service, by the rule for `service_name`.
    pub(super) service: String,
    /// An array of pairs; the empty ones are absent.
    pub(super) labels: String,
    /// An array of pairs; the empty ones are absent.
    pub(super) metadata: String,
    /// The line.
    pub(super) line: String,
    /// Tells rows of one time apart, in the order in which they should be read.
    pub(super) sequence: String,
    /// Tells those apart that this leaves.
    pub(super) entry: String,
    /// Whether the row is of another way in, with everything that it has in `kept_in`.
    pub(super) kept: String,
    /// A column with JSON.
    pub(super) kept_in: String,
}

impl RelationSql {
    /// What may follow `FROM`: the rows of a table that may lie within a range, by bounds of its column of times.
    pub(super) fn rows(
        &self,
        table: &str,
        tenant: &TenantId,
        time: &str,
        bounds: &(String, String),
    ) -> Statement {
        let Self { service, labels, metadata, line, sequence, entry, kept, kept_in } = self;
        let mut sql = Statement::new("(SELECT ");
        sql.text(tenant.as_str()).push(" AS tenant, ");
        let kept_labels = kept_context::labels_sql(kept_in);
        let kept_metadata = kept_context::metadata_sql(kept_in);
        let present = |pairs: &str| format!("arrayFilter(pair -> notEmpty(pair.2), {pairs})");
        let as_map = |pairs: String| format!("CAST({pairs}, 'Map(String, String)')");
        sql.push(&format!(
            "{kept} AS is_kept, if(is_kept, {kept_labels}, {}) AS labels, \
             if(is_kept, labels['service_name'], {service}) AS service, {time} AS time, {sequence} AS sequence, \
             {entry} AS entry, cityHash64(labels) AS stream, {line} AS line, {} AS metadata \
             FROM {table} AS adopted WHERE adopted.timestamp >= {} AND adopted.timestamp <= {})",
            as_map(present(labels)),
            as_map(format!("if(is_kept, {kept_metadata}, {})", present(metadata))),
            bounds.0,
            bounds.1,
        ));
        sql
    }
}

/// The first and the last nanosecond of a range.
pub(super) fn ends(range: TimeRange) -> (i64, i64) {
    (range.start.as_nanos(), range.end.saturating_add_nanos(-1).as_nanos())
}

/// An array of pairs.
pub(super) fn pairs_sql(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("('{name}', {value})")).collect();
    format!("[{}]", pairs.join(", "))
}

/// The level that is found for a row whose label `level` is that.
pub(super) fn detected_level_sql(level: &str) -> String {
    let words: Vec<String> = LEVEL_WORDS.iter().map(|(word, _)| format!("'{word}'")).collect();
    let levels: Vec<String> = LEVEL_WORDS.iter().map(|(_, level)| format!("'{}'", level.as_str())).collect();
    format!("transform(lower({level}), [{}], [{}], {level})", words.join(", "), levels.join(", "))
}

/// Whether that is the level which is found for the label.
pub(super) fn is_detected_level(found: &[u8], level: &str) -> bool {
    found == normalized(level.as_bytes())
}
