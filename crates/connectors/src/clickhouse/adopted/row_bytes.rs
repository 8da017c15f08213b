//! Batches as rows of another system's table, in `RowBinary`.

use std::borrow::Cow;
use std::collections::HashSet;

use timberyard_model::LogBatch;
use timberyard_model::sink::SinkError;
use uuid::Uuid;

use super::super::row_binary::RowWriter;
use super::table::AdoptedTable;

/// A value of a row.
pub(super) enum Value<'r> {
    /// Bytes.
    Text(Cow<'r, [u8]>),
    /// An id.
    Id(Uuid),
    /// Nanoseconds since 1970.
    Time(i64),
    /// A number.
    Number(u64),
}

impl<'r> Value<'r> {
    /// Bytes of the row.
    pub(super) fn text(bytes: &'r [u8]) -> Self {
        Self::Text(Cow::Borrowed(bytes))
    }
}

/// Rows that are to be inserted, one behind the other.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct AdoptedRows {
    bytes: Vec<u8>,
    rows: Vec<AdoptedRow>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct AdoptedRow {
    /// What it is known by, where the table has ids.
    id: Option<Uuid>,
    time: i64,
    /// Where its bytes end.
    end: usize,
}

impl AdoptedRows {
    /// Appends the rows of a batch that is known by `hash`.
    pub(in super::super) fn push(&mut self, table: &AdoptedTable, batch: &LogBatch, hash: u64) {
        for (number, row) in (0_u64..).zip(batch.rows.iter()) {
            let given_id = row_id(batch.received_at.as_millis(), number, hash);
            let (id, values) = table.values(row, given_id);
            for (column, value) in table.types().iter().zip(values) {
                match value {
                    Value::Text(text) => column.put_text(&mut self.bytes, &text),
                    Value::Id(id) => column.put_id(&mut self.bytes, id),
                    Value::Time(nanos) => column.put_time(&mut self.bytes, nanos),
                    Value::Number(number) => self.bytes.put_u64(number),
                }
            }
            self.rows.push(AdoptedRow { id, time: row.timestamp().as_nanos(), end: self.bytes.len() });
        }
    }

    /// The ids of rows that have one.
    pub(in super::super) fn ids(&self) -> impl Iterator<Item = Uuid> {
        self.rows.iter().filter_map(|row| row.id)
    }

    /// The first and the last time; nothing without rows.
    pub(in super::super) fn time_bounds(&self) -> Option<(i64, i64)> {
        let times = || self.rows.iter().map(|row| row.time);
        Some((times().min()?, times().max()?))
    }

    /// Those that are not known.
    pub(in super::super) fn without(&self, known: &HashSet<Uuid>) -> bytes::Bytes {
        let (mut left, mut start) = (Vec::with_capacity(self.bytes.len()), 0);
        for row in &self.rows {
            if row.id.is_none_or(|id| !known.contains(&id)) {
                left.extend_from_slice(self.bytes.get(start..row.end).unwrap_or_default());
            }
            start = row.end;
        }
        left.into()
    }
}

/// What a row of another way in is known by: a UUID of version 8 that sorts by when the row came, and is the same whenever its
/// batch is written again.
fn row_id(received_millis: i64, number: u64, hash: u64) -> Uuid {
    let millis = received_millis.max(0) as u128 & 0xffff_ffff_ffff;
    let (high, low) = (u128::from(number >> 8) & 0xfff, u128::from(number) & 0xff);
    // Rows past the millionth of a batch differ in this alone.
    let rest = u128::from(hash.wrapping_add((number >> 20).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 10);
    Uuid::from_u128(millis << 80 | 8 << 76 | high << 64 | 0b10 << 62 | low << 54 | rest)
}

/// Refuses what the table cannot hold.
///
/// # Errors
/// What it is, and of which row.
pub(in super::super) fn check(table: &AdoptedTable, batch: &LogBatch) -> Result<(), SinkError> {
    if batch.tenant != *table.tenant() {
        return Err(SinkError::TooLarge(format!(
            "{} has no tenants and holds the rows of `{}` alone: nothing of tenant `{}` can be stored there",
            table.shown(),
            table.tenant().as_str(),
            batch.tenant.as_str()
        )));
    }
    let time = table.time_type();
    match batch.rows.iter().position(|row| !time.holds_time(row.timestamp().as_nanos())) {
        Some(number) => Err(SinkError::TooLarge(format!(
            "row {number} is of {}, which the column `timestamp` of {} cannot hold",
            batch.rows.get(number).timestamp(),
            table.shown()
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_rows_are_in_the_order_of_rows_and_differ_past_a_million() {
        let ids: Vec<Uuid> = [0, 1, 255, 256, 70_000, (1 << 20) - 1]
            .map(|number| row_id(1_790_000_000_000, number, 7))
            .to_vec();
        assert!(ids.is_sorted(), "{ids:?}");
        assert_eq!(ids[0].get_version_num(), 8);
        assert_ne!(row_id(5, 0, 7), row_id(5, 1 << 20, 7));
        assert!(row_id(6, 0, u64::MAX) > row_id(5, 9, u64::MAX));
    }
}
