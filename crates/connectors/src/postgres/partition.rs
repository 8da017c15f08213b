//! The parts of the table of events: one a month, made before its first row comes, dropped when all of it is too old.
//!
//! A part is made beside the table and attached, which waits for no reader and makes none wait. What is before
//! [`FIRST_YEAR`] shares one, so that nobody can make thousands by sending old times.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use deadpool_postgres::Object;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use timberyard_model::{LogBatch, Timestamp};

use super::failure::PostgresError;
use super::migrations::LOCK_KEY;

/// The first year whose months have parts of their own.
const FIRST_YEAR: i16 = 2020;
/// The part for everything before.
const EARLIER: &str = "analytics_logs_earlier";
/// How long making or dropping a part waits for others, in milliseconds.
const LOCK_TIMEOUT_MS: u32 = 3_000;
/// Ids that are forgotten in one statement.
const FORGOTTEN_AT_ONCE: i64 = 10_000;

/// A month, or the time before the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Partition {
    /// Before [`FIRST_YEAR`].
    Earlier,
    /// A month of it or a later year: its first day.
    Month(Date),
}

impl Partition {
    /// The one that a time is in.
    pub(super) fn of(time: Timestamp) -> Self {
        let date = jiff::Timestamp::from_nanosecond(time.as_nanos().into())
            .map(|time| time.to_zoned(TimeZone::UTC).date().first_of_month());
        match date {
            Ok(month) if month.year() >= FIRST_YEAR => Self::Month(month),
            _ => Self::Earlier,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Earlier => EARLIER.to_owned(),
            Self::Month(month) => format!("analytics_logs_{:04}_{:02}", month.year(), month.month()),
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        if name == EARLIER {
            return Some(Self::Earlier);
        }
        let (year, month) = name.strip_prefix("analytics_logs_")?.split_once('_')?;
        Some(Self::Month(Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()?))
    }

    /// The first nanosecond in it, and the first behind it, as bounds of a partition are written.
    fn bounds(self) -> (String, String) {
        let nanos = |date: Date| {
            let start = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_nanosecond();
            i64::try_from(start).ok().map(|nanos| nanos.to_string())
        };
        let or = |text: Option<String>, otherwise: &str| text.unwrap_or_else(|| otherwise.to_owned());
        let first = Date::new(FIRST_YEAR, 1, 1).ok().and_then(nanos);
        match self {
            Self::Earlier => ("MINVALUE".to_owned(), or(first, "MAXVALUE")),
            Self::Month(month) => {
                let next = month.last_of_month().tomorrow().ok().and_then(nanos);
                (or(nanos(month), "MINVALUE"), or(next, "MAXVALUE"))
            }
        }
    }

    /// Whether everything in it is before a time.
    fn is_before(self, time: Timestamp) -> bool {
        self.bounds().1.parse::<i64>().is_ok_and(|end| end <= time.as_nanos())
    }
}

/// The parts that are known to be there.
#[derive(Debug, Default)]
pub(super) struct KnownPartitions(Mutex<HashSet<Partition>>);

impl KnownPartitions {
    /// Makes those that a batch needs and that are not there.
    pub(super) async fn prepare(&self, connection: &Object, batch: &LogBatch) -> Result<(), PostgresError> {
        let mut needed: Vec<Partition> =
            batch.rows.iter().map(|row| Partition::of(row.timestamp())).collect();
        needed.dedup();
        let missing: HashSet<Partition> = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            needed.into_iter().filter(|partition| !known.contains(partition)).collect()
        };
        for partition in missing {
            make(connection, partition).await?;
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(partition);
        }
        Ok(())
    }

    /// Looks again at what is there: somebody has dropped one.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Makes one, if it is not there.
async fn make(connection: &Object, partition: Partition) -> Result<(), PostgresError> {
    let name = partition.name();
    let exists = "SELECT to_regclass($1) IS NOT NULL";
    let is_there: bool = connection.query_one(exists, &[&name]).await?.try_get(0)?;
    if is_there {
        return Ok(());
    }
    let (from, to) = partition.bounds();
    // Under the lock of migrations, since those change the table too. Whoever comes second finds it made.
    let script = format!(
        "BEGIN;
         SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS};
         SELECT pg_advisory_xact_lock({LOCK_KEY});
         DO $$ BEGIN
             IF to_regclass('{name}') IS NULL THEN
                 CREATE TABLE {name} (LIKE analytics_logs INCLUDING ALL);
                 ALTER TABLE analytics_logs ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to});
             END IF;
         END $$;
         COMMIT;"
    );
    in_transaction(connection, &script).await
}

/// Runs a script that begins and commits a transaction; leaves none behind.
async fn in_transaction(connection: &Object, script: &str) -> Result<(), PostgresError> {
    let done = connection.batch_execute(script).await;
    if done.is_err() {
        // Of a connection that is lost nothing is left either.
        let _ = connection.batch_execute("ROLLBACK").await;
    }
    done.map_err(PostgresError::from)
}

/// Drops what is before a time as a whole, and forgets its ids; says which parts went.
pub(super) async fn drop_before(connection: &Object, time: Timestamp) -> Result<Vec<String>, PostgresError> {
    let statement = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                     WHERE i.inhparent = 'analytics_logs'::regclass";
    let mut dropped = Vec::new();
    let mut newest = None;
    for row in connection.query(statement, &[]).await? {
        let name: String = row.try_get(0)?;
        let Some(partition) = Partition::from_name(&name).filter(|partition| partition.is_before(time))
        else {
            continue;
        };
        let script = format!("BEGIN; SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; DROP TABLE {name}; COMMIT;");
        in_transaction(connection, &script).await?;
        newest = newest.max(Some(partition));
        dropped.push(name);
    }
    let end = newest.and_then(|partition| partition.bounds().1.parse::<i64>().ok());
    let forget = "DELETE FROM event_ids WHERE ctid = ANY(ARRAY( \
                  SELECT ctid FROM event_ids WHERE timestamp_ns < $1 LIMIT $2))";
    while let Some(end) = end {
        if connection.execute(forget, &[&end, &FORGOTTEN_AT_ONCE]).await? == 0 {
            break;
        }
    }
    Ok(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_one_part_whose_name_tells_it() {
        for (time, name) in [
            ("1970-01-01T00:00:00Z", EARLIER),
            ("2019-12-31T23:59:59.999999999Z", EARLIER),
            ("2020-01-01T00:00:00Z", "analytics_logs_2020_01"),
            ("2026-12-31T23:59:59Z", "analytics_logs_2026_12"),
            ("2262-04-11T00:00:00Z", "analytics_logs_2262_04"),
        ] {
            let time = Timestamp::parse_rfc3339(time).expect("a time");
            let partition = Partition::of(time);
            assert_eq!(partition.name(), name);
            assert_eq!(Partition::from_name(name), Some(partition));
            let (from, to) = partition.bounds();
            assert!(from.parse().map_or(from == "MINVALUE", |from: i64| from <= time.as_nanos()), "{from}");
            assert!(to.parse().map_or(to == "MAXVALUE", |to: i64| to > time.as_nanos()), "{to}");
        }
        assert_eq!(Partition::from_name("analytics_logs_of_mine"), None);
    }

    #[test]
    fn only_a_part_that_has_ended_is_too_old() {
        let march = Partition::from_name("analytics_logs_2026_03").expect("a month");
        for (time, is_before) in [("2026-03-31T23:59:59Z", false), ("2026-04-01T00:00:00Z", true)] {
            assert_eq!(march.is_before(Timestamp::parse_rfc3339(time).expect("a time")), is_before);
        }
    }
}
