//! `server_metrics`: how much there was, a line each minute, for whoever draws it by SQL.
//!
//! However many servers share a database, one of them writes a minute's rows. What they say is of all tenants together. A
//! database that is too busy to count is not asked to: that minute has no rows.

use timberyard_model::Timestamp;

use super::failure::PostgresError;
use super::pool::PostgresPool;
use super::transaction::Transaction;

/// The key of the lock under which one server counts, of this project alone.
const LOCK_KEY: i64 = 0x7469_6d62_6d65;
/// Rows that were written less than so many microseconds ago are those of this minute.
const MINUTE_US: i64 = 55_000_000;
const DAY_US: i64 = 86_400_000_000;
/// How long counting may take, in milliseconds.
const COUNT_TIMEOUT_MS: u32 = 10_000;

/// Whether this minute's rows are still to be written, and nobody else is about to: `$1` is now, `$2` the lock.
const IS_DUE: &str = "SELECT pg_try_advisory_xact_lock($2) AND NOT EXISTS (SELECT FROM server_metrics \
    WHERE metric_name = 'logs_last_hour' AND timestamp > to_timestamp($1::bigint / 1000000.0))";

/// What an hour and a day before `$1` had. Both times are asked for: one chooses the month, the other the place in it.
const WRITE: &str = "\
    WITH day AS (SELECT timestamp_ns, event_type, session_id, detected_level FROM analytics_logs \
        WHERE timestamp_ns > ($1::bigint - 86400000000) * 1000 AND timestamp_ns <= $1 * 1000 \
        AND timestamp > to_timestamp($1 / 1000000.0) - interval '1 day 1 second'), \
    hour AS (SELECT * FROM day WHERE timestamp_ns > ($1 - 3600000000) * 1000) \
    INSERT INTO server_metrics (metric_name, metric_value, labels, timestamp) \
    SELECT name, value, labels, to_timestamp($1 / 1000000.0) FROM ( \
        SELECT 'total_logs' AS name, $2::float8 AS value, NULL::jsonb AS labels \
        UNION ALL SELECT 'logs_last_day', count(*), NULL FROM day \
        UNION ALL SELECT 'logs_last_hour', count(*), NULL FROM hour \
        UNION ALL SELECT 'active_sessions', count(DISTINCT session_id), NULL FROM hour \
        UNION ALL SELECT 'error_rate_percent', coalesce(100.0 * count(*) FILTER ( \
            WHERE event_type = 'error' OR detected_level IN ('error', 'critical', 'fatal')) / nullif(count(*), 0), 0), \
            NULL FROM day \
        UNION ALL SELECT 'events_last_hour', count(*), jsonb_build_object('event_type', event_type) \
            FROM hour GROUP BY event_type) AS counted";

/// Writes the rows of the minute that ends `now`, unless somebody has, and removes those that are kept no longer. Says whether it
/// wrote any. `total` is how many events there are.
///
/// # Errors
/// What failed; nothing is written then.
pub async fn write_metrics(pool: &PostgresPool, now: Timestamp, total: u64) -> Result<bool, PostgresError> {
    let days = pool.settings().metrics_days;
    if days == 0 {
        return Ok(false);
    }
    let now_us = now.as_nanos().div_euclid(1000);
    let mut transaction = Transaction::on(pool.get().await?);
    let connection = transaction.connection()?;
    connection.batch_execute(&format!("BEGIN; SET LOCAL statement_timeout = {COUNT_TIMEOUT_MS}")).await?;
    let is_due: bool = connection.query_one(IS_DUE, &[&(now_us - MINUTE_US), &LOCK_KEY]).await?.try_get(0)?;
    if !is_due {
        transaction.leave().await;
        return Ok(false);
    }
    connection.execute(WRITE, &[&now_us, &(total as f64)]).await?;
    let oldest = now_us.saturating_sub(i64::from(days).saturating_mul(DAY_US));
    let remove = "DELETE FROM server_metrics WHERE timestamp < to_timestamp($1::bigint / 1000000.0)";
    connection.execute(remove, &[&oldest]).await?;
    connection.batch_execute("COMMIT").await?;
    transaction.ended();
    Ok(true)
}
