//! A row of the table of events as it is read: line, time, stream and structured metadata, exactly as they were stored.

use timberyard_model::Timestamp;
use tokio_postgres::Row;

use super::event_row::{Columns, canonical_metadata};
use super::failure::PostgresError;

/// What [`StoredRow`] looks for, in its order; without lines where nobody looks at them.
pub(super) fn selected(lines: bool) -> String {
    let line = if lines { "line, line_bytes" } else { "NULL::text, NULL::bytea" };
    format!(
        "stream, timestamp_ns, id, {line}, metadata, event_id, event_name, user_id, session_id, sequence_number, \
         detected_level"
    )
}

/// A row of what [`selected`] names.
pub(super) struct StoredRow<'a>(&'a Row);

impl<'a> StoredRow<'a> {
    /// What a row of the answer is.
    pub(super) fn new(row: &'a Row) -> Self {
        Self(row)
    }

    /// Its stream, as the tables name it.
    pub(super) fn stream(&self) -> Result<i64, PostgresError> {
        Ok(self.0.try_get(0)?)
    }

    /// When it happened.
    pub(super) fn timestamp(&self) -> Result<Timestamp, PostgresError> {
        Ok(Timestamp::from_nanos(self.0.try_get(1)?))
    }

    /// Its line.
    pub(super) fn line(&self) -> Result<&'a [u8], PostgresError> {
        let text: Option<&str> = self.0.try_get(3)?;
        let bytes: Option<&[u8]> = self.0.try_get(4)?;
        Ok(text.map(str::as_bytes).or(bytes).unwrap_or_default())
    }

    /// Shows its structured metadata.
    pub(super) fn metadata<T>(&self, show: impl FnOnce(&[(&str, &[u8])]) -> T) -> Result<T, PostgresError> {
        let row = self.0;
        if let Some(bytes) = row.try_get::<_, Option<&[u8]>>(5)? {
            let pairs = if bytes.is_empty() { Some(Vec::new()) } else { decode_metadata(bytes) };
            let pairs = pairs.ok_or_else(|| {
                PostgresError::Failed("column `metadata` of analytics_logs is damaged".to_owned())
            })?;
            return Ok(show(&pairs));
        }
        let columns = Columns {
            id: row.try_get(2)?,
            event_id: row.try_get(6)?,
            event_name: row.try_get(7)?,
            user_id: row.try_get(8)?,
            session_id: row.try_get(9)?,
            sequence_number: row.try_get(10)?,
            detected_level: row.try_get(11)?,
        };
        Ok(canonical_metadata(columns, show))
    }
}

fn decode_metadata(mut bytes: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let mut take = || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        bytes = rest;
        Some((value, rest.is_empty()))
    };
    let mut pairs = Vec::new();
    loop {
        let (name, _) = take()?;
        let (value, is_last) = take()?;
        pairs.push((std::str::from_utf8(name).ok()?, value));
        if is_last {
            return Some(pairs);
        }
    }
}

#[cfg(test)]
mod tests {
    use timberyard_model::Labels;
    use timberyard_model::rows::RowsBuilder;

    use super::super::event_row::encode_metadata;
    use super::*;

    #[test]
    fn metadata_that_the_columns_do_not_say_comes_back_as_it_was() {
        let mut rows = RowsBuilder::default();
        let stream = rows.stream(&Labels::from_pairs([("app", "api")]));
        let metadata = [("event_id", &b"a\0"[..]), ("k", b""), ("k", b"\xff")];
        rows.push(stream, Timestamp::from_nanos(1), b"x", metadata).expect("fits");
        let rows = rows.finish();
        let encoded = encode_metadata(rows.get(0));
        assert_eq!(decode_metadata(&encoded).expect("whole"), metadata);
        for cut in 1..encoded.len() {
            assert!(decode_metadata(&encoded[..cut]).is_none_or(|pairs| pairs.len() < 3), "{cut}");
        }
    }
}
